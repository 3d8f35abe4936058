"""Messages for the log about failed connections to Redis, a backend or an identity provider."""

from __future__ import annotations

STRICT_ONLY = range(80, 94)
"""Verification errors of OpenSSL (x509_vfy.h) that only VERIFY_X509_STRICT causes, a default since Python 3.13."""
ADVICE = (
    "Python 3.13 and later refuse certificates that are not as RFC 5280 wants them: issue it anew with"
    " subjectKeyIdentifier and authorityKeyIdentifier, and that of its authority with subjectKeyIdentifier, keyUsage"
    " keyCertSign and critical basicConstraints, see 'A certificate is refused' in the troubleshooting guide"
)


def connect_error(error: BaseException) -> str:
    """Return the text of an error, or the name of its type; with advice where only a strict check failed."""
    text = str(error) or type(error).__name__
    return f"{text}; {ADVICE}" if _verify_code(error) in STRICT_ONLY else text


def _verify_code(error: BaseException) -> int:
    """Return OpenSSL's verification error code from an error or its causes; 0 for any other failure.

    Causes may form a circle: libraries that raise one error object in several tasks make some.
    """
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        # aiohttp's own error subclasses SSLCertVerificationError but lacks its attributes.
        code = getattr(found, "verify_code", None)
        if isinstance(code, int):
            return code
        found = found.__cause__ or found.__context__
    return 0

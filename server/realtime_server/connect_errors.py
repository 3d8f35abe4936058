"""Why a connection to Redis, a backend or an identity provider could not be made, in words for the log."""

from __future__ import annotations

STRICT_ONLY = range(80, 94)
"""Of OpenSSL (x509_vfy.h): what VERIFY_X509_STRICT refuses besides, which is on from Python 3.13 on."""
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
    """OpenSSL's reason for refusing a certificate, from the handshake's error, which libraries wrap; 0: another one."""
    found: BaseException | None = error
    while found is not None:
        # aiohttp's own error is an SSLCertVerificationError too, without what makes it one.
        code = getattr(found, "verify_code", None)
        if isinstance(code, int):
            return code
        found = found.__cause__ or found.__context__
    return 0

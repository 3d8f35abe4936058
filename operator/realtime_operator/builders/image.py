"""Which image a server runs."""

from __future__ import annotations

from realtime_operator.api.v1alpha1_pod import Image
from realtime_operator.builders.settings import BuildSettings


def server_image(image: Image, settings: BuildSettings) -> str:
    """The spec's image; what it leaves out, repository or tag, comes from the operator's default.

    A default that is pinned by digest stays pinned unless the spec says something else.
    """
    repository, suffix = _split(settings.server_image)
    if image.tag is not None:
        suffix = f":{image.tag}"
    elif image.repository is not None and "@" in suffix:
        # a digest names one image in one repository; elsewhere only the tag can be meant
        suffix = suffix.partition("@")[0]
    return f"{image.repository or repository}{suffix}"


def _split(reference: str) -> tuple[str, str]:
    """Repository, and what follows: `:tag`, `@digest`, both or nothing. A colon before a slash belongs to a port."""
    name, at, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{head}{slash}{last}", f"{colon}{tag}{at}{digest}"

"""Whether a host and the Hugging Face Hub answer, and what the Hub refuses and why."""

from __future__ import annotations

import os
import socket
import urllib.request
from urllib.parse import urlparse

from discl.core.errors import UserError

_CONNECT_SECONDS = 3.0  # for a host's first answer


def host_is_reachable(url: str) -> bool:
    """Whether the host of a URL, or the proxy in between, takes a connection."""
    address = urlparse(url)
    proxy = urllib.request.getproxies().get(address.scheme)
    if proxy and not urllib.request.proxy_bypass(address.hostname or ""):
        address = urlparse(proxy)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def hub_is_offline() -> bool:
    """Whether the environment or a block `offline()` forbids asking the Hub."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return True
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def hub_is_reachable() -> bool:
    """Whether the Hugging Face Hub can be reached; its own client would wait far longer."""
    if hub_is_offline():
        return False
    from huggingface_hub import constants

    return host_is_reachable(constants.ENDPOINT)


def hub_token() -> str:
    """The user's token, from HF_TOKEN or `hf auth login`; empty where there is none."""
    from huggingface_hub import get_token

    return get_token() or ""


def hub_refusal(repo: str, code: int, has_token: bool, terms: str = "") -> str:
    """What the Hub's 401, 403 or 404 for a dataset repository means, and the way out.

    Empty for any other code.
    """
    page = terms or f"https://huggingface.co/datasets/{repo}"
    if code == 401 and has_token:
        return (
            f"the Hub does not know the token it was given for {repo} (401): make another at"
            " https://huggingface.co/settings/tokens and put it into HF_TOKEN"
        )
    if code == 401:
        return (
            f"the Hub lets only known users read {repo} (401): accept its terms at {page}, and put"
            " a token of that account (https://huggingface.co/settings/tokens) into HF_TOKEN"
        )
    if code == 403:
        return (
            f"the Hub does not let the account of this token read {repo} (403): accept its terms at"
            f" {page} with that account, wait where they are approved by hand, and let the token"
            " read gated repositories"
        )
    if code == 404:
        return f"the Hub has no such file in {repo} (404): it was renamed or removed"
    return ""


def hub_bytes(repo: str, revision: str = "") -> int:
    """Bytes of a dataset repository on the Hub; raises UserError where there is none."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(
            repo, revision=revision or None, files_metadata=True, timeout=10
        )
    except Exception as error:  # the Hub's client lets its HTTP library's own errors through
        first = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise UserError(
            f"the Hub does not give dataset {repo!r} ({first}); check the name, or set HF_TOKEN"
            " where it is private"
        ) from error
    return sum(file.size or 0 for file in info.siblings or ())

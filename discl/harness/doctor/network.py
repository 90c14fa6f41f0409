"""Checks of the servers that discl talks to: the Hugging Face Hub and W&B."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from http import HTTPStatus

from discl.files.sources import public
from discl.harness.doctor.finding import NOTE, OK, Finding


def hub(timeout_seconds: float) -> Iterator[Finding]:
    """The Hugging Face Hub, asked with its own client's HTTP session."""
    from huggingface_hub import constants, get_token

    token = "a token is there" if get_token() else "no token"
    if constants.HF_HUB_OFFLINE:
        yield Finding(OK, f"Hugging Face Hub: not asked, HF_HUB_OFFLINE says so; {token}")
        return
    url = public(constants.ENDPOINT)
    started = time.monotonic()
    if reason := _hub_error(url, timeout_seconds):
        way_out = (
            "the embedded default needs none of it; for other checkpoints check the network, or"
            " set HF_HUB_OFFLINE=1 and use what is in HF_HOME"
        )
        yield Finding(
            NOTE, f"Hugging Face Hub at {url} cannot be reached: {reason}; {token}", way_out
        )
    else:
        seconds = time.monotonic() - started
        yield Finding(OK, f"Hugging Face Hub at {url}: answered in {seconds:.1f} s; {token}")


def _hub_error(url: str, timeout_seconds: float) -> str:
    """Why the Hub cannot be used; "" where it answers without a server error."""
    from huggingface_hub import get_session

    try:
        response = get_session().head(url, timeout=timeout_seconds, follow_redirects=False)
    except Exception as error:  # of the HTTP library that the Hub's client uses: httpx or another
        return str(error) or type(error).__name__
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"it answers with error {response.status_code}"
    return ""


def wandb(timeout_seconds: float) -> Iterator[Finding]:
    """W&B: whether runs wait to be sent, in which mode, and whether the server takes the key."""
    from discl.harness.wandb.client import ONLINE, UnreachableError, read_settings, whoami
    from discl.harness.wandb.sync import status

    if importlib.util.find_spec("wandb") is None:
        message = "W&B: wandb is not installed, so runs are not sent to it"
        yield Finding(NOTE, message, "pip install wandb")
        return
    sync = status()
    settings = read_settings()
    url = public(settings.url)
    key = f"a key from {settings.key_from}" if settings.key else "no key"
    if sync.waiting:
        message = f"W&B: {len(sync.waiting):,} of {sync.runs:,} runs were not sent"
        if settings.key:
            yield Finding(NOTE, message, "discl wandb sync")
        else:
            yield Finding(OK, message, "discl wandb sync, once there is a key")
    if settings.mode != ONLINE:
        reason = (
            "there is no key"
            if settings.requested_mode == ONLINE
            else f"WANDB_MODE or W&B's settings say so; there is {key}"
        )
        way_out = "" if settings.key else "to send runs: wandb login, or export WANDB_API_KEY=..."
        yield Finding(
            OK, f"W&B: {settings.mode}, since {reason}; nothing is sent to {url}", way_out
        )
        return
    started = time.monotonic()
    try:
        whoami(settings, timeout_seconds, tries=1)
    except UnreachableError as error:
        way_out = (
            "runs go on without it, and `discl wandb sync` sends them later; WANDB_MODE=offline"
            " asks no more"
        )
        yield Finding(NOTE, str(error), way_out)
    else:
        seconds = time.monotonic() - started
        yield Finding(OK, f"W&B: online at {url}, with {key}: answered in {seconds:.1f} s")

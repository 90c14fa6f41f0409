"""Whether what lies beyond this machine can be reached: the Hugging Face Hub, W&B, and the database
of studies.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from discl.core.errors import UserError
from discl.files.disk import home
from discl.harness.doctor.finding import NOTE, OK, PROBLEM, Finding

PATIENCE_SECONDS = 4.0  # for all networks together
_EACH_SECONDS = (
    3.5  # for one answer, where the system counts: looking a name up knows no limit of its own
)
_SERVER_ERROR = 500


class Answer(NamedTuple):
    """What came of asking."""

    reached: bool
    said: str  # "in 0.2 s", or why not


class Asked:
    """A question under way in a thread of its own, which nobody has to wait for."""

    def __init__(self, ask: Callable[[], str]) -> None:
        self._answer: Answer | None = None
        self._thread = threading.Thread(
            target=self._run, args=(ask,), daemon=True, name="asking a network"
        )
        self._began = time.monotonic()
        self._thread.start()

    def _run(self, ask: Callable[[], str]) -> None:
        try:
            said = ask()
        except (
            OSError,
            ValueError,
            http.client.HTTPException,
        ) as error:  # whose message is about the address, which has no secrets left
            self._answer = Answer(False, f"{getattr(error, 'reason', None) or error}")
        except UserError as error:
            self._answer = Answer(False, str(error))
        else:
            self._answer = Answer(
                not said, said or f"answered in {time.monotonic() - self._began:.1f} s"
            )

    def answer(self, until: float) -> Answer:
        """By then at the latest (of time.monotonic())."""
        self._thread.join(max(0.0, until - time.monotonic()))
        return self._answer or Answer(False, f"no answer in {time.monotonic() - self._began:.1f} s")


@dataclass(frozen=True)
class Pending:
    """A finding that hangs on an answer."""

    asked: Asked
    judge: Callable[[Answer], Finding]

    def answered(self, until: float) -> Finding:
        return self.judge(self.asked.answer(until))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A server that sends us on has answered."""

    def redirect_request(self, *_: object) -> None:
        return None


def head(url: str) -> Callable[[], str]:
    """Asks a web server for a page's head: "" where it answers, whatever it thinks of the page;
    else what is wrong.
    """

    def ask() -> str:
        try:
            with urllib.request.build_opener(_NoRedirect).open(
                urllib.request.Request(url, method="HEAD"), timeout=_EACH_SECONDS
            ):  # noqa: S310
                return ""
        except urllib.error.HTTPError as error:
            return f"it answers with error {error.code}" if error.code >= _SERVER_ERROR else ""

    return ask


def knock(host: str, port: int) -> Callable[[], str]:
    """Asks whether somebody listens there."""

    def ask() -> str:
        with socket.create_connection((host, port), timeout=_EACH_SECONDS):
            return ""

    return ask


def public(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


# ---------------------------------------------------------------- Hugging Face


def hub() -> Iterator[Finding | Pending]:
    """The Hugging Face Hub."""
    from huggingface_hub import constants, get_token

    token = "a token is there" if get_token() else "no token"
    shown = public(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE:
        yield Finding(OK, f"Hugging Face Hub: not asked, HF_HUB_OFFLINE says so; {token}")
        return
    way_out = (
        "the embedded default needs none of it; for other checkpoints check the network, or set"
        " HF_HUB_OFFLINE=1 and use what is in HF_HOME"
    )

    def judge(answer: Answer) -> Finding:
        state, met = (OK, "") if answer.reached else (NOTE, "cannot be reached: ")
        return Finding(
            state,
            f"Hugging Face Hub at {shown}: {met}{answer.said}; {token}",
            "" if answer.reached else way_out,
        )

    yield Pending(Asked(head(shown)), judge)


# ---------------------------------------------------------------- W&B


def wandb() -> Iterator[Finding | Pending]:
    """Weights & Biases, as the mirror speaks to it."""
    from discl.harness.wandb.client import ONLINE, access, whoami
    from discl.harness.wandb.sync import status

    if importlib.util.find_spec("wandb") is None:
        yield Finding(
            NOTE, "W&B: wandb is not installed, so runs have no mirror", "pip install wandb"
        )
        return
    stands = status()
    found = access()
    shown = public(found.url)
    key = f"a key from {found.key_from}" if found.key else "no key"
    if stands.waiting:
        once, state = ("", NOTE) if found.key else (", once there is a key", OK)
        yield Finding(
            state,
            f"W&B: {len(stands.waiting):,} of {stands.runs:,} runs were not sent",
            f"discl wandb sync{once}",
        )
    if found.mode != ONLINE:
        why = (
            "there is no key"
            if found.wanted == ONLINE
            else f"WANDB_MODE or W&B's settings say so; there is {key}"
        )
        way_out = "" if found.key else "to send runs: wandb login, or export WANDB_API_KEY=..."
        yield Finding(OK, f"W&B: {found.mode}, since {why}; nothing is sent to {shown}", way_out)
        return

    def ask() -> str:
        whoami(found, _EACH_SECONDS)
        return ""

    def judge(answer: Answer) -> Finding:
        said = answer.said.replace(found.url, shown)
        if answer.reached:
            return Finding(OK, f"W&B: online at {shown}, with {key}: {said}")
        way_out = (
            "runs go on without it, and `discl wandb sync` sends them later; WANDB_MODE=offline"
            " asks no more"
        )
        return Finding(
            NOTE, said if said.startswith("W&B") else f"W&B at {shown}, with {key}: {said}", way_out
        )

    yield Pending(Asked(ask), judge)


# ---------------------------------------------------------------- studies


def studies() -> Iterator[Finding | Pending]:
    """Where tuning keeps its trials."""
    url = os.environ.get("DISCL_STUDIES")
    if not url:
        path = home() / "studies" / "studies.db"
        size = (
            f", {path.stat().st_size / 1e6:.1f} MB"
            if path.exists()
            else ", which the first tuning sweep makes"
        )
        yield Finding(
            OK,
            f"studies: SQLite at {path}{size}; for several machines set DISCL_STUDIES to a"
            " PostgreSQL address",
        )
        return
    from sqlalchemy.engine import make_url

    from discl.harness.tuning.storage import redacted

    try:
        address = make_url(url)
    except Exception:  # its message may hold the password
        address = None
    if address is None or "@" in (
        address.host or ""
    ):  # a part of a password that bears an @ is taken for a host
        way_out = (
            "write sqlite:////folder/studies.db or postgresql://user:password@host/database, with @"
            " as %40 and / as %2F in the password"
        )
        yield Finding(PROBLEM, "studies: the address in DISCL_STUDIES cannot be read", way_out)
        return
    shown = redacted(url)
    if address.drivername.startswith("sqlite"):
        there = "there" if Path(address.database or "").exists() else "not made yet"
        yield Finding(OK, f"studies: {shown}, {there}")
        return
    if importlib.util.find_spec("psycopg") is None:
        yield Finding(PROBLEM, f"studies: {shown} needs psycopg", "pip install 'discl[postgres]'")
        return

    def judge(answer: Answer) -> Finding:
        if answer.reached:
            return Finding(
                OK,
                f"studies: {shown}: somebody listens there; `discl study ls` says whether they let"
                " you in",
            )
        return Finding(
            PROBLEM,
            f"studies: {shown} cannot be reached: {answer.said}",
            "check host and port, or unset DISCL_STUDIES for SQLite",
        )

    yield Pending(Asked(knock(address.host or "localhost", address.port or 5432)), judge)

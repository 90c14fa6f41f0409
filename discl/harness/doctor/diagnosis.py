"""Runs the checks of `discl doctor`: local ones one after another, network ones in threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from discl.core.errors import UserError, unknown
from discl.harness.doctor import neighbours, network, software, storage
from discl.harness.doctor.finding import CHECKS, NOTE, PROBLEM, Finding

NETWORK_SECONDS = 4.0  # for all network checks together
_PER_REQUEST = 0.8  # share of it for one request, so that a request fails before its check does

LOCAL: dict[str, Callable[[], Iterator[Finding]]] = {
    "python": software.python,
    "torch": software.torch,
    "disk": storage.disk,
    "data": storage.data,
    "files": neighbours.files,
}
NETWORK: dict[str, Callable[[float], Iterator[Finding]]] = {
    "hub": network.hub,
    "wandb": network.wandb,
}


class Examined(NamedTuple):
    """The findings of one check."""

    check: str
    findings: tuple[Finding, ...]


def examine(names: Iterable[str] = (), network_seconds: float = NETWORK_SECONDS) -> list[Examined]:
    """Run the named checks, or all of them; network checks end after `network_seconds`.

    Raises UserError for a name that is no check.
    """
    wanted = list(names) or list(CHECKS)
    for name in wanted:
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
    deadline = time.monotonic() + network_seconds
    pool = ThreadPoolExecutor(max_workers=len(NETWORK), thread_name_prefix="doctor")
    pending = {
        name: pool.submit(_findings, check, network_seconds * _PER_REQUEST)
        for name, check in NETWORK.items()
        if name in wanted
    }
    findings = {name: _findings(check) for name, check in LOCAL.items() if name in wanted}
    for name, future in pending.items():
        findings[name] = _result(name, future, deadline)
    pool.shutdown(wait=False, cancel_futures=True)
    return [Examined(name, findings[name]) for name in CHECKS if name in findings]


def _findings(check: Callable[..., Iterator[Finding]], *args: float) -> tuple[Finding, ...]:
    """The findings of a check; its exception becomes a problem and stops no other check."""
    findings = list[Finding]()
    try:
        findings.extend(check(*args))
    except UserError as error:
        findings.append(Finding(PROBLEM, str(error)))
    except Exception as error:
        findings.append(
            Finding(
                PROBLEM,
                f"could not be checked ({type(error).__name__}: {error})",
                "please report this with the line above",
            )
        )
    return tuple(findings)


def _result(name: str, future: Future[tuple[Finding, ...]], deadline: float) -> tuple[Finding, ...]:
    """The findings of a network check, or a note where it is not done by the deadline.

    Name resolution has no time limit of its own, so a request can outlive its timeout.
    """
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return (Finding(NOTE, f"{name}: no answer in time", "check network, DNS and proxy"),)

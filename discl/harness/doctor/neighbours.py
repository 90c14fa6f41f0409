"""Checks of what lies beside each other: plug-ins, sweep files, banks, runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

from discl.core import registry, search_path
from discl.core.errors import FOREIGN, reason
from discl.harness.doctor.finding import NOTE, OK, Finding

MOST = 10  # damaged ones of a kind that are named


def files() -> Iterator[Finding]:
    """The plug-ins, sweep files, banks and runs that cannot be read, with the reason.

    Everything else goes on without them. Nothing is fetched or changed.
    """
    way_out = "fix the package that provides it, or uninstall it"
    yield from _findings("parts of other packages", _plugins(), way_out)
    yield from _findings("sweep files", _sweeps(), "correct or remove the file")
    yield from _findings("banks", _banks(), "`discl verify` tells more, and repairs")
    yield from _findings("runs", _runs(), "`discl verify` tells more, and sets it aside")


def _findings(what: str, faults: Iterable[str], way_out: str) -> Iterator[Finding]:
    """A line for each fault ("" = there is none); one line where all are well."""
    checked = list(faults)
    broken = [fault for fault in checked if fault]
    if not broken:
        yield Finding(OK, f"{what}: {len(checked)}, all can be read")
    for fault in broken[:MOST]:
        yield Finding(NOTE, f"{what}: {fault}", way_out)
    if len(broken) > MOST:
        yield Finding(NOTE, f"{what}: {len(broken) - MOST} more cannot be read", way_out)


def _fault(read: Callable[[], object]) -> str:
    try:
        read()
    except FOREIGN as error:
        return reason(error)
    return ""


def _plugins() -> Iterator[str]:
    for kind in registry.KINDS:
        for name, source in sorted(registry.names(kind).items()):
            if isinstance(source, EntryPoint) or name in registry.claims(kind):
                yield _fault(partial(registry.find, kind, name))


def _sweeps() -> Iterator[str]:
    from discl.config.sweep_load import load

    for name in search_path.files("sweeps"):
        yield _fault(partial(load, name))


def _banks() -> Iterator[str]:
    from discl.harness.bank.inventory import bank_folders

    for folder in bank_folders():
        fault = _fault(partial(_count, folder))
        yield fault and f"{folder}: {fault}"


def _count(folder: Path) -> None:
    from discl.harness.bank.inventory import open_bank

    with closing(open_bank(folder)) as bank:
        bank.count()


def _runs() -> Iterator[str]:
    from discl.harness.inspect.index import UNREADABLE, RunListing
    from discl.harness.run.store import Store

    for run in RunListing(Store()).newest_first():
        yield run.why if run.state == UNREADABLE else ""

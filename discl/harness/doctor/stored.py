"""Compares everything that is stored with its seals and hashes, and repairs it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from discl.core.conventions import EPOCH_RULES, EpochRule
from discl.core.errors import UserError
from discl.core.plain_files import open_file, plain_text
from discl.core.result import Result
from discl.core.seals import DamagedFileError, damaged, is_sealed, opened_line, read_sealed
from discl.engine.bank.bank import Bank
from discl.engine.evaluation.confusion import predictions_digest
from discl.files import checkpoints
from discl.files.disk import home
from discl.harness.bank.inventory import bank_folders
from discl.harness.doctor import caches
from discl.harness.doctor.caches import CacheKind
from discl.harness.doctor.weights import check_kept, files_of_starts, other_start
from discl.harness.leaderboard.publish import verify_published
from discl.harness.run import events
from discl.harness.run.start.kept import KEPT
from discl.harness.run.store import FAILURES, Store
from discl.harness.run.validation import read_result, validated
from discl.harness.wandb import sent_log

ASIDE = ".damaged"  # behind the name of a file that is set aside


@dataclass
class Verified:
    """What was read, and what is wrong with it."""

    images: int = 0
    files: int = 0
    unsealed: int = 0  # files and images of earlier versions
    faults: list[str] = field(default_factory=list)  # a sentence each, with what was done


def verify_all(root: Path, repair: bool) -> Verified:
    """Verify banks, caches and runs of this machine, and the results published under `root`."""
    verified = Verified()
    for folder in bank_folders():
        _verify_bank(folder, repair, verified)
    for kind in caches.kinds():
        for path in kind.files():
            _verify_cache(path, kind, repair, verified)
    _verify_studies(verified)
    for path, check in files_of_starts():
        _verify_start(path, check, repair, verified)
    store = Store()
    contents = dict[tuple[str, str], str]()
    for run in sorted(store.root.glob("*")):
        if not run.name.startswith(".") and run.is_dir():
            _verify_run(store, run, repair, verified, contents)
    if root.is_dir():
        published = verify_published(root, store)
        verified.files += published.results
        verified.faults += published.faults
        verified.unsealed += sum(not is_sealed(path) for path in root.glob("results/*/*/*.json"))
    return verified


def _verify_bank(folder: Path, repair: bool, verified: Verified) -> None:
    """A bank that cannot be opened stops no other."""
    try:
        with closing(Bank.at(folder)) as bank:
            if (folder / "catalogue.sqlite").exists():
                damages = list(bank.verify())
            else:
                damages = []
                verified.faults.append(f"bank {folder.name} has no catalogue")
            if repair:
                bank.repair()
                bank.drop(damage.cell for damage in damages if damage.cell)
            done = "it is made again when it is next needed" if repair else "not repaired"
            for damage in damages:
                where = f"{damage.cell}: " if damage.cell else ""
                verified.faults.append(f"bank {folder.name}: {where}{damage.why}; {done}")
            with suppress(UserError):
                verified.images += sum(bank.count().values())
                verified.unsealed += bank.catalogue.unsealed()
    except UserError as error:
        verified.faults.append(str(error))


def _verify_cache(path: Path, kind: CacheKind, repair: bool, verified: Verified) -> None:
    done = "it was removed, and is made again when it is next needed" if repair else "not repaired"
    verified.files += 1
    try:
        verified.unsealed += not kind.check(path, done)
    except DamagedFileError as error:
        verified.faults.append(str(error))
        if repair:
            path.unlink(missing_ok=True)


def _verify_studies(verified: Verified) -> None:
    """Of the file in $DISCL_HOME; only whoever has a copy can repair it."""
    path = home() / "studies" / "studies.db"
    if not path.exists():
        return
    verified.files += 1
    try:
        caches.check_studies(path)
    except DamagedFileError as error:
        verified.faults.append(str(error))


def _verify_start(
    path: Path, check: Callable[[], object], repair: bool, verified: Verified
) -> None:
    verified.files += 1
    try:
        check()
    except DamagedFileError as error:
        done = "it was removed" if repair else "not repaired"
        verified.faults.append(f"{error} ({done})")
        if repair:
            path.unlink(missing_ok=True)


def _verify_run(
    store: Store, run: Path, repair: bool, verified: Verified, contents: dict[tuple[str, str], str]
) -> None:
    """Each file of a run; `contents` are digests of banks that were computed before."""

    def look(path: Path, check: Callable[[], None], seals: Callable[[Path], bool]) -> None:
        if not path.exists():
            return
        verified.files += 1
        try:
            check()
            verified.unsealed += not seals(path)
        except UserError as error:
            done = f"it is now {path.name}{ASIDE}" if repair else "not repaired"
            verified.faults.append(f"{error} ({done})")
            if repair:
                path.rename(path.with_name(path.name + ASIDE))

    look(run / FAILURES, lambda: _check_failures(run / FAILURES), _is_record_sealed)
    look(run / sent_log.NAME, lambda: _check_sent(run / sent_log.NAME), is_sealed)
    for attempt in sorted(run.glob("[0-9]*")):
        if not attempt.is_dir():
            continue
        path = attempt / "result.json"
        look(path, lambda path=path: _check_result(path, run.name), is_sealed)  # type: ignore[misc]
        for rule in EPOCH_RULES.values():
            look(
                attempt / rule.predictions,
                lambda attempt=attempt, rule=rule: _check_predictions(  # type: ignore[misc]
                    store, attempt, rule
                ),
                lambda _: True,
            )
        look(attempt / KEPT, lambda attempt=attempt: check_kept(attempt), lambda _: True)  # type: ignore[misc]
        record = attempt / events.NAME
        look(record, lambda attempt=attempt: _check_record(attempt), _is_record_sealed)  # type: ignore[misc]
        described = attempt / "experiment.json"
        look(described, lambda path=described: _check_description(path), is_sealed)  # type: ignore[misc]
        if path.exists():
            with suppress(UserError):
                result = read_result(path)
                faults = (_other_images(result, contents), other_start(result))
                verified.faults += [f"{path}: {fault}" for fault in faults if fault]
    for path in sorted((run / "checkpoints").glob("*.safetensors")):
        look(path, lambda path=path: _check_checkpoint(path), lambda _: True)  # type: ignore[misc]


def _check_result(path: Path, id: str) -> None:
    fault = validated(path, id)
    if isinstance(fault, str):
        raise UserError(f"{path}: {fault.removeprefix(f'{path} ')}")


def _check_predictions(store: Store, attempt: Path, rule: EpochRule) -> None:
    """Also whether they are those of the result."""
    predictions = store.predictions(attempt, rule.predictions)
    path = attempt / "result.json"
    if path.exists():
        result = read_result(path)
        expected = result.under(rule.name).predictions if rule in result.rules else ""
        if expected and predictions_digest(predictions) != expected:
            raise UserError(
                f"{attempt / rule.predictions} are not the predictions of the result beside them"
            )


def _check_record(attempt: Path) -> None:
    events.epochs(attempt)


def _is_record_sealed(path: Path) -> bool:
    with open_file(path, "rb") as opened:
        return b', "seal": "' in opened.readline()


def _check_failures(path: Path) -> None:
    for number, line in enumerate(plain_text(path, errors="replace").split("\n"), 1):
        try:
            opened_line(line)
        except ValueError as error:
            fault = f"is damaged in line {number} ({error})"
            raise damaged(path, fault, "failures are shown only") from error


def _check_sent(path: Path) -> None:
    if path.stat().st_size:  # empty while nothing was sent
        read_sealed(path, "W&B is asked what it holds")


def _check_description(path: Path) -> None:
    read_sealed(path, "the result does not need it")


def _check_checkpoint(path: Path) -> None:
    checkpoints.read(path)


def _other_images(result: Result, contents: dict[tuple[str, str], str]) -> str:
    """Whether a run's bank now holds other images than those it was trained on, in words.

    "" where it does not, where the bank is not on this machine, and for runs of earlier versions.
    """
    known = result.provenance.get("bank_content")
    folder = home() / "banks" / str(result.comparability.get("bank"))
    if not isinstance(known, dict) or not (folder / "catalogue.sqlite").exists():
        return ""
    key = (folder.name, repr((known["levels"], known["variants"])))
    if key not in contents:
        with closing(Bank.at(folder)) as bank:
            levels = [int(level) for level in known["levels"]]
            contents[key] = bank.digest(levels, int(known["variants"]))
    if contents[key] == known["digest"]:
        return ""
    return (
        f"bank {folder.name} now holds other images of levels"
        f" {', '.join(map(str, known['levels']))} than the run was trained on; images were made"
        " again, or imported"
    )

"""Every kind of stored file, damaged in every way, gives the same answer or is refused by name."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.core.errors import UserError
from discl.core.result import Result
from discl.files import sealed
from discl.harness.run.store import Store
from tests.faults import bench, damage
from tests.shared import made_once

HEALED = "healed"
REFUSED = "refused"
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "finished bench", bench.make_finished)


@pytest.fixture(scope="module")
def answers(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What each kind of file answers when nothing is damaged."""
    copy = tmp_path_factory.mktemp("whole") / "copy"
    shutil.copytree(finished / "done", copy)
    with bench.at(copy):
        return {kind: read(finished / "photos") for kind, (_, read) in bench.READERS.items()}


def outcome(kind: str, harm: Damage, which: int, finished: Path, copy: Path, whole: object) -> str:
    """`HEALED`, `REFUSED`, or a sentence that says what is wrong."""
    pattern, read = bench.READERS[kind]
    shutil.copytree(finished / "done", copy)
    found = sorted(path for path in copy.glob(pattern) if path.is_file())
    path = found[which % len(found)]
    harm(path)
    with bench.at(copy):
        try:
            answer = read(finished / "photos")
        except UserError as error:
            named = path.name in str(error) or path.parent.name in str(error)
            return REFUSED if named else f"{kind}: {path.name} is not named: {error}"
        except Exception as error:
            return f"{kind}: {type(error).__name__}: {error}"
    return HEALED if answer == whole else f"{kind}: another answer"


def harms(kind: str, finished: Path) -> Iterator[tuple[str, Damage]]:
    """Every way to damage a kind of file."""
    pattern, _ = bench.READERS[kind]
    yield from damage.KINDS.items()
    for tenth in range(10):
        for bit in (0, 5, 7):
            where = (tenth + 0.37 + bit / 20) / 10.5
            yield f"bit {bit} at {where:.2f}", partial(damage.flip_bit, where=where, bit=bit)
    if pattern.endswith(".npy"):
        yield "another shape", damage.reshape
    siblings = len([path for path in (finished / "done").glob(pattern) if path.is_file()])
    if siblings > 1:
        yield "swapped with a sibling", lambda path: _swap(path, pattern)


def _swap(path: Path, pattern: str) -> None:
    home = next(parent for parent in path.parents if parent.name in ("home", "data")).parent
    damage.swap(path, next(one for one in sorted(home.glob(pattern)) if one != path))


SAMPLE = [
    (kind, list(damage.KINDS)[number % len(damage.KINDS)])
    for number, kind in enumerate(bench.READERS)
]


@pytest.mark.parametrize(("kind", "how"), SAMPLE)
def test_a_damaged_file_gives_the_same_answer_or_is_refused_by_name(
    kind: str, how: str, finished: Path, answers: dict[str, object], tmp_path: Path
) -> None:
    harm = damage.KINDS[how]
    assert outcome(kind, harm, 0, finished, tmp_path / "copy", answers[kind]) in (HEALED, REFUSED)


@pytest.mark.parametrize(
    "kind", ["a result", "a record", "predictions", "last predictions", "settings of a run"]
)
def test_an_empty_file_of_a_run_is_refused_by_name(
    kind: str, finished: Path, answers: dict[str, object], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    assert outcome(kind, damage.empty, 0, finished, copy, answers[kind]) == REFUSED


@pytest.mark.slow(reason="700 damaged files, each read again: two minutes")
@pytest.mark.timeout(1200)
def test_no_damage_of_any_kind_of_file_gives_another_answer_or_a_traceback(
    finished: Path, answers: dict[str, object], tmp_path: Path
) -> None:
    counts: dict[str, Counter[str]] = {}
    wrong = []
    for kind in bench.READERS:
        counts[kind] = Counter()
        for number, (how, harm) in enumerate(harms(kind, finished)):
            copy = tmp_path / f"{kind}-{number}"
            found = outcome(kind, harm, number, finished, copy, answers[kind])
            counts[kind][found if found in (HEALED, REFUSED) else "wrong"] += 1
            if found not in (HEALED, REFUSED):
                wrong.append(f"{how}: {found}")
            shutil.rmtree(copy)
        print(kind, dict(counts[kind]))
    print(*wrong, sep="\n")
    total = sum(counts.values(), Counter())
    print(f"tried {total.total()}, healed {total[HEALED]}, refused {total[REFUSED]}")
    assert wrong == []


# ---------------------------------------------------------------- one command for all


def test_verify_tells_of_all_damage_and_repairs_it(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished / "done", copy)
    patterns = ("home/banks/*/cache/*", "home/features/*/levels/*", "home/runs/*/000/*.json")
    harmed = [next(copy.glob(pattern)) for pattern in patterns]
    for path in harmed:
        damage.flip_bit(path)
    with bench.at(copy):
        words = ["verify", "--root", str(tmp_path / "none")]
        told = CliRunner().invoke(main, [*words, "--dry-run"])
        assert told.exit_code == 1
        assert all(path.name in told.output and path.exists() for path in harmed)
        assert CliRunner().invoke(main, words).exit_code == 1
        assert not any(path.exists() for path in harmed)
        assert CliRunner().invoke(main, words).exit_code == 0


def test_verify_counts_what_has_no_seal_and_repairs_nothing_of_it(tmp_path: Path) -> None:
    from tests.stores import complete, result

    with bench.at(tmp_path):
        path = complete(Store(), result()) / "result.json"
        lines = path.read_text("utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if ' "seal": ' not in line), "utf-8")
        done = CliRunner().invoke(main, ["verify", "--root", str(tmp_path / "none")])
        assert Result.read(path).id == result().id
    assert "without a seal" in done.output


def test_a_runs_passport_names_the_content_of_its_bank(finished: Path) -> None:
    (path,) = finished.glob("done/home/runs/*/000/result.json")
    known = Result.read(path).provenance["bank_content"]
    assert (known["levels"], known["variants"], len(known["digest"])) == ([25, 50], 1, 64)


def test_a_block_of_a_large_array_is_checked_when_it_is_first_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.setattr(sealed, "EAGER_BYTES", 0)
    path = tmp_path / "large.npy"
    rows = np.arange(600_000, dtype=np.int64).reshape(-1, 2)
    sealed.save_array(path, rows)
    damage.flip_bit(path, 0.9)
    array = sealed.load_array(path, "make it again")
    assert np.array_equal(array[[3, 70_000]], rows[[3, 70_000]])
    with pytest.raises(UserError, match=r"large.npy is damaged"):
        array[[5, 290_000]]


def test_a_file_that_ends_too_early_is_no_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*_: object, **__: object) -> None:
        raise EOFError("No data left in file")

    monkeypatch.setattr("discl.harness.doctor.stored.verify_all", ends)
    done = CliRunner().invoke(main, ["verify"])
    assert done.exit_code == 1
    assert "a file ends too early (No data left in file)" in done.output

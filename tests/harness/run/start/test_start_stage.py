"""The start of a seed is made once, whatever happens, and always of the same bits."""

import json
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from discl.cli import main
from discl.config.experiment import experiments
from discl.core.errors import UserError
from discl.core.result import Result
from discl.core.seals import DamagedFileError
from discl.files.disk import home
from discl.harness.doctor.stored import verify_all
from discl.harness.run.assembly import Bench
from discl.harness.run.start.first_weights import first_weights
from discl.harness.run.start.stage import StartStage, read, starts
from discl.harness.run.start.unused import found_starts, remove_start
from discl.harness.run.store import Store
from discl.harness.sweep.cost import estimate_cost
from tests import processes
from tests.faults.damage import flip_bit
from tests.shared import made_once
from tests.starts import STEPS, cold, made, settings, warm

BOTH = "strategies=['real_only','real_rebalanced']"


def _quiet(*_: object) -> None:
    return None


def _answer(result: Result) -> Result:
    timed = ("seconds", "shared_start_seconds")
    cost = {key: value for key, value in result.cost.items() if key not in timed}
    return replace(result, attempt=0, cost=cost, provenance={})


def _make(photos: list[str]) -> None:
    made(warm(Path(photos[0]), *photos[1:]))


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory: pytest.TempPathFactory, cifar100_photos: Path) -> Path:
    """A home with two runs that share a start."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("DISCL_HOME", str(folder))
            made(warm(cifar100_photos, BOTH))

    return made_once(tmp_path_factory, "two runs of one start", make)


@pytest.fixture
def after_two_runs(two_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of our own, as it is after those runs."""
    shutil.copytree(two_runs, tmp_path / "after")
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "after"))


def _start() -> Path:
    (folder,) = starts().root.iterdir()
    return folder


@pytest.mark.usefixtures("after_two_runs")
def test_two_strategies_share_a_start_that_is_made_once_and_counted_beside_their_own_steps(
    cifar100_photos: Path,
) -> None:
    spec = warm(cifar100_photos, BOTH)
    results = made(spec)
    start = read(_start())
    for result in results:
        assert result.attempt == 0
        assert result.cost["steps"] == 2
        assert result.cost["shared_start_steps"] == start.about["steps"] == STEPS
        assert result.cost["shared_start_seconds"] == start.about["seconds"] > 0
        assert result.provenance["start"] == {"id": _start().name, "digest": start.digest}
    assert list(_start().glob("checkpoints/*")) == []
    one = made(warm(cifar100_photos, "strategies=['static']"))[0]
    assert one.provenance["start"]["digest"] == start.digest
    assert one.cost["shared_start_seconds"] == start.about["seconds"]  # it was not made again


@pytest.mark.usefixtures("after_two_runs")
def test_a_run_begins_with_the_weights_of_the_start_and_another_seed_with_others(
    cifar100_photos: Path,
) -> None:
    bench = Bench(warm(cifar100_photos))
    first = first_weights(bench, 0, _quiet)
    assert first is not None
    begun = first.put_into(bench.inputs.network(0)).state_dict()
    kept = read(_start()).weights
    assert all(torch.equal(begun[name], kept[name]) for name in kept)
    drawn = bench.inputs.network(0).state_dict()
    assert not torch.equal(begun["conv1.0.weight"], drawn["conv1.0.weight"])
    assert StartStage(bench, 1).id != StartStage(bench, 0).id
    assert first_weights(Bench(cold(cifar100_photos)), 0, _quiet) is None


@pytest.mark.usefixtures("after_two_runs")
def test_what_cannot_change_a_start_leaves_its_id_and_what_can_changes_it(
    cifar100_photos: Path,
) -> None:
    def id_of(*more: str) -> str:
        return StartStage(Bench(warm(cifar100_photos, *more)), 0).id

    ours = _start().name
    assert id_of() == ours
    for setting in (
        "select.metric=val/acc",
        "train.lr=0.5",  # of the runs: the start has its own
        "store.weights=last",
        "levels=[0,50,100]",
        "loss.name=ce",
    ):
        assert id_of(setting) == ours, setting
    for setting in (
        "train.start.settings={epochs=2, lr=0.02}",
        "train.weight_decay=0.1",
        "loss.name=balanced_softmax",
        "sampling.images=96",
        "train.start.strategy=real_rebalanced",
        "dataset.largest=19",  # other photos
    ):
        assert id_of(setting) != ours, setting


@pytest.mark.usefixtures("after_two_runs")
def test_a_damaged_start_is_made_again_of_the_same_bits(
    cifar100_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read(_start())
    flip_bit(_start() / "weights.safetensors", 0.9)
    with pytest.raises(DamagedFileError, match="is damaged"):
        read(_start())
    static = made(warm(cifar100_photos, "strategies=['static']"))[0]
    assert "is damaged (its content is not what was sealed); it is made again" in (
        capsys.readouterr().err
    )
    after = read(_start())
    assert after.weights.keys() == before.weights.keys()
    assert all(torch.equal(after.weights[name], before.weights[name]) for name in before.weights)
    assert static.provenance["start"]["id"] == _start().name


@pytest.mark.usefixtures("after_two_runs")
def test_the_start_of_other_runs_is_not_taken(cifar100_photos: Path) -> None:
    other = starts().root / ("0" * 16)
    shutil.copytree(_start(), other)
    with pytest.raises(DamagedFileError):
        read(other)


@pytest.mark.usefixtures("after_two_runs")
def test_verify_finds_a_damaged_start_and_one_that_has_other_weights_than_its_runs_had(
    tmp_path: Path,
) -> None:
    assert verify_all(tmp_path / "none", repair=False).faults == []
    for record in home().glob("runs/*/*/result.json"):
        changed = Result.read(record)
        changed.provenance["start"]["digest"] = "0" * 32
        record.write_text(changed.to_json(), "utf-8")
    faults = verify_all(tmp_path / "none", repair=False).faults
    assert len(faults) == 2
    assert all("now has other weights than the run began from" in fault for fault in faults)
    flip_bit(_start() / "weights.safetensors", 0.9)
    (fault,) = verify_all(tmp_path / "none", repair=True).faults
    assert "weights.safetensors is damaged" in fault
    assert verify_all(tmp_path / "none", repair=False).faults == []


@pytest.mark.usefixtures("after_two_runs", "one_benchmark")
def test_a_start_that_runs_refer_to_is_kept_and_one_that_none_does_goes() -> None:
    store = Store()
    (used,) = found_starts(store, recent=True)
    assert (used.id, used.why_kept) == (_start().name, "2 runs")
    shutil.rmtree(store.root)
    (young,) = found_starts(store)
    assert "made within a day; --recent takes it" in young.why_kept
    with starts().claimed(used.id):
        assert found_starts(store, recent=True)[0].why_kept == "it is being made"
        assert not remove_start(used.id)
    said = CliRunner().invoke(main, ["bank", "gc", "--recent"]).output
    assert f"goes   start {used.id}  no run refers to it" in said
    said = CliRunner().invoke(main, ["bank", "gc", "--recent", "--yes"]).output
    assert f"freed  start {used.id}  no run refers to it" in said
    assert list(starts().root.iterdir()) == []


@pytest.mark.usefixtures("after_two_runs")
def test_the_price_of_a_plan_has_each_start_once_a_seed(cifar100_photos: Path) -> None:
    spec = warm(cifar100_photos, BOTH, "seeds=[0,1,2]")
    cost = estimate_cost(experiments(spec), Store(), _quiet, timed=False)
    assert (cost.cached, cost.starts) == (2, 2)
    assert cost.optimiser_steps == 2 * STEPS + 4 * 2
    rates = [warm(cifar100_photos, BOTH, "seeds=[5]", f"train.lr={lr}") for lr in (0.01, 0.02)]
    runs = [experiment for each in rates for experiment in experiments(each)]
    assert estimate_cost(runs, Store(), _quiet, timed=False).starts == 1  # of all four
    plain = estimate_cost(experiments(cold(cifar100_photos, BOTH)), Store(), _quiet, timed=False)
    assert (plain.starts, plain.optimiser_steps) == (0, 4)


@pytest.mark.usefixtures("after_two_runs")
def test_a_board_tells_of_the_start_and_of_a_missing_control(cifar100_photos: Path) -> None:
    arguments = ["leaderboard", "cifar100_lt"]
    for setting in settings(cifar100_photos):
        arguments += ["--set", setting]
    said = CliRunner().invoke(main, [*arguments, "--strategies", "real_only,real_rebalanced"])
    words = " ".join(said.output.split())
    assert "All strategies of a seed begin from the last epoch of one run of real_only: 2" in words
    assert "epochs, 4 steps and" in words
    assert "No real_only" not in words
    said = CliRunner().invoke(main, [*arguments, "--strategies", "real_rebalanced"])
    assert "No real_only among the strategies" in " ".join(said.output.split())


def test_a_start_killed_at_a_random_step_goes_on_and_ends_of_the_same_bits(
    two_runs: Path,
    cifar100_photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
) -> None:
    monkeypatch.setenv("DISCL_HOME", str(two_runs))
    whole = read(_start())
    result = Store().find(experiments(warm(cifar100_photos, BOTH))[0].id())
    assert result is not None
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "killed"))
    at = int(rng.integers(1, STEPS + 1))
    arguments = [str(cifar100_photos), "strategies=['real_only']", "train.checkpoint_seconds=0"]
    child = processes.begin(_make, arguments, log=tmp_path / "log")
    while child.poll() is None and not any(
        int(path.name.partition(".")[0]) >= at
        for path in starts().root.glob("*/checkpoints/[0-9]*.safetensors")
    ):
        time.sleep(0.002)
    child.kill()
    assert child.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    again = made(warm(cifar100_photos, *arguments[1:]))[0]
    start = read(_start())
    assert all(torch.equal(start.weights[name], whole.weights[name]) for name in whole.weights)
    assert start.about["steps"] == STEPS
    assert _answer(again) == _answer(result), f"killed at step {at}"


@pytest.mark.usefixtures("after_two_runs")
def test_who_comes_second_waits_for_the_start_and_trains_nothing(cifar100_photos: Path) -> None:
    path, aside = _start() / "weights.safetensors", _start() / "aside"
    path.rename(aside)
    bench = Bench(warm(cifar100_photos))
    stage = StartStage(bench, 0)
    assert not stage.is_stored
    told = list[tuple[str, int]]()
    claim = starts().claimed(stage.id)
    claim.__enter__()

    def progress(what: str, done: int, total: int) -> None:
        told.append((what, done))
        if done == 0:  # the other one gets done now
            aside.rename(path)
            claim.__exit__(None, None, None)

    made_elsewhere = stage.made(progress)
    assert made_elsewhere.digest == read(_start()).digest
    waiting = "waiting for another process that trains the start of seed 0"
    assert told == [(waiting, 0), (waiting, 1)]


@pytest.mark.parametrize(
    ("executor", "workers"),
    [
        pytest.param("local", 2, marks=pytest.mark.slow),
        pytest.param("ray", 2, marks=pytest.mark.slow),
    ],
)
def test_several_workers_make_one_start_and_the_same_results_as_one(
    executor: str,
    workers: int,
    two_runs: Path,
    cifar100_photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if executor == "ray":
        pytest.importorskip("ray", reason="ray is not installed")
    (tmp_path / "sweeps").mkdir()
    fixed = "\n".join(
        f'"{path}" = {value}'
        for path, value in (
            each.split("=", 1)
            for each in settings(cifar100_photos)
            if not each.startswith(("trackers", "dataset", "generator", "train.start.strategy"))
        )
    )
    (tmp_path / "sweeps" / "warm.toml").write_text(
        f"""benchmark = "cifar100_lt"
strategies = ["real_only", "real_rebalanced"]
seeds = [0]

[set]
"dataset.root" = {json.dumps(str(cifar100_photos))}
"generator.name" = "blend"
"train.start.strategy" = "real_only"
{fixed}
"""
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "workers"))
    arguments = ["sweep", "warm", "--executor", executor, "--workers", str(workers)]
    done = CliRunner().invoke(main, [*arguments, "--trackers", ""])
    assert done.exit_code == 0, done.output
    whole = {
        path.parent.parent.name: Result.read(path) for path in two_runs.glob("runs/*/*/result.json")
    }
    results = list(Store().complete())
    assert {result.id for result in results} == set(whole)
    assert len({result.provenance["start"]["digest"] for result in results}) == 1
    assert len({result.cost["shared_start_seconds"] for result in results}) == 1  # made once
    assert [_answer(result) for result in results] == [_answer(whole[r.id]) for r in results]
    assert len(list(starts().root.iterdir())) == 1


@pytest.mark.usefixtures("after_two_runs")
def test_a_plan_tells_of_starts_to_train_and_of_a_missing_control(cifar100_photos: Path) -> None:
    arguments = ["plan", "cifar100_lt", "--strategies", "real_rebalanced", "--seeds", "0,1"]
    for setting in settings(cifar100_photos):
        arguments += ["--set", setting]
    said = " ".join(CliRunner().invoke(main, arguments).output.split())
    assert "starts to train 1 one a seed, shared by its strategies (train.start)" in said
    assert "No real_only among the strategies" in said


@pytest.mark.parametrize(
    "learner",
    [
        ["second_stage.name=crt", "train.ema=0.5"],
        ["backbone.frozen=true", "train.start.settings={epochs=2, crop=24}"],
        ["select.wise_ft_alphas=[0.0]", "train.start.settings={epochs=2, hflip=false}"],
        pytest.param(
            ["backbone={name='open_clip'}", "loss.name=flyp", "train.lr=1e-4"],
            marks=pytest.mark.slow,  # a CLIP model of its own
        ),
    ],
    ids=["second stage", "frozen", "wise_ft", "flyp"],
)
def test_whatever_a_run_does_after_its_training_it_begins_from_its_start(
    learner: list[str], cifar100_photos: Path
) -> None:
    spec = warm(cifar100_photos, "strategies=['real_only']", *learner)
    (result,) = made(spec)
    start = read(_start())
    assert result.provenance["start"]["digest"] == start.digest
    if "select.wise_ft_alphas=[0.0]" in learner:  # a share of 0 is the network it began with
        from discl.engine.evaluation.predict import logits_of

        bench = Bench(spec)
        network = bench.inputs.network(0)
        network.load_state_dict(start.weights)
        photos = bench.inputs.split("test").pixels
        saved = Store().predictions(Store().folder(result))["test/wise_logits"]
        logits = logits_of(network, photos, bench.inputs.preprocess, torch.device("cpu"))
        np.testing.assert_allclose(logits, saved, atol=1e-5)


@pytest.mark.slow  # two processes import torch
def test_two_launchers_make_one_start(
    two_runs: Path, cifar100_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "launchers"))
    names = ["real_only", "real_rebalanced"]
    children = [
        processes.begin(
            _make, [str(cifar100_photos), f"strategies=['{name}']"], log=tmp_path / name
        )
        for name in names
    ]
    for child, name in zip(children, names, strict=True):
        assert child.wait() == 0, (tmp_path / name).read_text()
    results = list(Store().complete())
    assert len(results) == 2
    assert len({result.cost["shared_start_seconds"] for result in results}) == 1  # made once
    for result in results:
        (whole,) = two_runs.glob(f"runs/{result.id}/*/result.json")
        assert _answer(result) == _answer(Result.read(whole))


def test_a_start_that_diverges_says_whose_training_it_was(cifar100_photos: Path) -> None:
    recipe = (
        "train.start.settings={epochs=10, lr=1000.0, weight_decay=1000.0, optimiser='sgd',"
        " optimiser_arguments={}}"
    )
    spec = warm(cifar100_photos, recipe, "strategies=['real_only']")
    with pytest.raises(UserError, match=r"^the start of seed 0 \(train.start\): .* lower train.lr"):
        made(spec)
    assert not list(starts().root.glob("*/weights.safetensors"))

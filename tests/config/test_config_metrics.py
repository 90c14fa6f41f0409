"""Which metrics a benchmark has, and metrics of other packages that do not keep their promise."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from discl.config.experiment import Experiment
from discl.config.load import load
from discl.config.metrics import bound, built
from discl.core.class_counts import ClassCounts, Fractions
from discl.core.errors import UserError
from discl.core.interfaces import Ints, Metric
from discl.core.metric_names import default_names, higher_is_better, in_order
from discl.core.registry import bind, names
from discl.engine.evaluation.metrics import definitions, definitions_id
from tests.metrics import DEFAULT, all_metrics

Register = Callable[[str, type], None]
COUNTS = np.array([500, 50, 5])
PREDICTIONS = {
    "test/logits": np.eye(3, dtype=np.float32)[[0, 1, 1]],
    "test/labels": np.array([0, 1, 2]),
}


class ErrorRate(Metric):
    """Share of the photos that is predicted wrongly."""

    title = "error"
    definition = "pooled top-1 error"
    better = "lower"

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        return 1 - photos.accuracy


class RaisesAtOnce(ErrorRate):
    """Divides by nothing."""

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        raise ZeroDivisionError("division by zero")


class RaisesLater(ErrorRate):
    """Cannot do without an error in the split."""

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        if photos.actual.shape[-1] == 3 and photos.actual.sum() == 3:
            raise IndexError("list index out of range")
        return 1 - photos.accuracy


class OfOneSample(ErrorRate):
    """Knows no leading axes."""

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Any:
        return float(photos.accuracy.mean())


class InWords(ErrorRate):
    """Gives words."""

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Any:
        return np.full(photos.actual.shape[:-1], "good")


class NeverMeasured(ErrorRate):
    """NaN for everything."""

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        return np.full(photos.actual.shape[:-1], np.nan)


class Infinite(ErrorRate):
    """Infinity for everything."""

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        return np.full(photos.actual.shape[:-1], np.inf)


class Sideways(ErrorRate):
    """Has no direction."""

    better = "sideways"  # type: ignore[assignment]


class Nameless(ErrorRate):
    """Has no title."""

    title = ""


class Duck:
    """No subclass."""

    version = 1


class Greedy(ErrorRate):
    """Would be computed in every run."""

    always = True


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Installs a metric of another package under a name."""

    def put(name: str, part: type) -> None:
        point = EntryPoint(name, f"{__name__}:{part.__name__}", "discl.metrics")
        monkeypatch.setitem(names("metrics"), name, point)

    return put


def with_metric(name: str) -> dict[str, Metric]:
    return built(bound([name], {}, {}))


@pytest.mark.parametrize(
    ("part", "cause"),
    [
        (RaisesAtOnce, "ZeroDivisionError: division by zero"),
        (OfOneSample, "TypeError: of counts [2, 3] it gives float64 [], not numbers [2]"),
        (InWords, "TypeError: of counts [2, 3] it gives <U4 [2], not numbers [2]"),
        (Sideways, "TypeError: better = 'sideways': it takes 'higher' or 'lower'"),
        (Nameless, "TypeError: its title and its definition must be words"),
    ],
)
def test_a_metric_that_breaks_its_promise_is_refused_before_any_work(
    part: type, cause: str, register: Register
) -> None:
    register("theirs", part)
    with pytest.raises(UserError) as raised:
        load("cifar10_lt", settings=["metrics.extra=['theirs']"])
    assert str(raised.value) == (
        f"metric 'theirs' of {__name__}:{part.__name__} cannot be used ({cause}); fix it, or take"
        " it out of metrics.extra"
    )


def test_what_is_no_metric_or_cannot_be_imported_is_refused(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("duck", Duck)
    gone = EntryPoint("gone", "discl_not_there:Metric", "discl.metrics")
    monkeypatch.setitem(names("metrics"), "gone", gone)
    with pytest.raises(UserError, match=r"'duck' is no subclass of discl.core.interfaces.Metric"):
        load("cifar10_lt", settings=["metrics.extra=['duck']"])
    with pytest.raises(UserError, match="metric 'gone' of discl_not_there:Metric cannot be import"):
        load("cifar10_lt", settings=["metrics.extra=['gone']"])


def test_a_metric_that_fails_at_the_end_costs_its_number_and_not_the_run(
    register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    register("theirs", RaisesLater)
    metrics = with_metric("theirs")
    values = all_metrics(PREDICTIONS, COUNTS, metrics)
    assert values == all_metrics(PREDICTIONS, COUNTS)
    assert definitions_id(values, COUNTS, metrics) == definitions_id(values, COUNTS, DEFAULT)
    assert capsys.readouterr().err == (
        f"metric 'theirs' of {__name__}:RaisesLater failed (IndexError: list index out of range)"
        " and is left out; the run goes on. Mend it, then run again, or take it out of"
        " metrics.extra\n"
    )


@pytest.mark.parametrize("part", [NeverMeasured, Infinite])
def test_what_is_never_measured_is_left_out(part: type, register: Register) -> None:
    register("theirs", part)
    assert all_metrics(PREDICTIONS, COUNTS, with_metric("theirs")) == all_metrics(
        PREDICTIONS, COUNTS
    )


def test_a_metric_named_like_one_of_a_split_is_refused(register: Register) -> None:
    register("val/theirs", ErrorRate)
    with pytest.raises(UserError, match="cannot have a name with '/'"):
        with_metric("val/theirs")


def test_installing_a_metric_changes_no_result(register: Register) -> None:
    register("theirs", Greedy)
    spec = load("cifar10_lt")
    assert list(spec.bound_metrics()) == list(default_names()) == list(DEFAULT)
    assert "theirs" not in definitions([], COUNTS, built(spec.bound_metrics()))


def test_a_metric_is_named_parametrised_and_part_of_the_definitions(register: Register) -> None:
    register("theirs", ErrorRate)
    metrics = with_metric("theirs")
    values = all_metrics(PREDICTIONS, COUNTS, metrics)
    assert values["test/theirs"] == pytest.approx(1 / 3)
    assert definitions(values, COUNTS, metrics)["theirs"] == "pooled top-1 error"
    assert definitions_id(values, COUNTS, metrics) != definitions_id({}, COUNTS, DEFAULT)
    assert in_order(["theirs", "few_acc", "acc", "unheard_of"]) == [
        "acc",
        "few_acc",
        "theirs",
        "unheard_of",
    ]
    assert not higher_is_better("val/adjusted_theirs")
    assert higher_is_better("val/macro_acc")


def test_a_later_version_is_another_definition(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("theirs", ErrorRate)
    first = load("cifar10_lt", settings=["metrics.extra=['theirs']"])
    assert "metric" not in Experiment(first, "static", 0).comparison()
    monkeypatch.setattr(ErrorRate, "version", 2)
    later = with_metric("theirs")
    assert definitions(["test/theirs"], COUNTS, later)["theirs"] == "pooled top-1 error (version 2)"
    comparison = Experiment(first, "static", 0).comparison()
    assert comparison["metric"] == {"theirs": {"name": "theirs", "version": 2, "parameters": {}}}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["metrics.extra=['macro_f1_uni']"], "did you mean 'macro_f1_union'?"),
        (["metric.acc.floor=1"], "no parameter of metric 'acc' called 'floor'"),
        (["metric.macro_f1_all={}"], r"\[metric.macro_f1_all\] has no effect"),
        (["metric.worst_group_acc.min_group_size=3"], "set metrics.min_group_size"),
        (["metrics.extra=['adjusted_error']"], "cannot have a name that begins with"),
    ],
)
def test_what_cannot_be_computed_is_said_when_the_file_is_read(
    settings: list[str], says: str, register: Register
) -> None:
    register("adjusted_error", ErrorRate)
    with pytest.raises(UserError, match=says):
        load("cifar10_lt", settings=settings)


def test_what_chooses_epochs_must_be_computed(register: Register) -> None:
    register("theirs", ErrorRate)
    with pytest.raises(UserError, match=r"no metric \(select.metric\) called 'macro_ac'; did you"):
        load("cifar10_lt", settings=["select.metric=val/macro_ac"])
    with pytest.raises(UserError, match="'val/theirs' is not computed here; add 'theirs' to metri"):
        load("cifar10_lt", settings=["select.metric=val/theirs"])
    chosen = ["select.metric=val/theirs", "metrics.extra=['theirs']"]
    assert load("cifar10_lt", settings=chosen).select.metric == "val/theirs"
    with pytest.raises(UserError, match="lower values of it are better, so it is no competence"):
        bind("strategies", "competence", {"metric": "theirs"}).build()

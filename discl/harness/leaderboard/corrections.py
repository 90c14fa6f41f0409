"""Corrections: what was wrong in earlier versions, and which stored numbers it touches.

`docs/explanation/corrections.md` has the same list with figures; a test holds the two together.
Another correction is another entry of `CORRECTIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from discl.core.result import Result

BEFORE = "before 0.2"  # what tables call a number that a correction touches
EVERY_METRIC = ("*",)
_EMBEDDED = "5e9ab7c70b0ae059"  # digest of the embedded diffusion model's weights
ABSENT = object()  # of a setting that an identity does not hold


class Mark(Protocol):
    """Something recorded in a run's identity, by which a run from before a correction is told."""

    @property
    def path(self) -> tuple[str, ...]:
        """Where it stands in the identity."""

    def applies(self, identity: Mapping[str, Any]) -> bool:
        """Whether a run with this identity bears the mark."""


@dataclass(frozen=True)
class PartBefore:
    """A part with a version below the corrected one.

    `kind` is its place in the identity, "loss" or "images.generator"; without a name any part of
    the kind is meant.
    """

    kind: str
    version: int  # the first corrected one
    name: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """Of the version."""
        return (*self.kind.split("."), "version")

    def applies(self, identity: Mapping[str, Any]) -> bool:
        """Whether the run used the part as it was before."""
        part = _at(identity, self.kind.split("."))
        if not isinstance(part, Mapping):
            return False
        named = self.name is None or part.get("name") == self.name
        return named and part.get("version", 1) < self.version


@dataclass(frozen=True)
class MetricBefore:
    """A metric with a version below the corrected one; an identity leaves out version 1."""

    name: str
    version: int  # the first corrected one

    @property
    def path(self) -> tuple[str, ...]:
        """Of the metric's entry, which is there from version 2 on."""
        return ("metric", self.name)

    def applies(self, identity: Mapping[str, Any]) -> bool:
        """Whether the run was measured by the definition of before."""
        metric = _at(identity, self.path)
        version = metric.get("version", 1) if isinstance(metric, Mapping) else 1
        return bool(version < self.version)


@dataclass(frozen=True)
class SettingIs:
    """A setting that has one of some values; ABSENT among them means that none is recorded."""

    setting: str  # "train.schedule"
    values: tuple[object, ...]

    @property
    def path(self) -> tuple[str, ...]:
        """Of the setting."""
        return tuple(self.setting.split("."))

    def applies(self, identity: Mapping[str, Any]) -> bool:
        """Whether the run had one of the values."""
        value = _at(identity, self.path)
        return any(value is known or value == known for known in self.values)


@dataclass(frozen=True)
class SettingRecorded:
    """A setting that an identity holds, whatever its value."""

    setting: str

    @property
    def path(self) -> tuple[str, ...]:
        """Of the setting."""
        return tuple(self.setting.split("."))

    def applies(self, identity: Mapping[str, Any]) -> bool:
        """Whether the run recorded it."""
        return _at(identity, self.path) is not ABSENT


@dataclass(frozen=True)
class SchedulerBefore:
    """Images by one of some named schedulers, from before it was corrected.

    With `weights` only those by that checkpoint's digest. A checkpoint's own scheduler is not told,
    as an identity names none.
    """

    schedulers: tuple[str, ...]
    version: int  # the first corrected one; an identity leaves out version 1
    weights: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """Of the version."""
        return ("images", "generator", "scheduler_version")

    def applies(self, identity: Mapping[str, Any]) -> bool:
        """Whether the images are those of before."""
        generator = _at(identity, self.path[:-1])
        if not isinstance(generator, Mapping):
            return False
        return (
            _at(generator, ("parameters", "scheduler")) in self.schedulers
            and generator.get("scheduler_version", 1) < self.version
            and self.weights in (None, generator.get("weights"))
        )


@dataclass(frozen=True)
class ProbeBefore:
    """A strategy with a probe, where a threshold may have left images out, from before version 2.

    With every image there the probe has always measured the same ones.
    """

    strategies: tuple[str, ...]
    keeps_all: float = -1.0  # the threshold that leaves out no image

    @property
    def path(self) -> tuple[str, ...]:
        """Of the version."""
        return ("probe",)

    def applies(self, identity: Mapping[str, Any]) -> bool:
        """Whether the probe may have measured levels on different photos."""
        threshold = _at(identity, ("images", "threshold"))
        return (
            _at(identity, ("strategy", "name")) in self.strategies
            and threshold not in (ABSENT, self.keeps_all)
            and _at(identity, self.path) is ABSENT
        )


@dataclass(frozen=True)
class LossWithPrior:
    """A loss that puts the prior in by itself, unless a parameter of it is 0.

    Only what was computed after training differs, so a run and its repetition have one identity.
    """

    losses: tuple[tuple[str, str], ...]  # name, parameter

    @property
    def path(self) -> tuple[str, ...]:
        """Of nothing: no identity holds it."""
        return ("loss", "corrects_prior")

    def applies(self, identity: Mapping[str, Any]) -> bool:
        """Whether the run was trained by one of them."""
        return any(
            _at(identity, ("loss", "name")) == name
            and _at(identity, ("loss", "parameters", parameter)) != 0
            for name, parameter in self.losses
        )


@dataclass(frozen=True)
class Correction:
    """Something that was wrong, in a sentence."""

    name: str  # as on the page
    wrong: str  # a sentence without full stop: what was wrong
    # a run that bears all the marks is touched; without marks no stored number is, only what was
    # shown or claimed of it
    marks: tuple[Mark, ...] = ()
    # patterns of the `<split>/<metric>` that are touched: all where the run itself was another,
    # some where a number is defined, or photos are made, in another way
    metrics: tuple[str, ...] = EVERY_METRIC

    def touches(self, identity: Mapping[str, Any]) -> bool:
        """Whether numbers of a run with this identity are from before the correction."""
        return bool(self.marks) and all(mark.applies(identity) for mark in self.marks)

    def makes_old(self, metric: str) -> bool:
        """Whether `<split>/<metric>` of a touched run means something else today."""
        return any(fnmatchcase(metric, pattern) for pattern in self.metrics)


CORRECTIONS: tuple[Correction, ...] = (
    Correction(
        "strategies-shown",
        "`discl leaderboard` and `discl report` left out strategies with runs that the benchmark"
        " file does not list, such as a plug-in's",
    ),
    Correction(
        "published-rows",
        "published results on other data stood under our tables without being asked for",
    ),
    Correction(
        "generator-seen",
        "no table said what its generator had been trained on; the embedded one saw 2,500 labelled"
        " photos of every class of CIFAR-10, tail classes included",
    ),
    Correction(
        "pairs-together",
        "places, stars and headlines used an interval for each pair alone, so tables of equal rows"
        " claimed differences; equal seeds gave an interval of zero width",
    ),
    Correction(
        "multistep-starts",
        "levels above 0 began elsewhere, or by a step too long, with generator.scheduler ="
        " 'PNDMScheduler' or 'LMSDiscreteScheduler'",
        (SchedulerBefore(("LMSDiscreteScheduler", "PNDMScheduler"), 2),),
    ),
    Correction(
        "clipped-latents",
        "'DDIMScheduler' and 'DDPMScheduler' clipped latents where the checkpoint's own scheduler"
        " says nothing about it",
        (SchedulerBefore(("DDIMScheduler", "DDPMScheduler"), 2, _EMBEDDED),),
    ),
    Correction(
        "overshooting-start",
        "level 0 of the embedded checkpoint broke with 'HeunDiscreteScheduler', which overshoots",
        (SchedulerBefore(("HeunDiscreteScheduler",), 2, _EMBEDDED),),
    ),
    Correction(
        "milestones-beyond",
        "the schedules 'step' and 'multistep' never lowered the rate of runs below 90 epochs",
        (
            SettingIs("train.schedule", ("step", "multistep")),
            SettingIs("train.decay_rate", (ABSENT,)),
        ),
    ),
    Correction(
        "poly-power",
        "the schedule 'poly' had the power 0.1 and ended far from zero",
        (
            SettingIs("train.schedule", ("poly",)),
            SettingIs("train.poly_power", (ABSENT,)),
        ),
    ),
    Correction(
        "average-start",
        "an average of weights had no warm-up, so that the first steps' weights stayed in it",
        (
            SettingRecorded("train.ema"),
            SettingIs("train.ema_warmup", (ABSENT,)),
        ),
    ),
    Correction(
        "papers-recipes",
        "presets at scale 'paper' left biases and norms out of weight decay, and the warm-up and"
        " the cosine of iWildCam's were not FLYP's",
    ),
    Correction(
        "probe-photos",
        "where the filter left gaps, the probe of 'adaptive' and 'bandit' compared levels on"
        " different photos",
        (ProbeBefore(("adaptive", "bandit")),),
    ),
    Correction(
        "algorithm-2",
        "presets at scale 'paper' oversampled hard photos where an epoch has photos alone, as the"
        " last epochs of iWildCam's, and left hard photos out of strategies of Algorithm 1",
    ),
    Correction(
        "tail-alike",
        "presets at scale 'paper' gave hard classes equal shares of the tail, which the paper does"
        " not",
    ),
    Correction(
        "published-groups",
        "many, medium and few of iNaturalist 2018 were counted by the training photos that our val"
        " leaves, not by the published ones",
        (PartBefore("dataset", 2, "inaturalist2018"),),
    ),
    Correction(
        "imbalance-as-counted",
        "titles of benchmarks stated the field's imbalance where val has taken photos of the"
        " largest classes",
    ),
    Correction(
        "middle-square",
        "random crops were taken from the middle square of a photo, not from the whole photo",
        (
            SettingRecorded("train.transform"),
            SettingIs("train.whole_photos", (ABSENT,)),
        ),
    ),
    Correction(
        "activation-of-a-file",
        "CLIP weights from a file were given GELU also where they were trained with QuickGELU",
    ),
    Correction(
        "ldam-without-cosines",
        "'ldam_drw' had margins on logits that were no cosines, at scale 1, and a floor where"
        " loss.scale was 30",
        (PartBefore("loss", 2, "ldam_drw"),),
    ),
    Correction(
        "adjusted-twice",
        "logits were adjusted once more where the loss had put the prior in: 'balanced_softmax',"
        " 'logit_adjusted'",
        (LossWithPrior((("balanced_softmax", ""), ("logit_adjusted", "tau"))),),
        ("*/adjusted_*", "*/wise_adjusted_*"),
    ),
    Correction(
        "borrowed-names",
        "five corruptions of cifar10_lt had names of CIFAR-10-C with other severities",
    ),
)


def corrections_of(
    identity: Mapping[str, Any], corrections: Sequence[Correction] | None = None
) -> list[Correction]:
    """The corrections that touch a run with this identity; of all there are, or of some."""
    known = CORRECTIONS if corrections is None else corrections
    return [correction for correction in known if correction.touches(identity)]


def old_metrics(
    result: Result, corrections: Sequence[Correction] | None = None
) -> dict[str, list[str]]:
    """`<split>/<metric>` of a stored result -> names of the corrections that make it old.

    Metrics that still mean what they say are left out; {} where nothing touches the result.
    """
    touching = corrections_of(result.identity, corrections)
    by_metric = {
        metric: [correction.name for correction in touching if correction.makes_old(metric)]
        for metric in (result.metrics if touching else ())
    }
    return {metric: names for metric, names in by_metric.items() if names}


def redefined(result: Result) -> frozenset[str]:
    """Numbers of a stored result that today's definitions do not give.

    A run that was another one is not among them: its numbers still follow from its predictions.
    """
    touching = [
        correction
        for correction in corrections_of(result.identity)
        if correction.metrics != EVERY_METRIC
    ]
    return frozenset(
        metric
        for metric in result.metrics
        if any(correction.makes_old(metric) for correction in touching)
    )


def without_marks(identity: Mapping[str, Any], corrections: Sequence[Correction]) -> dict[str, Any]:
    """An identity without what tells versions apart: a run and its repetition are then equal."""
    plain = dict(identity)
    for correction in corrections:
        for mark in correction.marks:
            plain = _removed(plain, mark.path)
    return plain


def _removed(table: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """A copy without the entry at `path`; a table that is then empty goes too."""
    copied = dict(table)
    inner = copied.get(path[0])
    if len(path) == 1:
        copied.pop(path[0], None)
    elif isinstance(inner, Mapping):
        copied[path[0]] = _removed(inner, path[1:])
        if not copied[path[0]]:
            del copied[path[0]]
    return copied


def _at(identity: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = identity
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return ABSENT
        value = value[key]
    return value

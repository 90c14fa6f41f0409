"""The tables of a benchmark file, and the benchmark they make together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from discl.config.schedule import READ_BY, in_epochs
from discl.core import search_path
from discl.core.conventions import LAST
from discl.core.errors import UserError
from discl.core.hashing import canonical_json, rounded
from discl.core.levels import PHOTO
from discl.core.registry import Bound, bind, find, singular

SCALES = search_path.SCALES
PartKind = Literal[
    "datasets",
    "generators",
    "scorers",
    "prompts",
    "hard_rules",
    "backbones",
    "losses",
    "second_stages",
]
MAKERS: tuple[Literal["generators"], Literal["scorers"], Literal["prompts"]] = (
    "generators",
    "scorers",
    "prompts",
)
PART_KINDS: tuple[PartKind, ...] = (
    "datasets",
    *MAKERS,
    "hard_rules",
    "backbones",
    "losses",
    "second_stages",
)
NO_SECOND_STAGE = {"name": "none"}
# Every number has an end on both sides: beyond it lies a slip of the hand, and what memory, 64 bits
# or patience cannot hold. The ends are far above what anybody was seen to use.
MOST = 100_000_000  # of what is counted: images, photos, steps
Positive = Annotated[int, Field(ge=1, le=MOST)]
NotNegative = Annotated[int, Field(ge=0, le=MOST)]
LARGEST_SEED = 2**32 - 1
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]  # what every generator of random numbers takes
Few = Annotated[int, Field(ge=1, le=100_000)]  # of what is made or done in turn
Pixels = Annotated[int, Field(ge=1, le=10_000)]  # of a side of a picture
FewOrNone = Annotated[int, Field(ge=0, le=100_000)]
Share = Annotated[float, Field(gt=0, lt=1)]
Factor = Annotated[float, Field(ge=0, le=1_000)]
Part = Annotated[float, Field(gt=0, le=1)]
Ratio = Annotated[float, Field(gt=0, le=100)]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
# epochs, or a share of the run
Length = Annotated[int, Field(ge=0, le=100_000)] | Annotated[float, Field(ge=0, le=100_000)]


class _Model(BaseModel):
    """Frozen, and strict about keys and numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]  # what was computed from the fields before the update
        return copied


class FixedTable(_Model):
    """A table with fixed keys."""

    not_hashed: ClassVar[set[str]] = set()  # keys that change no answer

    def non_default(self) -> dict[str, Any]:
        """Fields that differ from their default, so that a new field keeps old run ids."""
        return self.model_dump(exclude_defaults=True, exclude=self.not_hashed)

    @cached_property
    def identity_json(self) -> str:
        """`non_default` as canonical JSON."""
        return canonical_json(self.non_default())


class BankTable(FixedTable):
    """How many images are made of each hard photo, and which of them are used."""

    variants: Few  # images per photo and level
    best_of: Few  # draws an image is the best of, by image-text cosine; 1 = no picking
    # lowest image-text cosine used; -1 keeps everything
    threshold: Annotated[float, Field(ge=-1, le=1)]
    batch: Few  # images in work at most; changes no image
    seed: Seed
    # [height, width] of the photos that images are made from; [] = the generator's own size where
    # the dataset has photos as they were taken, else that of the training photos
    size: list[Pixels] = Field(default=[], max_length=2)

    @cached_property
    def images_json(self) -> dict[str, str]:
        """Canonical JSON of the fields that say which images a run uses, by name."""
        fields = self.model_dump(exclude={"batch"} if self.size else {"batch", "size"})
        return {name: canonical_json(value) for name, value in fields.items()}


class SamplingTable(FixedTable):
    """How many photos and images an epoch has; see `discl.engine.training.sampler`."""

    images: NotNegative  # an epoch; 0 = as many as there are training photos
    # "classes" = share of hard classes among classes; "photos" = see `synthetic_per_real`;
    # "union" = none: images of the mix and photos are drawn alike, as in the paper's Algorithm 2
    tail_share: Share | Literal["classes", "photos", "union"]
    max_repeats: Positive  # of one image in an epoch
    # every hard photo is in every epoch, whatever the mix (with tail_share = "union": among what is
    # drawn from); "by_strategy" = not with the strategies of the paper's Algorithm 2 (adaptive,
    # bandit, random), whose hard photos come in by the mix
    keep_hard_real: bool | Literal["by_strategy"] = True
    include_easy: bool = True  # photos that are not hard are in the epochs at all
    # hard classes get equal shares of the tail ("classes"), or by their hard photos ("photos"), or
    # the tail's images are drawn alike, whatever their class ("images", the paper's A.4.1)
    tail_weighting: Literal["classes", "photos", "images"] = "classes"
    # tail_share = "photos" or "union": synthetic images an epoch for each hard photo (the paper's
    # 3X)
    synthetic_per_real: Factor = 3.0
    # a hard photo counts as not hard in training where no image of it is kept at the levels of the
    # run, as in the released code
    hard_needs_image: bool = False
    # of an image edited towards another class with strength s, the share of that class in its
    # label is s ** soft_label_power (Diff-Mix); below 1 more of it than of the photo's
    soft_label_power: Annotated[float, Field(gt=0, le=100)] = 0.5


def _whole_epochs(given: Any, info: ValidationInfo) -> Any:
    """A share of `train.epochs`, written with a point, in whole epochs; anything else as it is.

    Raises UserError for a share outside 0.0 to 1.0.
    """
    if not isinstance(given, float):
        return given
    if not 0 <= given <= 1:
        raise UserError(
            f"train.{info.field_name} = {given}: with a point it is a share of train.epochs, 0.0 to"
            " 1.0, and without one a number of epochs"
        )
    epochs = info.data.get("epochs", 0)  # missing where epochs are wrong, which is said first
    return math.floor(rounded(given * epochs) + 0.5)


# a number of epochs, or a share of train.epochs: 0.8, 1.0
EpochsOrShare = Annotated[int, BeforeValidator(_whole_epochs, int | float), Field(ge=0, le=100_000)]


def _from_to(given: list[float], info: ValidationInfo) -> list[float]:
    """A range, or nothing."""
    if given and (len(given) != 2 or given[0] > given[1]):
        raise UserError(
            f"train.{info.field_name} = {given}: give two numbers, the smaller one first"
        )
    return given


class StartTable(FixedTable):
    """Weights that all strategies of a seed begin from; see `discl.config.stages.start`."""

    # a strategy that uses photos only; the weights of its last epoch are the start; "" = none
    strategy: str = ""
    # keys of [train] that the run which makes the start has otherwise: {epochs = 18, lr = 0.07}
    settings: dict[str, Any] = {}
    # instead of a strategy, a checkpoint: a .safetensors file, a .pth file of weights, or a folder
    # that `discl runs export-weights` wrote
    weights: str = ""
    # "new" leaves the classifier as it was drawn, where that of the checkpoint has other classes
    head: Literal["keep", "new"] = "keep"


def _strengths(given: Any) -> Any:
    """One number for brightness, contrast and saturation, or three."""
    each = given if isinstance(given, list) and len(given) == 3 else [given]
    if any(type(value) not in (int, float) or not 0 <= value <= 1 for value in each):
        raise UserError(
            f"train.color_jitter = {given!r}: give a number from 0.0 to 1.0, or three of them, for"
            " brightness, contrast and saturation"
        )
    return given


class TrainTable(FixedTable):
    """How a classifier is trained; see `discl.engine.training.config.TrainConfig`."""

    # how fast and from where, not what: the answer stays the same; `start` has an entry of its own
    not_hashed: ClassVar[set[str]] = {
        "channels_last",
        "compile",
        "workers",
        "checkpoint_seconds",
        "start",
    }

    epochs: Few
    curriculum_epochs: EpochsOrShare
    batch: Few
    lr: Annotated[float, Field(gt=0, le=1_000)]
    weight_decay: Factor
    optimiser: str
    warmup_epochs: EpochsOrShare
    random_translate: Annotated[int, Field(ge=0, le=10_000)]  # pixels, at most
    hflip: bool
    evaluate_every: Few
    schedule: Literal["cosine", "tanh", "poly", "step", "multistep", "constant"] = "cosine"
    min_lr: Factor = 0.0
    warmup_steps: NotNegative = 0
    warmup_divisor: Annotated[float, Field(ge=1, le=1e9)] = 20.0
    schedule_after_warmup: bool = False
    milestones: list[Length] = [0.5, 0.75]  # epochs, or shares of the run: 0.8
    decay_every: Length = 0.3  # epochs, or a share of the run
    decay_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    poly_power: Annotated[float, Field(gt=0, le=1_000)] = 1.0
    decay_norms: bool = False
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    optimiser_arguments: dict[str, Any] = {}
    head_only_epochs: FewOrNone = 0
    accumulate: Few = 1
    grad_clip: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema_warmup: bool = True
    mixup: Factor = 0.0
    cutmix: Factor = 0.0
    crop: Annotated[int, Field(ge=0, le=10_000)] = 0
    side: Annotated[int, Field(ge=0, le=10_000)] = 0
    random_resized_crop: Annotated[list[Part], AfterValidator(_from_to)] = []
    crop_ratio: Annotated[list[Ratio], AfterValidator(_from_to), Field(min_length=2)] = [
        3 / 4,
        4 / 3,
    ]
    color_jitter: Annotated[
        float | list[float], BeforeValidator(_strengths, float | list[float])
    ] = 0.0
    transform: dict[str, Any] = {}
    whole_photos: bool = True
    transform_with: Literal["pillow", "torch"] = "pillow"
    precision: Precision = "auto"
    eval_precision: Precision = "auto"
    channels_last: bool = False
    compile: bool = False
    workers: Annotated[int, Field(ge=0, le=1_000)] | Literal["auto"] = "auto"
    # of training between two checkpoints; 0 = after every step
    checkpoint_seconds: Annotated[float, Field(ge=0, le=1e9)] = 60.0
    # weights that all strategies of a seed begin from; nothing given = those that a seed draws
    start: StartTable = StartTable()

    def non_default(self) -> dict[str, Any]:
        """Also the settings that schedule, average and transform read, lengths in epochs."""
        read = READ_BY.get(self.schedule, ())
        read += ("ema_warmup",) if self.ema else ()
        read += ("whole_photos",) if self.transform else ()
        read += ("crop_ratio",) if self.random_resized_crop else ()
        values = super().non_default() | {name: getattr(self, name) for name in read}
        if "milestones" in read:
            values["milestones"] = [in_epochs(each, self.epochs) for each in self.milestones]
        if "decay_every" in read:
            values["decay_every"] = in_epochs(self.decay_every, self.epochs)
        return values


class MetricsTable(FixedTable):
    """Which conventions a table follows, where the field has several, and further metrics."""

    shots: str = "kang"  # the rule for many, medium and few, see `discl.core.conventions.SHOTS`
    min_group_size: Positive = 20  # photos a group needs to count as the worst one
    extra: list[str] = []  # metrics computed beside the default ones

    @property
    def conventions(self) -> dict[str, Any]:
        """Parameters that all metrics share."""
        return {"shots": self.shots, "min_group_size": self.min_group_size}


class SelectTable(FixedTable):
    """The val/ metric that chooses the epoch, and which epoch numbers are read at."""

    not_hashed: ClassVar[set[str]] = {"epoch"}  # runs keep both epochs

    metric: str
    # which epoch tables read: "last", or "val" for the one that val chooses
    epoch: str = LAST.name
    # WiSE-FT: shares of the trained weights to try on val; [] = off
    wise_ft_alphas: list[Annotated[float, Field(ge=0, le=1)]] = []


class StoreTable(FixedTable):
    """What a finished run keeps beside its result and its predictions."""

    not_hashed: ClassVar[set[str]] = {"weights"}

    # "last": the weights of the last epoch, which `discl runs export-weights` writes for timm
    weights: Literal["last", "none"] = "none"


@dataclass(frozen=True)
class PartChoice:
    """A part as a benchmark names it, with its parameters as they are given."""

    kind: str
    name: str
    parameters: dict[str, Any]

    @cached_property
    def key(self) -> tuple[str, str, str]:
        """Equal for equal choices; 1, 1.0 and true are different parameters, as to `bind`."""
        return self.kind, self.name, repr(self.parameters)

    def bind(self) -> Bound:
        """The part with its parameters checked."""
        return bind(self.kind, self.name, self.parameters)


class Benchmark(_Model):
    """A complete benchmark at one scale."""

    name: str
    scale: str
    title: str
    dataset: dict[str, Any]
    generator: dict[str, Any]
    scorer: dict[str, Any]
    prompts: dict[str, Any]
    hard_rule: dict[str, Any]
    backbone: dict[str, Any]
    loss: dict[str, Any]
    second_stage: dict[str, Any] = NO_SECOND_STAGE
    levels: list[Annotated[int, Field(ge=0, le=PHOTO)]] = Field(min_length=1)
    # what a level counts: "steps" = of the generator's denoising steps the share that is left out;
    # "signal" = the share of the photo's signal that is left where an image begins, in percent,
    # which means the same in every model (generators that know their noise, such as img2img)
    levels_as: Literal["steps", "signal"] = "steps"
    strategies: list[str] = Field(min_length=1)
    strategy: dict[str, dict[str, Any]]
    seeds: list[Seed] = Field(min_length=1)
    bank: BankTable
    sampling: SamplingTable
    train: TrainTable
    select: SelectTable
    metrics: MetricsTable = MetricsTable()
    metric: dict[str, dict[str, Any]] = {}
    store: StoreTable = StoreTable()
    trackers: list[str]

    @cached_property
    def choices(self) -> dict[PartKind, PartChoice]:
        """The chosen parts by kind.

        Raises UserError where the table of a kind names no part.
        """
        return {kind: self._choice(kind) for kind in PART_KINDS}

    def _choice(self, kind: PartKind) -> PartChoice:
        table = dict(getattr(self, singular(kind)))
        if "name" not in table:
            raise UserError(f"[{singular(kind)}] names no part; add name = ...")
        if kind == "generators" and self.levels_as != "steps":
            self._hand_levels_as(table)
        return PartChoice(kind, str(table.pop("name")), table)

    def _hand_levels_as(self, generator: dict[str, Any]) -> None:
        """The generator counts levels, so it is told how: as a parameter of its own."""
        if not hasattr(find("generators", str(generator["name"])), "counting"):
            raise UserError(
                f"levels_as = {self.levels_as!r}: generator {generator['name']!r} does not know how"
                " much of a photo's signal survives; take 'img2img', or levels_as = 'steps'"
            )
        if generator.setdefault("levels_as", self.levels_as) != self.levels_as:
            raise UserError(
                f"levels_as = {self.levels_as!r} and generator.levels_as ="
                f" {generator['levels_as']!r} differ; leave the latter out"
            )

    @cached_property
    def ascending_levels(self) -> tuple[int, ...]:
        """The levels, lowest first."""
        return tuple(sorted(self.levels))

    def strategy_choice(self, name: str) -> PartChoice:
        """A strategy with the parameters of [strategy.<name>]."""
        return PartChoice("strategies", name, self.strategy.get(name, {}))

    def part(self, kind: PartKind) -> Bound:
        """The chosen part of a kind, its parameters checked."""
        return self.choices[kind].bind()

    def bound_metrics(self) -> dict[str, Bound]:
        """The metrics that are computed, by name, with their parameters."""
        from discl.config import metrics  # imports numpy

        return metrics.bound(self.metrics.extra, self.metrics.conventions, self.metric)

    def chosen_strategy(self, name: str) -> Bound:
        """A strategy with the parameters of [strategy.<name>], checked."""
        return self.strategy_choice(name).bind()


FIXED_TABLES = ("bank", "sampling", "train", "select", "metrics", "store")

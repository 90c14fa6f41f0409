"""The interfaces of all parts, with shapes and units. Read this module first.

Every part has a `version`, which is raised when its answers change. It may name constructor
parameters in `not_hashed`: those that only say where files lie or how fast the work goes. They stay
out of its identity. A generator, scorer or backbone may name in `trained_on` the sets of photos its
weights were trained on, a generator may say it in words in `training_data`, which is shown beside
results, and a dataset in `must_be_held_out` those that no weights may have seen. A scorer or
backbone with weights from the network may have `fetch()`, which gets them; it is called before any
work, raises UserError where they cannot be had, and returns at once the second time.

A photo is uint8 [h, w, 3], RGB. A level is a whole percent of the photo that survives (see
`levels`). Shapes are written as [n, c]: n rows, b batch, c classes, d dimensions, g groups, h
height, w width. Fractions are in [0, 1].
"""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from discl.core.class_counts import ClassCounts, Fractions
from discl.core.errors import UserError

if TYPE_CHECKING:  # torch is only named here, never imported: this floor stays light
    from torch import Tensor, nn

Photos = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
NO_GROUP = -1  # of a photo for which its metadata gives none
Progress = Callable[[str, int, int], None]  # (name of the work, units done, units in all)
# x, y, width, height of a part of a photo, as shares of its width and height
Box = tuple[float, float, float, float]

# ---------------------------------------------------------------- data


class Listing(NamedTuple):
    """The photos of one split, as the metadata of their dataset lists them."""

    # [n], path under the dataset's folder with '/'; also the photo's id, which no other split has
    refs: NDArray[np.str_]
    labels: Ints  # [n]
    # [n], e.g. the camera; all zero where there are none, NO_GROUP where one photo has none
    groups: Ints


@dataclass(frozen=True)
class Split:
    """One set of labelled photos of one size."""

    ids: NDArray[np.str_]  # [n], stable names of the photos
    labels: Ints  # [n], 0 .. c-1
    groups: Ints  # [n], e.g. the camera; all zero where a dataset has none; see NO_GROUP
    pixels: Photos  # [n, h, w, 3], possibly a memory map; at the size they are trained on
    # the photo of a row as it was taken, any size; None = there are only `pixels`
    original: Callable[[int], Photos] | None = None
    # the photo of a row with its aspect kept, [h, w, 3], the shorter side as long as that of
    # `pixels`; None = `pixels` has it whole
    whole: Callable[[int], Photos] | None = None
    # (row, side): as `original`, but a large photo may come at a part of its size, neither side
    # shorter than `side`, where that decodes faster; None = `original` is asked
    reduced: Callable[[int, int], Photos] | None = None
    # (height, width) of the `original` of a row, told without decoding it; None = it is decoded
    original_size: Callable[[int], tuple[int, int]] | None = None
    # [n], digests of the photos' contents, empty where a file cannot be read; None = `ids` say all
    contents: NDArray[np.bytes_] | None = None
    # where the animals or objects of a row are in its `original`, as a detector found them, or in
    # `pixels` where there is no original; None = the dataset has no boxes
    boxes: Callable[[int], tuple[Box, ...]] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@runtime_checkable
class Dataset(Protocol):
    """Labelled photos in named splits.

    There are `train`, `val` (chooses epochs), the in-distribution test split (`test`, or `id_test`
    where the field calls it so), any number of out-of-distribution test splits `ood/*`, and further
    splits that are scored, under names of their own.

    Where `val` is cut from training photos that are published as such, a dataset may have
    `published_counts` [c], the published training photos of each class: many, medium and few, and
    hard rules, then go by them. A dataset whose splits have the `original` of a photo says so by
    `has_originals = True`, since images are then made from those.

    A dataset whose splits have `boxes` says so by `has_boxes = True`, and has `boxes_digest`, which
    stands for them in the ids of runs whose images depend on them.

    A dataset may have `check_splits()`, which raises UserError where no run should be made of its
    photos, and `overlaps()`: {"equal_photos": n, "near_equal_photos": n}, how many photos of test
    splits are in train, too, byte for byte or by their looks.
    """

    version: int

    def identity(self) -> dict[str, Any]:
        """All else that the photos depend on beside name and parameters, such as a file digest."""

    @property
    def classes(self) -> tuple[str, ...]:
        """English names, index = label."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names that `split` accepts."""

    @property
    def ready(self) -> bool:
        """Whether `split` needs no download; answered at once, without the network."""

    def split(self, name: str) -> Split:
        """The photos of one split, prepared on first use."""

    def prompts(self, label: int) -> tuple[str, ...]:
        """Captions of a class, at least one; each generated image takes one of them."""

    def prepare(self, progress: Progress) -> None:
        """Download and prepare all photos; a second call returns at once."""


@runtime_checkable
class InFiles(Dataset, Protocol):
    """A dataset whose photos are files, which can be described before one is read."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks about the files for a person, a sentence each."""

    def listing(self, name: str) -> Listing:
        """The photos of a split as its metadata lists them, without those whose file is missing."""

    def fetch(self, progress: Progress) -> Path:
        """Download the files, whatever their size, and return their folder; resumes."""


# ---------------------------------------------------------------- making images


class Request(NamedTuple):
    """One image to make."""

    level: int  # 0 .. 99
    prompt: str
    seed: int  # of the noise
    # where the photo's animals or objects are; of generators with a true `takes_boxes` only
    boxes: tuple[Box, ...] = ()


class Generated(NamedTuple):
    """The images of a batch of requests."""

    images: Photos  # [b, h, w, 3]; black where the image failed
    failed: Mapping[int, str] = {}  # index in the batch -> reason


class TextsRead(NamedTuple):
    """What a text encoder reads of texts [n]."""

    most: int  # tokens that it reads; what is behind them is cut off
    tokens: tuple[tuple[int, ...], ...]  # [n], what is read; equal where texts come to the same
    cut: tuple[bool, ...]  # [n], whether a text is longer than that


class Generator(Protocol):
    """Makes images between text and photo.

    An image depends on nothing but its request and its photo. A generator that works best at one
    size may have `photo_size`, (height, width), or None: photos of which the dataset has the
    originals are then given at that size. A generator may have `texts_read`, from texts to
    `TextsRead`, or None where all are read whole, which loads no weights; a scorer too. It may have
    `remarks`, from prompts to sentences about settings that none of them uses. It may have
    `chunk`, how many images it makes in the time of one, and tell `discl.core.progress.work()` of
    the denoising steps it has done. It may have `release`, which gives back what it loaded, says
    whether that was anything, and loads it again when it is next asked; a scorer too. One with a
    true `takes_boxes` is given the boxes of each photo, which its images then depend on; with a
    true `needs_boxes` as well, photos without one are refused before any work. It may have `notes`,
    sentences that a plan tells of it. One that counts levels otherwise than by their share of
    `steps` has `counting(size)` and a parameter `levels_as` that says how; one that knows the noise
    of its levels has `level_grid(size)`, a `LevelGrid`. Both are of photos of (height, width), None
    = not known yet, and load no weights.
    """

    version: int

    @property
    def steps(self) -> int:
        """Number of denoising steps from noise to image; levels are cut from this grid."""

    def identity(self) -> dict[str, Any]:
        """All else that the pixels depend on, such as the digest of the weights."""

    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images uint8 [b, h, w, 3] of `requests` [b], of any levels, and `photos` [b, h, w, 3]."""


class Scorer(Protocol):
    """Embeds images and texts in one space, where a cosine says how well they fit.

    The idea is CLIP's (Radford et al. 2021).
    """

    version: int

    def identity(self) -> dict[str, Any]:
        """All else that the embeddings depend on, such as the digest of the weights."""

    def embed_images(self, images: Photos) -> Floats:
        """Unit vectors [b, d] of images [b, h, w, 3]; each depends on its own image only."""

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """Unit vectors [b, d] of texts."""


class CaptionContext(NamedTuple):
    """The class and the photo of an image that needs a caption."""

    label: int
    name: str  # of the class
    dataset_captions: tuple[str, ...]  # of the class
    source: str  # id of the photo the image is made from
    classes: tuple[str, ...] = ()  # names of all classes, index = label
    captions: tuple[tuple[str, ...], ...] = ()  # the dataset's of all classes, by label


class Prompts(Protocol):
    """Chooses the captions that images are made from, and the one they are scored against.

    Prompts that edit a photo towards another class have `target(context, prompt)`: the label of the
    class that one of `choices` asks for, or None where that is the photo's own. The image then has
    a soft label, of both classes, and is scored against `caption` of the class asked for.
    """

    version: int

    def identity(self) -> dict[str, Any]:
        """All else that the captions depend on, such as the digest of a file."""

    def choices(self, context: CaptionContext) -> tuple[str, ...]:
        """Captions an image may be made from, at least one.

        One is drawn for each photo and variant.
        """

    def caption(self, context: CaptionContext) -> str:
        """The caption an image is scored against."""


# ---------------------------------------------------------------- hard photos


class FoldModels(NamedTuple):
    """Models trained to predict training photos they have not seen: out-of-fold predictions.

    The photos are dealt into `folds` parts. One model a part is trained, on all the other parts.
    """

    folds: int  # at least 2
    epochs: int = 0  # of each model; 0 = train.epochs
    seed: int = 0  # of the dealing and of the models


class FoldPredictions(NamedTuple):
    """Out-of-fold predictions, a row a training photo, in the order of the training split."""

    fold: Ints  # [n], the part the photo was dealt into
    probability: Floats  # [n], that its model gives its true class
    label: Ints  # [n], the most probable class


class TrainingPhotos(NamedTuple):
    """Everything a hard rule may use of the training photos."""

    ids: NDArray[np.str_]  # [n]
    labels: Ints  # [n], 0 .. c-1
    counts: Ints  # [c], training photos of each class, as published
    classes: tuple[str, ...]  # [c], names
    allowed: NDArray[np.bool_]  # [n], False where the photo is of a class in `HardRule.exclude`


class HardRule(Protocol):
    """Selects the hard training photos: those that images are made from.

    A pure function: the same photos and predictions give the same selection.
    """

    version: int
    models: FoldModels | None  # whose predictions `select` is given; None = it needs none
    exclude: Sequence[str]  # names of the classes whose photos are never hard

    def expected(self, photos: TrainingPhotos) -> int | None:
        """How many photos `select` will choose; None = only the predictions can tell.

        Asked before models are trained, so this is where to raise a UserError for parameters that
        do not fit the photos.
        """

    def select(
        self, photos: TrainingPhotos, predictions: FoldPredictions | None
    ) -> NDArray[np.bool_]:
        """[n], whether each photo is hard; never one that is not `allowed`.

        A rule that needs no models may also have `wider(photos)`: the change of its setting in
        words, and a rule that selects more; None where there is none.
        """


# ---------------------------------------------------------------- spreading work


@dataclass(frozen=True)
class WorkersDied:
    """The answer to an item whose workers died, one after the other."""

    how: str  # the last one died, e.g. "SIGKILL"
    workers: int  # that died
    # largest resident memory of the last one during the item; None = not measured
    peak_bytes: int | None = None

    def about(self, item: Any) -> str:
        """A sentence with the cause and the way out."""
        held = "" if self.peak_bytes is None else f" with {self.peak_bytes / 1e9:.1f} GB in memory"
        return (
            f"{self.workers} workers died at item {reprlib.repr(item)} (the last:"
            f" {self.how}{held}); most often there is too little memory: try fewer workers or a"
            " smaller batch"
        )


class NotReady:
    """Returned when the next item depends on pending results; the executor polls again."""


NOT_READY = NotReady()


class Executor(Protocol):
    """Runs one function over many items, here or elsewhere.

    Items are drawn as workers come free. The iterator must not wait: where its next item depends on
    pending results, it yields `NOT_READY`. An executor to which each item is a job, which waits in
    a queue and starts a process, has a true `item_is_job`: it is given few large items. One that
    works in this process, where its progress can be seen, has a true `is_here`.
    """

    version: int

    def run(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        """(item, answer) pairs as they come, in any order.

        `prepare` is pickled, called once in each worker, and returns the function. An item whose
        worker dies is given to another; after three dead workers its answer is `WorkersDied`, and
        the other items go on. An exception of the function itself ends the run.

        A function may have `begin(item)`, which does the first stage of its work and returns the
        second one as a function without arguments, whose answer is that to the item. An executor
        with a true `begins_two` begins the next item meanwhile, and has two items in work. One
        whose workers share a device may say how many by `side_by_side`.
        """


# ---------------------------------------------------------------- curricula

Mix = Mapping[int, float]  # level -> weight, weights >= 0 and summing to 1


@dataclass(frozen=True)
class Probe:
    """The measurement an adaptive strategy needs before it chooses (paper: Algorithm 2).

    `holdout`: share of each hard class's photos kept out of training for the measurement (at least
    one photo, where the class has two); only photos with an image at every level are taken, so that
    levels are compared on the same photos. `burst`: share of the epoch's steps spent on random real
    photos between the two measurements.
    """

    holdout: float = 0.2
    burst: float = 0.2


@dataclass(frozen=True)
class EpochContext:
    """Everything a strategy may use when it chooses the mix of an epoch."""

    epoch: int  # 0-based, within the curriculum
    epochs: int  # length of the curriculum; real-only epochs follow it
    levels: tuple[int, ...]  # ascending, as the benchmark lists them
    history: tuple[EpochReport, ...]
    rng: np.random.Generator  # made from (seed, epoch); the only source of randomness
    # level -> gain of each probe image: probability after the burst - before
    gains: Mapping[int, Sequence[float]] = field(default_factory=dict)


class Strategy(Protocol):
    """Decides what share of the synthetic images comes from each level, epoch by epoch.

    A pure function of its context: same context, same mix; nothing is kept on `self` between calls.
    A strategy whose hard photos come in by its mix alone, as in the paper's Algorithm 2, may have
    `keeps_hard_real = False`; `sampling.keep_hard_real = "by_strategy"` follows it.
    """

    version: int
    # hard classes get the sampler's tail share; False = the classes' natural frequencies
    rebalanced: bool
    # it takes the levels in an order, so that a gain over all of them at once is due to the order
    ordered: bool
    probe: Probe | None  # what to measure before `mix` is asked; None = nothing

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        """Those of `levels` that this strategy may ask for; the bank makes no others."""

    def mix(self, context: EpochContext) -> Mix:
        """Weights over levels for this epoch; level 100 is the photos themselves."""


# ---------------------------------------------------------------- learning


class Task(NamedTuple):
    """The classes that a classifier tells apart."""

    classes: tuple[str, ...]  # English names, index = label
    prompts: tuple[tuple[str, ...], ...]  # [classes], captions of each
    side: int  # pixels of the photos it will see, the shorter side


class Backbone(Protocol):
    """Builds a classifier.

    One with several heads has `head`, the name of the chosen one. With head "cosine" the network,
    also that on frozen features, gives cosines of normalised features and class weights times
    `cosine_scale`, and has that number as an attribute. One may have `head_modules`, the names of
    the modules of its network that give the logits: an optimiser may treat those in another way.
    """

    version: int
    # only a head is trained, on features that are computed once
    frozen: bool
    hidden: int  # units of that head's hidden layer; 0 = a linear head
    head_only: tuple[str, ...]  # constructor parameters that the features do not depend on

    def build(self, task: Task, seed: int) -> nn.Module:
        """A module from float [b, 3, h, w], normalised by `mean` and `std`, to logits [b, classes].

        A module with `gives_pairs = True` also takes labels [b]. With them it returns what a
        contrastive loss needs: unit vectors of the images [b, d] and of one caption of each label
        [b, d], and the scale [] of their cosines.
        """

    def trunk(self, task: Task, seed: int) -> nn.Module:
        """A module from float [b, 3, h, w] to features [b, d]; called where `frozen`."""

    def identity(self) -> dict[str, Any]:
        """All else that the network depends on, such as the digest of its weights."""

    @property
    def mean(self) -> tuple[float, float, float]: ...

    @property
    def std(self) -> tuple[float, float, float]: ...


class Loss(Protocol):
    """The function that training minimises.

    A loss after which the network's logits hold no more than an even prior, since it has put the
    real one in by `counts`, has `corrects_prior = True`: its predictions are not adjusted once
    more. A loss that is defined on some heads of a backbone only names them in `heads`.
    A loss that is the mean of the losses of its images, so that the losses of equal parts of a
    batch have that of the batch as their mean, says so by `mean_of_images = True`: a step that does
    not fit into memory is then computed in smaller parts. One that takes labels [b] only has
    `takes_shares = False`: mixed images and soft labels are refused before any work.
    """

    version: int

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        """Mean loss of a batch.

        `network` maps images [b, 3, h, w] to logits [b, c], or with labels to pairs (see
        `Backbone.build`), and must be called once. Labels are [b], or [b, c] where images are mixed
        or have soft labels (each row sums to 1). `counts` [c] are the real training photos per
        class. `progress` is the share of the run that is over, in [0, 1).
        """


class TrainedFeatures(NamedTuple):
    """What a second stage learns from: a trained classifier, and the features it is given."""

    classifier: nn.Module  # from features [b, d] to logits [b, c]; a copy, which may be changed
    features: Tensor  # float32 [n, d] of the real training photos, in eval mode
    labels: Tensor  # int64 [n]
    counts: Tensor  # float32 [c], real training photos of each class
    # the metric that chooses epochs, on val; higher is better
    score: Callable[[nn.Module], float]
    batch: int  # photos an optimiser step
    seed: int


class SecondStageOutcome(NamedTuple):
    """A classifier from features [b, d] to logits [b, c], and what it cost."""

    classifier: nn.Module
    epochs: int = 0
    steps: int = 0


class SecondStage(Protocol):
    """What becomes of the classifier after training, while its features stay.

    One that is defined on some heads of a backbone only names them in `heads`; one with
    `idle = True` is never applied.
    """

    version: int
    corrects_prior: bool  # its logits hold no more than an even prior, see `Loss`

    def apply(self, trained: TrainedFeatures) -> SecondStageOutcome:
        """The classifier that predicts, from what has been trained."""


@dataclass(frozen=True)
class EpochReport:
    """One epoch: mix of levels, images, cost, and metrics.

    `values` has keys `<split>/<metric>`; it is empty where nothing was measured.
    """

    epoch: int
    mix: dict[int, float]
    seen: dict[int, int]  # level -> images drawn
    steps: int
    lr: float
    seconds: float
    values: dict[str, float]
    gains: dict[int, float] = field(default_factory=dict)  # level -> mean gain, where probed
    real_phase: bool = False  # after the curriculum: photos only
    loss: float | None = None  # mean training loss of the steps; of the main process
    probe_photos: int | None = None  # that the gains of all levels are of; None = not probed
    # many, medium, few -> photos and images drawn of their classes; empty = not recorded
    seen_by_group: dict[str, int] = field(default_factory=dict)


# ---------------------------------------------------------------- measuring


class Metric(ABC):
    """One number about the predictions on a split; the base class of all metrics.

    A constructor keyword named like a convention of `[metrics]` (`shots`, `min_group_size`) gets
    the value that the benchmark gives it. NaN = cannot be measured here; it is left out, never 0.
    """

    version: int = 1
    better: Literal["higher", "lower"] = "higher"
    # a share in [0, 1] is shown in percent; a count stands in results, and is no column of a table
    unit: Literal["share", "count"] = "share"
    overall: bool = False  # over all classes: may be the column `all` of a leaderboard
    by_group: bool = False  # is handed counts [g, c] of each group; left out where there are none
    labels_only: bool = False  # depends on no prediction: computed once a split, after training
    splits: tuple[str, ...] = ("*",)  # patterns of the splits it is for, such as "ood/*"
    # computed in every run; a metric of another package never is: `[metrics] extra` names it
    always: bool = False
    position: int = 100  # in lists, smallest first

    @property
    @abstractmethod
    def title(self) -> str:
        """Head of its column, and its name in a sentence, e.g. 'macro accuracy'."""

    @property
    @abstractmethod
    def definition(self) -> str:
        """How it is computed, with the conventions filled in.

        This text is hashed into every result: another text is another metric, and results of
        different definitions never stand in one table.
        """

    @abstractmethod
    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Values float64 [...] of counts [..., c]; with `by_group`, one value [] of counts [g, c].

        Leading axes are samples of the test photos, each computed alone: they give the standard
        error. `training_photos` [c] are the real training photos of each class.
        """


# ---------------------------------------------------------------- watching


class Tracker(Protocol):
    """Follows runs. It never changes the result of a run, even where it fails.

    A tracker may have `expect(title, runs)`, called where so many runs of one benchmark follow.
    """

    version: int

    def start(self, run: Mapping[str, Any]) -> None:
        """A run starts; `run` has `id`, `name`, `folder`, `group`, `tags`, `config`, `epochs`."""

    def progress(self, doing: str, done: int, total: int) -> None:
        """Long work outside the epochs, such as data and the bank, got so far."""

    def report(self, report: EpochReport) -> None:
        """An epoch ended."""

    def finish(self, summary: Mapping[str, float] | None) -> None:
        """The run ended with these metrics, at the epoch that select.epoch names.

        None = it did not complete.
        """


def check_mix(mix: Mix, levels: Iterable[int]) -> dict[int, float]:
    """`mix` without zero weights.

    Raises ValueError where it is not a distribution over `levels` and the photo.
    """
    allowed = {*levels, 100}
    unknown_levels = sorted(set(mix) - allowed)
    if unknown_levels:
        raise ValueError(f"mix names level {unknown_levels} outside {sorted(allowed)}")
    if any(not weight >= 0 for weight in mix.values()) or abs(sum(mix.values()) - 1) > 1e-9:
        raise ValueError(
            f"mix {dict(mix)} is not a distribution: weights must be >= 0 and sum to 1"
        )
    return {level: float(weight) for level, weight in sorted(mix.items()) if weight > 0}


def check_hard_rule(name: str, rule: HardRule) -> None:
    """Raises UserError where the rule called `name` lacks an attribute of every hard rule."""
    models = getattr(rule, "models", NotImplemented)
    if not (models is None or isinstance(models, FoldModels)):
        raise UserError(
            f"the hard rule {name!r} does not say which models it needs; give it an attribute"
            " `models`: None, or a FoldModels"
        )
    exclude = getattr(rule, "exclude", NotImplemented)
    if not isinstance(exclude, list | tuple):
        raise UserError(
            f"the hard rule {name!r} has no list of classes as its `exclude`; give it one, e.g."
            " hard_rule.exclude = ['cat'], or ()"
        )

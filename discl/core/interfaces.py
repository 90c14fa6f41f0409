"""Every promise a part makes, with shapes and units.

Read this page first.

Every part has a `version`, raised when its answers change, and may name constructor parameters in
`not_hashed`: those that only say where files lie or how fast the work goes. They stay out of its
identity. A generator, scorer or backbone may name in `trained_on` the sets of photos its weights were
trained on, and a dataset in `must_be_held_out` those that no weights may have seen.

A photo is uint8 [h, w, 3], RGB. A level is a whole percent of the photo that survives (see
`levels`). An array's shape is written where it is named: n rows, b batch, c classes, h height, w
width. Fractions are in [0, 1].
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

if TYPE_CHECKING:  # torch is only named here, never imported: this floor stays light
    from torch import Tensor, nn

Photos = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Progress = Callable[[str, int, int], None]  # (what is being done, done so far, of how many)

# ---------------------------------------------------------------- data


class Listing(NamedTuple):
    """The photos of one split, as the metadata of their dataset lists them."""

    refs: NDArray[
        np.str_
        # [n], path under the dataset's folder with '/'; also the photo's id: unique, and in one split
        # only
    ]
    labels: Ints  # [n]
    groups: Ints  # [n], e.g. the camera; all zero where there are none


@dataclass(frozen=True)
class Split:
    """One set of labelled photos of one size."""

    ids: NDArray[np.str_]  # [n], stable names of the photos
    labels: Ints  # [n], 0 .. c-1
    groups: Ints  # [n], e.g. the camera; all zero where a dataset has none
    pixels: Photos  # [n, h, w, 3], possibly a memory map; at the size they are trained on
    original: Callable[[int], Photos] | None = (
        None  # the photo of a row as it was taken, any size; None = `pixels` is all there is
    )

    def __len__(self) -> int:
        return len(self.labels)


@runtime_checkable
class Dataset(Protocol):
    """Labelled photos in named splits: `train`, `val` (chooses epochs), the test photos from where
    training photos come from (`test`, or `id_test` where the field says so), any number of `ood/*`
    (test photos from elsewhere), and whatever else is worth scoring, under a name of its own.
    """

    version: int

    def identity(self) -> dict[str, Any]:
        """What changes the photos beyond name and parameters, such as a digest of the files."""

    @property
    def classes(self) -> tuple[str, ...]:
        """English names, index = label."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names `split` accepts.

        Those that start with `ood/` hold photos from elsewhere than training.
        """

    @property
    def ready(self) -> bool:
        """True when `split` needs no fetching; answered at once, from what lies on this machine."""

    def split(self, name: str) -> Split:
        """The photos of one split; prepares the data on first use."""

    def prompts(self, label: int) -> tuple[str, ...]:
        """Captions of a class, at least one; each generated image takes one of them."""

    def prepare(self, progress: Progress) -> None:
        """Fetch and materialise; a second call returns at once."""


@runtime_checkable
class InFiles(Dataset, Protocol):
    """A dataset whose photos lie in the user's files, so that something can be said of them before
    one is read.
    """

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about these files, a sentence each."""

    def listing(self, name: str) -> Listing:
        """The photos of a split as its metadata lists them, those without a file left out."""

    def fetch(self, progress: Progress) -> Path:
        """The folder with the files, downloaded whatever their size; goes on where it broke off."""


# ---------------------------------------------------------------- making images


class Request(NamedTuple):
    """One image to make."""

    level: int  # 0 .. 99
    prompt: str
    seed: int  # decides the noise, alone


class Generated(NamedTuple):
    """What a generator made of its requests."""

    images: Photos  # [b, h, w, 3]; black where the image failed
    failed: Mapping[int, str] = {}  # place in the batch -> why there is no image


class Generator(Protocol):
    """Makes images between text and photo.

    The answer to a request depends on nothing but the request and its photo.
    """

    version: int

    @property
    def steps(self) -> int:
        """Length of the timestep grid that levels are cut from."""

    def identity(self) -> dict[str, Any]:
        """What changes the pixels beyond name and parameters, such as the digest of the weights."""

    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images uint8 [b, h, w, 3] for requests and photos [b, h, w, 3] of equal length, any
        mixture of levels.
        """


class Scorer(Protocol):
    """Places images and texts in one space, where a cosine says how well they fit (CLIP, Radford et
    al. 2021).
    """

    version: int

    def identity(self) -> dict[str, Any]:
        """What changes the embeddings beyond name and parameters."""

    def embed_images(self, images: Photos) -> Floats:
        """Unit vectors [b, d] of images [b, h, w, 3]; each depends on its image alone."""

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """Unit vectors [b, d] of texts."""


class CaptionContext(NamedTuple):
    """What an image shows."""

    label: int
    name: str  # of the class
    dataset_captions: tuple[str, ...]  # the dataset's own captions of the class
    source: str  # id of the photo the image is made from


class Prompts(Protocol):
    """Says which captions images are made from, and which one they are judged by."""

    version: int

    def identity(self) -> dict[str, Any]:
        """What changes the captions beyond name and parameters, such as the digest of a file."""

    def choices(self, context: CaptionContext) -> tuple[str, ...]:
        """Captions an image may be made from, at least one; one is drawn for each photo and
        variant.
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
    """All a hard rule may know of the training photos."""

    ids: NDArray[np.str_]  # [n]
    labels: Ints  # [n], 0 .. c-1
    counts: Ints  # [c], training photos of each class
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
        """[n], whether each photo is hard; never one that is not `allowed`."""


# ---------------------------------------------------------------- spreading work


@dataclass(frozen=True)
class WorkersDied:
    """The answer to an item whose workers died, one after the other."""

    how: str  # the last one ended, e.g. "SIGKILL"
    workers: int  # it cost
    peak_bytes: int | None = (
        # most resident memory the last one was seen to hold while at the item; None = nobody looked
        None
    )

    def about(self, item: Any) -> str:
        """What happened, and the way out, as a sentence."""
        held = "" if self.peak_bytes is None else f" with {self.peak_bytes / 1e9:.1f} GB in memory"
        return (
            f"{self.workers} workers died at item {reprlib.repr(item)} (the last:"
            f" {self.how}{held}); the usual cause is too little memory: try fewer workers or a"
            " smaller batch"
        )


class NotReady:
    """Stands for an item that is not known yet, since it hangs on answers to come: the executor
    asks again, soon.
    """


NOT_READY = NotReady()


class Executor(Protocol):
    """Runs one function over many items, here or elsewhere.

    Items are drawn as workers come free; an iterator that may not know its next item yet says
    `NOT_READY`, and must not wait.
    """

    version: int

    def run(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        """(item, answer) pairs as they come, in any order.

        `prepare` is pickled, called once a worker, and returns the function.

        An item whose worker dies is given to another; after three of them its answer is `WorkersDied`, and
        the others go on. An exception of the function itself ends the run.
        """


# ---------------------------------------------------------------- curricula

Mix = Mapping[int, float]  # level -> weight, weights >= 0 and summing to 1


@dataclass(frozen=True)
class Probe:
    """What an adaptive strategy wants measured before it chooses (paper: Algorithm 2).

    `holdout`: share of each hard class's photos kept out of training for the measurement (at least
    one photo, where the class has two). `burst`: share of the epoch's steps spent on random real
    photos between the two measurements.
    """

    holdout: float = 0.2
    burst: float = 0.2


@dataclass(frozen=True)
class EpochContext:
    """All a strategy may know when it chooses the mix of an epoch."""

    epoch: int  # 0-based, within the curriculum
    epochs: int  # length of the curriculum; real-only epochs follow it
    levels: tuple[int, ...]  # ascending, as the benchmark lists them
    history: tuple[EpochReport, ...]
    rng: np.random.Generator  # made from (seed, epoch); the only source of chance
    gains: Mapping[int, Sequence[float]] = field(
        default_factory=dict
    )  # level -> per probe image: p_after - p_before


class Strategy(Protocol):
    """Decides what share of the synthetic images comes from each level, epoch by epoch.

    A pure function of its context: same context, same mix; nothing is kept on `self` between calls.
    """

    version: int
    rebalanced: (
        bool  # hard classes get the sampler's tail share; False = the classes' natural frequencies
    )
    # whether it takes the levels in an order, so that a gain over all of them at once is the order's
    ordered: bool
    probe: Probe | None  # what to measure before `mix` is asked; None = nothing

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        """Those of `levels` this strategy may ever ask for: the bank makes no others."""

    def mix(self, context: EpochContext) -> Mix:
        """Weights over levels for this epoch; level 100 stands for the photos themselves."""


# ---------------------------------------------------------------- learning


class Task(NamedTuple):
    """What a classifier is to tell apart."""

    classes: tuple[str, ...]  # English names, index = label
    prompts: tuple[tuple[str, ...], ...]  # [classes], captions of each
    side: int  # pixels of the photos it will see, the shorter side


class Backbone(Protocol):
    """Builds a classifier."""

    version: int
    # True = the trunk stays as it is: its features are computed once, and a head on them is what is
    # trained
    frozen: bool
    hidden: int  # units of that head's hidden layer; 0 = a linear head
    head_only: tuple[str, ...]  # parameters that leave the features as they are

    def build(self, task: Task, seed: int) -> nn.Module:
        """A module from float [b, 3, h, w], normalised by `mean` and `std`, to logits [b, classes].

        A module that says `gives_pairs = True` takes labels [b] besides, and then gives what a
        contrastive loss needs: unit vectors of the images [b, d] and of one caption of each label
        [b, d], and the scale [] of their cosines.
        """

    def trunk(self, task: Task, seed: int) -> nn.Module:
        """A module from float [b, 3, h, w] to features [b, d]; asked for where `frozen`."""

    def identity(self) -> dict[str, Any]:
        """What changes the network beyond name and parameters, such as the digest of its weights."""

    @property
    def mean(self) -> tuple[float, float, float]: ...

    @property
    def std(self) -> tuple[float, float, float]: ...


class Loss(Protocol):
    """What a step minimises."""

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
        `Backbone.build`), and is to be called once. Labels are [b], or [b, c] where images are
        mixed (each row sums to 1); `counts` [c] are the real training photos per class; `progress`
        is the share of the run that is over, in [0, 1).
        """


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did and cost.

    `values` has keys `<split>/<metric>`; it is empty where nothing was measured.
    """

    epoch: int
    mix: dict[int, float]
    seen: dict[int, int]  # level -> images drawn
    steps: int
    lr: float
    seconds: float
    values: dict[str, float]
    gains: dict[int, float] = field(
        default_factory=dict
    )  # level -> mean probe gain, where a probe ran
    real_phase: bool = False
    loss: float | None = (
        None  # mean of the steps' training losses; of the first process where there are several
    )


# ---------------------------------------------------------------- measuring


class Metric(ABC):
    """One number about the predictions on a split. Subclass it, and only what differs is written.

    A constructor keyword named like a convention of `[metrics]` (`shots`, `min_group_size`) gets
    the value that the benchmark gives it. NaN = cannot be measured here; it is left out, never 0.
    """

    version: int = 1
    better: Literal["higher", "lower"] = "higher"
    unit: Literal["share", "count"] = "share"  # a share in [0, 1] is shown in percent
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
    """Watches runs.

    Whatever a tracker does or fails to do, the result of the run stays the same.
    """

    version: int

    def start(self, run: Mapping[str, Any]) -> None:
        """A run begins; `run` has `id`, `name`, `folder`, `group`, `tags`, `config`, `epochs`."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Progress of long work outside the epochs: data, the bank."""

    def report(self, report: EpochReport) -> None:
        """An epoch ended."""

    def finish(self, summary: Mapping[str, float] | None) -> None:
        """The run ended with these metrics, or (None) did not complete."""


def check_mix(mix: Mix, levels: Iterable[int]) -> dict[int, float]:
    """`mix` without zero weights; raises ValueError where it is not a distribution over `levels`
    and the photo.
    """
    allowed = {*levels, 100}
    if strange := set(mix) - allowed:
        raise ValueError(f"mix names level {sorted(strange)} outside {sorted(allowed)}")
    if any(not weight >= 0 for weight in mix.values()) or abs(sum(mix.values()) - 1) > 1e-9:
        raise ValueError(
            f"mix {dict(mix)} is not a distribution: weights must be >= 0 and sum to 1"
        )
    return {level: float(weight) for level, weight in sorted(mix.items()) if weight > 0}

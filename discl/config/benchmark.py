"""Benchmark files: TOML in, a checked and complete description out.

A file that loads is a benchmark that runs.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from discl.core import search_path
from discl.core.conventions import ALSO, SHOTS
from discl.core.errors import UserError, unknown
from discl.core.hashing import canonical_json, rounded, short_of, spliced
from discl.core.levels import PHOTO, check_levels
from discl.core.registry import Bound, Known, Parts, bind, singular

SCHEMA = 1  # raised when a run of an unchanged description would give other numbers
SCALES = search_path.SCALES
PartKind = Literal["datasets", "generators", "scorers", "prompts", "backbones", "losses"]
MAKERS: tuple[Literal["generators"], Literal["scorers"], Literal["prompts"]] = (
    "generators",
    "scorers",
    "prompts",
)
PART_KINDS: tuple[PartKind, ...] = ("datasets", *MAKERS, "backbones", "losses")
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Table(_Checked):
    not_hashed: ClassVar[set[str]] = set()  # keys that change no answer

    def said(self) -> dict[str, Any]:
        """What the table says beyond the defaults of its class: a new key with a default renames no
        run of before.
        """
        return self.model_dump(exclude_defaults=True, exclude=self.not_hashed)

    @cached_property
    def line(self) -> str:
        """`said` as canonical JSON."""
        return canonical_json(self.said())

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("line", None)  # pydantic would take it along
        return copied


class BankTable(_Table):
    """How much is made of each hard photo, and what of it is used."""

    variants: Positive  # images per photo and level
    best_of: Positive  # draws an image is the best of, by image-text cosine; 1 = no picking
    threshold: Annotated[
        float, Field(ge=-1, le=1)
    ]  # lowest image-text cosine used; -1 keeps everything
    batch: Positive  # images in one lease and one shard; changes no image
    seed: Annotated[int, Field(ge=0)]
    size: list[Positive] = Field(
        default=[], max_length=2
    )  # [height, width] of the images; [] = that of the training photos


class HardRule(NamedTuple):
    """A way to say which training photos are hard; `discl.harness.hard` follows it."""

    reads: tuple[str, ...]  # keys of [hard] that choose, beside `exclude`
    judges: bool  # whether models are trained for it, as folds, epochs and seed say


HARD_RULES: Mapping[str, HardRule] = {
    "tail": HardRule(("below",), judges=False),
    "low_confidence": HardRule(("fraction", "threshold"), judges=True),
}
JUDGES = 1  # raised when models trained to find hard photos would judge otherwise


class HardTable(_Table):
    """Which training photos images are made from. What a rule does not read changes nothing."""

    below: Positive  # tail: photos of classes with fewer photos than this
    rule: str = "tail"
    fraction: Annotated[float, Field(gt=0, le=1)] | None = (
        None  # low_confidence: this share of all training photos, the least sure first
    )
    threshold: Share | None = (
        None  # low_confidence: photos whose true class gets less than this probability
    )
    folds: Annotated[int, Field(ge=2)] = (
        3  # low_confidence: parts the photos are dealt into; a model a part, trained on the others
    )
    epochs: Annotated[int, Field(ge=0)] = 0  # low_confidence: of those models; 0 = train.epochs
    seed: Annotated[int, Field(ge=0)] = 0  # low_confidence: of those models
    exclude: list[str] = []  # classes, by name, whose photos are never hard

    def said(self) -> dict[str, Any]:
        """What the rule chooses by, beyond the defaults."""
        read = ("rule", "exclude", *HARD_RULES[self.rule].reads)
        return {key: value for key, value in super().said().items() if key in read}


class SamplingTable(_Table):
    """See `discl.engine.sampling`."""

    images: Annotated[int, Field(ge=0)]  # an epoch; 0 = as many as there are training photos
    tail_share: (
        Share | Literal["classes", "photos"]
    )  # "classes" = share of hard classes among classes; "photos" = see `amount`
    max_repeats: Positive
    originals: bool = True  # every hard photo is in every epoch, whatever the mix
    easy: bool = True  # photos that are not hard are there at all
    shares: Literal["classes", "photos"] = (
        "classes"  # hard classes get equal shares of the tail, or by their hard photos
    )
    amount: Annotated[float, Field(ge=0)] = (
        3.0  # tail_share = "photos": synthetic images an epoch for each hard photo (the paper's 3X)
    )


def _whole_epochs(given: Any, info: ValidationInfo) -> Any:
    """A share of `train.epochs`, written with a point, in whole epochs; anything else as it is."""
    if not isinstance(given, float):
        return given
    if not 0 <= given <= 1:
        raise UserError(
            f"train.curriculum_epochs = {given}: with a point it is a share of train.epochs, 0.0 to"
            " 1.0, and without one a number of epochs"
        )
    return math.floor(
        rounded(given * info.data.get("epochs", 0)) + 0.5
    )  # no epochs: they are refused first


class TrainTable(_Table):
    """See `discl.engine.training.config.TrainConfig`."""

    # how fast, and where from, not what: the answer stays the same
    not_hashed: ClassVar[set[str]] = {"channels_last", "compile", "workers", "checkpoint_seconds"}

    epochs: Positive
    curriculum_epochs: Annotated[
        int, BeforeValidator(_whole_epochs, int | float), Field(ge=0)
    ]  # or a share of epochs: 0.8, 1.0
    batch: Positive
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    optimiser: str
    warmup_epochs: Annotated[int, Field(ge=0)]
    shift: Annotated[int, Field(ge=0)]
    mirror: bool
    evaluate_every: Positive
    schedule: Literal["cosine", "tanh", "poly", "step", "multistep", "constant"] = "cosine"
    min_lr: Annotated[float, Field(ge=0)] = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    accumulate: Positive = 1
    clip: Annotated[float, Field(ge=0)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: Annotated[float, Field(ge=0)] = 0.0
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    crop: Annotated[int, Field(ge=0)] = 0
    transform: dict[str, Any] = {}
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    channels_last: bool = False
    compile: bool = False
    workers: Annotated[int, Field(ge=0)] = 0
    checkpoint_seconds: Annotated[float, Field(ge=0)] = (
        60.0  # of training between two checkpoints; 0 = after every step
    )


class MetricsTable(_Table):
    """Which conventions a table follows, where the field has several; see `discl.engine.metrics`."""

    shots: str = (
        "kang"  # the rule for many, medium and few: a name of `discl.core.conventions.SHOTS`
    )
    least_group: Positive = 20  # photos a group needs to count as the worst one
    also: list[str] = []  # further metrics: names of `discl.core.conventions.ALSO`


class SelectTable(_Table):
    """What the epoch is chosen by. Only `val/` may choose."""

    metric: str
    wise: list[
        Annotated[float, Field(ge=0, le=1)]
    ] = []  # WiSE-FT: shares of the trained weights to try on val; [] = off


class Benchmark(_Checked):
    """A complete benchmark at one scale."""

    name: str
    scale: str
    title: str
    dataset: dict[str, Any]
    generator: dict[str, Any]
    scorer: dict[str, Any]
    prompts: dict[str, Any]
    backbone: dict[str, Any]
    loss: dict[str, Any]
    levels: list[Annotated[int, Field(ge=0, le=PHOTO)]] = Field(min_length=1)
    strategies: list[str] = Field(min_length=1)
    strategy: dict[str, dict[str, Any]]
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    bank: BankTable
    hard: HardTable
    sampling: SamplingTable
    train: TrainTable
    select: SelectTable
    metrics: MetricsTable = MetricsTable()
    trackers: list[str]

    def part(self, kind: PartKind) -> Bound:
        """The chosen part of a kind, its parameters checked."""
        return bind(kind, *self.choice(kind))

    def choice(self, kind: PartKind) -> tuple[str, dict[str, Any]]:
        """The name of that part, and its parameters as they are given."""
        table = dict(getattr(self, singular(kind)))
        if "name" not in table:
            raise UserError(f"[{singular(kind)}] names no part; add name = ...")
        return str(table.pop("name")), table

    def judges(self) -> dict[str, Any]:
        """All that the models of the rule low_confidence depend on, beside the photos.

        Who is chosen by their judgement stays out.
        """
        judges: dict[str, Any] = json.loads(Runs(self, Parts()).judges)
        return judges

    def chosen_strategy(self, name: str) -> Bound:
        """A strategy with the parameters of [strategy.<name>]."""
        return bind("strategies", name, self.strategy.get(name, {}))


TABLES = ("bank", "hard", "sampling", "train", "select", "metrics")  # those with fixed keys


@dataclass(frozen=True)
class Experiment:
    """One run: a benchmark, one strategy, one seed.

    What its identity says of files is read when first asked for.
    """

    benchmark: Benchmark
    strategy: str
    seed: int

    def __reduce__(
        self,
    ) -> tuple[Any, ...]:  # an id tells of the weights on the machine where it was computed
        return Experiment, (self.benchmark, self.strategy, self.seed)

    @property
    def name(self) -> str:
        bench = self.benchmark
        return f"{bench.name}-{bench.scale}-{bench.backbone['name']}-{self.strategy}-s{self.seed}"

    def used_levels(self) -> tuple[int, ...]:
        """The levels this run's strategy may ask for, the photo's included."""
        return self._runs.used_levels(self.strategy)

    def comparison(self) -> dict[str, Any]:
        """What must be equal for two runs to stand in one table, whatever their strategies, seeds
        and generated images.
        """
        return {key: json.loads(line) for key, line in self._runs.comparison.items()}

    def identity(self) -> dict[str, Any]:
        """Everything that changes the answer.

        A strategy that uses no generated image does not depend on how they are made.
        """
        plain: dict[str, Any] = json.loads(self._runs.identity(self.strategy, self.seed))
        return plain

    def id(self) -> str:
        """16 hex digits: the folder of its runs."""
        return self._id

    @cached_property
    def _id(self) -> str:
        return short_of(self._runs.identity(self.strategy, self.seed))

    @cached_property
    def _runs(self) -> Runs:
        return Runs(self.benchmark, Parts())


class Runs:
    """The experiments of one benchmark.

    What their identities have in common is computed once, as canonical JSON.
    """

    def __init__(self, bench: Benchmark, parts: Parts) -> None:
        self.benchmark, self._parts = bench, parts
        self._known = dict[PartKind, Known]()
        self._images = dict[tuple[int, ...], str]()

    def experiment(self, strategy: str, seed: int) -> Experiment:
        experiment = Experiment(self.benchmark, strategy, seed)
        experiment.__dict__["_runs"] = (
            self  # in the place of its own: no part of what it is, so not of what it is made from
        )
        return experiment

    def part(self, kind: PartKind) -> Known:
        """The chosen part of a kind."""
        if kind not in self._known:
            self._known[kind] = self._parts.known(kind, *self.benchmark.choice(kind))
        return self._known[kind]

    def strategy(self, name: str) -> Known:
        """A strategy with the parameters of [strategy.<name>]."""
        return self._parts.known("strategies", name, self.benchmark.strategy.get(name, {}))

    def used_levels(self, strategy: str) -> tuple[int, ...]:
        """See `Experiment.used_levels`."""
        return self.strategy(strategy).uses(tuple(sorted(self.benchmark.levels)))

    @cached_property
    def judges(self) -> str:
        """See `Benchmark.judges`."""
        bench = self.benchmark
        paced = (
            "epochs",
            "curriculum_epochs",
            "evaluate_every",
        )  # they see photos only, and their last epoch judges
        plain = {
            "schema": SCHEMA,
            "version": JUDGES,
            "train": {key: value for key, value in bench.train.said().items() if key not in paced},
            "folds": bench.hard.folds,
            "epochs": bench.hard.epochs or bench.train.epochs,
            "seed": bench.hard.seed,
        }
        return spliced(_lines(plain) | self._learning)

    @cached_property
    def comparison(self) -> dict[str, str]:
        """See `Experiment.comparison`."""
        bench = self.benchmark
        judged = HARD_RULES[bench.hard.rule].judges
        return {
            "schema": canonical_json(SCHEMA),
            "hard": (
                canonical_json(bench.hard.said() | {"judges": short_of(self.judges)})
                if judged
                else bench.hard.line
            ),
            **{name: getattr(bench, name).line for name in ("sampling", "train", "select")},
            **({"metrics": bench.metrics.line} if bench.metrics.line != "{}" else {}),
            **self._learning,
        }

    @property
    def _learning(self) -> dict[str, str]:
        return {
            "dataset": self.part("datasets").identity,
            "backbone": self.part("backbones").identity,
            "loss": self.part("losses").chosen,
        }

    def identity(self, strategy: str, seed: int) -> str:
        """See `Experiment.identity`."""
        levels = self.used_levels(strategy)
        lines = {
            **self.comparison,
            "strategy": self.strategy(strategy).chosen,
            "seed": canonical_json(seed),
        }
        if any(level != PHOTO for level in levels):
            lines["images"] = self._images_of(levels)
        return spliced(lines)

    def _images_of(self, levels: tuple[int, ...]) -> str:
        if levels not in self._images:
            bank = self.benchmark.bank
            made = {
                "levels": levels,
                "variants": bank.variants,
                "best_of": bank.best_of,
                "threshold": bank.threshold,
                "seed": bank.seed,
            }
            sized = {"size": bank.size} if bank.size else {}
            makers = {singular(kind): self.part(kind).identity for kind in MAKERS}
            self._images[levels] = spliced(_lines(made | sized) | makers)
        return self._images[levels]


def _lines(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: canonical_json(value) for key, value in values.items()}


def experiments(bench: Benchmark) -> list[Experiment]:
    """Strategies x seeds; seeds outside, so that a stopped sweep has compared all strategies on the
    seeds it finished.
    """
    runs = Runs(bench, Parts())
    return [runs.experiment(name, seed) for seed in bench.seeds for name in bench.strategies]


# ---------------------------------------------------------------- reading


def folder() -> Path:
    """The benchmarks that come with the project."""
    return search_path.shipped("benchmarks")


def folders() -> list[Path]:
    """Where benchmarks are looked for: `benchmarks/` here, if there is one, then ours.

    The first that has a file's name counts.
    """
    return search_path.folders("benchmarks")


def available() -> list[str]:
    """Names `load` accepts."""
    return search_path.benchmarks()


def _path(name: str) -> Path:
    """The file of a benchmark, or of `default`."""
    places = [place / f"{name}.toml" for place in folders()]
    return next((path for path in places if path.exists()), places[-1])


def scales(name: str) -> list[str]:
    """Scales a benchmark's file, or the one it is based on, speaks of."""
    return _spoken(_files(name))


def title(name: str) -> str:
    """What a benchmark calls itself."""
    return str(next((own["title"] for own in reversed(_files(name)) if "title" in own), ""))


def load(name: str, scale: str = "smoke", settings: Sequence[str] = ()) -> Benchmark:
    """default.toml <- the file `based_on` names <- <name>.toml <- `settings` ('train.epochs=2');
    checked as a whole.

    Each file's [scale.<scale>] goes on top of that file, so that what a file says beats all that it
    is based on.
    """
    return Family(name, scale, settings).benchmark({})


CHOICES = ("strategy", "seed")  # what makes an experiment of a benchmark
UNVARIED = {
    "name": "it is that of the benchmark's file",
    "scale": "it is chosen for all experiments at once",
    "strategies": "each has one 'strategy'",
    "seeds": "each has one 'seed'",
}


class Family:
    """One benchmark, varied: files are read once; equal settings are checked once, and give one
    object.
    """

    def __init__(self, name: str, scale: str = "smoke", settings: Sequence[str] = ()) -> None:
        tree = _tree(name, scale)
        for setting in settings:
            tree = _set(tree, setting)
        self._tree = {**tree, "name": name, "scale": scale}
        self._parts = Parts()
        self._runs = dict[str, Runs]()
        self._tables = dict[tuple[str, str], _Table]()

    def benchmark(self, settings: Mapping[str, Any]) -> Benchmark:
        """The benchmark with these values at dotted paths.

        The name of a part counts before its parameters, whatever the order.
        """
        return self._runs_of(settings).benchmark

    def experiments(self, variations: Iterable[Mapping[str, Any]]) -> Iterator[Experiment]:
        """An experiment each.

        `strategy` and `seed` of a variation choose it; its other keys are settings as of
        `benchmark`.
        """
        for variation in variations:
            try:
                experiment = self._experiment(variation)
            except UserError as error:
                raise UserError(f"{error} (where {_as_words(variation)})") from error
            yield experiment

    def _experiment(self, variation: Mapping[str, Any]) -> Experiment:
        for key in CHOICES:
            if key not in variation:
                raise UserError(f"an experiment needs a {key}; add {key} = ...")
        runs = self._runs_of({key: value for key, value in variation.items() if key not in CHOICES})
        strategy, seed = variation["strategy"], variation["seed"]
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise UserError(f"seed = {seed!r}: takes a whole number from 0 up")
        _check_strategies(runs, [strategy])
        return runs.experiment(strategy, seed)

    def _runs_of(self, settings: Mapping[str, Any]) -> Runs:
        ordered = sorted(settings.items(), key=_wholes_and_names_first)
        key = repr(ordered)
        if key not in self._runs:
            self._runs[key] = self._varied(ordered)
        return self._runs[key]

    def _varied(self, settings: Sequence[tuple[str, Any]]) -> Runs:
        tree = self._tree
        for path, value in settings:
            if path in UNVARIED:
                raise UserError(f"{path!r} is no setting of an experiment: {UNVARIED[path]}")
            tree = _placed(tree, path.split("."), value, path)
        runs = Runs(self._validated(tree), self._parts)
        _check(runs)
        return runs

    def _validated(self, tree: Mapping[str, Any]) -> Benchmark:
        """The tree as a benchmark; tables equal to those of another share what was computed of it."""
        keys = {name: (name, repr(tree.get(name))) for name in TABLES}
        try:
            bench = Benchmark(
                **{
                    **tree,
                    **{
                        name: self._tables[key] for name, key in keys.items() if key in self._tables
                    },
                }
            )
        except ValidationError as error:
            raise _readable(error, tree) from error
        self._tables |= {key: getattr(bench, name) for name, key in keys.items()}
        return bench


def _wholes_and_names_first(setting: tuple[str, Any]) -> tuple[int, bool, str]:
    """Order in which settings are laid over each other: a table, the name of a part in it, the
    parameters of that part.
    """
    keys = setting[0].split(".")
    return len(keys), keys[-1] != "name", setting[0]


def _as_words(variation: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} = {value!r}" for path, value in variation.items())


def _tree(name: str, scale: str) -> dict[str, Any]:
    """What the files say of a benchmark at a scale."""
    if name not in available():
        raise unknown("benchmark", name, available())
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    files = _files(name)
    for own in files:
        if strange := set(own.get("scale", {})) - set(SCALES):
            raise unknown("scale", sorted(strange)[0], SCALES)
    if scale not in _spoken(files):
        raise UserError(
            f"benchmark {name!r} has no scale {scale!r}; it has {', '.join(_spoken(files))}"
        )
    tree = _read(_path("default"))
    for own in files:
        plain = {key: value for key, value in own.items() if key not in ("scale", "based_on")}
        tree = _merged(_merged(tree, plain), own.get("scale", {}).get(scale, {}))
    return tree


def _spoken(files: Sequence[Mapping[str, Any]]) -> list[str]:
    return [scale for scale in SCALES if any(scale in own.get("scale", {}) for own in files)]


def _files(name: str) -> list[dict[str, Any]]:
    """What is said of a benchmark: the file it is based on, if any, and its own.

    A base is based on nothing but default.toml.
    """
    own = _read(_path(name))
    if "based_on" not in own:
        return [own]
    below = str(own["based_on"])
    if below not in available():
        raise unknown(f"benchmark (based_on in {name}.toml)", below, available())
    base = _read(_path(below))
    if "based_on" in base:
        raise UserError(
            f"{name}.toml is based on {below!r}, which is based on {base['based_on']!r}; only one"
            " step is allowed"
        )
    return [base, own]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing; reinstall, or run in a folder that has benchmarks/"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merge key by key, one level deep; a table that names another part replaces the table."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        same_part = not (
            isinstance(value, dict)
            and isinstance(below, dict)
            and value.get("name", below.get("name")) != below.get("name")
        )
        merged[key] = (
            {**below, **value}
            if isinstance(value, dict) and isinstance(below, dict) and same_part
            else value
        )
    return merged


def parameters(settings: Sequence[str]) -> dict[str, Any]:
    """`key=value` settings as a table, the way `--set` reads them."""
    tree: dict[str, Any] = {}
    for setting in settings:
        tree = _set(tree, setting)
    return tree


def _set(tree: dict[str, Any], setting: str) -> dict[str, Any]:
    """`a.b=value`, the value read as TOML and otherwise as a word."""
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise UserError(
            f"--set {setting!r} is not of the form key=value, e.g. --set train.epochs=2"
        )
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    return _placed(tree, path.strip().split("."), value, f"--set {setting!r}")


def _placed(tree: Mapping[str, Any], path: list[str], value: Any, setting: str) -> dict[str, Any]:
    """`tree` with the value at the path; a float as precise as the identity of what it makes."""
    head, rest = path[0], path[1:]
    if not rest:
        value = rounded(value) if isinstance(value, float) else value
        if head == "name" and tree.get("name") != value:
            return {"name": value}  # another part: the parameters of the old one mean nothing to it
        return {**tree, head: value}
    below = tree.get(head, {})
    if not isinstance(below, dict):
        raise UserError(f"{setting}: {head!r} is a value, not a table")
    return {**tree, head: _placed(below, rest, value, setting)}


def _readable(error: ValidationError, tree: Mapping[str, Any]) -> UserError:
    """The first of pydantic's complaints as a sentence."""
    first = error.errors()[0]
    path = ".".join(map(str, first["loc"]))
    given = first["input"]
    if first["type"] == "extra_forbidden":
        model: Any = Benchmark
        for step in first["loc"][:-1]:
            model = model.model_fields[str(step)].annotation
        return unknown(
            "key",
            path,
            [".".join([*map(str, first["loc"][:-1]), field]) for field in model.model_fields],
        )
    if first["type"] == "missing":
        return UserError(f"{path} is missing; add it to the benchmark file")
    return UserError(f"{path} = {given!r}: {first['msg'][0].lower()}{first['msg'][1:]}")


def _check(runs: Runs) -> None:
    """What the types cannot say: parts exist and take their parameters, levels differ, selection
    looks at val.
    """
    bench = runs.benchmark
    for kind in PART_KINDS:
        runs.part(kind)
    steps = runs.part("generators").traits.steps
    _ = runs.part(
        "losses"
    ).traits  # built: a setting out of range would otherwise show only after the bank is made
    check_levels(bench.levels, steps)
    for name in bench.strategy:
        runs.strategy(name)
    _check_strategies(runs, bench.strategies)
    for what, listed in (("strategies", bench.strategies), ("seeds", bench.seeds)):
        if len(set(listed)) != len(listed):
            raise UserError(f"{what} = {listed} repeats itself; name each once")
    for name in bench.trackers:
        bind("trackers", name, {})
    if bench.metrics.shots not in SHOTS:
        raise unknown("rule for many, medium and few", bench.metrics.shots, SHOTS)
    for name in bench.metrics.also:
        if name not in ALSO:
            raise unknown("further metric", name, ALSO)
    _check_hard(bench.hard)
    if len(bench.bank.size) == 1:
        raise UserError(
            f"bank.size = {bench.bank.size}: takes [height, width], or [] for the size of the"
            " training photos"
        )
    if (
        bench.sampling.amount != SamplingTable.model_fields["amount"].default
        and bench.sampling.tail_share != "photos"
    ):
        raise UserError(
            f"sampling.amount = {bench.sampling.amount:g} says nothing here; add"
            ' sampling.tail_share = "photos"'
        )
    if bench.train.curriculum_epochs > bench.train.epochs:
        raise UserError(
            f"train.curriculum_epochs = {bench.train.curriculum_epochs} exceeds train.epochs ="
            f" {bench.train.epochs}"
        )
    if not bench.select.metric.startswith("val/"):
        raise UserError(
            f"select.metric = {bench.select.metric!r} is not a val/ metric; choosing on test or ood"
            " would spend it"
        )


def _check_hard(hard: HardTable) -> None:
    """A rule there is, told what it needs; `below` always has a value, so another rule passes over
    it.
    """
    if hard.rule not in HARD_RULES:
        raise unknown("hard.rule", hard.rule, HARD_RULES)
    given = {
        key: value for key in ("fraction", "threshold") if (value := getattr(hard, key)) is not None
    }
    said = " and ".join(f"hard.{key} = {value:g}" for key, value in given.items())
    way_out = "give the table as a whole, e.g. --set 'hard={{below=20, rule=\"{}\"{}}}'"
    if "fraction" not in HARD_RULES[hard.rule].reads:
        if given:
            raise UserError(
                f'{said} says nothing to the rule {hard.rule!r}; add hard.rule = "low_confidence",'
                f" or {way_out.format('tail', '')}"
            )
    elif not given:
        raise UserError(
            f"the rule {hard.rule!r} needs hard.fraction (a share of the photos) or hard.threshold"
            " (a probability)"
        )
    elif len(given) > 1:
        raise UserError(
            f"{said} are two answers to one question;"
            f" {way_out.format('low_confidence', ', fraction=0.05')}"
        )


def _check_strategies(runs: Runs, strategies: Sequence[str]) -> None:
    """They exist, take their parameters, ask for levels that can be made, and learn from what they
    may.
    """
    levels = tuple(runs.benchmark.levels)
    used = set().union(*(runs.strategy(name).uses(levels) for name in strategies))
    for level in sorted(used.difference(levels)):
        check_levels([level], runs.part("generators").traits.steps)
    _check_unseen(runs, images=bool(used - {PHOTO}))


def _check_unseen(runs: Runs, images: bool) -> None:
    """No weights may have seen the photos that are learned from and tested on here; those that make
    images only where some are made.
    """
    bench = runs.benchmark
    must_be_held_out = runs.part("datasets").traits.must_be_held_out
    if not must_be_held_out:
        return
    used: tuple[PartKind, ...] = (
        ("backbones", "generators", "scorers") if images else ("backbones",)
    )
    for kind in used:
        trained_on = runs.part(kind).traits.trained_on & must_be_held_out
        if trained_on:
            raise UserError(
                f"the weights of {singular(kind)} {getattr(bench, singular(kind))['name']!r} were"
                f" trained on photos of dataset {bench.dataset['name']!r}"
                f" ({', '.join(sorted(trained_on))}); take other weights, have the dataset keep those"
                " apart, or compare strategies = ['real_only', 'real_rebalanced'], which need no"
                " images, with a backbone that begins at chance"
            )

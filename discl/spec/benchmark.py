"""Benchmark files: TOML in, a checked and complete description out. A file that loads is a benchmark that runs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from discl.spec.conventions import ALSO, SHOTS
from discl.spec.errors import UserError, unknown
from discl.spec.identity import canonical, short
from discl.spec.levels import PHOTO, check_levels
from discl.spec.registry import Bound, bind, names, singular

SCHEMA = 1  # raised when a run of an unchanged description would give other numbers
SCALES = ("smoke", "small", "paper")
MAKERS: tuple[Literal["generators"], Literal["scorers"], Literal["prompts"]] = ("generators", "scorers", "prompts")
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BankTable(_Table):
    """How much is made of each hard photo, and what of it is used."""

    variants: Positive  # images per photo and level
    best_of: Positive  # draws an image is the best of, by image-text cosine; 1 = no picking
    threshold: Annotated[float, Field(ge=-1, le=1)]  # lowest image-text cosine used; -1 keeps everything
    batch: Positive  # images in one lease and one shard; changes no image
    seed: Annotated[int, Field(ge=0)]
    size: list[Positive] = Field(default=[], max_length=2)  # [height, width] of the images; [] = that of the training photos


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
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None  # low_confidence: this share of all training photos, the least sure first
    threshold: Share | None = None  # low_confidence: photos whose true class gets less than this probability
    folds: Annotated[int, Field(ge=2)] = 3  # low_confidence: parts the photos are dealt into; a model a part, trained on the others
    epochs: Annotated[int, Field(ge=0)] = 0  # low_confidence: of those models; 0 = train.epochs
    seed: Annotated[int, Field(ge=0)] = 0  # low_confidence: of those models
    exclude: list[str] = []  # classes, by name, whose photos are never hard

    def said(self) -> dict[str, Any]:
        """What the rule chooses by, beyond the defaults."""
        read = ("rule", "exclude", *HARD_RULES[self.rule].reads)
        return {key: value for key, value in _said(self).items() if key in read}


class SamplingTable(_Table):
    """See `discl.engine.sampling`."""

    images: Annotated[int, Field(ge=0)]  # an epoch; 0 = as many as there are training photos
    tail_share: Share | Literal["classes", "photos"]  # "classes" = share of hard classes among classes; "photos" = see `amount`
    max_repeats: Positive
    originals: bool = True  # every hard photo is in every epoch, whatever the mix
    easy: bool = True  # photos that are not hard are there at all
    shares: Literal["classes", "photos"] = "classes"  # hard classes get equal shares of the tail, or by their hard photos
    amount: Annotated[float, Field(ge=0)] = 3.0  # tail_share = "photos": synthetic images an epoch for each hard photo (the paper's 3X)


class TrainTable(_Table):
    """See `discl.engine.recipe.Recipe`."""

    # how fast, and where from, not what: the answer stays the same
    unhashed: ClassVar[set[str]] = {"channels_last", "compile", "workers", "checkpoint_seconds"}

    epochs: Positive
    curriculum_epochs: Annotated[int, Field(ge=0)]
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
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0  # of training between two checkpoints; 0 = after every step


class MetricsTable(_Table):
    """Which conventions a table follows, where the field has several; see `discl.engine.metrics`."""

    shots: str = "kang"  # the rule for many, medium and few: a name of `discl.spec.conventions.SHOTS`
    least_group: Positive = 20  # photos a group needs to count as the worst one
    also: list[str] = []  # further metrics: names of `discl.spec.conventions.ALSO`


class SelectTable(_Table):
    """What the epoch is chosen by. Only `val/` may choose."""

    metric: str
    wise: list[Annotated[float, Field(ge=0, le=1)]] = []  # WiSE-FT: shares of the trained weights to try on val; [] = off


class Benchmark(_Table):
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

    def part(self, kind: Literal["datasets", "generators", "scorers", "prompts", "backbones", "losses"]) -> Bound:
        """The chosen part of a kind, its parameters checked."""
        table = dict(getattr(self, singular(kind)))
        if "name" not in table:
            raise UserError(f"[{singular(kind)}] names no part; add name = ...")
        return bind(kind, str(table.pop("name")), table)

    def judges(self) -> dict[str, Any]:
        """All that the models of the rule low_confidence depend on, beside the photos. Who is chosen by their judgement stays out."""
        paced = ("epochs", "curriculum_epochs", "evaluate_every")  # they see photos only, and their last epoch judges
        return {
            "schema": SCHEMA,
            "version": JUDGES,
            **{singular(kind): self.part(kind).identity() | self.part(kind).build().identity() for kind in ("datasets", "backbones")},
            "loss": self.part("losses").identity(),
            "train": {key: value for key, value in _said(self.train).items() if key not in paced},
            "folds": self.hard.folds,
            "epochs": self.hard.epochs or self.train.epochs,
            "seed": self.hard.seed,
        }

    def chosen_strategy(self, name: str) -> Bound:
        """A strategy with the parameters of [strategy.<name>]."""
        return bind("strategies", name, self.strategy.get(name, {}))


class Experiment(BaseModel):
    """One run: a benchmark, one strategy, one seed."""

    model_config = ConfigDict(frozen=True)
    benchmark: Benchmark
    strategy: str
    seed: int

    @property
    def name(self) -> str:
        bench = self.benchmark
        return f"{bench.name}-{bench.scale}-{bench.backbone['name']}-{self.strategy}-s{self.seed}"

    def used_levels(self) -> tuple[int, ...]:
        """The levels this run's strategy may ask for, the photo's included."""
        levels: tuple[int, ...] = self.benchmark.chosen_strategy(self.strategy).build().uses(tuple(sorted(self.benchmark.levels)))
        return levels

    def comparison(self) -> dict[str, Any]:
        """What must be equal for two runs to stand in one table, whatever their strategies, seeds and generated images."""
        bench = self.benchmark
        return {
            "schema": SCHEMA,
            "dataset": bench.part("datasets").identity() | bench.part("datasets").build().identity(),
            "backbone": bench.part("backbones").identity() | bench.part("backbones").build().identity(),
            "loss": bench.part("losses").identity(),
            "hard": bench.hard.said() | ({"judges": short(bench.judges())} if HARD_RULES[bench.hard.rule].judges else {}),
            **{name: _said(getattr(bench, name)) for name in ("sampling", "train", "select")},
            **({"metrics": said} if (said := _said(bench.metrics)) else {}),
        }

    def identity(self) -> dict[str, Any]:
        """Everything that changes the answer. A strategy that uses no generated image does not depend on how they are made."""
        levels = self.used_levels()
        described = {**self.comparison(), "strategy": self.benchmark.chosen_strategy(self.strategy).identity(), "seed": self.seed}
        if any(level != PHOTO for level in levels):
            bench = self.benchmark
            made = {singular(kind): bench.part(kind) for kind in MAKERS}
            described["images"] = {
                "levels": levels,
                **{name: part.identity() | part.build().identity() for name, part in made.items()},
                "variants": bench.bank.variants,
                "best_of": bench.bank.best_of,
                "threshold": bench.bank.threshold,
                "seed": bench.bank.seed,
                **({"size": bench.bank.size} if bench.bank.size else {}),
            }
        plain: dict[str, Any] = canonical(described)
        return plain

    def id(self) -> str:
        """16 hex digits: the folder of its runs."""
        return short(self.identity())


def _said(table: BaseModel) -> dict[str, Any]:
    """What a table says beyond the defaults of its class: a new key with a default renames no run of before."""
    said: dict[str, Any] = table.model_dump(exclude_defaults=True, exclude=getattr(type(table), "unhashed", None))
    return said


def experiments(bench: Benchmark) -> list[Experiment]:
    """Strategies x seeds; seeds outside, so that a stopped sweep has compared all strategies on the seeds it finished."""
    return [Experiment(benchmark=bench, strategy=name, seed=seed) for seed in bench.seeds for name in bench.strategies]


# ---------------------------------------------------------------- reading


def folder() -> Path:
    """The benchmarks that come with the project."""
    return Path(__file__).resolve().parents[2] / "benchmarks"


def folders() -> list[Path]:
    """Where benchmarks are looked for: `benchmarks/` here, if there is one, then ours. The first that has a file's name counts."""
    here = Path("benchmarks").absolute()
    return [*([here] if here.is_dir() and here.resolve() != folder() else []), folder()]


def available() -> list[str]:
    """Names `load` accepts."""
    return sorted({path.stem for place in folders() for path in place.glob("*.toml")} - {"default"})


def _path(name: str) -> Path:
    """The file of a benchmark, or of `default`."""
    places = [place / f"{name}.toml" for place in folders()]
    return next((path for path in places if path.exists()), places[-1])


def scales(name: str) -> list[str]:
    """Scales a benchmark's file, or the one it is based on, speaks of."""
    return [scale for scale in SCALES if any(scale in own.get("scale", {}) for own in _files(name))]


def title(name: str) -> str:
    """What a benchmark calls itself."""
    return str(next((own["title"] for own in reversed(_files(name)) if "title" in own), ""))


def load(name: str, scale: str = "smoke", settings: Sequence[str] = ()) -> Benchmark:
    """default.toml <- the file `based_on` names <- <name>.toml <- `settings` ('train.epochs=2'); checked as a whole.

    Each file's [scale.<scale>] goes on top of that file, so that what a file says beats all that it is based on.
    """
    if name not in available():
        raise unknown("benchmark", name, available())
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    files, spoken = _files(name), scales(name)
    for own in files:
        if strange := set(own.get("scale", {})) - set(SCALES):
            raise unknown("scale", sorted(strange)[0], SCALES)
    if scale not in spoken:
        raise UserError(f"benchmark {name!r} has no scale {scale!r}; it has {', '.join(spoken)}")
    tree = _read(_path("default"))
    for own in files:
        plain = {key: value for key, value in own.items() if key not in ("scale", "based_on")}
        tree = _merged(_merged(tree, plain), own.get("scale", {}).get(scale, {}))
    for setting in settings:
        tree = _set(tree, setting)
    try:
        bench = Benchmark(**{**tree, "name": name, "scale": scale})
    except ValidationError as error:
        raise _readable(error, tree) from error
    return _checked(bench)


def _files(name: str) -> list[dict[str, Any]]:
    """What is said of a benchmark: the file it is based on, if any, and its own. A base is based on nothing but default.toml."""
    own = _read(_path(name))
    if "based_on" not in own:
        return [own]
    below = str(own["based_on"])
    if below not in available():
        raise unknown(f"benchmark (based_on in {name}.toml)", below, available())
    base = _read(_path(below))
    if "based_on" in base:
        raise UserError(f"{name}.toml is based on {below!r}, which is based on {base['based_on']!r}; only one step is allowed")
    return [base, own]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; reinstall, or run in a folder that has benchmarks/") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merge key by key, one level deep; a table that names another part replaces the table."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        same_part = not (isinstance(value, dict) and isinstance(below, dict) and value.get("name", below.get("name")) != below.get("name"))
        merged[key] = {**below, **value} if isinstance(value, dict) and isinstance(below, dict) and same_part else value
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
        raise UserError(f"--set {setting!r} is not of the form key=value, e.g. --set train.epochs=2")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    return _placed(tree, path.strip().split("."), value, setting)


def _placed(tree: Mapping[str, Any], path: list[str], value: Any, setting: str) -> dict[str, Any]:
    head, rest = path[0], path[1:]
    if not rest:
        if head == "name" and tree.get("name") != value:
            return {"name": value}  # another part: the parameters of the old one mean nothing to it
        return {**tree, head: value}
    below = tree.get(head, {})
    if not isinstance(below, dict):
        raise UserError(f"--set {setting!r}: {head!r} is a value, not a table")
    return {**tree, head: _placed(below, rest, value, setting)}


def _readable(error: ValidationError, tree: Mapping[str, Any]) -> UserError:
    """The first of pydantic's complaints as a sentence."""
    first = error.errors()[0]
    path, given = ".".join(map(str, first["loc"])), first["input"]
    if first["type"] == "extra_forbidden":
        model: Any = Benchmark
        for step in first["loc"][:-1]:
            model = model.model_fields[str(step)].annotation
        return unknown("key", path, [".".join([*map(str, first["loc"][:-1]), field]) for field in model.model_fields])
    if first["type"] == "missing":
        return UserError(f"{path} is missing; add it to the benchmark file")
    return UserError(f"{path} = {given!r}: {first['msg'][0].lower()}{first['msg'][1:]}")


def _checked(bench: Benchmark) -> Benchmark:
    """What the types cannot say: parts exist and take their parameters, levels differ, selection looks at val."""
    for kind in ("datasets", *MAKERS, "backbones", "losses"):
        bench.part(kind)  # type: ignore[arg-type]
    steps = bench.part("generators").build().steps
    bench.part("losses").build()  # a setting out of range would otherwise show only after the bank is made
    check_levels(bench.levels, steps)
    for name in bench.strategy:
        if name not in names("strategies"):
            raise unknown("strategy", name, names("strategies"))
    for name in bench.strategies:
        for level in bench.chosen_strategy(name).build().uses(tuple(bench.levels)):
            check_levels([level], steps)
    _check_unseen(bench)
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
        raise UserError(f"bank.size = {bench.bank.size}: takes [height, width], or [] for the size of the training photos")
    if bench.sampling.amount != SamplingTable.model_fields["amount"].default and bench.sampling.tail_share != "photos":
        raise UserError(f'sampling.amount = {bench.sampling.amount:g} says nothing here; add sampling.tail_share = "photos"')
    if bench.train.curriculum_epochs > bench.train.epochs:
        raise UserError(f"train.curriculum_epochs = {bench.train.curriculum_epochs} exceeds train.epochs = {bench.train.epochs}")
    if not bench.select.metric.startswith("val/"):
        raise UserError(f"select.metric = {bench.select.metric!r} is not a val/ metric; choosing on test or ood would spend it")
    return bench


def _check_hard(hard: HardTable) -> None:
    """A rule there is, told what it needs; `below` always has a value, so another rule passes over it."""
    if hard.rule not in HARD_RULES:
        raise unknown("hard.rule", hard.rule, HARD_RULES)
    given = {key: value for key in ("fraction", "threshold") if (value := getattr(hard, key)) is not None}
    said = " and ".join(f"hard.{key} = {value:g}" for key, value in given.items())
    way_out = "give the table as a whole, e.g. --set 'hard={{below=20, rule=\"{}\"{}}}'"
    if "fraction" not in HARD_RULES[hard.rule].reads:
        if given:
            raise UserError(f'{said} says nothing to the rule {hard.rule!r}; add hard.rule = "low_confidence", or {way_out.format("tail", "")}')
    elif not given:
        raise UserError(f"the rule {hard.rule!r} needs hard.fraction (a share of the photos) or hard.threshold (a probability)")
    elif len(given) > 1:
        raise UserError(f"{said} are two answers to one question; {way_out.format('low_confidence', ', fraction=0.05')}")


def _check_unseen(bench: Benchmark) -> None:
    """No weights may have seen the photos that are learned from and tested on here; those that make images only where some are made."""
    unseen: frozenset[str] = getattr(bench.part("datasets").build(), "unseen", frozenset())
    if not unseen:
        return
    images = any(set(bench.chosen_strategy(name).build().uses(tuple(bench.levels))) - {PHOTO} for name in bench.strategies)
    used: tuple[Literal["backbones", "generators", "scorers"], ...] = ("backbones", "generators", "scorers") if images else ("backbones",)
    for kind in used:
        saw: frozenset[str] = getattr(bench.part(kind).build(), "saw", frozenset())
        if saw & unseen:
            raise UserError(
                f"the weights of {singular(kind)} {getattr(bench, singular(kind))['name']!r} were trained on photos of dataset "
                f"{bench.dataset['name']!r} ({', '.join(sorted(saw & unseen))}); take other weights, have the dataset keep those apart, "
                "or compare strategies = ['real_only', 'real_rebalanced'], which need no images, with a backbone that begins at chance"
            )

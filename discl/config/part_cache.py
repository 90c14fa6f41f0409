"""Identities and attributes of parts, read once in one expansion of a benchmark or sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from discl.config.benchmark import Benchmark, PartChoice
from discl.core.hashing import canonical_json
from discl.core.levels import Counting, counting_of
from discl.core.registry import Bound

if TYPE_CHECKING:  # benchmark files are found without numpy
    from discl.core.interfaces import FoldModels

T = TypeVar("T")


class PartTraits(NamedTuple):
    """Attributes of a built part, where it has them; see `discl.core.interfaces`."""

    trained_on: frozenset[str]
    must_be_held_out: frozenset[str]
    fold_models: FoldModels | None
    has_probe: bool
    has_originals: bool  # of a dataset
    head: str  # of a backbone; "" = it has but one
    heads: tuple[str, ...]  # that a loss is defined on; () = any
    frozen: bool  # of a backbone: only its head is trained
    takes_boxes: bool  # of a generator
    needs_boxes: bool  # of a generator
    has_boxes: bool  # of a dataset
    takes_shares: bool  # of a loss: labels may be shares of several classes
    has_target: bool  # of prompts: they may ask for another class than the photo's


class CachedPart:
    """A bound part with its identity and attributes.

    The built part may be large, and is not kept.
    """

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._uses = dict[tuple[int, ...], tuple[int, ...]]()
        self._countings = dict[tuple[int, ...], Counting]()

    @cached_property
    def choice_json(self) -> str:
        """Name, version and parameters, as canonical JSON."""
        return canonical_json(self._bound.identity())

    @cached_property
    def identity_json(self) -> str:
        """The same with what the part reads from files, as canonical JSON."""
        return canonical_json(self._bound.identity() | self._bound.build().identity())

    @cached_property
    def traits(self) -> PartTraits:
        """Builds the part, so that a parameter out of range shows before any work."""
        part = self._bound.build()
        if self._bound.kind == "hard_rules":
            from discl.core.interfaces import check_hard_rule  # imports numpy

            check_hard_rule(self._bound.name, part)
        return PartTraits(
            getattr(part, "trained_on", frozenset()),
            getattr(part, "must_be_held_out", frozenset()),
            getattr(part, "models", None),
            getattr(part, "probe", None) is not None,
            getattr(part, "has_originals", False),
            getattr(part, "head", ""),
            getattr(part, "heads", ()),
            getattr(part, "frozen", False),
            getattr(part, "takes_boxes", False),
            getattr(part, "needs_boxes", False),
            getattr(part, "has_boxes", False),
            getattr(part, "takes_shares", True),
            hasattr(part, "target"),
        )

    @cached_property
    def head_modules(self) -> tuple[str, ...]:
        """Of a backbone: the modules that give its logits; () = not known. May take seconds."""
        return tuple(getattr(self._bound.build(), "head_modules", ()))

    def counting(self, size: Sequence[int]) -> Counting:
        """How a generator counts levels, with photos of (height, width); () = not known yet."""
        key = tuple(size)
        if key not in self._countings:
            of_photos = (key[0], key[1]) if len(key) == 2 else None
            self._countings[key] = counting_of(self._bound.build(), of_photos)
        return self._countings[key]

    @cached_property
    def boxes_digest(self) -> str:
        """Of a dataset with boxes: what stands for them."""
        return str(self._bound.build().boxes_digest) if self.traits.has_boxes else ""

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        """A strategy's answer to `Strategy.uses`."""
        if levels not in self._uses:
            self._uses[levels] = self._bound.build().uses(levels)
        return self._uses[levels]


class PartCache:
    """Parts by kind, name and parameters, each bound and read once.

    A file that a part reads counts as it was when it was first read, so a cache serves one
    expansion and no longer.
    """

    def __init__(self) -> None:
        self._parts = dict[tuple[str, str, str], CachedPart]()
        self._changed_metrics = dict[str, str]()
        self._of_bench = dict[tuple[int, object], tuple[Benchmark, Any]]()

    def get(self, choice: PartChoice) -> CachedPart:
        """The part of a choice."""
        key = choice.key
        if key not in self._parts:
            self._parts[key] = CachedPart(choice.bind())
        return self._parts[key]

    def once(self, bench: Benchmark, what: object, compute: Callable[[], T]) -> T:
        """`compute()`, once for each benchmark and `what`: its runs have most in common."""
        key = id(bench), what
        if key not in self._of_bench:
            self._of_bench[key] = bench, compute()  # which keeps the benchmark, and so its id
        value: T = self._of_bench[key][1]
        return value

    def changed_metrics_json(self, bench: Benchmark) -> str:
        """Identities of metrics of a later version, or with parameters, by name; canonical JSON.

        Raises UserError where a metric cannot be computed as the benchmark says.
        """
        key = repr((bench.metrics.extra, bench.metrics.conventions, bench.metric))
        if key not in self._changed_metrics:
            from discl.config import metrics  # imports numpy

            if bench.metrics.extra or bench.metric:
                metrics.built(bench.bound_metrics())  # raises for a parameter out of range
            changed = metrics.changed(bench.metrics.extra, bench.metric)
            self._changed_metrics[key] = canonical_json(changed)
        return self._changed_metrics[key]

"""Values, texts and trees that no honest file holds, for property tests of what reads files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import date, datetime, time
from typing import Any

from hypothesis import strategies as st

from discl.config.toml import to_toml

WORDS = ("name", "scale", "seed", "strategy", "train", "static", "val/acc", "a/b", "..", "", "nan")
TEXTS = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=20),
    st.sampled_from(
        ["\x1b[31m", "<b>", "=1+1", "\u202e", "x" * 5000, "pkg://", "pkg://os/..", "\0"]
    ),
)
NUMBERS = st.one_of(
    st.integers(-3, 110),
    st.sampled_from([10**9, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 10**23, -(10**30), 10**4000]),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e-320, 1e300, 0.5, 1.0]),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), NUMBERS, TEXTS, st.dates(date(1, 1, 1)), st.datetimes(), st.times()
)
PIECES = ("", "[", "]", '"', "\n", "=", "{", "[" * 3000, "\ufeff", "\0", "0x", "9" * 5000)
KEYS = st.one_of(st.sampled_from([word for word in WORDS if word]), st.text(max_size=8))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged_trees(draw: st.DrawFn, tree: dict[str, Any], values: Any = VALUES) -> dict[str, Any]:
    """`tree` with a few of its values replaced, removed, renamed, nested or added to."""
    changed = deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(changed))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        change = draw(st.sampled_from(("replace", "replace", "remove", "rename", "nest", "add")))
        if change == "replace":
            holder[key] = draw(values)
        elif change == "nest":
            holder[key] = [holder[key]] if draw(st.booleans()) else {"v": holder[key]}
        elif change == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(KEYS)] = holder.pop(key) if change == "rename" else draw(values)
    return changed


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every key of every table and every index of every list, with what holds it."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


@st.composite
def damaged_texts(draw: st.DrawFn, text: str) -> str:
    """`text` with a piece taken out, doubled, or replaced by another."""
    start = draw(st.integers(0, len(text)))
    length = draw(st.integers(0, 40))
    piece = draw(
        st.sampled_from(("", "[", "]", '"', "\n", "=", "{", "[" * 3000, "\ufeff", "\0", "0x"))
    )
    return text[:start] + piece + text[start + length :]


def as_toml(tree: dict[str, Any]) -> str:
    """A tree as a TOML file, its tables written in their line."""
    return "".join(
        f"{json.dumps(key)} = {toml_value(value)}\n"
        for key, value in tree.items()
        if value is not None
    )


def toml_value(value: Any) -> str:
    """A value as TOML, numbers that are not finite and dates included."""
    if isinstance(value, dict):
        items = [f"{to_toml(key)} = {toml_value(v)}" for key, v in value.items() if v is not None]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item) for item in value if item is not None)}]"
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, float) or type(value) is int:
        return repr(value)
    return "''" if value is None else to_toml(value)

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discl.core.hashing import (
    canonical,
    canonical_json,
    digest,
    joined_json,
    seed_of,
    short,
    short_of_json,
)

trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**50), 2**50)
    | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), trees, max_size=4))
def test_key_order_does_not_matter(tree: dict[str, object]) -> None:
    assert canonical_json(tree) == canonical_json(dict(reversed(tree.items())))


@given(trees)
def test_canonical_is_a_fixed_point(tree: object) -> None:
    assert canonical(canonical(tree)) == canonical(tree)


@given(st.dictionaries(st.text(max_size=3), trees, max_size=4))
def test_an_object_joined_from_its_values_is_canonical(tree: dict[str, object]) -> None:
    line = joined_json({key: canonical_json(value) for key, value in tree.items()})
    assert line == canonical_json(tree)
    assert short_of_json(line) == short(tree)


def test_float_noise_does_not_matter_but_digits_do() -> None:
    assert digest(0.1 + 0.2) == digest(0.3)
    assert digest(0.3) != digest(0.3000001)
    assert digest(1.0) == digest(1)


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        digest(float("nan"))
    with pytest.raises(TypeError, match="object"):
        digest(object())


def test_a_seed_is_the_same_in_another_process() -> None:
    command = "from discl.core.hashing import seed_of; print(seed_of('noise', 3, 'cat'))"
    said = {
        subprocess.run(
            [sys.executable, "-c", command],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": salt},
        ).stdout
        for salt in ("1", "2")
    }
    assert said == {f"{seed_of('noise', 3, 'cat')}\n"}
    assert 0 <= seed_of("x") < 2**63

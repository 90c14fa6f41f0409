"""Benchmark files and `--set` with anything in them: they load, or are refused in a sentence."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discl.config.benchmark import PART_KINDS, Benchmark
from discl.config.experiment import experiments
from discl.config.load import load
from discl.config.setting_paths import check_path
from discl.core import search_path
from discl.core.errors import UserError
from discl.core.registry import names, singular
from discl.core.registry import settings as parameters
from tests.faults.hostile import VALUES, as_toml, damaged_texts, damaged_trees, toml_value
from tests.properties import examples

FILE = (search_path.shipped("benchmarks") / "cifar10_lt.toml").read_text("utf-8")
LONGEST = 3000  # characters of a sentence; one names all strategies there are
TREE = tomllib.loads(FILE)


def _paths() -> list[str]:
    """Every setting there is."""
    paths = [*Benchmark.model_fields, "metric.acc.x", "train.transform.name", "a.b.c", "."]
    for table in ("bank", "sampling", "train", "select", "metrics"):
        annotation: Any = Benchmark.model_fields[table].annotation
        paths += [f"{table}.{key}" for key in annotation.model_fields]
    for kind in PART_KINDS:
        paths.append(f"{singular(kind)}.name")
        paths += {
            f"{singular(kind)}.{key}" for name in names(kind) for key in parameters(kind, name)
        }
    for name in names("strategies"):
        paths += [f"strategy.{name}.{key}" for key in parameters("strategies", name)]
    return sorted(set(paths))


PATHS = _paths()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder whose `benchmarks` are all there are."""
    root = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        here = search_path.shipped("benchmarks")
        (root / "benchmarks").mkdir()
        for name in ("default", "cifar10_lt"):
            shutil.copy(here / f"{name}.toml", root / "benchmarks")
        patch.setattr(search_path, "shipped", lambda kind: root / kind)
        patch.chdir(root)
        yield root


def _refusal(name: str, chosen: list[str]) -> str:
    """Why a benchmark does not load; "" where it does, with the ids of its runs."""
    try:
        spec = load(name, settings=chosen)
        experiments(spec)[0].id()
        for setting in chosen:
            check_path(setting.partition("=")[0].strip(), spec)
    except UserError as error:
        return str(error)
    return ""


RAW = st.sampled_from(("[" * 3000, "0x" + "f" * 5000, "1\nw = 2", "'''", "{", "1e999"))
WRITTEN = VALUES.map(toml_value) | st.text(max_size=12) | RAW
SETTINGS = st.tuples(st.sampled_from(PATHS), WRITTEN).map("=".join) | st.text(max_size=30)


@given(chosen=st.lists(SETTINGS, min_size=1, max_size=3))
@examples(200)
def test_settings_load_or_are_refused(folder: Path, chosen: list[str]) -> None:
    assert len(_refusal("cifar10_lt", chosen)) < LONGEST


@given(text=damaged_trees(TREE).map(as_toml) | damaged_texts(FILE))
@examples(120)
def test_benchmark_files_load_or_are_refused(folder: Path, text: str) -> None:
    (folder / "benchmarks" / "fuzzed.toml").write_text(text, "utf-8")
    assert len(_refusal("fuzzed", [])) < LONGEST

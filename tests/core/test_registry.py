import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.core.registry import KINDS, bind, find, names, summary


def test_every_registered_part_loads_and_says_what_it_is() -> None:
    for kind in KINDS:
        for name in names(kind):
            assert isinstance(find(kind, name).version, int)
            assert len(summary(kind, name)) > 10


def test_a_wrong_name_is_answered_with_the_nearest_right_one() -> None:
    with pytest.raises(UserError, match=r"no strategy called 'adaptve'; did you mean 'adaptive'\?"):
        bind("strategies", "adaptve", {})


def test_a_wrong_parameter_fails_when_the_part_is_chosen() -> None:
    with pytest.raises(UserError, match="did you mean 'burst'"):
        bind("strategies", "adaptive", {"brst": 0.1})
    with pytest.raises(UserError, match=r"trim = 3 is a int; it takes a bool"):
        bind("strategies", "adaptive", {"trim": 3})


def test_identity_holds_only_what_differs_from_the_default() -> None:
    assert (
        bind("strategies", "adaptive", {"burst": 0.2}).identity()
        == bind("strategies", "adaptive", {}).identity()
    )
    assert bind("strategies", "adaptive", {"burst": 0.3}).identity()["parameters"] == {"burst": 0.3}


def test_where_files_lie_is_no_part_of_an_identity() -> None:
    assert (
        bind("datasets", "cifar10_lt", {"root": "/elsewhere"}).identity()
        == bind("datasets", "cifar10_lt", {}).identity()
    )


def test_a_strategy_of_somebody_elses_package_is_found(tmp_path: Path) -> None:
    # built from a copy: setuptools leaves its build folder beside the source
    plugin = shutil.copytree(Path(__file__).parents[1] / "plugin", tmp_path / "plugin")
    target = tmp_path / "installed"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(target),
        str(plugin),
    ]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    listed = subprocess.run(
        [sys.executable, "-m", "discl.cli", "list", "strategies"],
        env={"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "dawn" in listed.stdout
    assert "A package of its own" in listed.stdout

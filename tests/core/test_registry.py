from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.config.load import load
from discl.core import registry
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


def test_a_name_that_two_parts_claim_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = EntryPoint("acc", "somebody.metrics:Acc", "discl.metrics")
    monkeypatch.setattr("discl.core.registry.entry_points", lambda: EntryPoints([theirs]))
    registry.look_again()
    try:
        with pytest.raises(UserError) as raised:
            find("metrics", "acc")
        with pytest.raises(UserError, match="defined more than once"):
            summary("metrics", "acc")
        assert find("metrics", "macro_acc").title == "macro accuracy"
    finally:
        registry.look_again()
    assert str(raised.value) == (
        "metric 'acc' is defined more than once: discl itself and somebody.metrics:Acc; rename the"
        " entry point of a package, or uninstall the package"
    )


def test_a_broken_plug_in_keeps_no_other_from_being_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_at_import.py").write_text("1 / 0\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    broken = EntryPoint("theirs", "broken_at_import:Theirs", "discl.metrics")
    monkeypatch.setitem(names("metrics"), "theirs", broken)
    with pytest.raises(
        UserError, match=r"cannot be imported \(ZeroDivisionError: division by zero\); fix"
    ):
        find("metrics", "theirs")
    listed = CliRunner().invoke(main, ["list", "metrics"], env={"COLUMNS": "200"})
    assert listed.exit_code == 0
    assert "cannot be used: metric 'theirs' of broken_at_import:Theirs" in listed.output
    assert "macro_acc" in listed.output


def test_a_strategy_that_does_not_say_whether_it_has_an_order_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = EntryPoint("dawn", f"{__name__}:Dawn", "discl.strategies")
    monkeypatch.setitem(names("strategies"), "dawn", point)
    with pytest.raises(UserError, match="'dawn' does not say whether its levels have an order"):
        load("cifar10_lt", settings=["strategies=['dawn']"])


class Dawn:
    """Written for 0.1, where a strategy said nothing of its order."""

    version = 1
    rebalanced = True
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

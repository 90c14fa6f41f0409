"""Files of settings are parsed once, and belong to whoever reads them."""

from pathlib import Path

from discl.config.toml import read


def test_what_a_reader_changes_no_other_reader_sees(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[train]\nmilestones = [1, { at = 2 }]\n", "utf-8")
    mine = read(path)
    mine["train"]["milestones"][1]["at"] = 3
    mine["epochs"] = 5
    assert read(path) == {"train": {"milestones": [1, {"at": 2}]}}


def test_a_file_that_changed_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("epochs = 1\n", "utf-8")
    assert read(path) == {"epochs": 1}
    path.write_text("epochs = 2\n", "utf-8")
    assert read(path) == {"epochs": 2}

"""The JavaScript of a page: made once, then read."""

from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.harness.report.library import drawing_library


def _script() -> str:
    with drawing_library() as library:
        return library()


def test_it_is_made_once_and_read_from_there_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    made = _script()
    assert "vegaEmbed" in made
    (kept,) = (tmp_path / "data").rglob("*.js")
    assert kept.read_text("utf-8") == made
    kept.write_text("/* kept */")
    assert _script() == "/* kept */"
    kept.write_text("</script>")
    with pytest.raises(UserError, match="cannot stand in a page"):
        _script()


@pytest.mark.slow(reason="bundles once more")
def test_where_it_cannot_be_kept_it_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_text("a file where the folder would be")
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    assert "vegaEmbed" in _script()

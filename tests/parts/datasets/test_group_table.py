"""Groups in a list of their own."""

from pathlib import Path

import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.parts.datasets.manifest.lists.group_table import with_groups
from discl.parts.datasets.manifest.rows import Contents, RowBuilder
from discl.parts.datasets.manifest.tree import FileTree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(3):
        (tmp_path / "lion").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "lion" / f"{number}.png")
    return tmp_path


def read(root: Path, text: str) -> Contents:
    builder = RowBuilder()
    for number in range(3):
        builder.add(f"lion/{number}.png", "lion")
    (root / "groups.csv").write_text(text, "utf-8")
    return with_groups(Contents(builder.table()), FileTree(root), "groups.csv")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("path,group\nlion/0.png,a\nlion/1.png,b\n", "group"),
        ("Site Name;File Name\na;lion/0.png\nb;lion\\1.png\nNA;./lion/2.png\n", "Site Name"),
        ("filename\tcamera\n0.png\ta\n1.png\tb\n", "camera"),
    ],
)
def test_columns_have_any_usual_names(root: Path, text: str, column: str) -> None:
    found = read(root, text)
    assert found.rows["group"].to_pylist() == ["a", "b", None]
    assert found.decisions[-1].choice == f"column {column} of groups.csv"
    assert any("1 photo(s) are not in groups.csv and have no group" in r for r in found.remarks)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,colour\nlion/0.png,a\n", "needs the columns path and group.* it has path, colour"),
        ("path,group\nlion/0.png,a\n./lion/0.png,b\n", "names 1 photo.s. twice"),
    ],
)
def test_a_list_of_something_else_is_refused(root: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(root, text)

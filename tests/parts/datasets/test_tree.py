import os
from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.tree import FileTree, path_of, ref_of

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"


def _tree(root: Path, *paths: str, content: bytes = b"x") -> FileTree:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return FileTree(root)


def test_pictures_are_known_by_their_ending_in_any_case(tmp_path: Path) -> None:
    names = ["a.JPG", "b.jfif", "c.HEIC", "d.heif", "e.avif", "f.jpeg", "g.Tif", "h.webp"]
    assert FileTree(tmp_path).pictures == []
    assert _tree(tmp_path, *names, "notes.docx", "x.csv").pictures == names


@pytest.mark.parametrize(
    ("start", "is_picture"),
    [
        (JPEG, True),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", True),
        (b"GIF89a\x01\0", True),
        (b"RIFF\x10\0\0\0WEBPVP8 ", True),
        (b"RIFF\x10\0\0\0WAVEfmt ", False),
        (b"\0\0\0\x18ftypheic\0\0\0\0", True),
        (b"\0\0\0\x18ftypavif\0\0\0\0", True),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", False),
        (b"BM" + bytes(12) + b"\x28\0\0\0", True),
        (b"BM is no picture of any kind", False),
        (b"P5\n2 2\n255\n", True),
        (b"Project notes of the summer", False),
    ],
)
def test_a_file_whose_ending_says_nothing_is_known_by_its_first_bytes(
    tmp_path: Path, start: bytes, is_picture: bool
) -> None:
    tree = _tree(tmp_path, "noending", "odd.jpg_large", "known.pdf", content=start)
    assert tree.pictures == (["noending", "odd.jpg_large"] if is_picture else [])


def test_what_is_left_out_is_counted_by_folder(tmp_path: Path) -> None:
    _tree(tmp_path, "gnu/1.mp4", "gnu/2.MOV", "zebra/1.avi", "zebra/1.CR2", "zebra/1.psd")
    tree = _tree(tmp_path, "zebra/empty.jpg", content=b"")
    assert tree.pictures == []
    assert tree.remarks == (
        "1 RAW file(s) of cameras left out (zebra 1)",
        "1 file(s) of zero bytes left out (zebra 1)",
        "1 picture(s) of a format that is not read left out (zebra 1)",
        "3 video(s) left out (gnu 2, zebra 1)",
    )


@pytest.mark.parametrize(
    "folder",
    ["$RECYCLE.BIN", "#recycle", "@eaDir", "lost+found", "System Volume Information", "__MACOSX",
     ".Trash-1000", ".ipynb_checkpoints", ".AppleDouble", ".git", "thumbnails", ".thumbnails",
     "thumbs", "__pycache__"],
)  # fmt: skip
def test_what_systems_leave_behind_is_no_photo(tmp_path: Path, folder: str) -> None:
    tree = _tree(
        tmp_path, f"zebra/{folder}/1.jpg", f"{folder}/2.jpg", "zebra/1.jpg", "zebra/._1.jpg"
    )
    _tree(tmp_path, "zebra/Thumbs.db", "desktop.ini", "zebra/.DS_Store", content=JPEG)
    assert tree.pictures == ["zebra/1.jpg"]
    assert tree.folders() == ["zebra"]
    assert tree.folders("zebra") == []
    assert tree.resolve(f"{folder}/2.jpg") == f"{folder}/2.jpg"  # the user lists it


@pytest.mark.parametrize(
    ("photos", "masks"),
    [
        (["a/x.jpg"], ["a/x_mask.png", "a/x_segmentation.png"]),
        (["a/benign (1).png"], ["a/benign (1)_mask.png", "a/benign (1)_mask_1.png"]),
        (["images/1.jpg", "images/2.jpg"], ["masks/1.png", "masks/2_mask.png"]),
        (["t/images/z/1.jpg"], ["t/masks/z/1.png"]),
        # no photo beside them
        (["a/x_mask.png", "a/iron_mask.jpg", "mask/1.jpg", "no_mask/1.jpg"], []),
        (["images/1.jpg", "masks/7.png"], []),
    ],
)
def test_masks_are_left_out_where_their_photo_is_there(
    tmp_path: Path, photos: list[str], masks: list[str]
) -> None:
    tree = _tree(tmp_path, *photos, *masks)
    assert tree.pictures == sorted(photos)
    assert sum(len(refs) for refs in tree.left_out.values()) == len(masks)
    assert len(tree.remarks) == bool(masks)


def test_links_that_lead_back_are_not_followed_and_named(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _tree(root, "zebra/1.jpg", "lion/1.jpg")
    elsewhere = tmp_path / "elsewhere"
    _tree(elsewhere, "1.jpg", "deep/2.jpg")
    (root / "zebra" / "self").symlink_to(".")
    (root / "lion" / "up").symlink_to("..")
    (root / "above").symlink_to(tmp_path)
    (root / "all").symlink_to("zebra")
    (root / "dead.jpg").symlink_to("nothing.jpg")
    (root / "lion" / "loop.jpg").symlink_to("loop.jpg")
    (root / "gnu").symlink_to(elsewhere)  # placed there by the user
    (elsewhere / "back").symlink_to(root / "gnu")
    (root / "lion" / "2.jpg").symlink_to(elsewhere / "1.jpg")
    tree = FileTree(root)
    assert tree.pictures == [
        "gnu/1.jpg", "gnu/deep/2.jpg", "lion/1.jpg", "lion/2.jpg", "zebra/1.jpg",
    ]  # fmt: skip
    assert tree.remarks == (
        "5 link(s) to a folder that is read already, or that lies above left out: above, all,"
        " gnu/back, ...",
        "2 link(s) to nothing left out: dead.jpg, lion/loop.jpg",
    )


def test_names_of_any_bytes_have_references_of_one_line(tmp_path: Path) -> None:
    names = [b"gro\xdf.jpg", "größe.jpg".encode(), b"a\\b.jpg", b"a\nb.jpg", b"\\xdf.jpg"]
    for name in names:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(b"x")
    tree = FileTree(tmp_path)
    assert tree.pictures == sorted(
        ["gro\\xdf.jpg", "größe.jpg", "a\\x5cb.jpg", "a\\x0ab.jpg", "\\x5cxdf.jpg"]
    )
    for ref in tree.pictures:
        assert (tmp_path / path_of(ref)).read_bytes() == b"x"
        assert ref_of(os.fsencode(path_of(ref))) == ref
        assert tree.resolve(ref) == ref
    assert path_of("\\x2e\\x2e/\\x2fetc") == "\\x2e\\x2e/\\x2fetc"  # no way out of the folder


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_is_named(tmp_path: Path) -> None:
    tree = _tree(tmp_path, "zebra/1.jpg", "lion/1.jpg")
    (tmp_path / "lion").chmod(0)
    try:
        assert tree.remarks == ("1 folder(s) that cannot be read left out: lion",)
    finally:
        (tmp_path / "lion").chmod(0o700)


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone cannot be read \(No such file or directory\)"):
        assert FileTree(tmp_path / "gone").pictures


def test_pictures_below_a_folder(tmp_path: Path) -> None:
    tree = _tree(tmp_path, "a/1.jpg", "a/b/2.jpg", "a-b/3.jpg", "a0/4.jpg")
    assert tree.below("a") == ["a/1.jpg", "a/b/2.jpg"]
    assert len(tree.below("")) == 4
    assert tree.below("c") == []


FILES = ["train/zebra/1.jpg", "train/lion/2.JPG", "test/zebra/1.jpg", "test/zebra/3.jpg",
         "images/x y.png", "solo.jpeg", "é.jpg"]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "folder", "ref", "how"),
    [
        ("train/zebra/1.jpg", "", "train/zebra/1.jpg", ""),
        (" ./train//zebra/../zebra/1.jpg ", "", "train/zebra/1.jpg", ""),
        ("zebra/1.jpg", "train", "train/zebra/1.jpg", ""),
        ("test/zebra/1.jpg", "train", "test/zebra/1.jpg", ""),
        ("../solo.jpeg", "train", "solo.jpeg", ""),
        ("train\\zebra\\1.jpg", "", "train/zebra/1.jpg", "with backslashes"),
        ("ROOT/train/zebra/1.jpg", "", "train/zebra/1.jpg", "by an absolute path"),
        ("file://ROOT/solo.jpeg", "", "solo.jpeg", "by an absolute path"),
        ("C:\\data\\photos\\train\\zebra\\1.jpg", "", "train/zebra/1.jpg", "with backslashes, by"
         " the end of its path"),
        ("//nas/share/test/zebra/3.jpg", "", "test/zebra/3.jpg", "by the end of its path"),
        ("/mnt/x/solo.jpeg", "", "solo.jpeg", "by the end of its path"),
        ("3.jpg", "", "test/zebra/3.jpg", "by the end of its path"),
        ("1.jpg", "test", "test/zebra/1.jpg", "by the end of its path"),
        ("train/lion/2", "", "train/lion/2.JPG", "without an ending"),
        ("Train/Lion/2.jpg", "", "train/lion/2.JPG", "in another case or form of letters"),
        ("solo.jpg", "", "solo.jpeg", "in another case or form of letters"),
        ("e\u0301.jpg", "", "é.jpg", "in another case or form of letters"),
        ("images/x%20y.png", "", "images/x y.png", "with percent signs for other signs"),
    ],
)  # fmt: skip
def test_what_a_list_names_is_found(
    tmp_path: Path, written: str, folder: str, ref: str, how: str
) -> None:
    tree = _tree(tmp_path, *FILES)
    found = tree.resolved(written.replace("ROOT", str(tmp_path)), folder)
    assert found == (ref, how)
    assert tree.resolve(written.replace("ROOT", str(tmp_path)), folder) == ref


@pytest.mark.parametrize(
    "written",
    [
        "1.jpg",  # two have that name
        "zebra/1.jpg",
        "/elsewhere/zebra/1.jpg",
        "train/zebra/3.jpg",  # another photo has the name
        "C:\\photos\\train\\solo.jpeg",
        "images/x y.jpg",  # another format
        "../../etc/passwd",
        "/etc/hostname",
        "ROOT/../outside.jpg",
        "out/outside.jpg",  # by a link
        "https://example.org/train/zebra/1.jpg",
        "train",
        "",
    ],
)
def test_what_a_list_names_is_never_another_photo_nor_outside(tmp_path: Path, written: str) -> None:
    root = tmp_path / "root"
    tree = _tree(root, *FILES)
    _tree(tmp_path, "outside.jpg")
    (root / "out").symlink_to(tmp_path)
    assert tree.resolved(written.replace("ROOT", str(root))) is None

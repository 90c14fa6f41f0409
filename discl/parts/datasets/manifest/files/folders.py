"""The folders with pictures below a folder, with their numbers of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Path = tuple[str, ...]  # names of folders, from the top

# folders that hold the pictures of the folder they lie in, and name nothing
CONTAINERS = frozenset(
    [
        *("images", "image", "imgs", "img", "pics", "pictures", "jpegimages", "jpegs", "jpeg"),
        *("jpg", "jpgs", "png", "pngs", "dcim", "frames", "image_files", "imagefiles"),
    ]
)
_STRAY = 0.2  # of a folder's pictures, beside its folders: fewer do not make it a class


@dataclass
class PictureFolder:
    """A folder with pictures in it or below it."""

    path: Path
    own: int = 0  # pictures directly in it
    inner: dict[str, PictureFolder] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path[-1] if self.path else ""

    @property
    def total(self) -> int:
        return self.own + sum(folder.total for folder in self.inner.values())

    @property
    def is_flat(self) -> bool:
        """Whether its pictures lie in it, but for some."""
        return self.own > 0 and self.own >= _STRAY * self.total

    @property
    def is_container(self) -> bool:
        return self.name.lower() in CONTAINERS

    def below(self) -> list[PictureFolder]:
        """The folders directly in it, by name."""
        return [self.inner[name] for name in sorted(self.inner)]

    def all(self) -> Iterator[PictureFolder]:
        """It and every folder below."""
        yield self
        for folder in self.below():
            yield from folder.all()


def folder_tree(counts: Iterable[tuple[Path, int]]) -> PictureFolder:
    """The top of the folders whose paths hold so many pictures."""
    top = PictureFolder(())
    for path, count in counts:
        folder = top
        for depth, name in enumerate(path, 1):
            if name not in folder.inner:
                folder.inner[name] = PictureFolder(path[:depth])
            folder = folder.inner[name]
        folder.own += count
    return top

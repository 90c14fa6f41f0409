"""Where files of benchmarks and sweeps are looked for.

Light: a shell asks at every press of Tab.
"""

from __future__ import annotations

from pathlib import Path

SCALES = ("smoke", "small", "paper")


def ours(shelf: str) -> Path:
    """The files of a kind, `benchmarks` or `sweeps`, that come with the project."""
    return Path(__file__).resolve().parents[2] / shelf


def folders(shelf: str) -> list[Path]:
    """Where they are looked for: in the folder of that name here, if there is one, then in ours.

    The first that has a file's name counts.
    """
    here = Path(shelf).absolute()
    return [*([here] if here.is_dir() and here.resolve() != ours(shelf) else []), ours(shelf)]


def paths(shelf: str) -> dict[str, Path]:
    """The files of a kind, by name."""
    return {
        path.stem: path
        for place in reversed(folders(shelf))
        for path in sorted(place.glob("*.toml"))
    }


def benchmarks() -> list[str]:
    """Names of benchmarks; what all are based on is none."""
    return sorted(paths("benchmarks").keys() - {"default"})

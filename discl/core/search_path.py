"""Where benchmark files, sweep files and published results are looked for.

Light: shell completion asks at every press of Tab.
"""

from __future__ import annotations

from pathlib import Path

SCALES = ("smoke", "small", "paper")
_PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """The source tree this package is run from; None where it was installed."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "benchmarks").is_dir() else None


def shipped(kind: str) -> Path:
    """The folder of a kind (`benchmarks`, `sweeps`, `leaderboards`) that comes with the project.

    In a source tree it lies beside the package, in an installation inside it.
    """
    root = checkout()
    return root / kind if root else _PACKAGE / "shipped" / kind


def folders(kind: str) -> list[Path]:
    """The folders that are searched: that of this name in the working folder, then the shipped one.

    The first that holds a file of the name counts.
    """
    here = Path(kind).absolute()
    ours = shipped(kind)
    return [here, ours] if here.is_dir() and here.resolve() != ours else [ours]


def files(kind: str) -> dict[str, Path]:
    """The TOML files of a kind, by name."""
    return {
        path.stem: path
        for folder in reversed(folders(kind))
        for path in sorted(folder.glob("*.toml"))
    }


def benchmarks() -> list[str]:
    """Names of benchmarks, without `default`, which all are based on."""
    return sorted(files("benchmarks").keys() - {"default"})

"""Make a miniature of a dataset in its real layout, of real photos: python -m tests.make_mini
LAYOUT DIR [--images 300].
"""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from tests import mini

LAYOUTS = sorted(
    module.name for module in pkgutil.iter_modules(mini.__path__) if not module.name.startswith("_")
)


def make(layout: str, folder: Path, images: int = 300, seed: int = 0) -> Path:
    """The miniature at `folder`; equal seeds give equal files."""
    maker: Callable[[Path, int, np.random.Generator], None] = importlib.import_module(
        f"tests.mini.{layout}"
    ).make
    maker(folder, images, np.random.default_rng(seed))
    return folder


@click.command()
@click.argument("layout", type=click.Choice(LAYOUTS))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--images",
    default=300,
    show_default=True,
    type=click.IntRange(30),
    help="About so many photos in all.",
)
@click.option("--seed", default=0, show_default=True)
def main(layout: str, folder: Path, images: int, seed: int) -> None:
    """A miniature of LAYOUT in FOLDER, which must be new or empty."""
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    make(layout, folder, images, seed)
    click.echo(f"{sum(path.is_file() for path in folder.rglob('*'))} files in {folder}")


if __name__ == "__main__":
    main()

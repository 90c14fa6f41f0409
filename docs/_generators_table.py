"""The tables of docs/reference/generators.md: each image-to-image class of the installed diffusers.

python docs/_generators_table.py           # print them
python docs/_generators_table.py --write   # put them into the page
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

PAGE = Path(__file__).parent / "reference" / "generators.md"
BEGIN, END = "<!-- table: python docs/_generators_table.py --write -->", "<!-- end -->"


def tables() -> str:
    """Markdown: what is done with each class; those that nothing drives apart, with the reason."""
    from diffusers import __version__

    from discl.parts.generators.base.pipelines.table import classes_of_diffusers, row_of

    rows = [row for row in map(row_of, classes_of_diffusers()) if row is not None]
    driven = (
        [
            f"`{row.name}`",
            ", ".join(f"`{name}`" for name in row.generators),
            row.levels,
            *("yes" if each else "no" for each in (row.equal, row.lora, row.quantised)),
            row.why,
        ]
        for row in rows
        if row.generators
    )
    lines = [
        f"## Driven (diffusers {__version__})",
        "",
        "Equal: images were compared with single calls of the class, on a small checkpoint of",
        'random weights, to 2 of 255; "no" means that the class was not run.',
        "",
        *_table(
            ["class", "generator", "a level is", "equal", "LoRA", "quantised", "remarks"], driven
        ),
        "",
        "## Not driven",
        "",
        *_table(
            ["class", "why"], ([f"`{row.name}`", row.why] for row in rows if not row.generators)
        ),
    ]
    return "\n".join(lines)


def _table(header: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"


def on_page(text: str, lines: str) -> str:
    """The page with the tables between its two comments."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{lines}\n\n{END}{rest.partition(END)[2]}"


@click.command()
@click.option("--write", is_flag=True, help="Put them into the page.")
def main(write: bool) -> None:
    """Print the tables, or put them into the page."""
    lines = tables()
    if write:
        PAGE.write_text(on_page(PAGE.read_text("utf-8"), lines), "utf-8")
    else:
        click.echo(lines)


if __name__ == "__main__":
    main()

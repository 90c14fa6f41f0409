"""`discl bank`: the images between text and photo."""

from __future__ import annotations

import click

from discl.cli.options.group import CommandGroup, Commands, Elsewhere

_EXCHANGE = "discl.cli.bank.exchange"
_IMAGES = "discl.cli.bank.images"
_QUALITY = "discl.cli.bank.quality"
_UPKEEP = "discl.cli.bank.upkeep"
COMMANDS = {
    "build": Elsewhere(
        _IMAGES, "bank_build", "Make the images that BENCH needs and the bank lacks."
    ),
    "show": Elsewhere(_IMAGES, "bank_show", "Draw images of BENCH between text and photo."),
    "levels": Elsewhere(
        "discl.cli.bank.levels",
        "bank_levels",
        "Tell what the levels of BENCH mean for its checkpoint.",
    ),
    "report": Elsewhere(_QUALITY, "bank_report", "Report the quality of the images of BENCH."),
    "verify": Elsewhere(
        _EXCHANGE, "bank_verify", "Check every image of BENCH, and name damaged ones."
    ),
    "digest": Elsewhere(_EXCHANGE, "bank_digest", "Print one SHA-256 over all images of BENCH."),
    "export": Elsewhere(
        _EXCHANGE, "bank_export", "Write all images of BENCH into a new FOLDER, to share them."
    ),
    "import": Elsewhere(
        _EXCHANGE, "bank_import", "Import the images in FOLDER into the bank of BENCH."
    ),
    "ls": Elsewhere(_UPKEEP, "bank_ls", "List every bank of this machine."),
    "gc": Elsewhere(
        _UPKEEP,
        "bank_gc",
        "Move banks and leftover files that nothing uses to the trash, and empty that of before.",
    ),
}


@click.group(cls=CommandGroup, commands=Commands(COMMANDS))
def bank() -> None:
    """The images between text and photo."""

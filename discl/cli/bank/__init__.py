"""`discl bank`: the images between text and photo."""

from __future__ import annotations

import click

from discl.cli.bank import exchange, images, quality, upkeep
from discl.cli.options.group import CommandGroup


@click.group(cls=CommandGroup)
def bank() -> None:
    """The images between text and photo."""


for command in (
    images.bank_build,
    images.bank_show,
    quality.bank_report,
    exchange.bank_verify,
    exchange.bank_digest,
    exchange.bank_export,
    exchange.bank_import,
    upkeep.bank_ls,
    upkeep.bank_gc,
):
    bank.add_command(command)

"""The licence of a checkpoint, as its model card states it; no network is asked."""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from discl.core.plain_files import plain_text
from discl.files.disk import resource, write_text
from discl.files.weights import cached_folder, is_hub_id

UNKNOWN = "unknown"
MODEL_CARD = "README.md"
RECORD = "licence.json"  # in a bank's folder
_OURS = "pkg://discl/"  # under the licence of discl itself
_OTHER = "other"  # of a card that names it by license_name
_KNOWN = "pkg://discl/assets/licences.toml"


def licence_of(checkpoint: str) -> str:
    """By the card in the folder or the Hub's cache, else as the cards of common checkpoints say.

    `checkpoint` is a folder, `pkg://package/path` or a Hub id; "unknown" where nothing says it.
    """
    if checkpoint.startswith(_OURS):
        return "that of discl"
    folder = resource(checkpoint)
    if not folder.is_dir():
        cached = cached_folder(checkpoint, (MODEL_CARD,)) if is_hub_id(checkpoint) else None
        folder = cached or folder
    return _stated(folder / MODEL_CARD) or _known().get(checkpoint.partition("@")[0], UNKNOWN)


def _stated(card: Path) -> str:
    """What the head of a model card says, lines `key: value` between two lines `---`."""
    try:
        text = plain_text(card, errors="replace")
    except OSError:
        return ""
    head = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    told = dict(re.findall(r"^(license|license_name):[ \t]*(\S+)", head[1], re.M)) if head else {}
    stated = told.get("license", "")
    named = told.get("license_name", "") if stated in ("", _OTHER) else stated
    licence: str = named or stated
    return licence.strip("\"'")


@cache
def _known() -> dict[str, str]:
    return tomllib.loads(plain_text(resource(_KNOWN)))


def licence_sentence(generator: Any) -> str | None:
    """What licence a generator's checkpoint has; None where it has no checkpoint of others."""
    checkpoint = getattr(generator, "checkpoint", "")
    licence = getattr(generator, "licence", None)
    if licence is None or checkpoint.startswith(_OURS):
        return None
    if licence == UNKNOWN:
        return f"Licence of {checkpoint}: unknown here; its model card says it."
    return f"Licence of {checkpoint}: {licence}, as its model card says."


def keep_licence(folder: Path, generator: Any) -> None:
    """Write the licence of a generator's checkpoint into a bank's `folder`, where it is known."""
    licence = getattr(generator, "licence", UNKNOWN)
    if licence == UNKNOWN or generator.checkpoint.startswith(_OURS):
        return
    record = {"checkpoint": generator.checkpoint, "licence": licence}
    path, content = folder / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n"
    try:
        if plain_text(path) == content:
            return
    except (OSError, UnicodeDecodeError):
        pass
    write_text(path, content)

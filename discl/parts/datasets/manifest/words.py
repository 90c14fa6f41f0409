"""English words for classes that are named by ids of WordNet or by their Latin names."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from discl.core.class_words import without_words
from discl.core.errors import UserError, unknown
from discl.core.plain_files import open_file
from discl.core.text import counted
from discl.files.captions import read_captions
from discl.files.disk import resource
from discl.parts.datasets.base.class_names import class_names, photo_of
from discl.parts.datasets.manifest.cleaning.spelling import spelling_key
from discl.parts.datasets.manifest.columns import some

_SYNSET = re.compile(r"n\d{8}")
_TWO_WORDS = re.compile(r"([A-Za-z][a-z]+)[ _]([a-z-]+)")
_BINOMIAL = re.compile(r"[A-Z][a-z]+ [a-z-]+")
# endings of Latin epithets; English words that have one are found in WordNet
_LATIN_END = re.compile(r"(us|um|is|a|ae|ii|i|ensis|ans|ens|ator|ix|ax|os|on)$")
# 05500_Animalia_Chordata_Mammalia_Perissodactyla_Equidae_Equus_quagga, as iNaturalist has them
_TAXONOMY = re.compile(r"(\d+_)?(Animalia|Plantae|Fungi|Chromista|Protozoa|Bacteria)(_[\w-]+)+")
_ANY_OF = re.compile(r"^(any|one) of (several|various|numerous|many|the)? *")
_OURS = "pkg://discl/assets/datasets/iwildcam_names.json"


class Named(NamedTuple):
    """English names of classes, index = label, and what is to be said of them."""

    names: tuple[str, ...]
    remarks: tuple[str, ...]


def named(written: Sequence[str], names_file: str = "") -> Named:
    """English names of classes that are written as folders and columns have them.

    Ids of WordNet and Latin names become words where WordNet has them, as timm ships it for
    ImageNet-21k, or iWildCam's list. `names_file` is JSON, {"name as written": "English name"}, and
    goes before. Names that would become equal stay as they are written. Raises UserError where the
    file cannot be read or names a class that there is not.
    """
    spelt = class_names([_species(name) for name in written])
    given = _given(written, spelt, names_file)
    proposed = [
        given.get(old) or _by_id(old) or _english(_species(old)) or new
        for old, new in zip(written, spelt, strict=True)
    ]
    of_ids = Counter(filter(None, map(_by_id, written)))
    others = Counter(proposed) - of_ids
    proposed = [
        _with_more(old, new) if of_ids[new] > 1 and not others[new] else new
        for old, new in zip(written, proposed, strict=True)
    ]
    occurrences = Counter(proposed)
    names = tuple(
        new if occurrences[new] == 1 else old for old, new in zip(spelt, proposed, strict=True)
    )
    return Named(names, tuple(_remarks(written, spelt, names, given)))


def is_latin(written: str) -> bool:
    """Whether a class has the form of a species' Latin name, `Panthera leo`."""
    return _BINOMIAL.fullmatch(written) is not None


def _given(written: Sequence[str], spelt: Sequence[str], names_file: str) -> dict[str, str]:
    """Names by what they stand for, from the file."""
    if not names_file:
        return {}
    of_key = {spelling_key(name): old for old, name in zip(written, spelt, strict=True)}
    of_key |= {spelling_key(name): name for name in written}
    given = {}
    for name, texts in read_captions(names_file, "dataset.names").items():
        if spelling_key(name) not in of_key:
            raise unknown(f"class in {names_file} (dataset.names)", name, written)
        given[of_key[spelling_key(name)]] = texts[0]
    if twice := sorted(name for name, count in Counter(given.values()).items() if count > 1):
        raise UserError(
            f"dataset.names = {names_file!r} gives several classes the name {twice[0]!r}; tell them"
            " apart"
        )
    return given


def _species(name: str) -> str:
    """The genus and epithet at the end of a whole taxonomy, else the name."""
    return " ".join(name.split("_")[-2:]) if _TAXONOMY.fullmatch(name) else name


def _by_id(name: str) -> str | None:
    return _wordnet().by_id.get(name) if _SYNSET.fullmatch(name) else None


def _with_more(name: str, english: str) -> str:
    """What tells a synset from others of the same first word, after it."""
    more = _wordnet().more_by_id.get(name)
    return f"{english}, {more}" if more else english


def _english(name: str) -> str | None:
    """The English name of a species; None where no table has it."""
    found = _TWO_WORDS.fullmatch(name)
    if not found:
        return None
    key = f"{found[1]} {found[2]}".lower()
    return _iwildcam().get(key) or _wordnet().by_latin.get(key)


def _remarks(
    written: Sequence[str], spelt: Sequence[str], names: Sequence[str], given: Mapping[str, str]
) -> list[str]:
    remarks = []
    told = [
        f"{old} = {new}"
        for old, plain, new in zip(written, spelt, names, strict=True)
        if new != plain and old not in given
    ]
    if told:
        remarks.append(
            f"{counted(len(told), 'class name')} of ids or Latin turned into English words:"
            f" {some(told)}"
        )
    latin = [
        name for old, name in zip(written, names, strict=True) if _looks_latin(_species(old), name)
    ]
    if latin:
        remarks.append(
            f"{counted(len(latin), 'class name')} of {len(names)} in Latin, not known in English"
            f" ({some(latin)}): prompts have them as they are, unless dataset.names ="
            ' "names.json" says otherwise: {"Latin name": "English name"}'
        )
    small = [
        f"{old} = {new}"
        for old, new in zip(written, names, strict=True)
        if old != new and old.lower() == new and not _looks_latin(_species(old), new)
    ]
    if small:
        remarks.append(
            f"{counted(len(small), 'class name')} in small letters, for prompts: {some(small)}"
        )
    if unspoken := without_words(names):
        first = unspoken[0]
        remarks.append(
            f"{len(unspoken)} of {len(names)} class names are no English words"
            f" ({some(unspoken)}), so that prompts would be such as {photo_of(first)!r}; write"
            f' names.json with {{"{first}": "an English name"}} for each, and set'
            ' dataset.names = "names.json"'
        )
    return remarks


def _looks_latin(written: str, name: str) -> bool:
    found = _TWO_WORDS.fullmatch(written)
    if not found or not written[0].isupper() or spelling_key(written) != spelling_key(name):
        return False
    english = _wordnet().words
    return bool(
        _LATIN_END.search(found[2]) and found[2] not in english and found[1].lower() not in english
    )


# -- tables


class _WordNet(NamedTuple):
    by_id: Mapping[str, str]  # n02391049 -> zebra
    more_by_id: Mapping[str, str]  # another word for it, or the beginning of its definition
    by_latin: Mapping[str, str]  # panthera leo -> lion
    words: frozenset[str]  # English words, those in small letters


@cache
def _wordnet() -> _WordNet:
    """The 21,844 synsets of ImageNet-21k and -1k, as `timm.data.ImageNetInfo` has them."""
    lemmas = {
        synset: [lemma.strip() for lemma in text.split(",")]
        for synset, text in _timm_table("imagenet_synset_to_lemma.txt").items()
    }
    words = frozenset(lemma for listed in lemmas.values() for lemma in listed if lemma.islower())
    by_id = {synset: listed[0] for synset, listed in lemmas.items()}
    more = {
        synset: re.split(r"[;:,(]| of | in | with ", _ANY_OF.sub("", definition))[0].strip()
        for synset, definition in _timm_table("imagenet_synset_to_definition.txt").items()
    }
    more |= {synset: listed[1] for synset, listed in lemmas.items() if len(listed) > 1}
    latin: dict[str, set[str]] = defaultdict(set)
    for english, *others in lemmas.values():
        for name in others:
            if _BINOMIAL.fullmatch(name) and not _BINOMIAL.fullmatch(english):
                genus, epithet = name.lower().split()
                if epithet == genus or epithet not in words:  # "Boston terrier" is no Latin
                    latin[name.lower()].add(english)
    by_latin = {name: next(iter(found)) for name, found in latin.items() if len(found) == 1}
    return _WordNet(by_id, more, by_latin, words)


def _timm_table(name: str) -> dict[str, str]:
    """Synset -> text, of a file of timm's."""
    # read beside timm, not by it: importing timm takes seconds, as it imports torch
    spec = importlib.util.find_spec("timm")
    folder = Path((spec.submodule_search_locations or [""])[0] if spec else "")
    with open_file(folder / "data" / "_info" / name, encoding="utf-8", newline="") as lines:
        return dict(csv.reader(lines, delimiter="\t"))


@cache
def _iwildcam() -> Mapping[str, str]:
    """Latin -> English, of the species of iWildCam."""
    table: dict[str, str] = json.loads(resource(_OURS).read_text("utf-8"))["common"]
    return table

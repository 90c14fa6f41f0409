"""Words that a checkpoint learned from a few photos (Gal et al. 2022), for use in prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from discl.core.errors import UserError, shown
from discl.files.networks.learned_words import LIST, read_words
from discl.files.weights import without_warnings
from discl.parts.generators.base.adapters.weight_files import (
    digest_of_file,
    read_tensors,
    weights_file,
)

# text encoder of a pipeline, its tokenizer, and what files of SDXL call its vectors
_ENCODERS = (
    ("text_encoder", "tokenizer", "clip_l"),
    ("text_encoder_2", "tokenizer_2", "clip_g"),
)
_NAMELESS = ("emb_params", "string_to_param", "*")  # keys of files that do not say their word


@dataclass(frozen=True)
class TextualInversionSetting:
    """`[[generator.textual_inversion]]`."""

    file: str
    token: str = ""  # as prompts write it; "" = as the file does
    weight_name: str = ""  # of the file, in a folder or repository of several

    def check(self) -> None:
        """Raises UserError for a word that a prompt cannot hold."""
        if self.token != self.token.strip() or " " in self.token:
            raise UserError(
                f"generator.textual_inversion.token = {shown(self.token)}: a word has no spaces;"
                " write it like <my-cat>"
            )

    def identity(self) -> dict[str, Any]:
        """What images depend on."""
        return {"weights": self.word.digest, "token": self.word.token}

    @cached_property
    def word(self) -> Word:
        """The word and its vectors, as the file has them.

        Raises UserError where the file is none of textual inversion, or does not say its word.
        """
        path = weights_file(self.file, self.weight_name, "textual_inversion")
        tensors = read_tensors(path, "textual_inversion")
        setting = f"generator.textual_inversion.file = {self.file!r}"
        token = self.token
        if len(tensors) == 1:
            key = next(iter(tensors))
            vectors = {"": tensors[key]}
            token = token or ("" if key in _NAMELESS else key)
        else:
            known = [name for _, _, name in _ENCODERS]
            if not tensors or not set(tensors) <= set(known):
                raise UserError(
                    f"{setting} holds {shown(', '.join(sorted(tensors)))}, not the vectors of a"
                    " word; a file of textual inversion holds one tensor, or clip_l and clip_g"
                )
            vectors = dict(tensors)
        if not token:
            raise UserError(
                f"{setting} does not say its word; set generator.textual_inversion.token, as"
                " prompts write it"
            )
        matrices = {name: rows if rows.ndim == 2 else rows[None] for name, rows in vectors.items()}
        return Word(token, matrices, digest_of_file(path))


def single_words(
    settings: Sequence[TextualInversionSetting],
) -> tuple[TextualInversionSetting, ...]:
    """Settings of one word each: a folder of `discl embed` stands for all the words in it.

    Raises UserError where its list is damaged.
    """
    found = list[TextualInversionSetting]()
    for setting in settings:
        folder = Path(setting.file).expanduser()
        if setting.token or setting.weight_name or not (folder / LIST).is_file():
            found.append(setting)
            continue
        words = read_words(folder, "generator.textual_inversion.file").words
        found += [TextualInversionSetting(str(folder / word.file), word.token) for word in words]
    return tuple(found)


@dataclass(frozen=True)
class Word:
    """A word and what it stands for."""

    token: str
    vectors: Mapping[str, Any]  # [pieces, d], by "clip_l", "clip_g", or "" where there is one
    digest: str

    @property
    def pieces(self) -> tuple[str, ...]:
        """The tokens that the word is read as, one for each vector."""
        count = max(len(rows) for rows in self.vectors.values())
        return (self.token, *(f"{self.token}_{place}" for place in range(1, count)))


def spelt_out(text: str, words: Sequence[Word]) -> str:
    """A text with each word as the pieces it is read as, as diffusers writes it."""
    for word in words:
        text = text.replace(word.token, " ".join(word.pieces))
    return text


def add_words(pipeline: Any, settings: Sequence[TextualInversionSetting]) -> None:
    """Teach a pipeline's text encoders, each of them, the words of files.

    Raises UserError for a word that the encoders know already, and for vectors of another width or
    for another number of encoders.
    """
    if not settings:
        return
    encoders = [
        (getattr(pipeline, encoder), getattr(pipeline, tokenizer), name)
        for encoder, tokenizer, name in _ENCODERS
        if getattr(pipeline, encoder, None) is not None
    ]
    if not hasattr(pipeline, "load_textual_inversion") or not encoders:
        raise UserError(
            f"generator.textual_inversion: {type(pipeline).__name__} takes no words; leave it out"
        )
    for setting in settings:
        for encoder, tokenizer, name in encoders:
            vectors = _vectors_for(encoder, name, setting, len(encoders))
            _check_new(setting.word, tokenizer)
            with without_warnings():
                pipeline.load_textual_inversion(
                    {setting.word.token: vectors},
                    token=setting.word.token,
                    text_encoder=encoder,
                    tokenizer=tokenizer,
                )


def _vectors_for(encoder: Any, name: str, setting: TextualInversionSetting, encoders: int) -> Any:
    vectors = setting.word.vectors
    if len(vectors) != encoders and name not in vectors:
        raise UserError(
            f"generator.textual_inversion.file = {setting.file!r} has vectors for {len(vectors)} of"
            f" {encoders} text encoders of this checkpoint, and the other would read"
            f" {setting.word.token!r} in pieces; take a file that was trained for the checkpoint,"
            " with clip_l and clip_g"
        )
    found = vectors[name] if name in vectors else next(iter(vectors.values()))
    wanted = encoder.get_input_embeddings().weight.shape[-1]
    if found.shape[-1] != wanted:
        raise UserError(
            f"generator.textual_inversion.file = {setting.file!r} has vectors of"
            f" {found.shape[-1]} numbers, and the checkpoint's text encoder takes {wanted}; it was"
            " trained for another family of checkpoints"
        )
    return found


def _check_new(word: Word, tokenizer: Any) -> None:
    known = tokenizer.get_vocab()
    if old := [piece for piece in word.pieces if piece in known]:
        raise UserError(
            f"generator.textual_inversion: the checkpoint knows {old[0]!r} already; set"
            " generator.textual_inversion.token to a word it does not, like <my-cat>"
        )

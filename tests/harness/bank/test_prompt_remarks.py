import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Split, TextsRead
from discl.core.seals import sealed_text
from discl.harness.bank.prompt_remarks import prompt_remarks, remarks_before_images
from discl.harness.run.assembly import Bench
from tests.banks import InlineExecutor


class Named:
    """Photos of 8 px, three of each class and 30 of the last, which are not hard."""

    version, splits, ready = 1, ("train", "val"), True

    def __init__(self, *classes: str) -> None:
        self.classes = classes

    def identity(self) -> dict[str, Any]:
        return {}

    def prepare(self, progress: Any) -> None: ...

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of a {self.classes[label]}",)

    def split(self, name: str) -> Split:
        labels = np.repeat(np.arange(len(self.classes)), [3] * (len(self.classes) - 1) + [30])
        rows = np.arange(len(labels))
        pixels = np.zeros((len(labels), 8, 8, 3), np.uint8)
        return Split(rows.astype(str), labels, np.zeros_like(rows), pixels)


class Deaf:
    """Gives every text and image one vector, and has no limit."""

    version = 1

    def identity(self) -> dict[str, Any]:
        return {}

    def embed_images(self, images: Any) -> Any:
        return np.ones((len(images), 1), np.float32)

    def embed_texts(self, texts: Sequence[str]) -> Any:
        return np.ones((len(texts), 1), np.float32)


class Reader(Deaf):
    """Reads three words of a text."""

    def texts_read(self, texts: Sequence[str]) -> TextsRead:
        words = [text.split() for text in texts]
        tokens = tuple(tuple(map(hash, some[:3])) for some in words)
        return TextsRead(3, tokens, tuple(len(some) > 3 for some in words))


def _bench(benchmark: str, *classes: str, settings: Sequence[str] = ()) -> Bench:
    words = ["generator.name=blend", "hard_rule.max_class_images=20", *settings]
    bench = Bench(load(benchmark, settings=words))
    bench.dataset, bench.scorer = Named(*classes), Deaf()
    return bench


def test_classes_whose_names_are_no_words_are_named_with_the_file_to_write() -> None:
    said = [*prompt_remarks(_bench("cifar10_lt", "17", "c3", "cat", "99"))]
    assert said == [
        "2 of 3 classes that images are made of have names that are no English words (17, c3):"
        ' images are made from \'a photo of a 17\'; write prompts.json with {"17": ["a photo of a'
        ' plains zebra"], ...}, and set [prompts] name = "descriptions", file = "prompts.json"'
    ]
    (said_of_folder,) = prompt_remarks(_bench("folder", "17", "cat", "99"))
    assert 'set dataset.names = "names.json"' in said_of_folder
    assert list(prompt_remarks(_bench("folder", "zebra", "cat", "99"))) == []


def test_descriptions_without_the_name_say_enough(tmp_path: Path) -> None:
    file = tmp_path / "descriptions.json"
    file.write_text(json.dumps({"17": ["a plains zebra"], "99": ["a cat"]}))
    described = ["prompts.name=descriptions", f"prompts.file={file}"]
    assert list(prompt_remarks(_bench("cifar10_lt", "17", "99", settings=described))) == []


def test_texts_that_are_cut_and_those_that_become_one_are_named(tmp_path: Path) -> None:
    file = tmp_path / "descriptions.json"
    dogs = ["a red dog that runs", "a red dog that sleeps"]
    file.write_text(json.dumps({"dog": dogs, "cat": ["a cat"], "yak": ["a yak"]}))
    described = ["prompts.name=descriptions", f"prompts.file={file}"]
    bench = _bench("cifar10_lt", "dog", "cat", "yak", settings=described)
    bench.scorer = Reader()
    bench.generator = Reader()  # type: ignore[assignment]
    assert list(prompt_remarks(bench)) == [
        "2 of 3 prompts are longer than the 3 tokens that the generator reads, and cut (dog: a red"
        " dog that runs); shorten them, or put what matters first",
        "2 of them differ only behind the cut: to the generator they are 1 prompt (dog)",
        "2 of 2 captions are longer than the 3 tokens that the scorer reads, and cut (dog: a photo"
        " of dog); shorten them, or put what matters first",
        "2 of them differ only behind the cut: to the scorer they are 1 caption (cat, dog)",
    ]


def test_a_negative_prompt_is_cut_too() -> None:
    bench = _bench("cifar10_lt", "dog", "yak")
    bench.generator = Reader()  # type: ignore[assignment]
    bench.generator.negative_prompt = "blurry, dark and without a dog"  # type: ignore[attr-defined]
    told = [*prompt_remarks(bench)]
    assert told[-1].startswith(
        "1 of 1 negative prompts is longer than the 3 tokens that the generator reads, and cut"
        " (blurry, dark and without a dog)"
    )


def test_long_prompts_are_refused_where_that_is_asked_for() -> None:
    bench = _bench("cifar10_lt", "dog", "cat")
    bench.generator = Reader()  # type: ignore[assignment]
    bench.generator.long_prompts = "refuse"  # type: ignore[attr-defined]
    with pytest.raises(
        UserError,
        match=r'long_prompts = "refuse": 1 of 1 prompts is longer than the 3 tokens.*set it to',
    ):
        list(prompt_remarks(bench))


def test_settings_that_no_prompt_uses_are_named(tmp_path: Path) -> None:
    save_file({"<a-dog>": torch.zeros(1, 8)}, tmp_path / "word.safetensors")
    (tmp_path / "negative.json").write_text('{"dog": "cat", "dgo": "cat", "*": "blurry"}')
    settings = [
        "generator.name=img2img",
        f'generator.textual_inversion={{file="{tmp_path}/word.safetensors"}}',
        f"generator.negative_prompts={tmp_path}/negative.json",
    ]
    assert [*prompt_remarks(_bench("cifar10_lt", "dog", "cat", settings=settings))] == [
        "1 of 1 words of generator.textual_inversion are in no prompt (<a-dog>), so they change no"
        ' image; write them into the prompts, e.g. "a photo of <a-dog>"',
        f"1 of 3 keys of generator.negative_prompts = '{tmp_path}/negative.json' are in no prompt"
        " (dgo): a prompt gets the negative prompt of the class whose name it holds; correct the"
        " names, or use '*'",
    ]


def test_learned_words_that_the_generator_does_not_know_are_refused(tmp_path: Path) -> None:
    word = {"name": "dog", "token": "<dog>", "file": "dog.safetensors", "sha256": "0"}
    (tmp_path / "words.json").write_text(sealed_text({"description": {}, "words": [word]}))
    save_file({"<dog>": torch.zeros(1, 8)}, tmp_path / "dog.safetensors")
    settings = [
        "generator.name=img2img",
        f'prompts={{name="dafusion", words="{tmp_path}"}}',
    ]
    with pytest.raises(UserError, match=r"1 of 1 words .*\(<dog>\), which would read them in pi"):
        list(prompt_remarks(_bench("cifar10_lt", "dog", "cat", settings=settings)))
    told = [*settings, f"generator.textual_inversion.file={tmp_path}"]
    assert [*prompt_remarks(_bench("cifar10_lt", "dog", "cat", settings=told))] == []


def test_a_part_that_cannot_be_loaded_here_says_nothing_of_texts() -> None:
    class Absent(Deaf):
        def texts_read(self, texts: Any) -> TextsRead:
            raise UserError("not here")

    bench = _bench("cifar10_lt", "dog", "cat")
    bench.scorer = Absent()
    assert list(prompt_remarks(bench)) == []


def test_images_that_are_there_need_no_remark() -> None:
    bench = _bench("cifar10_lt", "17", "99", settings=["strategies=['text_only']"])
    assert len(list(remarks_before_images(bench))) == 1
    bench.fill([0], lambda *_: None, InlineExecutor())
    assert list(remarks_before_images(bench)) == []

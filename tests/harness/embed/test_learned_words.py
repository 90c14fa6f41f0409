"""`discl embed`: one word a class, kept by what it was learned from."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from discl.cli import embed, main
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import CaptionContext, Request
from discl.core.progress import no_progress
from discl.core.registry import bind
from discl.core.seals import sealed_text
from discl.harness.embed.inversion import InversionRecipe
from discl.harness.embed.words import Embedding
from discl.harness.run.assembly import Bench

KINDS = (".safetensors", ".json")
RECIPE = InversionRecipe(steps=2, batch=1, lr=1e-2)


@pytest.fixture
def embedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of the embedded benchmark, with a home of its own."""
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "home"))

    def made(*settings: str, recipe: InversionRecipe = RECIPE) -> Embedding:
        return Embedding(Bench(load("cifar10_lt", "smoke", settings)), recipe)

    return made


def test_words_are_learned_once_and_read_by_prompts_and_generators(embedding: Any) -> None:
    one = "hard_rule.max_class_images=6"
    first = embedding(one)
    words = first.learn(no_progress)
    assert [word.name for word in words.words] == [each.name for each in first.classes]
    assert all(word.token == f"<{word.name}>" for word in words.words)
    files = [path.name for path in words.folder.iterdir() if path.suffix]  # no lock
    kinds = [word.token.strip("<>") + kind for word in words.words for kind in KINDS]
    assert sorted(files) == sorted([*kinds, "words.json"])
    again = embedding(one)
    assert again.learn(no_progress) == words
    assert "family" not in vars(again.bench.generator)  # nothing was loaded
    part = bind("prompts", "dafusion", {"words": str(words.folder)}).build()
    word = words.words[0]
    context = CaptionContext(0, word.name, ("a",), "photo")
    assert part.choices(context) == (f"a photo of {word.token}",)
    assert part.caption(context) == f"a photo of {word.name}"
    with pytest.raises(UserError, match="has no word for 'yak'"):
        part.choices(context._replace(name="yak"))
    # the folder stands for its words, each with a digest of its own
    given = {"textual_inversion": {"file": str(words.folder)}}
    read = bind("generators", "img2img", given).build().identity()["textual_inversion"]
    assert [each["token"] for each in read] == [each.token for each in words.words]


@pytest.mark.slow(reason="loads the checkpoint six times")
def test_a_stop_and_damage_change_no_word(
    embedding: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = embedding().learn(no_progress)
    good = {path.name: path.read_bytes() for path in words.folder.glob("*.safetensors")}
    monkeypatch.setattr("discl.harness.embed.words.SAVE_SECONDS", 0.0)
    for damage in (False, True):  # of the state that training goes on from
        shutil.rmtree(words.folder)
        told: list[int] = []

        def stop(_what: str, done: int, _total: int, told: list[int] = told) -> None:
            told.append(done)
            if len(told) == 4:  # in the second word, whose first step is kept
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            embedding().learn(stop)
        state = words.folder / f"{words.words[1].token.strip('<>')}.state.npz"
        if damage:
            data = bytearray(state.read_bytes())
            data[len(data) // 2] ^= 1
            state.write_bytes(data)
        assert embedding().learn(no_progress) == words
        assert ("learned from the start" in capsys.readouterr().err) == damage
    file = words.folder / words.words[0].file
    file.write_bytes(good[file.name][:-1] + bytes([good[file.name][-1] ^ 1]))
    assert embedding().learn(no_progress) == words
    assert "its word is learned again" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in words.folder.glob("*.safetensors")} == good
    given = {"steps": 2, "textual_inversion": {"file": str(words.folder)}}
    request = Request(0, f"a photo of {words.words[0].token}", 0)
    photos = np.zeros((1, 32, 32, 3), np.uint8)
    taught = bind("generators", "img2img", given).build().make([request], photos)
    plain = bind("generators", "img2img", {"steps": 2}).build().make([request], photos)
    assert not np.array_equal(taught.images, plain.images)


def test_another_recipe_or_other_photos_are_other_words(embedding: Any) -> None:
    folders = {
        embedding().folder,
        embedding(recipe=InversionRecipe(steps=3, batch=1, lr=1e-2)).folder,
        embedding("hard_rule.max_class_images=6").folder,
        embedding("generator.checkpoint=in_domain").folder,
    }
    assert len(folders) == 4
    assert embedding("generator.steps=20", "generator.text_guidance=3.0").folder in folders


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--set", "generator.name=blend"], "generator 'blend' has no text encoder"),
        (["--set", "hard_rule.max_class_images=1"], "selects no photo"),
        (["--set", 'generator.ip_adapter={file="x"}'], "leave it out where words are learned"),
        (["--steps", "0"], "--steps 0: takes at least 1"),
        (["--template", "a photo"], "write {token} once"),
    ],
)
def test_what_cannot_be_learned_is_refused_before_any_work(
    args: list[str], says: str, tmp_path: Path
) -> None:
    env = {"DISCL_HOME": str(tmp_path), "COLUMNS": "500"}
    result = CliRunner().invoke(main, ["embed", "cifar10_lt", *args], env=env)
    assert result.exit_code == 2
    assert says in result.output


def test_steps_and_their_time_are_told_before_they_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "TOLD_SECONDS", 0.0)
    args = ["embed", "cifar10_lt", "--steps", "3", "--batch", "1"]
    args += ["--set", "hard_rule.max_class_images=6"]
    said = [
        CliRunner().invoke(main, args, env={"DISCL_HOME": str(tmp_path)}).stderr for _ in range(2)
    ]
    assert re.search(r"1 word, 3 steps each: 3 steps\n(.*\n)*.* 2/3, about 0:\d\d left", said[0])
    assert "steps each" not in said[1]  # there they are


def test_words_learned_with_an_adapter_or_in_half_precision_are_others(
    embedding: Any, tmp_path: Path
) -> None:
    lora = tmp_path / "lora.safetensors"
    found = set()
    for content in (b"one", b"two"):
        lora.write_bytes(content)
        found.add(embedding(f'generator.lora={{file="{lora}"}}').folder)
    found |= {embedding("generator.dtype=bfloat16").folder, embedding().folder}
    assert len(found) == 4


def test_classes_of_one_name_and_of_names_with_numbers_have_words_of_their_own() -> None:
    classes = ("a 2", "a", "a", "<b>", "b")
    bench: Any = SimpleNamespace(
        generator=bind("generators", "img2img", {}).build(),
        hard=np.arange(5),
        sources=SimpleNamespace(labels=np.arange(5), classes=classes),
    )
    tokens = [each.token for each in Embedding(bench, RECIPE).classes]
    assert len(set(tokens)) == len(tokens)


def test_classes_of_one_name_get_the_words_of_their_labels(tmp_path: Path) -> None:
    words = [
        {"name": "crane", "token": token, "file": "x", "sha256": "0", "label": label}
        for token, label in (("<crane>", 3), ("<crane-1>", 8))
    ]
    (tmp_path / "words.json").write_text(sealed_text({"description": {}, "words": words}))
    part = bind("prompts", "dafusion", {"words": str(tmp_path)}).build()
    context = CaptionContext(3, "crane", ("a",), "photo")
    assert part.choices(context) == ("a photo of <crane>",)
    assert part.choices(context._replace(label=8)) == ("a photo of <crane-1>",)
    with pytest.raises(UserError, match="has no word for 'crane'"):
        part.choices(context._replace(label=5))
    before = part.identity()
    words[0]["label"], words[1]["label"] = 8, 3
    (tmp_path / "words.json").write_text(sealed_text({"description": {}, "words": words}))
    assert bind("prompts", "dafusion", {"words": str(tmp_path)}).build().identity() != before


def test_a_folder_without_words_is_answered(tmp_path: Path) -> None:
    part = bind("prompts", "dafusion", {"words": str(tmp_path)}).build()
    with pytest.raises(UserError, match=r"prompts.words = '.*' holds no words.json"):
        part.identity()
    (tmp_path / "words.json").write_text('{"words": [{"nam')
    with pytest.raises(UserError, match="run `discl embed` again"):
        bind("prompts", "dafusion", {"words": str(tmp_path)}).build().identity()

"""CLIP as a learner: the text head, the linear head, pairs, and where weights come from."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from huggingface_hub import constants
from open_clip import factory as open_clip_factory
from open_clip import pretrained as open_clip_pretrained
from PIL import Image

from discl.core.errors import UserError
from discl.core.interfaces import Task
from discl.core.registry import bind
from discl.files.clip import ClipCheckpoint
from discl.testing.untrained import write_clip

CLASSES = ("cat", "dog", "ship")
TASK = Task(CLASSES, tuple((f"the {name}", f"one {name}") for name in CLASSES), 16)
PHOTOS = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"), CLASSES)


def _built(folder: Path, task: Task = TASK, **parameters: Any) -> Any:
    return (
        bind("backbones", "open_clip", {"model": str(folder), **parameters}).build().build(task, 0)
    )


def _nudge(network: Any, name: str) -> None:
    """What a step does to one weight."""
    with torch.no_grad():
        network.get_parameter(name).add_(torch.randn(network.get_parameter(name).shape))


def test_the_shipped_model_knows_cifars_classes_before_any_training() -> None:
    dataset, backbone = (
        bind("datasets", "cifar10_lt", {}).build(),
        bind("backbones", "open_clip", {}).build(),
    )
    val, task = (
        dataset.split("val"),
        Task(dataset.classes, tuple(dataset.prompts(label) for label in range(10)), 32),
    )
    rows = np.concatenate([np.flatnonzero(val.labels == label)[:10] for label in range(10)])
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (backbone.mean, backbone.std))
    photos = (torch.from_numpy(np.array(val.pixels[rows])).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.no_grad():
        guess = backbone.build(task, 0).eval()(photos).argmax(1).numpy()
    assert (guess == val.labels[rows]).mean() > 0.6


def test_logits_are_scaled_cosines_with_the_mean_of_the_captions(folder: Path) -> None:
    templates = ["a photo of {name}.", "{name} in the wild."]
    network = _built(
        folder, Task(("Cat", "Dog", "Ship"), TASK.prompts, 16), templates=templates
    ).eval()
    clip = open_clip.create_model(f"local-dir:{folder}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    with torch.no_grad():
        head = torch.stack(
            [
                clip.encode_text(
                    tokenizer([t.format(name=name) for t in templates]), normalize=True
                ).mean(0)
                for name in CLASSES
            ]
        )
        expected = (
            clip.logit_scale.exp()
            * clip.encode_image(PHOTOS, normalize=True)
            @ F.normalize(head, dim=-1).T
        )
        assert torch.allclose(network(PHOTOS), expected, atol=1e-5)


def test_without_templates_the_dataset_s_own_captions_are_taken() -> None:
    backbone = bind("backbones", "open_clip", {"templates": []}).build()
    assert backbone.captions(TASK) == [
        ("the cat", "one cat"),
        ("the dog", "one dog"),
        ("the ship", "one ship"),
    ]


def test_classes_may_have_unequal_numbers_of_captions(folder: Path) -> None:
    alone = _built(
        folder, TASK._replace(prompts=(("the cat",), ("the dog",), ("the ship",))), templates=[]
    ).eval()
    mixed = _built(
        folder,
        TASK._replace(prompts=(("the cat",), ("the dog", "one dog"), ("the ship",))),
        templates=[],
    ).eval()
    with torch.no_grad():
        same = torch.isclose(alone.weight(), mixed.weight(), atol=1e-6).all(1)
        # a class of one caption draws no other, though its line is as long as that of the class
        # with two
        assert torch.allclose(
            mixed.random_captions(torch.zeros(20, dtype=torch.long)), alone.weight()[0], atol=1e-6
        )
        assert len(mixed.random_captions(torch.ones(20, dtype=torch.long)).unique(dim=0)) == 2
    assert same.tolist() == [True, False, True]


@pytest.mark.parametrize("name", ["clip.positional_embedding", "clip.token_embedding.weight"])
def test_the_text_head_is_rebuilt_when_only_the_text_tower_changed(folder: Path, name: str) -> None:
    network = _built(folder).eval()
    with torch.no_grad():
        before, again = network(PHOTOS), network(PHOTOS)
        assert torch.equal(before, again)
        _nudge(network, name)
        assert not torch.allclose(network(PHOTOS), before)


def test_captions_are_embedded_once_an_evaluation_and_not_once_a_batch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, embedded = _built(folder).eval(), []
    real = network.clip.encode_text
    monkeypatch.setattr(
        network.clip, "encode_text", lambda tokens: embedded.append(len(tokens)) or real(tokens)
    )
    with torch.no_grad():
        for _ in range(3):
            network(PHOTOS)
        assert embedded == [3]
        network.train()(PHOTOS, torch.tensor([0, 1, 1, 1]))
        assert embedded == [3, 2]  # a caption that photos share, once
        network.eval()(PHOTOS)
    assert embedded == [3, 2, 3]


def test_a_running_average_of_weights_has_a_head_of_its_own(folder: Path) -> None:
    from timm.utils import ModelEmaV3

    network = _built(folder).eval()
    with torch.no_grad():
        before = network(PHOTOS)
        average = ModelEmaV3(network, decay=0.5)
        average.module(PHOTOS)
        _nudge(network, "clip.positional_embedding")
        average.update(network)
        now = average.module(PHOTOS)
        fresh = _built(folder).eval()
        fresh.load_state_dict(average.module.state_dict())
        assert torch.allclose(now, fresh(PHOTOS), atol=1e-5)
    assert not torch.allclose(now, before)


def test_the_linear_head_begins_as_the_text_head_and_has_no_text_tower(folder: Path) -> None:
    text, linear = _built(folder).eval(), _built(folder, head="linear").eval()
    with torch.no_grad():
        assert torch.allclose(linear(PHOTOS), text(PHOTOS), atol=1e-4)
    assert not any(
        "transformer.resblocks" in name and "visual" not in name
        for name, _ in linear.named_parameters()
    )
    assert not hasattr(linear, "gives_pairs")


def test_tuning_the_image_tower_alone_leaves_the_text_tower_and_its_captions_as_they_are(
    folder: Path,
) -> None:
    network = _built(folder, tuned="image").train()
    head, optimiser = (
        network.weight(),
        torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1),
    )
    texts = {
        name: p.clone()
        for name, p in network.clip.named_parameters()
        if not name.startswith(("visual.", "logit_"))
    }
    images, captions, scale = network(PHOTOS, torch.tensor([0, 1, 2, 0]))
    (scale * (images * captions).sum()).backward()
    before = network.clip.visual.proj.clone()
    optimiser.step()
    assert not torch.equal(network.clip.visual.proj, before)
    assert all(
        torch.equal(network.clip.get_parameter(name), value) for name, value in texts.items()
    )
    assert torch.equal(network.weight(), head)


def test_the_text_head_learns_from_logits_as_well(folder: Path) -> None:
    network = _built(folder).train()
    F.cross_entropy(network(PHOTOS), torch.tensor([0, 1, 2, 0])).backward()
    assert network.clip.positional_embedding.grad.abs().max() > 0
    assert all(
        parameter.grad is not None for parameter in network.parameters() if parameter.requires_grad
    )


def test_the_trunk_gives_the_image_tower_s_features(folder: Path) -> None:
    trunk = (
        bind("backbones", "open_clip", {"model": str(folder), "frozen": True})
        .build()
        .trunk(TASK, 0)
        .eval()
    )
    with torch.no_grad():
        assert torch.equal(
            trunk(PHOTOS), open_clip.create_model(f"local-dir:{folder}").eval().encode_image(PHOTOS)
        )


@pytest.mark.parametrize("shape", [(8, 8), (32, 32), (40, 20), (17, 30)])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("contrast", ["some", "all"])
def test_photos_are_brought_to_size_as_open_clip_does_it(
    shape: tuple[int, int], mode: str, contrast: str
) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from discl.parts.backbones.base.clip import ClipResize

    preprocess = PreprocessCfg(size=16, resize_mode=mode)
    photo = np.random.default_rng(0).integers(
        *((80, 170) if contrast == "some" else (0, 256)), (*shape, 3), np.uint8
    )
    theirs = image_transform_v2(preprocess, is_train=False)(Image.fromarray(photo))
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (preprocess.mean, preprocess.std))
    ours = ClipResize(vars(preprocess))(
        (torch.from_numpy(photo)[None].permute(0, 3, 1, 2) / 255 - mean) / std
    )[0]
    # theirs are whole numbers of 255, and cut off between rows and columns too where they leave the
    # range
    assert (ours - theirs).abs().mean() < 0.008
    if contrast == "some":
        assert (ours - theirs).abs().max() < 0.02


def test_a_cosine_head_begins_as_the_text_head_with_a_scale_of_its_own(folder: Path) -> None:
    text, cosine = _built(folder).eval(), _built(folder, head="cosine", cosine_scale=12.0).eval()
    with torch.no_grad():
        scale = text.clip.logit_scale.exp()
        assert torch.allclose(cosine(PHOTOS), text(PHOTOS) / scale * 12, atol=1e-4)
    assert cosine.cosine_scale == 12.0
    assert _built(folder, head="linear").cosine_scale is None


def test_equal_captions_are_refused_unless_they_may_share_a_logit(folder: Path) -> None:
    task = Task(("crane", "Crane", "ship"), (("a bird",), ("a machine",), ("a ship",)), 16)
    with pytest.raises(
        UserError,
        match=r"cannot tell 'crane' = 'Crane' apart.*templates = \[\].*allow_shared = true",
    ):
        _built(folder, task)
    assert _built(folder, task, templates=[]).eval()(PHOTOS).shape == (4, 3)
    with torch.no_grad():
        logits = _built(folder, task, allow_shared=True).eval()(PHOTOS)
    assert torch.equal(logits[:, 0], logits[:, 1])


def test_captions_that_differ_beyond_what_the_model_reads_are_equal(folder: Path) -> None:
    long = "a very long text about all that can be seen in a picture of a "
    with pytest.raises(UserError, match="equal in the 16 tokens"):
        _built(
            folder,
            Task(("cat", "dog", "ship"), ((long + "cat",), (long + "dog",), ("a ship",)), 16),
            templates=[],
        )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"templates": ["a photo"]},
            r"templates = \['a photo'\] must be a list of texts, each with a \{name\}",
        ),
        ({"templates": "{name}"}, "templates = .* does not fit; it takes"),
        ({"head": "txt"}, "did you mean 'text'"),
        ({"tuned": "images"}, "did you mean 'image'"),
    ],
)
def test_wrong_settings_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        bind("backbones", "open_clip", parameters).build()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"model": "nowhere"},
            (
                r"backbone.model = 'nowhere' is no folder with an"
                r" open_clip_config.json.*backbone.pretrained, e.g. 'openai'"
            ),
        ),
        (
            {"model": "ViT-B-61", "pretrained": "openai"},
            "no open_clip model called 'ViT-B-61'; did you mean 'ViT-B-16'",
        ),
        (
            {"model": "ViT-B-16", "pretrained": "openia"},
            "no pretrained tag .* called 'openia'; did you mean 'openai'",
        ),
    ],
)
def test_wrong_checkpoints_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        bind("backbones", "open_clip", parameters).build().build(TASK, 0)


@pytest.mark.parametrize("damage", ["no weights", "half the weights", "another model"])
def test_a_damaged_folder_is_refused(folder: Path, tmp_path: Path, damage: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    weights, config = broken / "open_clip_model.safetensors", broken / "open_clip_config.json"
    if damage == "no weights":
        weights.unlink()
    elif damage == "half the weights":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    else:
        config.write_text(config.read_text().replace('"layers": 1', '"layers": 2'))
    with pytest.raises(UserError, match="backbone.model = .* does not load"):
        _built(broken)


def test_the_identity_is_that_of_the_weights_wherever_they_lie(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    here, there = (
        bind("backbones", "open_clip", {"model": str(path)}) for path in (folder, tmp_path / "copy")
    )
    assert here.identity() | here.build().identity() == there.identity() | there.build().identity()
    changed = tmp_path / "copy" / "open_clip_model.safetensors"
    changed.write_bytes(changed.read_bytes()[:-4] + b"\0\0\x80\x3f")
    assert (
        here.build().identity()
        != bind("backbones", "open_clip", {"model": str(tmp_path / "copy")}).build().identity()
    )


@pytest.fixture
def published(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small model under a name and a tag of open_clip's, its weights in the Hub's cache; like
    OpenAI's, it was trained with another activation than the name says.
    """
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    config["text_cfg"] |= {"hf_tokenizer_name": str(folder)}
    monkeypatch.setitem(open_clip_factory._MODEL_CONFIGS, "tiny-clip", config)
    tag = {
        "hf_hub": "owner/tiny/",
        "mean": (0.1, 0.2, 0.3),
        "std": (1.0, 1.0, 1.0),
        "resize_mode": "squash",
        "quick_gelu": True,
    }
    monkeypatch.setitem(open_clip_pretrained._PRETRAINED, "tiny-clip", {"own": tag})
    snapshot = tmp_path / "hub" / "models--owner--tiny" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (tmp_path / "hub" / "models--owner--tiny" / "refs").mkdir()
    (tmp_path / "hub" / "models--owner--tiny" / "refs" / "main").write_text("0" * 40)
    shutil.copy(folder / "open_clip_model.safetensors", snapshot)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def test_a_published_model_comes_from_the_hub_s_cache_with_the_activation_it_was_trained_with(
    published: Path, folder: Path
) -> None:
    backbone = bind("backbones", "open_clip", {"model": "tiny-clip", "pretrained": "own"}).build()
    assert backbone.mean == (0.1, 0.2, 0.3)
    assert backbone.identity() == {
        "model": "tiny-clip",
        "pretrained": "own",
        "activation": "as trained",
    }
    network = backbone.build(TASK, 0).eval()
    plain = _from_folder(folder, False).build().build(TASK, 0).eval()
    forced = _from_folder(folder, True).build().build(TASK, 0).eval()
    assert all(
        torch.equal(network.state_dict()[key], value) for key, value in plain.state_dict().items()
    )
    assert network.resize.squash
    with torch.no_grad():
        assert not torch.allclose(network(PHOTOS), plain(PHOTOS))
        forced.resize = network.resize
        assert torch.allclose(network(PHOTOS), forced(PHOTOS), atol=1e-6)
    for quick, same in ((True, network), (False, plain)):
        file = _from_file(published, quick)
        assert set(file.build().identity()) == {"model", "weights"}
        with torch.no_grad():
            shown = file.build().build(TASK, 0).eval()
            # the file says nothing of how photos are prepared
            shown.resize = same.resize
            assert torch.allclose(shown(PHOTOS), same(PHOTOS), atol=1e-6)
    assert _from_file(published, True).identity() != _from_file(published, False).identity()


def _from_folder(folder: Path, quick_gelu: bool) -> Any:
    return bind("backbones", "open_clip", {"model": str(folder), "quick_gelu": quick_gelu})


def _from_file(published: Path, quick_gelu: bool | None) -> Any:
    file = str(published / "open_clip_model.safetensors")
    given = {} if quick_gelu is None else {"quick_gelu": quick_gelu}
    return bind("backbones", "open_clip", {"model": "tiny-clip", "pretrained": file} | given)


def test_the_activation_of_a_file_is_asked_for_where_published_weights_differ_in_it(
    published: Path, folder: Path
) -> None:
    with pytest.raises(UserError, match=r"some published weights have QuickGELU \('own'\); set"):
        _ = _from_file(published, None).build().mean
    with pytest.raises(UserError, match="does not say which activation .* of 'tiny-clip', which"):
        _ = ClipCheckpoint(str(folder), "", "scorer").preprocess
    for kind in ("backbone", "scorer"):
        with pytest.raises(UserError, match=rf"{kind}.quick_gelu = true: the activation of"):
            _ = ClipCheckpoint("tiny-clip", "own", kind, quick_gelu=True).preprocess
    config = folder / "open_clip_config.json"
    described = json.loads(config.read_text())
    described["model_cfg"]["quick_gelu"] = True
    told = Path(shutil.copytree(folder, published / "told"))
    (told / config.name).write_text(json.dumps(described))
    with pytest.raises(UserError, match="is that of its folder's configuration; leave"):
        _ = ClipCheckpoint(str(told), "", "scorer", quick_gelu=True).preprocess
    _ = ClipCheckpoint(str(told), "", "scorer").preprocess
    file = str(published / "open_clip_model.safetensors")
    with pytest.raises(UserError, match="name for the model with QuickGELU"):
        _ = ClipCheckpoint("ViT-B-32-quickgelu", file, "scorer", quick_gelu=False).preprocess


def test_a_published_model_that_is_not_here_says_so_at_once(published: Path) -> None:
    (published / "open_clip_model.safetensors").unlink()
    with pytest.raises(
        UserError,
        match=(
            r"backbone.pretrained = 'own' is no file and the Hub did not deliver owner/tiny:"
            r" HF_HUB_OFFLINE is set; unset it, give backbone.pretrained = FILE"
        ),
    ):
        ClipCheckpoint("tiny-clip", "own", "backbone").network()


def test_a_copy_of_the_network_keeps_its_answers(folder: Path) -> None:
    network = _built(folder).eval()
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(network)(PHOTOS), network(PHOTOS))


def test_what_the_scorer_reads_of_texts_is_known_without_its_weights() -> None:
    part = bind("scorers", "open_clip", {}).build()
    long = "a small nocturnal animal with long striped fur seen from the side"
    read = part.texts_read(["a cat", f"{long} in grass", f"{long} in snow"])
    assert (read.most, read.cut) == (16, (False, True, True))
    assert read.tokens[0] != read.tokens[1] == read.tokens[2]


def test_texts_that_are_read_whole_load_no_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("loaded")

    scorer = bind("scorers", "open_clip", {}).build()
    of_a_name = {"model": "ViT-B-32", "pretrained": "openai"}
    with monkeypatch.context() as patch:
        patch.setattr(open_clip, "get_tokenizer", refused)
        assert scorer.texts_read(["a cat", "a photo of a giraffe"]) is None
        assert bind("scorers", "open_clip", of_a_name).build().texts_read(["a" * 74]) is None
    for words in range(1, 14):
        text = " ".join(["zzz"] * words)
        most, tokens, cut = 16, 3 * words + 2, scorer.texts_read([text])
        assert (cut is None) == (tokens <= most), text


def test_images_that_do_not_fit_into_memory_are_scored_in_parts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = bind("scorers", "open_clip", {"model": str(folder)}).build()
    images = np.random.default_rng(0).integers(0, 256, (7, 20, 20, 3), dtype=np.uint8)
    whole = scorer.embed_images(images)
    encode, sizes, room = open_clip.CLIP.encode_image, [], 3

    def small(self: Any, pixels: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        sizes.append(len(pixels))
        if len(pixels) > room:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        vectors: torch.Tensor = encode(self, pixels, normalize)
        return vectors

    monkeypatch.setattr(open_clip.CLIP, "encode_image", small)
    assert np.allclose(scorer.embed_images(images), whole, atol=1e-6)
    assert sizes == [7, 3, 3, 1]
    room = 0
    with pytest.raises(UserError, match="scorer: not even one image .*scorer.model"):
        scorer.embed_images(images)

"""Adapters of the generator, against diffusers' own pipelines with the same adapters."""

import importlib.util
import json
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from discl.core.errors import UserError
from discl.core.hashing import canonical_json
from discl.core.interfaces import Photos, Request
from discl.core.levels import strength
from discl.core.registry import bind
from discl.parts.generators.base.adapters import quantised
from discl.parts.generators.base.adapters.edges import edges
from discl.parts.generators.img2img import Img2Img
from discl.testing import flow_checkpoints, untrained, untrained_adapters

TOLERANCE = 2  # pixels of 255
STEPS = 10
CAT, DOG = "a photo of a cat", "a photo of a dog"
WORD = "<my-cat>"
REQUESTS = [Request(level, (CAT, DOG)[i % 2], 100 + i) for i, level in enumerate((50, 80))]
PHOTOS: Photos = np.stack(
    [
        np.asarray(
            Image.fromarray(
                np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
            ).resize((64, 64), Image.Resampling.BICUBIC)
        )
        for seed in range(2)
    ]
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By kind, the folder of a checkpoint that is written on first use."""
    return cache(lambda kind: untrained.write(kind, tmp_path_factory.mktemp(kind)))


@pytest.fixture(scope="module")
def adapters(folders: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By kind of checkpoint, a folder with one adapter of each sort."""

    def make(kind: str) -> Path:
        folder, checkpoint = tmp_path_factory.mktemp(f"{kind}-adapters"), folders(kind)
        encoders = ("text_encoder",) if kind == "sd" else ("text_encoder", "text_encoder_2")
        untrained_adapters.write_lora(checkpoint, folder / "one.safetensors", 1)
        untrained_adapters.write_lora(checkpoint, folder / "two.safetensors", 2, encoders)
        untrained_adapters.write_word(
            folder / "word.safetensors", WORD, pieces=2, encoders=len(encoders)
        )
        untrained_adapters.write_ip_adapter(checkpoint, folder / "ip" / "ip_adapter.safetensors")
        untrained_adapters.write_controlnet(checkpoint, folder / "controlnet")
        return folder

    return cache(make)


def _generator(checkpoint: Path, **given: Any) -> Any:
    plain = {"steps": STEPS, "text_guidance": 4.0, "chunk": 2, "device": "cpu"}
    return bind("generators", "img2img", {"checkpoint": str(checkpoint)} | plain | given).build()


def _apart(one: Photos, other: Photos) -> int:
    return int(np.abs(one.astype(int) - other).max())


def _pipeline(checkpoint: Path, kind: str = "AutoPipelineForImage2Image", **more: Any) -> Any:
    loaded = getattr(diffusers, kind).from_pretrained(str(checkpoint), **more)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def _image(pipeline: Any, request: Request, photo: Photos, **more: Any) -> Photos:
    """What diffusers' pipeline makes."""
    given = {"image": Image.fromarray(photo), "guidance_scale": 4.0, **more}
    made = pipeline(
        prompt=request.prompt,
        strength=strength(request.level, STEPS),
        num_inference_steps=STEPS,
        output_type="np",
        generator=torch.Generator().manual_seed(request.seed),
        **given,
    ).images[0]
    return (made * 255).round().astype(np.uint8)  # type: ignore[no-any-return]


@cache
def _plain(checkpoint: str, requests: tuple[Request, ...]) -> Photos:
    """Without any adapter."""
    return _generator(Path(checkpoint)).make(requests, PHOTOS).images  # type: ignore[no-any-return]


def _same_as(generator: Any, pipeline: Any, requests: list[Request], more: Any = None) -> None:
    """The generator's images are the pipeline's, and not those without the adapter."""
    images = generator.make(requests, PHOTOS).images
    for i, request in enumerate(requests):
        given = more(PHOTOS[i]) if more else {}
        assert _apart(images[i], _image(pipeline, request, PHOTOS[i], **given)) <= TOLERANCE
    alone = generator.make(requests[1:], PHOTOS[1:]).images
    assert np.array_equal(alone[0], images[1])
    plain = _plain(generator.checkpoint, tuple(requests))
    assert _apart(images, plain) > TOLERANCE


BOTH = [pytest.param("sd", marks=pytest.mark.slow(reason="as sdxl, with one text encoder")), "sdxl"]


@pytest.mark.parametrize("kind", BOTH)
def test_loras_add_what_they_add_in_diffusers(kind: str, folders: Any, adapters: Any) -> None:
    files = [str(adapters(kind) / f"{name}.safetensors") for name in ("one", "two")]
    generator = _generator(
        folders(kind),
        lora=[{"file": files[0], "scale": 0.7}, {"file": files[1], "scale": 0.5}],
    )
    pipeline = _pipeline(folders(kind))
    for name, file in zip(("one", "two"), files, strict=True):
        pipeline.load_lora_weights(file, adapter_name=name)
    pipeline.set_adapters(["one", "two"], [0.7, 0.5])
    _same_as(generator, pipeline, REQUESTS)


@pytest.mark.parametrize("kind", BOTH)
def test_words_mean_what_they_mean_in_diffusers(kind: str, folders: Any, adapters: Any) -> None:
    file = adapters(kind) / "word.safetensors"
    given = {} if kind == "sd" else {"token": WORD}
    generator = _generator(folders(kind), textual_inversion=[{"file": str(file), **given}])
    pipeline = _pipeline(folders(kind))
    vectors = load_file(file)
    pipeline.load_textual_inversion({WORD: vectors["clip_l" if given else WORD]}, token=WORD)
    if given:
        pipeline.load_textual_inversion(
            {WORD: vectors["clip_g"]},
            token=WORD,
            text_encoder=pipeline.text_encoder_2,
            tokenizer=pipeline.tokenizer_2,
        )
    requests = [each._replace(prompt=f"a photo of {WORD}") for each in REQUESTS]
    _same_as(generator, pipeline, requests)
    assert generator.words == (WORD,)


@pytest.mark.parametrize("kind", BOTH)
def test_an_image_prompt_shows_the_photo_as_diffusers_does(
    kind: str, folders: Any, adapters: Any
) -> None:
    folder = adapters(kind) / "ip"
    generator = _generator(folders(kind), ip_adapter={"file": str(folder), "scale": 0.8})
    pipeline = _pipeline(folders(kind))
    pipeline.load_ip_adapter(str(folder), subfolder="", weight_name="ip_adapter.safetensors")
    pipeline.set_ip_adapter_scale(0.8)
    _same_as(
        generator,
        pipeline,
        REQUESTS,
        lambda photo: {"ip_adapter_image": Image.fromarray(photo)},
    )


CONTROLLED = {
    "sd": "StableDiffusionControlNetImg2ImgPipeline",
    "sdxl": "StableDiffusionXLControlNetImg2ImgPipeline",
}


@pytest.mark.parametrize("kind", BOTH)
def test_edges_guide_an_image_as_they_do_in_diffusers(
    kind: str, folders: Any, adapters: Any
) -> None:
    folder = adapters(kind) / "controlnet"
    generator = _generator(folders(kind), controlnet={"checkpoint": str(folder), "scale": 0.6})
    network = diffusers.ControlNetModel.from_pretrained(str(folder))
    pipeline = _pipeline(folders(kind), CONTROLLED[kind], controlnet=network)
    assert all(edges(photo).any() for photo in PHOTOS)
    _same_as(
        generator,
        pipeline,
        REQUESTS,
        lambda photo: {
            "control_image": Image.fromarray(edges(photo)),
            "controlnet_conditioning_scale": 0.6,
        },
    )


def test_edges_are_thin_lines_where_brightness_jumps() -> None:
    photo = np.full((9, 12, 3), 20, np.uint8)
    photo[:, 6:] = 220
    drawn = edges(photo)
    assert np.array_equal(np.unique(drawn), [0, 255])
    assert (drawn > 0).sum(1).tolist() == [1] * 9
    assert set(drawn.argmax(1)) <= {5, 6}
    assert not edges(np.full((9, 12, 3), 20, np.uint8)).any()


# ---------------------------------------------------------------- arguments of a call


@pytest.fixture(scope="module")
def reference(folders: Any) -> Any:
    return cache(lambda kind: _pipeline(folders(kind)))


def test_a_scheduler_has_the_arguments_that_a_benchmark_gives_it(
    folders: Any, reference: Any
) -> None:
    given = {"use_karras_sigmas": True, "timestep_spacing": "trailing"}
    generator = _generator(folders("sd"), scheduler_arguments=given)
    pipeline = reference("sd")
    own = pipeline.scheduler
    pipeline.scheduler = type(own).from_config(own.config, **given)
    try:
        _same_as(generator, pipeline, REQUESTS)
    finally:
        pipeline.scheduler = own


def test_levels_may_have_guidance_of_their_own(folders: Any, reference: Any) -> None:
    weights = {50: 7.0, 80: 1.0, 90: 4.0}
    generator = _generator(folders("sd"), text_guidance_at={"50": 7.0, "80": 1})
    requests = [Request(level, CAT, level) for level in weights]
    photos = PHOTOS[[0, 1, 0]]
    images = generator.make(requests, photos).images
    for image, request, photo in zip(images, requests, photos, strict=True):
        weight = weights[request.level]
        expected = _image(reference("sd"), request, photo, guidance_scale=weight)
        assert _apart(image, expected) <= TOLERANCE
    assert np.array_equal(generator.make(requests[1:2], photos[1:2]).images[0], images[1])


def test_levels_of_a_denoiser_that_is_told_its_guidance_may_have_their_own(folders: Any) -> None:
    requests = [Request(50, CAT, 1), Request(80, CAT, 2)]
    usual, other = (
        _generator(folders("lcm"), text_guidance=weight).make(requests, PHOTOS).images
        for weight in (4.0, 7.0)
    )
    mixed = _generator(folders("lcm"), text_guidance_at={"80": 7.0}).make(requests, PHOTOS).images
    assert _apart(usual[1], other[1]) > TOLERANCE
    assert np.array_equal(mixed[0], usual[0])
    assert np.array_equal(mixed[1], other[1])


@pytest.mark.parametrize(
    "kind", [pytest.param("sd", marks=pytest.mark.slow(reason="zeros for none are SDXL's")), "sdxl"]
)
def test_each_class_may_have_a_negative_prompt(
    kind: str, folders: Any, reference: Any, tmp_path: Path
) -> None:
    file = tmp_path / "negative.json"
    file.write_text(json.dumps({"cat": "dog", "small dog": "cat", "*": ""}))
    generator = _generator(folders(kind), negative_prompts=str(file), negative_prompt="unused")
    expected = {CAT: "dog", "a small dog": "cat", "a photo of a catalogue": ""}
    requests = [Request(50, prompt, i) for i, prompt in enumerate(expected)]
    photos = PHOTOS[[0, 1, 0]]
    images = generator.make(requests, photos).images
    for image, request, photo in zip(images, requests, photos, strict=True):
        negative = expected[request.prompt] or None  # which SDXL takes for zeros, as we do ""
        made = _image(reference(kind), request, photo, negative_prompt=negative)
        assert _apart(image, made) <= TOLERANCE
    assert np.array_equal(generator.make(requests[1:2], photos[1:2]).images[0], images[1])


# ---------------------------------------------------------------- quantised


def test_a_gguf_file_holds_the_denoiser_in_a_quarter_of_its_bytes(tmp_path: Path) -> None:
    checkpoint = flow_checkpoints.write("sd3", tmp_path / "sd3")
    file = untrained_adapters.write_gguf(checkpoint, tmp_path / "sd3-Q8_0.gguf")
    plain, small = _generator(checkpoint), _generator(checkpoint, gguf=str(file))
    images = small.make(REQUESTS, PHOTOS).images
    assert 0 < np.abs(images.astype(int) - plain.make(REQUESTS, PHOTOS).images).mean() < 1
    assert np.array_equal(small.make(REQUESTS[1:], PHOTOS[1:]).images[0], images[1])
    held, whole = (
        sum(parameter.nbytes for parameter in generator.family.denoiser.parameters())
        for generator in (small, plain)
    )
    assert held < 0.5 * whole
    assert small.identity()["weights"] == plain.identity()["weights"]
    assert small.identity() != plain.identity()


@pytest.mark.skipif(find_spec("torchao") is None, reason="torchao is not installed")
@pytest.mark.parametrize("way", ["torchao-int8", "torchao-float8"])
def test_a_denoiser_with_fewer_bits_a_weight_makes_nearly_the_same_images(
    way: str, folders: Any, adapters: Any
) -> None:
    lora = [{"file": str(adapters("sdxl") / "one.safetensors")}]
    plain = _generator(folders("sdxl"), lora=lora).make(REQUESTS, PHOTOS).images
    generator = _generator(folders("sdxl"), lora=lora, quantised=way)
    images = generator.make(REQUESTS, PHOTOS).images
    assert 0 < np.abs(images.astype(int) - plain).mean() < 4
    assert np.array_equal(generator.make(REQUESTS[1:], PHOTOS[1:]).images[0], images[1])


# ---------------------------------------------------------------- identity


def test_what_is_added_is_in_the_identity_by_the_bytes_of_its_files(
    folders: Any, adapters: Any, tmp_path: Path
) -> None:
    folder, checkpoint = adapters("sdxl"), folders("sdxl")
    files = {name: str(folder / f"{name}.safetensors") for name in ("one", "two", "word")}
    ip_adapter = {"file": str(folder / "ip")}
    controlnet = {"checkpoint": str(folder / "controlnet")}
    negative = tmp_path / "negative.json"
    negative.write_text('{"cat": "dog"}')
    settings: list[dict[str, Any]] = [
        {},
        {"lora": [{"file": files["one"]}]},
        {"lora": [{"file": files["one"], "scale": 0.5}]},
        {"lora": [{"file": files["two"]}]},
        {"textual_inversion": [{"file": files["word"], "token": WORD}]},
        {"textual_inversion": [{"file": files["word"], "token": "<other>"}]},
        {"ip_adapter": ip_adapter},
        {"ip_adapter": ip_adapter | {"scale": 0.5}},
        {"controlnet": controlnet},
        {"controlnet": controlnet | {"scale": 0.5}},
        {"scheduler_arguments": {"use_karras_sigmas": True}},
        {"text_guidance_at": {"50": 2.0}},
        {"negative_prompts": str(negative)},
    ]

    def identity(given: dict[str, Any]) -> str:
        bound = bind("generators", "img2img", {"checkpoint": str(checkpoint), **given})
        return canonical_json(bound.identity() | bound.build().identity())

    told = [identity(given) for given in settings]
    assert len(set(told)) == len(told)
    assert str(tmp_path.parent) not in "".join(told)
    copy = shutil.copy(files["one"], tmp_path / "copy.safetensors")
    assert identity({"lora": [{"file": str(copy)}]}) == told[1]
    plain = bind("generators", "img2img", {"checkpoint": str(checkpoint)})
    assert set(plain.build().identity()) == {"weights"}


# ---------------------------------------------------------------- trouble


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lora": "cat.safetensors"}, "generator.lora = 'cat.safetensors' is no table; it takes"),
        ({"lora": [{"file": "a", "scael": 1}]}, "no setting of generator.lora called 'scael'; did"),
        ({"lora": [{"scale": 1.0}]}, "generator.lora has no file"),
        ({"lora": [{"file": "a", "scale": "1"}]}, "generator.lora.scale = '1': it takes a number"),
        ({"lora": [{"file": "a", "scale": 0}]}, "generator.lora.scale = 0 adds nothing"),
        ({"lora": [{"file": "a", "scale": float("inf")}]}, "it takes a finite number"),
        ({"textual_inversion": {"file": "a", "token": "my cat"}}, "a word has no spaces"),
        ({"ip_adapter": [{"file": "a"}, {"file": "b"}]}, "there is one of it"),
        ({"ip_adapter": {"file": "a", "scale": -1}}, "generator.ip_adapter.scale = -1"),
        ({"ip_adapter": {"file": "a"}, "fused_qkv": True}, "fused_qkv = true would compute"),
        ({"ip_adapter": {"file": "a"}, "attention": "sliced"}, "'sliced' would compute attention"),
        ({"controlnet": {"checkpoint": "a", "control": "edge"}}, "did you mean 'edges'"),
        ({"quantised": "torchao-int4"}, "did you mean 'torchao-int8'"),
        ({"quantised": "torchao-int8", "gguf": "a.gguf"}, "leave out generator.quantised"),
        ({"text_guidance_at": {"100": 2.0}}, "takes levels from 0 to 99"),
        (
            {"text_guidance": 1.0, "negative_prompts": "x.json"},
            "negative_prompts = 'x.json' has no",
        ),
        ({"text_guidance_at": {"50": "2"}}, "text_guidance_at.50 = '2': it takes a number"),
        ({"text_guidance_at": {"50": -1}}, "generator.text_guidance_at.50 = -1"),
        ({"scheduler_arguments": {"a": float("nan")}}, "scheduler_arguments.a = nan"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Img2Img(**given)


@pytest.mark.parametrize(
    ("library", "extra", "given"),
    [
        ("peft", "lora", {"lora": [{"file": "owner/a"}]}),
        ("torchao", "torchao", {"quantised": "torchao-int8"}),
        ("bitsandbytes", "bitsandbytes", {"quantised": "bitsandbytes-nf4"}),
        ("gguf", "gguf", {"gguf": "a.gguf"}),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    library: str,
    extra: str,
    given: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.chdir(tmp_path)
    Path("a.gguf").touch()
    with pytest.raises(UserError, match=rf"needs {library}, .*pip install 'discl\[{extra}\]'"):
        Img2Img(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"lora": [{"file": "/none/a.safetensors"}]},
        {"lora": [{"file": "none/a.safetensors"}]},
        {"lora": [{"file": "/none"}]},
        {"gguf": "none.gguf"},
    ],
)
def test_a_missing_file_is_named_before_the_library_that_would_read_it(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match="no such"):
        Img2Img(**given)


@pytest.fixture
def refused(folders: Any) -> Any:
    def says(match: str, kind: str = "sd", **given: Any) -> None:
        with pytest.raises(UserError, match=match):
            _generator(folders(kind), **given).make(REQUESTS[:1], PHOTOS[:1])

    return says


def test_a_lora_of_another_family_is_refused(refused: Any, adapters: Any, tmp_path: Path) -> None:
    other = adapters("sdxl")
    refused("is not for this checkpoint", lora=[{"file": str(other / "one.safetensors")}])
    both = {**load_file(adapters("sd") / "one.safetensors"), **load_file(other / "two.safetensors")}
    save_file(both, tmp_path / "both.safetensors")
    refused("of its .* layers have a place", lora=[{"file": str(tmp_path / "both.safetensors")}])
    bare = {
        name.removeprefix("unet."): tensor
        for name, tensor in load_file(adapters("sd") / "one.safetensors").items()
    }
    save_file(bare, tmp_path / "bare.safetensors")
    refused("0 of its .* layers have a place", lora=[{"file": str(tmp_path / "bare.safetensors")}])


def test_files_of_adapters_are_named_where_they_are_wrong(
    refused: Any, adapters: Any, tmp_path: Path
) -> None:
    folder = adapters("sd")
    pickle = tmp_path / "lora.bin"
    pickle.write_bytes(b"\x80\x04K\x01.")
    damaged = tmp_path / "lora.safetensors"
    damaged.write_bytes((folder / "one.safetensors").read_bytes()[:200])
    refused("lora.bin is a pickle, which can run code", lora=[{"file": str(pickle)}])
    refused("lora.PT is a pickle, which can run code", lora=[{"file": "nowhere/lora.PT"}])
    refused("does not load as a .safetensors file", lora=[{"file": str(damaged)}])
    refused("no such file", lora=[{"file": str(tmp_path / "none.safetensors")}])
    refused("name one by generator.lora.weight_name", lora=[{"file": str(folder)}])
    refused("holds no x.safetensors", lora=[{"file": str(folder), "weight_name": "x.safetensors"}])
    refused("no such .gguf file", gguf=str(folder / "one.safetensors"))
    refused("is no IP-Adapter", ip_adapter={"file": str(folder / "ip" / "image_encoder")})
    refused("does not load as a ControlNet", controlnet={"checkpoint": str(folder / "ip")})
    refused("cannot be read", negative_prompts=str(tmp_path / "none.json"))
    (tmp_path / "list.json").write_text('["cat"]')
    refused("no texts by class", negative_prompts=str(tmp_path / "list.json"))


def test_words_that_cannot_be_learned_are_refused(
    refused: Any, adapters: Any, tmp_path: Path
) -> None:
    word = str(adapters("sd") / "word.safetensors")
    of_two = str(adapters("sdxl") / "word.safetensors")

    def learned(file: str, token: str = "") -> dict[str, Any]:
        return {"textual_inversion": [{"file": file, "token": token}]}

    known = untrained_adapters.write_word(tmp_path / "known.safetensors", "cat</w>")
    refused("knows 'cat</w>' already", **learned(str(known)))
    refused("has vectors for 1 of 2 text encoders", kind="sdxl", **learned(word))
    refused("does not say its word", **learned(of_two))
    refused("not the vectors of a word", **learned(str(adapters("sd") / "one.safetensors")))
    save_file({WORD: torch.zeros(2, 8)}, tmp_path / "narrow.safetensors")
    refused("has vectors of 8 numbers.*takes 32", **learned(str(tmp_path / "narrow.safetensors")))


def test_what_is_told_of_photos_must_fit_the_checkpoint(
    refused: Any, adapters: Any, tmp_path: Path
) -> None:
    folder = adapters("sdxl")
    refused("not for this checkpoint", ip_adapter={"file": str(folder / "ip")})
    refused(
        "is not for this checkpoint: its cross_attention_dim",
        controlnet={"checkpoint": str(folder / "controlnet")},
    )
    alone = shutil.copy(folder / "ip" / "ip_adapter.safetensors", tmp_path)
    refused("has no folder image_encoder beside it", ip_adapter={"file": str(alone)})
    wide = shutil.copytree(folder / "ip", tmp_path / "wide")
    file = wide / "ip_adapter.safetensors"
    tensors = load_file(file)
    tensors["image_proj.proj.weight"] = torch.zeros(256, 30)
    save_file(tensors, file)
    refused("image encoder gives 24 numbers.*with 30", kind="sdxl", ip_adapter={"file": str(wide)})


def test_a_scheduler_refuses_what_it_has_not_and_what_was_decided_in_training(
    refused: Any,
) -> None:
    refused(
        "no setting of EulerDiscreteScheduler called 'use_karas_sigmas'; did you mean",
        scheduler_arguments={"use_karas_sigmas": True},
    )
    refused("was trained with 'epsilon'", scheduler_arguments={"prediction_type": "v_prediction"})
    refused("noise is not what the checkpoint", scheduler_arguments={"beta_end": 0.02})
    refused(
        "it is True, since its Runge-Kutta",
        scheduler="PNDMScheduler",
        scheduler_arguments={"skip_prk_steps": False},
    )
    refused("cannot be made with", scheduler_arguments={"timestep_type": "x", "beta_schedule": "x"})


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_bitsandbytes_needs_a_gpu(refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(UserError, match="needs a GPU"):
        quantised.Quantised("bitsandbytes-nf4").arguments(Path(), torch.float32, False)


def test_a_word_counts_as_the_pieces_it_is_read_as(folders: Any, adapters: Any) -> None:
    file = str(adapters("sd") / "word.safetensors")
    part = _generator(folders("sd"), textual_inversion=[{"file": file}])
    read = part.texts_read([f"a {WORD} " + "cat " * 20, f"a {WORD}"])
    alone = _generator(folders("sd")).texts_read([f"a {WORD} " + "cat " * 20])
    assert read.cut == (True, False)
    begin_a_pieces_end = 5
    assert len(read.tokens[1]) == begin_a_pieces_end
    assert read.tokens[0] != alone.tokens[0]

"""Adapters of the generator, against diffusers' own pipelines with the same adapters."""

from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from discl.core.interfaces import Photos, Request
from discl.core.levels import strength
from discl.core.registry import bind
from discl.parts.generators.base.adapters.edges import edges
from discl.testing import untrained, untrained_adapters

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


def _same_as(generator: Any, pipeline: Any, requests: list[Request], more: Any = None) -> None:
    """The generator's images are the pipeline's, and not those without the adapter."""
    images = generator.make(requests, PHOTOS).images
    for i, request in enumerate(requests):
        given = more(PHOTOS[i]) if more else {}
        assert _apart(images[i], _image(pipeline, request, PHOTOS[i], **given)) <= TOLERANCE
    alone = generator.make(requests[1:], PHOTOS[1:]).images
    assert np.array_equal(alone[0], images[1])
    plain = _generator(Path(generator.checkpoint)).make(requests, PHOTOS).images
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

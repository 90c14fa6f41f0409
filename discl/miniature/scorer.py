"""The miniature's image-text model: an open_clip CLIP trained on the pool's photos and captions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transform import PreprocessCfg
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from discl.core.interfaces import Ints, Photos
from discl.files.disk import replaced_folder
from discl.miniature.pictures import augment, to_signal
from discl.miniature.training import Recipe, Rows, StepReport, train
from discl.miniature.words import CONTEXT, captions

RECIPE = Recipe(steps=3200, batch=128, lr=3e-3, warmup=200, weight_decay=0.05, ema=0.995, seed=3)
# photos are enlarged three times: the trunk divides by 32, and 1 pixel would be left of 32
IMAGE_SIZE = 96


def config(tokenizer: CLIPTokenizer) -> dict[str, Any]:
    """open_clip's model configuration; the trunk is timm's smallest ResNet."""
    return {
        "embed_dim": 64,
        "vision_cfg": {
            "timm_model_name": "test_resnet",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "image_size": IMAGE_SIZE,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "local",
            "width": 64,
            "heads": 4,
            "layers": 2,
            "pool_type": "argmax",
        },
    }


def build(tokenizer: CLIPTokenizer) -> open_clip.CustomTextCLIP | open_clip.CLIP:
    """An untrained model of `config`."""
    return open_clip.CLIP(**config(tokenizer))


def fit(
    model: torch.nn.Module,
    tokenizer: CLIPTokenizer,
    photos: Photos,
    labels: Ints,
    classes: list[str],
    recipe: Recipe,
    folder: Path,
    device: torch.device,
) -> Iterator[StepReport]:
    """Contrastive in both directions, on photos [n, h, w, 3] with labels [n].

    Photos of one class share their captions, so all of them count as positives (UniCL, Yang et al.
    2022).
    """
    texts = captions(classes)
    per_class = len(texts[0])
    tokens = tokenizer(
        [c for group in texts for c in group], padding="max_length", return_tensors="pt"
    ).input_ids.to(device)

    def loss_of(rows: Rows, noise: torch.Generator) -> dict[str, torch.Tensor]:
        signal = augment(to_signal(photos[rows], torch.device("cpu")), noise).to(device)
        target = torch.from_numpy(labels[rows])
        template = torch.randint(0, per_class, target.shape, generator=noise)
        caption = target * per_class + template
        signal = F.interpolate(signal, size=IMAGE_SIZE, mode="bicubic", align_corners=False)
        images = F.normalize(model.encode_image(signal).float(), dim=-1)  # type: ignore[operator]
        words = F.normalize(model.encode_text(tokens).float(), dim=-1)[caption.to(device)]  # type: ignore[operator]
        logits = model.logit_scale.exp().clamp(max=50) * images @ words.T  # type: ignore[operator]
        same = (target[:, None] == target[None, :]).float().to(device)
        same = same / same.sum(1, keepdim=True)
        return {"loss": (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2}

    yield from train(model, loss_of, len(photos), recipe, folder, device)


def save(
    model: torch.nn.Module, tokenizer: CLIPTokenizer, folder: Path, dtype: torch.dtype
) -> None:
    """Write a folder in open_clip's format, in place of an older one: all of it, or nothing."""
    weights = {
        key: (value.to(dtype) if value.dtype.is_floating_point else value).contiguous()
        for key, value in model.state_dict().items()
    }
    preprocess = PreprocessCfg(
        size=IMAGE_SIZE,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        interpolation="bicubic",
        resize_mode="squash",
    )
    written = {"model_cfg": config(tokenizer), "preprocess_cfg": preprocess.__dict__}
    with replaced_folder(folder) as new:
        save_file(weights, str(new / "open_clip_model.safetensors"))
        (new / "open_clip_config.json").write_text(json.dumps(written, indent=2) + "\n")
        tokenizer.save_pretrained(new)

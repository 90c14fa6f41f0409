"""Textual inversion: a word that a checkpoint learns from photos; only its vectors are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discl.core.errors import UserError
from discl.core.hashing import seed_of
from discl.core.interfaces import Photos

# text encoder of a pipeline, its tokenizer, and what files of two encoders call their vectors
_ENCODERS = (("text_encoder", "tokenizer", "clip_l"), ("text_encoder_2", "tokenizer_2", "clip_g"))
_ENCODED = 4  # photos that the autoencoder gets at a time
_SCORE = 6.0  # SDXL's refiner is told an aesthetic score


@dataclass(frozen=True)
class InversionRecipe:
    """How a word is trained; it sees `steps` times `batch` photos, the same at each call."""

    steps: int = 1000
    batch: int = 4
    lr: float = 5e-4
    template: str = "a photo of {token}"
    seed: int = 0

    def check(self) -> None:
        """Raises UserError for a recipe that trains nothing."""
        for name, value in (("steps", self.steps), ("batch", self.batch)):
            if value < 1:
                raise UserError(f"--{name} {value}: takes at least 1")
        if not 0 < self.lr < 1:
            raise UserError(f"--lr {self.lr}: takes a rate above 0 and below 1, such as 5e-4")
        if self.template.count("{token}") != 1:
            raise UserError(
                f"--template {self.template!r}: write {{token}} once, where the learned word stands"
            )


Arrays = Mapping[str, Any]  # by name, as they are stored


class WordTrainer:
    """Trains the word of one class (Gal et al. 2022; one a class: Trabucco et al. 2023).

    The checkpoint stays as it is, but for the word that its tokenizers learn. All that is drawn
    depends on seed, token and step, so a word does not depend on the others, nor on where its
    training was stopped.

    Raises UserError for a checkpoint that is not of Stable Diffusion's or SDXL's kind, and for a
    token that it knows already.
    """

    def __init__(
        self, family: Any, token: str, name: str, photos: Photos, recipe: InversionRecipe
    ) -> None:
        """`family` is that of a loaded checkpoint, photos are [n, h, w, 3], `name` the class's."""
        self.family = family
        self.token = token
        self.recipe = recipe
        _check(family)
        for network in (family.vae, family.denoiser):
            network.requires_grad_(False)
        self._readers = [
            _Reader(family.pipeline, *each, token=token, name=name)
            for each in _ENCODERS
            if getattr(family.pipeline, each[0], None) is not None
        ]
        self._schedule = _Schedule(family.pipeline.scheduler)
        self._mean, self._std = _codes(family, photos)
        self._numbers = family.numbers(_cut(family, photos.shape[1:3]), [_SCORE])
        # what a denoiser that was distilled from a guided one is told: no guidance
        self._guidance = family.guidance_embedding(1.0)
        self._optimiser = torch.optim.AdamW([reader.vector for reader in self._readers], recipe.lr)
        self.step = 0

    def vectors(self) -> dict[str, Tensor]:
        """The word as files of diffusers hold it: {token: [d]}, or clip_l and clip_g [1, d]."""
        found = {reader.key: reader.vector.detach().cpu().clone() for reader in self._readers}
        if len(found) == 1:
            return {self.token: next(iter(found.values()))}
        return {key: vector[None] for key, vector in found.items()}

    def state(self) -> Arrays:
        """All that training goes on from."""
        arrays: dict[str, Any] = {"step": np.array(self.step)}
        for reader in self._readers:
            kept = self._optimiser.state.get(reader.vector, {})
            arrays[f"{reader.key} vector"] = reader.vector.detach().cpu().numpy()
            for name in ("exp_avg", "exp_avg_sq"):
                arrays[f"{reader.key} {name}"] = (
                    kept[name].cpu().numpy()
                    if kept
                    else np.zeros(reader.vector.shape[0], np.float32)
                )
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Go on from what `state` gave."""
        self.step = int(arrays["step"])
        self._optimiser.state.clear()
        for reader in self._readers:
            with torch.no_grad():
                reader.vector.copy_(torch.from_numpy(arrays[f"{reader.key} vector"]))
            if self.step:
                self._optimiser.state[reader.vector] = {
                    "step": torch.tensor(float(self.step)),
                    **{
                        name: torch.from_numpy(arrays[f"{reader.key} {name}"]).to(reader.vector)
                        for name in ("exp_avg", "exp_avg_sq")
                    },
                }

    def train(self) -> Iterator[float]:
        """The loss of each step that is left, after it is taken.

        Raises UserError where it is not finite.
        """
        while self.step < self.recipe.steps:
            dice = torch.Generator().manual_seed(
                seed_of("word", self.recipe.seed, self.token, self.step)
            )
            with torch.enable_grad():
                loss = self._loss(dice)
                if not torch.isfinite(loss):
                    raise UserError(
                        f"{self.token}: the loss is {float(loss)} at step {self.step}; lower --lr"
                        f" from {self.recipe.lr}, or set generator.dtype = 'float32'"
                    )
                self._optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            self.step += 1
            yield float(loss.detach())

    def _loss(self, dice: torch.Generator) -> Tensor:
        """Squared error of the denoiser's answer, as the checkpoint was trained."""
        family, count = self.family, self.recipe.batch
        rows = torch.randint(len(self._mean), (count,), generator=dice)
        clean = self._mean[rows]
        if self._std is not None:
            clean = clean + self._std[rows] * torch.randn(clean.shape, generator=dice)
        clean = family.scaled(clean.to(family.device))
        noise = torch.randn(clean.shape, generator=dice).to(clean)
        timesteps = torch.randint(self._schedule.count, (count,), generator=dice)
        noisy, target = self._schedule.noised(clean, noise, timesteps)
        with self._reading():
            prompts = family.embed([self.recipe.template.replace("{token}", self.token)])
        answer = family.predict(
            noisy,
            timesteps.to(family.device),
            prompts._replace(
                hidden=prompts.hidden.expand(count, -1, -1),
                pooled=prompts.pooled.expand(count, -1),
            ),
            None if self._numbers is None else self._numbers.expand(count, -1),
            None if self._guidance is None else self._guidance.expand(count, -1),
        )
        return F.mse_loss(answer.float(), target.float())

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """The text encoders read the trained vectors for the word."""
        handles = [reader.hook() for reader in self._readers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Reader:
    """A text encoder, and the vector that it reads for the word."""

    def __init__(
        self, pipeline: Any, encoder: str, tokenizer: str, key: str, *, token: str, name: str
    ) -> None:
        self.key = key
        self.encoder = getattr(pipeline, encoder)
        words = getattr(pipeline, tokenizer)
        table: nn.Embedding = self.encoder.get_input_embeddings()
        if token in words.get_vocab():
            raise UserError(
                f"the checkpoint knows the word {token!r} already; leave"
                " generator.textual_inversion out where words are learned"
            )
        pieces = words(name, add_special_tokens=False).input_ids
        first = table.weight[pieces].detach().float().mean(0)
        pipeline.load_textual_inversion(
            {token: first}, token=token, text_encoder=self.encoder, tokenizer=words
        )
        table = self.encoder.get_input_embeddings()
        self.encoder.requires_grad_(False)
        self.id = words.convert_tokens_to_ids(token)
        self.table = table
        self.vector = nn.Parameter(table.weight[self.id].detach().float().clone())

    def hook(self) -> Any:
        """In place until it is removed."""

        def read(_module: Any, ids: tuple[Tensor, ...], found: Tensor) -> Tensor:
            is_word = (ids[0] == self.id)[..., None]
            return torch.where(is_word, self.vector.to(found), found)

        return self.table.register_forward_hook(read)


class _Schedule:
    """What a denoiser is trained on: noise of each timestep, and the answer it is to give."""

    def __init__(self, scheduler: Any) -> None:
        kept: Tensor = scheduler.alphas_cumprod
        self._kept = kept.float()
        self.count = len(kept)
        self.kind = scheduler.config.prediction_type

    def noised(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """(noisy latents, the right answer), both [b, c, h, w]."""
        kept = self._kept[timesteps].view(-1, 1, 1, 1).to(clean)
        signal, sigma = kept.sqrt(), (1 - kept).sqrt()
        noisy = signal * clean + sigma * noise
        if self.kind == "epsilon":
            return noisy, noise
        return noisy, clean if self.kind == "sample" else signal * noise - sigma * clean


def _check(family: Any) -> None:
    scheduler = family.pipeline.scheduler
    kind = getattr(scheduler.config, "prediction_type", None)
    has_noise = getattr(scheduler, "alphas_cumprod", None) is not None
    reads = any(getattr(family.pipeline, name, None) for name, _, _ in _ENCODERS)
    if not has_noise or not reads or not hasattr(family.pipeline, "load_textual_inversion"):
        raise UserError(
            f"{type(family.pipeline).__name__} learns no words here: they are trained in the text"
            " encoders of Stable Diffusion and SDXL; set generator.checkpoint to one of those"
        )
    if kind not in ("epsilon", "v_prediction", "sample"):
        raise UserError(
            f"the checkpoint's scheduler has prediction_type = {kind!r}, which says nothing of what"
            " its denoiser answers; set generator.checkpoint to another"
        )


def _codes(family: Any, photos: Photos) -> tuple[Tensor, Tensor | None]:
    """(mean, deviation) [n, c, h, w] of the latents of photos [n, h, w, 3], on the host."""
    means, deviations = [], []
    with torch.no_grad():
        for start in range(0, len(photos), _ENCODED):
            mean, deviation = family.encode(list(photos[start : start + _ENCODED]))
            means.append(mean.float().cpu())
            if deviation is not None:
                deviations.append(deviation.float().cpu())
    return torch.cat(means), torch.cat(deviations) if deviations else None


def _cut(family: Any, size: Sequence[int]) -> tuple[int, int]:
    height, width = (side - side % family.side for side in size)
    return height, width

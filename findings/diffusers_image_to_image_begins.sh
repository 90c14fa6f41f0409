#!/usr/bin/env bash
# diffusers 0.42.1, torch 2.13.0, scipy 1.17.1: image-to-image cuts a scheduler's list of timesteps at
# (steps left out) * order; for PNDM and LMS a start in the middle then is not the start that strength says.
#
# A guess: with the scheduler of Stable Diffusion 1.5 (PNDM) and any other that image-to-image takes, `strength` 2.5/12 of
# 12 steps begins 2 places before the end and asks the denoiser twice; with a denoiser that knows the answer, nothing but
# the answer is left at the end; and the first step goes from the first noise level to the second.
# Seen: PNDM lists its second place twice, so the cut begins a place early (t = 167, not 84) and asks three times; its
# warm-up, which repeats the second place only at the top, leaves the latents a place behind their timestep, so the last
# step leaves noise. LMS takes its order from the place on the grid and not from the predictions it has: the one
# prediction there is gets the weight it would have among four, 3.0 times the step here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  diffusers==0.42.1 torch==2.13.0 scipy==1.17.1 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" - <<'PY'
from pathlib import Path

import diffusers
import torch
from diffusers import LMSDiscreteScheduler, PNDMScheduler

noise_of = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
grid = {**noise_of, "steps_offset": 1, "timestep_spacing": "leading"}
steps, strength = 12, 2.5 / 12
noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
photo = torch.ones_like(noise)


# read, not imported: the pipeline's module needs transformers and torchvision
folder = Path(diffusers.__file__).parent / "pipelines" / "stable_diffusion"
cut = "timesteps = self.scheduler.timesteps[t_start * self.scheduler.order :]"
assert cut in (folder / "pipeline_stable_diffusion_img2img.py").read_text("utf-8")


def begun(scheduler):
    """The scheduler and the timesteps that diffusers' image-to-image gives it."""
    scheduler.set_timesteps(steps)
    first = (steps - int(steps * strength)) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return scheduler, scheduler.timesteps[first:]


pndm, timesteps = begun(PNDMScheduler(**grid, skip_prk_steps=True))
latents = pndm.add_noise(photo, noise, timesteps[:1])
for timestep in timesteps:
    kept = pndm.alphas_cumprod[timestep]
    latents = pndm.step((latents - kept.sqrt() * photo) / (1 - kept).sqrt(), timestep, latents).prev_sample
left = float((latents - photo).std())
print(f"diffusers {diffusers.__version__}, torch {torch.__version__}: PNDM visits {timesteps.tolist()}, noise left {left:.3f}")
assert timesteps.tolist() == [167, 84, 1]
assert left > 0.1  # the noise of the last timestep of the schedule is 0.03

lms, timesteps = begun(LMSDiscreteScheduler(**grid))
latents = lms.add_noise(photo, noise, timesteps[:1])
lms.scale_model_input(latents, timesteps[0])
first = lms.step(noise, timesteps[0], latents).prev_sample
sigma, following = lms.sigmas[lms.begin_index], lms.sigmas[lms.begin_index + 1]
ratio = float(((first - latents) / noise).mean() / (following - sigma))
print(f"LMS: sigma {float(sigma):.3f} to {float(following):.3f}, the first step is {ratio:.2f} times as long")
assert timesteps.tolist() == [84.0, 1.0]
assert ratio > 1.9
PY

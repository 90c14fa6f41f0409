"""Twenty virtual camera traps: their effect on a photo, and the classes at their sites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from discl.core.hashing import seed_of
from discl.core.interfaces import Ints, Photos
from discl.parts.datasets.cifar10.corruptions import Signal, coarser, compressed, smeared

Shares = np.ndarray[Any, np.dtype[np.float64]]


class Camera(NamedTuple):
    """A camera; a change of its values needs a new version of the dataset."""

    site: str
    traffic: float  # number of photos, relative to the other cameras
    light: float  # share of daylight that reaches the sensor
    tint: tuple[float, float, float]  # gain of red, green and blue
    sharpness: float  # share of the pixels along each side that the lens resolves
    smear: float  # pixels a passing animal moves while the shutter is open, by day
    path: float  # the main direction of movement, in half turns
    noise: float  # of the sensor by day, in shares of full scale
    quality: int  # of its JPEG
    night: float  # share of photos taken in the dark, by infrared


# site -> class -> frequency: no class is at every site, and every class is at two sites or more
SITES: dict[str, dict[str, float]] = {
    "airfield": {
        "airplane": 8,
        "truck": 2,
        "bird": 2,
        "automobile": 1,
        "horse": 1,
        "dog": 1,
        "deer": 1,
    },
    "harbour": {
        "ship": 8,
        "truck": 3,
        "automobile": 2,
        "airplane": 2,
        "bird": 1,
        "dog": 1,
        "cat": 1,
        "frog": 1,
    },
    "road": {
        "automobile": 8,
        "truck": 5,
        "cat": 3,
        "dog": 2,
        "horse": 1,
        "frog": 1,
        "deer": 1,
        "airplane": 1,
    },
    "farm": {
        "horse": 8,
        "dog": 5,
        "cat": 4,
        "bird": 2,
        "deer": 1,
        "truck": 1,
        "automobile": 1,
        "frog": 1,
        "airplane": 1,
    },
    "forest": {
        "deer": 8,
        "bird": 4,
        "frog": 3,
        "dog": 1,
        "cat": 1,
        "horse": 1,
        "truck": 1,
        "automobile": 1,
    },
    "lake": {"frog": 6, "bird": 5, "ship": 4, "deer": 2, "airplane": 1, "horse": 1},
}

# with stronger tints and habitats a camera would predict the class, and accuracy on the unseen
# cameras would fall to chance
_CLEAR = (1.0, 1.0, 1.0)
_WARM = (1.05, 1.0, 0.9)
_COLD = (0.9, 0.98, 1.08)
_GREEN = (0.92, 1.05, 0.92)
_ROSE = (1.08, 0.95, 1.0)

# site, traffic, light, tint, sharpness, smear, path, noise, quality, night
SEEN = tuple(
    Camera(*row)
    for row in (
        ("airfield", 10, 0.96, _CLEAR, 1.00, 0.6, 0.0, 0.005, 85, 0.05),
        ("airfield", 3, 0.70, _COLD, 0.88, 1.8, 0.1, 0.020, 55, 0.30),
        ("harbour", 6, 0.93, _COLD, 0.95, 0.9, 0.0, 0.010, 75, 0.15),
        ("harbour", 2, 0.59, _GREEN, 0.82, 2.4, 0.9, 0.030, 45, 0.35),
        ("road", 9, 0.93, _WARM, 1.00, 1.2, 0.0, 0.010, 80, 0.15),
        ("road", 3, 0.77, _CLEAR, 0.90, 2.7, 0.2, 0.015, 50, 0.20),
        ("road", 1, 0.55, _ROSE, 0.80, 3.0, 0.5, 0.035, 40, 0.40),
        ("farm", 8, 0.96, _CLEAR, 0.97, 0.9, 0.0, 0.005, 80, 0.10),
        ("farm", 4, 0.81, _WARM, 0.90, 1.5, 0.8, 0.015, 60, 0.20),
        ("farm", 1, 0.59, _COLD, 0.82, 2.4, 0.3, 0.030, 40, 0.40),
        ("forest", 7, 0.74, _GREEN, 0.95, 1.2, 0.0, 0.015, 70, 0.25),
        ("forest", 3, 0.62, _GREEN, 0.88, 1.8, 0.6, 0.025, 55, 0.35),
        ("forest", 1, 0.51, _ROSE, 0.80, 2.4, 0.2, 0.040, 35, 0.50),
        ("lake", 5, 0.93, _COLD, 0.95, 0.9, 0.0, 0.010, 70, 0.15),
        ("lake", 2, 0.66, _WARM, 0.85, 2.1, 0.7, 0.025, 45, 0.30),
    )
)
UNSEEN = tuple(
    Camera(*row)
    for row in (
        ("airfield", 3, 0.85, _WARM, 0.93, 1.2, 0.4, 0.015, 65, 0.15),
        ("harbour", 3, 0.77, _ROSE, 0.90, 1.5, 0.0, 0.020, 60, 0.20),
        ("road", 3, 0.74, _GREEN, 0.90, 2.1, 0.9, 0.015, 55, 0.25),
        ("farm", 3, 0.66, _COLD, 0.88, 1.8, 0.1, 0.025, 50, 0.30),
        ("forest", 3, 0.59, _WARM, 0.85, 1.8, 0.5, 0.030, 45, 0.40),
    )
)
CAMERAS = SEEN + UNSEEN  # a photo's group is the index of its camera


def camera_shares(cameras: Iterable[int], name: str) -> Shares:
    """Shares [cameras] of a class's photos that some cameras take; they sum to 1."""
    weights = np.array(
        [CAMERAS[i].traffic * SITES[CAMERAS[i].site].get(name, 0.0) for i in cameras]
    )
    return np.asarray(weights / weights.sum())


def assign_cameras(photos: Sequence[str], classes: Sequence[str], cameras: range) -> Ints:
    """The camera of each photo [n], which depends only on the photo's id and class."""
    cumulative = {name: np.cumsum(camera_shares(cameras, name)) for name in set(classes)}
    assigned = []
    for photo, name in zip(photos, classes, strict=True):
        position = seed_of("camera", photo) / 2**63 * cumulative[name][-1]
        assigned.append(cameras[int(np.searchsorted(cumulative[name], position))])
    return np.array(assigned, np.int64)


def taken(photos: Photos, ids: Iterable[str], cameras: Ints) -> Photos:
    """Photos, uint8 [n, h, w, 3], as their cameras [n] take them.

    Random effects depend only on the camera and the photo's id.
    """
    images = np.empty(photos.shape, np.uint8)
    for row, (photo, name, camera) in enumerate(zip(photos, ids, cameras.tolist(), strict=True)):
        rng = np.random.default_rng(seed_of("taken", camera, str(name)))
        images[row] = (_taken(photo / 255.0, CAMERAS[camera], rng) * 255 + 0.5).astype(np.uint8)
    return images


def _taken(scene: Signal, camera: Camera, rng: np.random.Generator) -> Signal:
    """Lens, movement, light, sensor and file, in the order they happen."""
    dark = rng.random() < camera.night
    # in the dark the shutter stays open longer
    smear = round(camera.smear * rng.uniform(0.5, 1.5) * (1.4 if dark else 1.0))
    direction = np.pi * camera.path + rng.normal(0, 0.3)
    image = coarser(scene, camera.sharpness) if camera.sharpness < 1 else scene
    image = smeared(image, smear, direction) if smear > 1 else image
    if dark:  # infrared has no colour, and its lamp does not reach far
        image = np.repeat(image.mean(2, keepdims=True), 3, 2) * 0.75 * _lamp(*scene.shape[:2])
    image = image * camera.light * np.array(camera.tint)
    image = image + rng.normal(0, camera.noise * (1.5 if dark else 1.0), image.shape)
    return compressed(np.clip(image, 0, 1), camera.quality)


def _lamp(h: int, w: int) -> Signal:
    """Brightness [h, w, 1] of the lamp: 1 in the middle, 0.4 in the corners."""
    down = np.linspace(-1, 1, h)[:, None]
    across = np.linspace(-1, 1, w)[None, :]
    return np.asarray(1 - 0.3 * (down**2 + across**2))[:, :, None]

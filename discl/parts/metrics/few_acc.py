"""Accuracy on few-shot classes, by real training photos: where a curriculum promises most."""

from __future__ import annotations

from discl.parts.metrics.base.shots import ShotAccuracy


class FewAcc(ShotAccuracy):
    shot = "few"
    position = 7

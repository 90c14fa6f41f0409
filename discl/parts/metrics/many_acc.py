"""Accuracy on many-shot classes, by real training photos."""

from __future__ import annotations

from discl.parts.metrics.base.shots import ShotAccuracy


class ManyAcc(ShotAccuracy):
    shot = "many"
    position = 5

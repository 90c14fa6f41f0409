"""Accuracy on medium-shot classes, by real training photos."""

from __future__ import annotations

from discl.parts.metrics.base.shots import ShotAccuracy


class MediumAcc(ShotAccuracy):
    shot = "medium"
    position = 6

"""What the gap curve costs on this machine, before it is measured."""

from __future__ import annotations

import math

from discl.harness.run.assembly import Bench
from discl.harness.sweep.throughput import training_speed
from discl.harness.worth.gap import GapMeasurement


def gap_minutes(bench: Bench, measurement: GapMeasurement) -> float:
    """Minutes of the classifiers that are still to be trained; times some steps, once.

    nan = not known.
    """
    speed = training_speed(bench)
    predicted = 2 * len(measurement.val)  # at the last epoch, and for the accuracy
    seconds = measurement.classifier.steps * speed.step_seconds
    seconds += predicted * speed.prediction_seconds
    return measurement.todo() * seconds / 60


def minutes_text(minutes: float) -> str:
    """'about 4.2 minutes', or that it is not known where that is nan."""
    if math.isnan(minutes):
        return "not known, since a sample of the work takes too long"
    return f"about {minutes:.1f} minutes"

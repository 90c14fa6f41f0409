"""Lets torch's threads sleep while they wait for each other; by default they spin.

A small network is thousands of operations of some microseconds, each shared out to all threads. On
a core that other work wants too, a thread that spins keeps the one it waits for from running: a
step of the smallest recipe took ten times as long, and ten times the processor time. What is
computed is the same.
"""

from __future__ import annotations

import os

_SAID = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def install() -> None:
    """Set the policy, unless the environment says one; OpenMP reads it when torch loads it."""
    if not any(name in os.environ for name in _SAID):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

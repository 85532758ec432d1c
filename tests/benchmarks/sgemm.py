"""This machine's limit: how fast one core multiplies float32 matrices."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
from at_once import Start, at_once

SIZES = (256, 512, 1024)
"""Of square matrices; the fastest counts."""
FOR_S = 0.4
"""How long each size is multiplied."""


def rate(processes: int) -> float:
    """FLOP/s of one core's sgemm while so many cores are at it; the median core's."""
    return median(at_once(_rate, processes=processes))


def _rate(index: int, start: Start) -> float:
    rng = np.random.default_rng(index)
    best = 0.0
    start()
    for size in SIZES:
        a, b = (rng.standard_normal((size, size)).astype(np.float32) for _ in range(2))
        out = np.empty_like(a)
        np.matmul(a, b, out=out)
        seconds = []
        end = time.perf_counter() + FOR_S
        while (began := time.perf_counter()) < end:
            np.matmul(a, b, out=out)
            seconds.append(time.perf_counter() - began)
        best = max(best, 2 * size**3 / median(seconds))
    return best

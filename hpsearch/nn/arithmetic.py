"""How this machine rounds: processors of different kinds add up the products of a matrix in different orders."""

from __future__ import annotations

import hashlib

import numpy as np

_SIZES = ((33, 100, 17), (100, 784, 100), (7, 5, 3))
"""Products large and small (B, D, H): a BLAS has several ways to multiply."""


def fingerprint() -> str:
    """A short text that differs between two machines whose results differ in their last bits.

    It is made of what training is made of: products in float32 and float64, exponentials, logarithms, roots and sums.
    Two machines with the same text need not agree in everything; with different ones they do not.
    """
    rng = np.random.default_rng(0)
    seen = hashlib.sha256()
    for dtype in ("float32", "float64"):
        for rows, fan_in, fan_out in _SIZES:
            x = rng.normal(size=(rows, fan_in)).astype(dtype)
            weight = rng.normal(size=(fan_in, fan_out)).astype(dtype)
            out = x @ weight  # (B, D) @ (D, H) -> (B, H)
            back = out @ weight.T  # (B, H) @ (H, D) -> (B, D)
            for array in (out, back, x.T @ out, np.exp(-np.abs(out)), np.log1p(np.abs(out)), np.tanh(out)):
                seen.update(np.ascontiguousarray(array).tobytes())
            seen.update(np.sqrt(np.abs(back)).sum(axis=0).tobytes())
    return seen.hexdigest()[:12]

"""How a layer's matrix products are cut for the BLAS: the same product, in pieces that it multiplies faster.

OpenBLAS packs both factors of a product before it multiplies, unless the product is small. A layer's products are a few
times above that size, so that packing costs a tenth of their time; cut along one axis, they stay below it. Where and
whether to cut depends on the sizes of one lane alone, never on how many lanes there are, because a cut changes in which
order numbers are added up.

B mini-batch, D inputs, H outputs, n slices.
"""

from __future__ import annotations

SMALL = 1_000_000
"""Multiply-adds of a product that OpenBLAS, from 0.3.17 on, does not pack (``sgemm_small_kernel_permit``)."""
_THINNEST = 16
"""Rows of a slice below which the cut costs more than it saves."""
_MOST_SUMMANDS = 8
"""Slices of a product that must be added up afterwards: more of them leave the cache."""
_COPY_FROM_ROWS = 64
"""A mini-batch from which on the copy of a transposed factor is small beside the product."""


def gradient_slices(rows: int, fan_in: int, fan_out: int) -> int:
    """Into how many slices of inputs the product for the weights' gradient is cut: (n, D/n, B) @ (B, H).

    Args:
        rows: B.
        fan_in: D.
        fan_out: H.

    Returns:
        n, a divisor of D; 1 where no cut helps.
    """
    least = -(-rows * fan_in * fan_out // SMALL)
    for slices in range(least, fan_in // _THINNEST + 1):
        if fan_in % slices == 0:
            return slices
    return 1


def forward_slices(rows: int, fan_in: int, fan_out: int) -> int:
    """Into how many summands the product of a forward pass is cut: the sum over n of (B, D/n) @ (D/n, H).

    Args:
        rows: B.
        fan_in: D.
        fan_out: H.

    Returns:
        n, a divisor of D; 1 where no cut helps.
    """
    slices = gradient_slices(rows, fan_in, fan_out)
    return slices if slices <= _MOST_SUMMANDS else 1


def copies_transposed(rows: int, fan_in: int, fan_out: int) -> bool:
    """Whether the backward pass multiplies with a transposed copy of the weights, (B, H) @ (H, D).

    The one small product that OpenBLAS packs all the same is that with a transposed second factor.

    Args:
        rows: B.
        fan_in: D.
        fan_out: H.
    """
    return rows >= _COPY_FROM_ROWS and rows * fan_in * fan_out <= SMALL

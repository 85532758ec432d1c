"""Dropout over lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.lanes import Floats, Indices, lane_array
from hpsearch.nn.layers import Parameterless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


class Dropout(Parameterless):
    """Inverted dropout: in training each unit is 0 with probability p, else divided by the keep rate 1 - p.

    The expected output is the input, so that evaluation needs no dropout at all; the same mask passes the gradient
    back. A lane's masks come from its own generator, whose draws depend on nothing but the shapes passed through.

    Args:
        units: H, as many outputs as inputs.
        rates: (K,), p of each lane, from 0 to below 1.
        rngs: K generators (`Purpose.DROPOUT`), which a network's dropout layers share.

    Raises:
        BadInput: A rate out of [0, 1), or not one rate and one generator a lane.

    Source: Srivastava et al. 2014, "Dropout", section 10 for the inverted form.
    """

    def __init__(self, units: int, rates: ArrayLike, *, rngs: Sequence[np.random.Generator]) -> None:
        super().__init__(units)
        self._rates = np.atleast_1d(np.asarray(rates, dtype=np.float64))
        self.rngs = list(rngs)
        if self._rates.shape != (len(self.rngs),):
            raise BadInput(
                f"dropout has {self._rates.size} rates for {len(self.rngs)} generators; give one each a lane"
            )
        for lane, rate in enumerate(self._rates):
            if not 0 <= rate < 1:
                raise BadInput(f"dropout = {rate} in lane {lane}; give a probability from 0 to below 1")

    def reserve(self, lanes: int, rows: int, dtype: np.dtype[Any]) -> None:
        self._all_mask: Floats = lane_array(lanes, (rows, self._units), dtype)
        self._all_out: Floats = lane_array(lanes, (rows, self._units), dtype)

    def select(self, lanes: int, rows: int) -> None:
        self._mask = self._all_mask[:lanes, :rows]
        self._out = self._all_out[:lanes, :rows]

    def forward(self, x: Floats) -> Floats:
        """(K, B, H) -> (K, B, H), in a buffer of its own: the activation's backward pass needs ``x``."""
        count = self._mask[0].size
        for mask, rate, rng in zip(self._mask, self._rates.tolist(), self.rngs, strict=True):
            # 32 random bits a unit straight from the generator: a fifth of the time of rng.random().
            bits = rng.bit_generator.random_raw(-(-count // 2)).view(np.uint32)[:count].reshape(mask.shape)
            np.multiply(bits >= np.uint32(rate * 2**32), 1 / (1 - rate), out=mask, casting="same_kind")
        return np.multiply(x, self._mask, out=self._out)

    def backward(self, gradient: Floats) -> Floats:
        """(K, B, H) -> (K, B, H), through the same mask."""
        return np.multiply(gradient, self._mask, out=gradient)

    def keep(self, lanes: Indices) -> None:
        self._rates = self._rates[lanes]
        self.rngs = [self.rngs[lane] for lane in lanes]

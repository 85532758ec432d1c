"""A network that is kept: with what turns raw values into its inputs, the names of its classes and where it is from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadInput
from hpsearch.nn.lanes import Floats
from hpsearch.nn.network import Network

_PREPARED = 256
"""Examples that are made inputs at a time: what that allocates stays modest."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One network and all that is needed to use it.

    Args:
        network: One lane, over all inputs, without dropout.
        preprocessing: What turns raw values into its inputs; None where an old file does not say.
        class_names: The C label values; without names, ``0`` to ``C - 1``.
        about: Where it comes from, as JSON-able data.
        versions: What wrote the file: hpsearch, Python, NumPy.
    """

    network: Network
    preprocessing: Preprocessing | None
    class_names: tuple[str, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def takes(self) -> Preprocessing:
        """What turns raw values into the network's inputs.

        Raises:
            BadInput: An old file does not say.
        """
        if self.preprocessing is None:
            raise BadInput("the network's file does not say how raw values become its inputs; train and save it again")
        return self.preprocessing

    def probabilities(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """How likely each class is by this network, (N, C); each row sums to 1.

        Every example has a pass of its own: what is said of it should not hang on its company, and in a product of many
        rows a row may be rounded by where it stands (OpenBLAS does so on processors without AVX-512).

        Args:
            raw: (N, ...) examples as they were before training: grey levels 0..255 where it was trained on those.

        Raises:
            BadInput: Examples of another size, an old file without preprocessing, or sums that overflow.
        """
        takes = self.takes()
        if raw.ndim < 2 or math.prod(raw.shape[1:]) != takes.inputs:
            raise BadInput(f"examples of shape {raw.shape[1:]}; the network takes {takes.shape}")
        found = np.empty((len(raw), self.network.sizes[-1]))
        one = np.empty((1, 1, self.network.sizes[0]), dtype=self.network.dtype)
        for start in range(0, len(raw), _PREPARED):
            inputs = takes.apply(raw[start : start + _PREPARED])
            for place, example in enumerate(inputs, start):
                one[0, 0] = example
                with np.errstate(all="ignore"):
                    found[place] = _softmax(self.network.infer(one)[0])[0]  # (1, 1, D) -> (1, 1, C)
        if not np.isfinite(found).all():
            raise BadInput("the network gives no finite probabilities for these examples")
        return found


def _softmax(logits: Floats) -> npt.NDArray[np.float64]:
    exps: npt.NDArray[np.float64] = logits.astype(np.float64)
    exps -= exps.max(axis=1, keepdims=True)
    np.exp(exps, out=exps)
    exps /= exps.sum(axis=1, keepdims=True)
    return exps

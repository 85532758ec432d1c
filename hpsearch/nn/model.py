"""A network that is kept: with what turns raw values into its inputs, the names of its classes and where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.errors import BadInput
from hpsearch.nn.lanes import Floats
from hpsearch.nn.network import Network
from hpsearch.nn.scoring import EVALUATION_ROWS
from hpsearch.preprocessing import Preprocessing

_MOST_UNITS_A_PASS = 2**22
"""Rows times units of the widest layer: what a pass allocates stays modest for any network."""


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

    def probabilities(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """How likely each class is by this network, (N, C); each row sums to 1.

        Args:
            raw: (N, ...) examples as they were before training: grey levels 0..255 where it was trained on those.

        Raises:
            BadInput: Examples of another size, an old file without preprocessing, or sums that overflow.
        """
        if self.preprocessing is None:
            raise BadInput("the network's file does not say how raw values become its inputs; train and save it again")
        if raw.ndim < 2 or raw[0:1].size != self.preprocessing.inputs * len(raw[0:1]):
            raise BadInput(f"examples of shape {raw.shape[1:]}; the network takes {self.preprocessing.shape}")
        found = np.empty((len(raw), self.network.sizes[-1]))
        rows = min(EVALUATION_ROWS, max(1, _MOST_UNITS_A_PASS // max(self.network.sizes)))
        for start in range(0, len(raw), rows):
            part = slice(start, start + rows)
            inputs = self.preprocessing.apply(raw[part]).astype(self.network.dtype, copy=False)
            with np.errstate(all="ignore"):
                logits = self.network.infer(inputs[None])[0]  # (1, B, D) -> (1, B, C)
                found[part] = _softmax(logits)
        if not np.isfinite(found).all():
            raise BadInput("the network gives no finite probabilities for these examples")
        return found


def _softmax(logits: Floats) -> npt.NDArray[np.float64]:
    exps: npt.NDArray[np.float64] = logits.astype(np.float64)
    exps -= exps.max(axis=1, keepdims=True)
    np.exp(exps, out=exps)
    exps /= exps.sum(axis=1, keepdims=True)
    return exps

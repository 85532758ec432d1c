"""What a program of the benchmark is given to do, and what it answers: JSON on its command line and standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from workloads import Workload


class Images(NamedTuple):
    """A workload's data: images (N, D) float32 in 0..1, and classes (N,) int64."""

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_validation: NDArray[np.float32]
    y_validation: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Trials of a workload.

    Args:
        workload: The search; its trials are those to be run.
        seed: Of the draws.
        cores: How many cores there are.
        data: The images as an .npz file, so that nobody has to look for them.
        folder: An empty folder to write to.
    """

    workload: Workload
    seed: int
    cores: int
    data: str
    folder: str

    def to_json(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        plain = json.loads(text)
        lists = ("hidden", "lr", "weight_decay")
        workload: dict[str, Any] = {name: tuple(v) if name in lists else v for name, v in plain["workload"].items()}
        return cls(**{**plain, "workload": Workload(**workload)})

    @classmethod
    def given(cls) -> Self:
        """The one on this program's command line."""
        return cls.from_json(sys.argv[1])

    def images(self) -> Images:
        """The data."""
        with np.load(self.data) as arrays:
            return Images(*(arrays[name] for name in Images._fields))


def save_images(path: Path, images: Images) -> None:
    """Write what `Assignment.images` reads."""
    np.savez(path, **images._asdict())


def answer(accuracies: Sequence[float], work_seconds: float, **more: Any) -> None:
    """Print what came of the trials.

    Args:
        accuracies: The validation accuracy of each after its last epoch.
        work_seconds: From the begin of the first to the end of the last: what grows with their number.
        more: What else was seen.
    """
    print(json.dumps({"accuracies": list(accuracies), "work_seconds": work_seconds, **more}))

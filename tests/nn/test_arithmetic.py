"""How a machine rounds has a name."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hpsearch.nn.lanes import fingerprint

_PRINT = "from hpsearch.nn.lanes import fingerprint; print(fingerprint())"


def test_a_machine_rounds_the_same_every_time() -> None:
    assert fingerprint() == fingerprint()


def test_kernels_for_other_processors_round_differently() -> None:
    names = set()
    for kernel in ("Nehalem", "Haswell"):
        environment = {**os.environ, "OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": "1"}
        shown = subprocess.run([sys.executable, "-c", _PRINT], env=environment, capture_output=True, text=True)
        if shown.returncode:
            pytest.skip(f"this BLAS cannot be told to use the kernels of {kernel}")
        names.add(shown.stdout)
    assert len(names) == 2

"""One BLAS thread a process: processes use the cores.

Two processes with two BLAS threads each on two cores run several times slower than with one each. A BLAS reads
these variables when it is loaded, so they are set before NumPy is imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def pin() -> None:
    """Give this process one BLAS thread, whatever the environment says. Call it before NumPy is imported."""
    if "numpy" not in sys.modules:
        os.environ.update(dict.fromkeys(VARIABLES, "1"))


@contextlib.contextmanager
def pinned_children() -> Iterator[None]:
    """Give processes that are started inside one BLAS thread each."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

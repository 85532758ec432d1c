"""What is loaded when: commands and workers start fast because they leave the slow libraries alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"optuna", "sqlalchemy", "pandas", "plotly", "pydantic", "sklearn", "optuna_dashboard", "pyarrow", "pooch"}


def loaded(statement: str) -> set[str]:
    """The top-level modules that are loaded after a statement in a fresh interpreter."""
    script = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("statement", "never"),
    [
        ("import hpsearch", HEAVY | {"numpy", "typer", "rich"}),
        ("import hpsearch.__main__", HEAVY | {"numpy", "typer", "rich"}),
        ("import hpsearch.cli.app", HEAVY | {"numpy"}),
        ("from hpsearch.__main__ import main; main(['--help'])", HEAVY | {"numpy"}),
        # Typer itself looks for pydantic when it shows a command's options.
        ("from hpsearch.__main__ import main; main(['start', '--help'])", (HEAVY | {"numpy"}) - {"pydantic"}),
        ("import hpsearch.executors", HEAVY | {"numpy", "typer", "rich"}),
        ("import hpsearch.executors, hpsearch.objectives", HEAVY | {"typer", "rich"}),
    ],
)
def test_nothing_slow_is_loaded_before_it_is_needed(statement: str, never: set[str]) -> None:
    modules = loaded(statement)
    assert "hpsearch" in modules
    assert modules & never == set()


def test_the_command_line_pins_blas_before_numpy_is_loaded() -> None:
    statement = (
        "from hpsearch.__main__ import main; main(['--version']); import numpy; "
        "import os; assert os.environ['OPENBLAS_NUM_THREADS'] == '1'"
    )
    assert "numpy" in loaded(statement)
    late = (
        "import os; os.environ['OPENBLAS_NUM_THREADS'] = '7'; import numpy; from hpsearch.executors import blas; "
        "blas.pin(); assert os.environ['OPENBLAS_NUM_THREADS'] == '7'"
    )
    assert "numpy" in loaded(late)

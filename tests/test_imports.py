"""What is loaded when: commands and workers start fast because they leave the slow libraries alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

MNIST = Path(__file__).parents[1] / "studies" / "mnist.toml"
HEAVY = {
    *("optuna", "sqlalchemy", "pandas", "plotly", "pydantic", "sklearn", "optuna_dashboard", "pyarrow", "pooch"),
    *("PIL", "onnx", "onnxruntime", "dask", "distributed"),
}

SLOWEST = HEAVY - {"sqlalchemy", "pydantic"}  # libraries that a command which reads the database does without


def loaded(
    *statements: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> list[set[str]]:
    """The top-level modules that are loaded after each of some statements, run one by one in a fresh interpreter."""
    told = "print('\\nloaded:', *{name.partition('.')[0] for name in sys.modules})"
    script = "\n".join(["import sys", *(f"{statement}\n{told}" for statement in statements)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr
    return [set(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("loaded: ")]


def run(*arguments: str) -> str:
    """A statement that runs a command which succeeds."""
    return f"from hpsearch.__main__ import main; assert main({list(arguments)}) == 0"


# What comes later in an interpreter may load what came before, and more: a row of statements needs one interpreter.
@pytest.mark.parametrize(
    "steps",
    [
        {
            "import hpsearch": HEAVY | {"numpy", "click", "rich"},
            "import hpsearch.__main__": HEAVY | {"numpy", "click", "rich"},
            "import hpsearch.cli.app": HEAVY | {"numpy"},
            run("--help"): HEAVY | {"numpy"},
            run("start", "--help"): SLOWEST,
            run("confirm", "--help"): SLOWEST,
            run("evaluate", "--help"): SLOWEST,
        },
        {
            # `__main__` passes through it on the way to `blas`.
            "import hpsearch.executors.base": HEAVY | {"numpy", "click", "rich", "asyncio", "multiprocessing"},
            "import hpsearch.executors.pool, hpsearch.executors.dask": HEAVY | {"numpy", "click", "rich"},
            "import hpsearch.objectives.kinds": HEAVY | {"numpy", "click", "rich"},
            "import hpsearch.objectives.network.objective": HEAVY | {"click", "rich"},
        },
    ],
    ids=["commands", "executors"],
)
def test_nothing_slow_is_loaded_before_it_is_needed(steps: Mapping[str, set[str]]) -> None:
    for (statement, never), modules in zip(steps.items(), loaded(*steps), strict=True):
        assert "hpsearch" in modules
        assert modules & never == set(), statement


def test_commands_that_show_a_few_rows_load_little(tmp_path: Path) -> None:
    short = MNIST.read_text(encoding="utf-8").replace("epochs = 50", "epochs = 1")
    (tmp_path / "short.toml").write_text(short, encoding="utf-8")
    start = run("start", "short.toml", "--trials", "3", "--engine", "inline")
    # A confirmation too, which `status` and `best` show.
    for modules in loaded(start, run("confirm", "--engine", "inline", "--top", "2"), folder=tmp_path):
        # What a stage shows at its end is a few rows: no reason to load pandas.
        assert modules & {"pandas", "plotly"} == set()
    steps = {
        run("status"): SLOWEST | {"numpy"},
        run("best"): SLOWEST | {"numpy"},
        run("trials", "--top", "3"): SLOWEST | {"numpy"},
        run("narrow", "--top", "2", "--dry-run"): SLOWEST,
    }
    for (command, never), modules in zip(steps.items(), loaded(*steps, folder=tmp_path), strict=True):
        assert "sqlalchemy" in modules
        assert modules & never == set(), command


def test_a_saved_network_is_used_without_the_slow_libraries(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    from hpsearch.data.preprocessing import Preprocessing
    from hpsearch.nn import Network, save

    network = Network([6, 3], rngs=[np.random.default_rng(0)])
    save(network, tmp_path / "net.npz", preprocessing=Preprocessing((2, 3)))
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "x.png")
    steps = {run("model", "show", "net.npz"): set[str](), run("predict", "net.npz", "x.png"): {"PIL"}}
    for (command, needs), modules in zip(steps.items(), loaded(*steps, folder=tmp_path), strict=True):
        assert modules & SLOWEST == needs, command


def test_the_command_line_pins_blas_before_numpy_is_loaded() -> None:
    statement = (
        "from hpsearch.__main__ import main; main(['--version']); import numpy; "
        "import os; assert os.environ['OPENBLAS_NUM_THREADS'] == '1'"
    )
    assert "numpy" in loaded(statement)[0]
    late = (
        "import os; os.environ['OPENBLAS_NUM_THREADS'] = '7'; import numpy; from hpsearch.executors.base import pin; "
        "pin(); assert os.environ['OPENBLAS_NUM_THREADS'] == '7'"
    )
    assert "numpy" in loaded(late)[0]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("variable", ["OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"])
def test_no_variable_gives_the_command_line_more_blas_threads(variable: str) -> None:
    statement = """
import os
from hpsearch.__main__ import main
main(['--version'])
import numpy as np
square = np.ones((500, 500))
square @ square
assert len(os.listdir('/proc/self/task')) == 1
"""
    assert "numpy" in loaded(statement, environment={variable: "4"})[0]

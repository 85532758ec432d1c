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


def loaded(statement: str, *, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> set[str]:
    """The top-level modules that are loaded after a statement in a fresh interpreter."""
    script = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, **(environment or {})},
    )
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
        ("from hpsearch.__main__ import main; main(['confirm', '--help'])", (HEAVY | {"numpy"}) - {"pydantic"}),
        ("from hpsearch.__main__ import main; main(['evaluate', '--help'])", (HEAVY | {"numpy"}) - {"pydantic"}),
        ("import hpsearch.executors", HEAVY | {"numpy", "typer", "rich"}),
        ("import hpsearch.executors, hpsearch.objectives", HEAVY | {"typer", "rich"}),
    ],
)
def test_nothing_slow_is_loaded_before_it_is_needed(statement: str, never: set[str]) -> None:
    modules = loaded(statement)
    assert "hpsearch" in modules
    assert modules & never == set()


COMMANDS = [
    (["status"], HEAVY | {"numpy"}),
    (["best"], HEAVY | {"numpy"}),
    (["trials", "--top", "3"], HEAVY | {"numpy"}),
    (["narrow", "--top", "2", "--dry-run"], HEAVY),
]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of three trials."""
    folder = tmp_path_factory.mktemp("searched")
    short = MNIST.read_text(encoding="utf-8").replace("epochs = 50", "epochs = 1")
    (folder / "short.toml").write_text(short, encoding="utf-8")
    start = "from hpsearch.__main__ import main; main(['start', 'short.toml', '--trials', '3', '--engine', 'inline'])"
    # What a stage shows at its end is a few rows: no reason to load pandas.
    assert loaded(start, folder=folder) & {"pandas", "plotly"} == set()
    # With a confirmation, which `status` and `best` show.
    confirm = "from hpsearch.__main__ import main; assert main(['confirm', '--engine', 'inline', '--top', '2']) == 0"
    assert loaded(confirm, folder=folder) & {"pandas", "plotly"} == set()
    return folder


@pytest.mark.parametrize(("arguments", "never"), COMMANDS, ids=lambda value: value[0] if type(value) is list else "")
def test_commands_that_show_a_few_rows_load_little(searched: Path, arguments: list[str], never: set[str]) -> None:
    modules = loaded(f"from hpsearch.__main__ import main; assert main({arguments}) == 0", folder=searched)
    assert "sqlalchemy" in modules
    # Typer itself looks for pydantic.
    assert modules & (never - {"sqlalchemy", "pydantic"}) == set()


def test_a_saved_network_is_used_without_the_slow_libraries(tmp_path: Path) -> None:
    make = """
import numpy as np
from PIL import Image
from pathlib import Path
from hpsearch.nn import Network, save
from hpsearch.preprocessing import Preprocessing
save(Network([6, 3], rngs=[np.random.default_rng(0)]), Path("net.npz"), preprocessing=Preprocessing((2, 3)))
Image.fromarray(np.zeros((2, 3), np.uint8)).save("x.png")
"""
    loaded(make, folder=tmp_path)
    for arguments, needs in ((["predict", "net.npz", "x.png"], {"PIL"}), (["model", "show", "net.npz"], set())):
        modules = loaded(f"from hpsearch.__main__ import main; assert main({arguments}) == 0", folder=tmp_path)
        assert modules & (HEAVY - {"pydantic"}) == needs  # Typer itself looks for pydantic


def test_workers_start_before_the_slow_libraries_are_loaded() -> None:
    statement = f"""
import sys
from hpsearch.search import setup, workflow

class Started(Exception): pass

def executor_for(job, jobs, note):
    print(*sorted({{name.partition('.')[0] for name in sys.modules}}))
    raise Started

setup.executor_for = executor_for
try:
    workflow.run(workflow.Job(storage="never.db", study={str(MNIST)!r}, trials=1))
    raise AssertionError
except Started:
    pass
"""
    modules = loaded(statement)
    assert "pydantic" in modules  # the study file has been read
    assert modules & ((HEAVY | {"numpy", "typer", "rich"}) - {"pydantic"}) == set()


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
    assert "numpy" in loaded(statement, environment={variable: "4"})

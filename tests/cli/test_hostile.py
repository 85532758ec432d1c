"""Files and names that nobody should trust: one line and exit code 2, or the right result, and nothing of them runs.

`tests/benchmarks/hostile.py` runs the same table, and what takes longer, under limits of time and memory.
"""

from __future__ import annotations

import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import TINY, Cli
from hostile_files import CASES, COMMANDS, GIB, Case, foreign, shortfall

SECONDS = 10


@pytest.fixture(scope="module")
def base(folders: Callable[..., Path]) -> Path:
    """A folder with a database, a network, exports, and a study of Optuna's own."""
    path = folders(TINY, *COMMANDS)
    foreign(path)
    return path


@pytest.fixture
def bounded() -> Iterator[None]:
    """Limits of time and memory: a file that hangs or fills the memory fails its test alone."""

    def stop(*_: object) -> None:
        pytest.fail(f"more than {SECONDS} s")

    before, limits = signal.signal(signal.SIGALRM, stop), resource.getrlimit(resource.RLIMIT_DATA)
    status = Path("/proc/self/status").read_text()
    here = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData")) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (here + GIB, limits[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("case", [case for case in CASES if not case.big], ids=lambda case: case.name)
def test_one_line_or_the_right_result(case: Case, base: Path, cli: Cli, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    case.make(tmp_path)
    before = {*tmp_path.rglob("*")}
    ran = cli.run(case.command)
    short = shortfall(case, ran.code, ran.out, ran.err)
    assert not short, f"{short}: {(ran.err or ran.out)[:500]}"
    after = {*tmp_path.rglob("*")}
    assert tmp_path / "ran" not in after
    assert ran.code == 0 or after == before

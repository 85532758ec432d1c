"""Run every command over files and names that nobody should trust: ``python tests/benchmarks/hostile.py [WORD ...]``.

Each case runs in a process of its own, at most 60 seconds and 1 GB. Prints a table of what each got; the exit code is 1
where a case fell short. With words, only cases whose names hold one of them.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "support"))

from commands import TINY  # noqa: E402
from hostile_files import CASES, COMMANDS, GIB, Case, foreign, shortfall  # noqa: E402

SECONDS, BYTES = 60, GIB
HPSEARCH = (sys.executable, "-m", "hpsearch")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parents[2]), "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"}


def run(command: tuple[str, ...], folder: Path) -> tuple[int, str, str, float, int]:
    """Run a command under the limits: its exit code, output, errors, seconds and most bytes."""
    began = time.monotonic()
    with (folder / ".out").open("w+b") as out, (folder / ".err").open("w+b") as err:
        process = subprocess.Popen(
            [*HPSEARCH, *command],
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (2 * BYTES, 2 * BYTES)),
        )
        while not (state := os.wait4(process.pid, os.WNOHANG))[0]:
            if time.monotonic() - began > SECONDS:
                process.kill()
            time.sleep(0.02)
        _, status, usage = state
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(2**20).decode("utf-8", "backslashreplace"))
    return process.returncode, texts[0], texts[1], time.monotonic() - began, usage.ru_maxrss * 1024


def outcome(case: Case, base: Path) -> tuple[str, str]:
    """Return what a case got, and in what it falls short."""
    with tempfile.TemporaryDirectory(dir=base.parent) as name:
        folder = Path(name) / "here"
        shutil.copytree(base, folder)
        case.make(folder)
        code, out, err, seconds, memory = run(case.command, folder)
        short = shortfall(case, code, out, err)
        if (folder / "ran").exists():
            short = "CODE OF THE FILE RAN"
        if seconds > SECONDS:
            short = f"more than {SECONDS} s"
        elif memory > BYTES:
            short = f"{memory / GIB:.1f} GB; {short}"
        said = (err if code else out).strip() or out.strip()
        return f"{code} {seconds:4.1f} s {memory / GIB:4.2f} GB  {said.splitlines()[-1][:110] if said else ''}", short


def main(words: list[str]) -> int:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name) / "base"
        base.mkdir()
        (base / "tiny.toml").write_text(TINY)
        for command in COMMANDS:
            subprocess.run([*HPSEARCH, *command.split()], cwd=base, env=ENVIRONMENT, check=True, capture_output=True)
        foreign(base)
        short = 0
        cases = [case for case in CASES if not words or any(word in case.name for word in words)]
        for case in cases:
            got, why = outcome(case, base)
            short += bool(why)
            print(f"{'SHORT' if why else 'ok   '} {case.name:34} {got!a}{f'   <- {why}' if why else ''}", flush=True)
        print(f"{len(cases) - short} of {len(cases)} cases as they must be")
    return int(short > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

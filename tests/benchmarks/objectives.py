"""Objectives of the user's own: what a trial of a microsecond costs, beside Optuna, and a command that does nothing."""

from __future__ import annotations

import json
import subprocess
import time
from functools import partial
from pathlib import Path

import cold
from measuring import Figure, Measure, Part, Sample, Setting, by_round, interleave, median_s, spread

PROCESSES = 2
SQLITE, MEMORY = 25.0, 1.0  # what is asked, in Optuna's time over ours
STUDY = """
name = "square"
[objective]
function = "square.py:square"
direction = "minimize"
[space]
x = { low = 0.0, high = 1.0 }
"""
NOTHING = ("sh", "-c", 'echo "{\\"score\\": 0}"')
COMMAND = f"""
name = "nothing"
[objective]
command = {json.dumps(NOTHING)}
direction = "minimize"
[space]
x = {{ low = 0.0, high = 1.0 }}
"""
SQUARE = """
def square(trial):
    return (trial.params["x"] - 0.3) ** 2
"""


def measure(setting: Setting) -> Part:
    """Measure trials of ``(x - 0.3)**2`` in two processes; the start of the command and of its workers is excluded."""
    trials = 200 if setting.quick else 10_000
    contenders: dict[str, Measure] = {
        "ours": partial(ours, setting, trials),
        "Optuna, SQLite": partial(optunas, setting, trials, "sqlite"),
        "Optuna, memory": partial(optunas, setting, trials, "memory"),
    }
    samples = interleave(f"objectives, {trials:,} trials", contenders, rounds=setting.rounds)
    mine = by_round(samples["ours"])
    figures = [
        Figure.against(
            f"objectives: {trials:,} trials of (x - 0.3)**2, {PROCESSES} processes on SQLite, against {who}",
            theirs=by_round(samples[who]),
            ours=mine,
            asked=asked,
            note=note,
        )
        for who, asked, note in (
            ("Optuna, SQLite", SQLITE, f"{PROCESSES} processes, write-ahead log, synchronous=NORMAL; starts excluded"),
            ("Optuna, memory", MEMORY, "1 process; starts excluded, but for ours that of the function's processes"),
        )
    ]
    return Part(figures, samples) + _commands(setting)


def _commands(setting: Setting) -> Part:
    """Measure a command that does nothing, one after the other in one process."""
    trials = 20 if setting.quick else 500
    contenders: dict[str, Measure] = {
        "command": partial(command, setting, trials),
        "subprocess.run": partial(subprocess_run, trials),
    }
    samples = interleave(f"objectives, {trials:,} commands", contenders, rounds=setting.rounds)
    mine, bare = by_round(samples["command"]), by_round(samples["subprocess.run"])
    more = [(ours - theirs) / trials * 1000 for ours, theirs in zip(mine, bare, strict=True)]
    figure = Figure(
        f"objectives: a command that does nothing, {trials:,} trials inline on SQLite, over subprocess.run",
        spread(more),
        unit="ms a trial",
        ours=median_s(mine),
        theirs=median_s(bare),
        note=f"{' '.join(NOTHING)}; the start of hpsearch excluded",
    )
    return Part([figure], samples)


def command(setting: Setting, trials: int, round_: int) -> Sample:
    """Seconds of a stage of a command that does nothing."""
    folder = setting.fresh_folder()
    (folder / "nothing.toml").write_text(COMMAND)
    words = f"start nothing.toml --trials {trials} --engine inline --storage x.db --format json"
    ran = cold.run([*cold.HPSEARCH, *words.split()], folder=folder)
    return {"seconds": ran.json()["stages"][0]["seconds"], "whole command": ran.seconds}


def subprocess_run(trials: int, round_: int) -> Sample:
    """Seconds of the same command without hpsearch."""
    began = time.perf_counter()
    for _ in range(trials):
        subprocess.run(NOTHING, capture_output=True, check=True)
    return {"seconds": time.perf_counter() - began}


def ours(setting: Setting, trials: int, round_: int) -> Sample:
    """Seconds of the stage, as the command says them."""
    folder = setting.fresh_folder()
    (folder / "square.toml").write_text(STUDY)
    (folder / "square.py").write_text(SQUARE)
    words = f"start square.toml --trials {trials} --jobs {PROCESSES} --storage x.db --format json"
    ran = cold.run([*cold.HPSEARCH, *words.split()], folder=folder)
    return {"seconds": ran.json()["stages"][0]["seconds"], "whole command": ran.seconds}


def optunas(setting: Setting, trials: int, storage: str, round_: int) -> Sample:
    """Seconds of Optuna's random search."""
    file = Path("memory") if storage == "memory" else setting.fresh_folder() / "x.db"
    command = cold.program("contenders.optuna_square", str(file), str(trials), str(PROCESSES))
    sample: Sample = cold.run(command, folder=setting.folder).json()
    return sample

"""Objectives of the user's own: what a trial of a microsecond costs, beside Optuna."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cold
from measuring import Figure, Measure, Part, Sample, Setting, by_round, interleave

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
    return Part(figures, samples)


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

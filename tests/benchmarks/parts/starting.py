"""Starting up: what every command costs before it does anything."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from statistics import median

import cold
from figures import Figure, ratio, seconds, spread
from interleaving import Measure, Sample, details_of, interleave, seconds_of
from setting import Part, Setting
from workloads import BOOK

REPEATS = 7
"""A start takes a fraction of a second: a sample is the median of so many."""
ASKED_HELP = 2.5
HELP, NUMPY, FIRST = "hpsearch --help", "import numpy", "the first training step"


def measure(setting: Setting) -> Part:
    """Measure ``hpsearch --help`` beside Python with NumPy alone, and how long a start takes to begin training."""
    repeats = 1 if setting.quick else REPEATS

    def often(command: tuple[str, ...], _: int) -> Sample:
        took = [cold.run(command, folder=setting.folder).seconds for _ in range(repeats)]
        return Sample(median(took), {"all": took})

    contenders: dict[str, Measure] = {
        HELP: partial(often, (*cold.HPSEARCH, "--help")),
        NUMPY: partial(often, (*cold.PYTHON, "-c", "import numpy")),
        FIRST: lambda _: _first_step(setting),
    }
    samples = interleave("start-up", contenders, rounds=setting.rounds)
    ours, theirs, first = (seconds_of(samples[name]) for name in (HELP, NUMPY, FIRST))
    whole = details_of(samples[FIRST], "whole_command")
    figures = [
        Figure(
            "start-up: `hpsearch --help`, in times of `python -c 'import numpy'`",
            ratio(ours, theirs),
            asked=ASKED_HELP,
            bound="at most",
            ours=seconds(ours),
            theirs=seconds(theirs),
        ),
        Figure(
            "start-up: `hpsearch start --trials 1` to its first training step",
            spread(first),
            unit="s",
            ours=seconds(first),
            note=f"a database that is not there yet; the whole command with one epoch: {seconds(whole)}",
        ),
    ]
    return Part("start-up", figures, samples)


def _first_step(setting: Setting) -> Sample:
    folder = setting.fresh_folder()
    study, times = folder / "book.toml", folder / "times"
    study.write_text(replace(BOOK, epochs=1).study_file())
    path = os.pathsep.join((str(cold.HERE / "first_step"), cold.environment()["PYTHONPATH"]))
    words = ("start", str(study), "--trials", "1", "--storage", str(folder / "x.db"))
    ran = cold.run((*cold.HPSEARCH, *words), folder=folder, extra={"PYTHONPATH": path, "FIRST_STEP": str(times)})
    first = min(map(float, times.read_text().split()))
    return Sample(first - ran.began, {"whole_command": ran.seconds})

"""Successive halving, measured by ``tests/benchmarks/halving.py``.

That module gives ``seconds(folder, number, *, quick) -> tuple[float, float]``: what a search takes that trains all
trials to the end, and what it takes with halving, in the round of that number, each a whole command in seconds.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from figures import Figure, ratio, seconds
from interleaving import Sample, interleave, seconds_of
from setting import Part, Setting

ASKED = 3.0
WHAT = "halving: whole command, against training every trial to the end"


def measure(setting: Setting) -> Part:
    """Measure it, where it is there."""
    if importlib.util.find_spec("halving") is None:
        return Part("halving", [Figure(WHAT, None, asked=ASKED, note="tests/benchmarks/halving.py is not there yet")])
    halving: Any = importlib.import_module("halving")

    def both(number: int) -> Sample:
        every, halved = halving.seconds(setting.fresh_folder(), number, quick=setting.quick)
        return Sample(halved, {"every": every})

    samples = interleave("halving", {"halving": both}, rounds=setting.rounds)
    ours = seconds_of(samples["halving"])
    theirs = [float(sample.details["every"]) for sample in samples["halving"]]
    figure = Figure(WHAT, ratio(theirs, ours), asked=ASKED, ours=seconds(ours), theirs=seconds(theirs))
    return Part("halving", [figure], samples)

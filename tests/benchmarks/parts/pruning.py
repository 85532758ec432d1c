"""Successive halving, as ``tests/benchmarks/halving.py`` measures it: how much sooner a stage comes to a good trial."""

from __future__ import annotations

import importlib.util
from itertools import chain

import cold
from figures import Figure, ratio, seconds, spread
from interleaving import Sample, details_of, interleave
from setting import Part, Setting
from workloads import BOOK

ASKED = 3.0
SEEDS = 3
"""Searches a round, each of another seed: what a search finds early is luck."""
WHAT = "halving: time to a trial within 0.02 of the full stage's best, against training every trial to the end"


def measure(setting: Setting) -> Part:
    """Measure it, where it is there."""
    if importlib.util.find_spec("halving") is None:
        return Part("halving", [Figure(WHAT, None, asked=ASKED, note="tests/benchmarks/halving.py is not there yet")])
    study = setting.folder / "book.toml"
    study.write_text((BOOK.of(8) if setting.quick else BOOK).study_file())
    each = 1 if setting.quick else SEEDS

    def pairs(number: int) -> Sample:
        seeds = ",".join(str(seed) for seed in range(number * each, (number + 1) * each))
        ran = cold.run(cold.module("ours.halved", seeds, str(study)), folder=setting.folder)
        return Sample(ran.seconds, {"pairs": ran.json()})

    samples = interleave("halving", {"halving": pairs}, rounds=setting.rounds)
    found = list(chain.from_iterable(details_of(samples["halving"], "pairs")))
    reached = [pair for pair in found if pair["pruned"] is not None]
    stages = [[float(pair[name]) for pair in found] for name in ("full_stage", "pruned_stage")]
    figures = [
        Figure(
            WHAT,
            spread([pair["speedup"] for pair in found]),
            asked=ASKED,
            ours=seconds([pair["pruned"] for pair in reached]) if reached else "",
            theirs=seconds([pair["full"] for pair in found]),
            note=f"median of {len(found)} seeds; {len(reached)} of them came to it (0 where not)",
        ),
        Figure(
            "halving: the stage, against training every trial to the end",
            ratio(*stages),
            ours=seconds(stages[1]),
            theirs=seconds(stages[0]),
        ),
    ]
    return Part("halving", figures, samples)

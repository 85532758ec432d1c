"""The store: trials written beside Optuna and rustuna, and whole commands over many of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cold
from big_stage import make_stage
from measuring import Figure, Measure, Part, Sample, Setting, by_round, interleave, median_s, spread
from workloads import BOOK, SMALL

VALUES = 50
WRITING, RUSTUNA_WRITING, RUSTUNA_READING, COMMAND_S = 100.0, 20.0, 0.5, 1.0  # what is asked
COMMANDS = ("status", "trials --top 5", "narrow --top 5 --dry-run")


def measure(setting: Setting) -> Part:
    """Measure writing and reading."""
    part = writing(setting)
    few, *more = (100, 1000) if setting.quick else (1000, 10_000, 100_000)
    for trials in (few, *more):
        part += commands(setting, trials, optuna=trials == more[0])  # with more trials Optuna takes minutes
    return part + reading(setting, more[0])


def alone(setting: Setting, what: str, who: str, path: Path | None, *numbers: int) -> Measure:
    """Seconds that a store alone takes, without its start; a file that is written is new in each round."""

    def run(_: int) -> Sample:
        file = path or setting.fresh_folder() / "x.db"
        command = cold.program("contenders.stores", what, who, str(file), *map(str, numbers))
        sample: Sample = cold.run(command, folder=setting.folder).json()
        return sample

    return run


def writing(setting: Setting) -> Part:
    """Trials written as a runner meets them, so many to a batch as train together, and all at once."""
    many, some = (20, 10) if setting.quick else (1000, 100)
    part = Part([], {})
    for peer, trials, values, what, lanes, asked in (
        ("optuna", some, VALUES, f"{some} trials x {VALUES}", BOOK.lanes, WRITING),
        ("rustuna", many, 0, f"{many:,} trials x 2 params", SMALL.lanes, RUSTUNA_WRITING),
    ):
        write = partial(alone, setting, "write")
        contenders = {peer: write(peer, None, trials, values)}
        contenders |= {str(batch): write("ours", None, trials, values, batch) for batch in (lanes, trials)}
        taken = interleave(f"store, write beside {peer}", contenders, rounds=setting.rounds)
        figures = [
            Figure.against(
                f"store: {what} written {batch} at a time, against {peer}",
                theirs=by_round(taken[peer]),
                ours=by_round(taken[str(batch)]),
                asked=asked,
                note="starting excluded on both sides",
            )
            for batch in (lanes, trials)
        ]
        part += Part(figures, {f"write {what}: {name}": of for name, of in taken.items()})
    return part


def commands(setting: Setting, trials: int, *, optuna: bool) -> Part:
    """Whole commands over a stage of so many trials, and the best five of it through Optuna's study.trials."""
    path = setting.fresh_folder() / "big.db"
    make_stage(path, trials, VALUES)

    def whole(*command: str) -> Measure:
        return lambda _: {"seconds": cold.run(command, folder=setting.folder).seconds}

    readers = {words: whole(*cold.HPSEARCH, *words.split(), "--storage", str(path)) for words in COMMANDS}
    if optuna:
        readers["Optuna"] = whole(*cold.program("contenders.stores", "read", "optuna", str(path)))
    samples = interleave(f"store, {trials:,} trials", readers, rounds=setting.rounds)
    path.unlink()
    theirs = median_s(by_round(samples["Optuna"])) if optuna else ""
    note = "theirs: the best five through Optuna's study.trials" if optuna else ""
    figures = []
    for words in COMMANDS:
        took = by_round(samples[words])
        title = f"store: `{words}` over {trials:,} trials x {VALUES}, whole command"
        figures.append(Figure(title, spread(took), "s", COMMAND_S, "at most", median_s(took), theirs, note))
    return Part(figures, {f"{trials} trials: {name}": of for name, of in samples.items()})


def reading(setting: Setting, trials: int) -> Part:
    """Trials and values alone: without the attributes that rustuna would read and we would not."""
    path = setting.fresh_folder() / "plain.db"
    make_stage(path, trials, VALUES, curves=False)
    readers = {who: alone(setting, "read", who, path) for who in ("rustuna", "ours")}
    samples = interleave(f"store, all of {trials:,} trials", readers, rounds=setting.rounds)
    figure = Figure.against(
        f"store: all of {trials:,} trials x {VALUES} read, against rustuna's study.trials",
        theirs=by_round(samples["rustuna"]),
        ours=by_round(samples["ours"]),
        asked=RUSTUNA_READING,
        note="ours: every trial and every value as DataFrames; starting excluded on both sides",
    )
    return Part([figure], {f"read: {name}": of for name, of in samples.items()})

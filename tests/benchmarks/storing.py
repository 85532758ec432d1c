"""The store: trials written beside Optuna and rustuna, and whole commands over many of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cold
from big_stage import make_stage
from measuring import Figure, Measure, Part, Sample, Samples, Setting, interleave, median_s, ratio, seconds_of, spread
from workloads import BOOK, SMALL

VALUES = 50
ASKED_WRITING, ASKED_RUSTUNA_WRITING, ASKED_RUSTUNA_READING = 100.0, 20.0, 0.5
ASKED_COMMAND_S = 1.0
OPTUNA_READS = 10_000
"""Trials above which reading them with Optuna takes minutes."""
COMMANDS = {
    "status": ("status",),
    "trials --top 5": ("trials", "--top", "5"),
    "narrow --top 5 --dry-run": ("narrow", "--top", "5", "--dry-run"),
}


def measure(setting: Setting) -> Part:
    """Measure writing and reading."""
    figures, samples = _writing(setting)
    for trials in (100, 1000) if setting.quick else (1000, 10_000, 100_000):
        more_figures, more_samples = _reading(setting, trials)
        figures += more_figures
        samples |= more_samples
    return Part("store", figures, samples)


def _alone(setting: Setting, what: str, who: str, path: Path | None, *numbers: int) -> Measure:
    """Seconds that a store alone takes, without its start; a file that is written is new in each round."""

    def run(_: int) -> Sample:
        file = path or setting.fresh_folder() / "x.db"
        command = cold.program("contenders.stores", what, who, str(file), *map(str, numbers))
        ran = cold.run(command, folder=setting.folder)
        return Sample(ran.json()["seconds"], {"whole_command": ran.seconds})

    return run


def _writing(setting: Setting) -> tuple[list[Figure], Samples]:
    many, some = (20, 10) if setting.quick else (1000, 100)
    write = partial(_alone, setting, "write")
    # As a runner meets them: so many trials to a batch as train together, and all at once.
    contenders: dict[str, Measure] = {
        "Optuna": write("optuna", None, some, VALUES),
        "ours, by lanes": write("ours", None, some, VALUES, BOOK.lanes),
        "ours, in one batch": write("ours", None, some, VALUES, some),
        "rustuna": write("rustuna", None, many, 0),
        "ours of two parameters, by lanes": write("ours", None, many, 0, SMALL.lanes),
        "ours of two parameters, in one batch": write("ours", None, many, 0, many),
    }
    samples = {f"write: {name}": s for name, s in interleave("store", contenders, rounds=setting.rounds).items()}
    rows = (
        ("Optuna", "ours", some, f"{some} trials x {VALUES}", BOOK.lanes, ASKED_WRITING),
        ("rustuna", "ours of two parameters", many, f"{many:,} trials x 2 params", SMALL.lanes, ASKED_RUSTUNA_WRITING),
    )
    figures = []
    for peer, own, trials, what, lanes, asked in rows:
        for how, batch in (("by lanes", lanes), ("in one batch", trials)):
            theirs, ours = (seconds_of(samples[f"write: {name}"]) for name in (peer, f"{own}, {how}"))
            figures.append(
                Figure(
                    f"store: {what} written {how}, against {peer}",
                    ratio(theirs, ours),
                    asked=asked,
                    ours=median_s(ours),
                    theirs=median_s(theirs),
                    note=f"ours claims and records {batch} trials at a time; starting excluded on both sides",
                )
            )
    return figures, samples


def _reading(setting: Setting, trials: int) -> tuple[list[Figure], Samples]:
    path = setting.fresh_folder() / "big.db"
    make_stage(path, trials, VALUES)

    def command(*words: str) -> Measure:
        whole = (*cold.HPSEARCH, *words, "--storage", str(path))
        return lambda _: Sample(cold.run(whole, folder=setting.folder).seconds)

    readers = {name: command(*words) for name, words in COMMANDS.items()}
    compared = trials == (1000 if setting.quick else OPTUNA_READS)
    if compared or (setting.slow and trials > OPTUNA_READS):
        words = cold.program("contenders.stores", "read", "optuna", str(path))
        readers["Optuna"] = lambda _: Sample(cold.run(words, folder=setting.folder).seconds)
    samples = interleave(f"store, {trials:,} trials", readers, rounds=setting.rounds)
    theirs = median_s(seconds_of(samples["Optuna"])) if "Optuna" in samples else ""
    figures = [
        Figure(
            f"store: `{name}` over {trials:,} trials x {VALUES}, whole command",
            spread(seconds_of(samples[name])),
            unit="s",
            asked=ASKED_COMMAND_S,
            bound="at most",
            ours=median_s(seconds_of(samples[name])),
            theirs=theirs,
            note="theirs: the best five through Optuna's study.trials" if theirs else "",
        )
        for name in COMMANDS
    ]
    path.unlink()
    found = {f"{trials} trials: {name}": one for name, one in samples.items()}
    if compared:
        figure, more = _reading_all(setting, trials)
        return [*figures, figure], found | more
    return figures, found


def _reading_all(setting: Setting, trials: int) -> tuple[Figure, Samples]:
    """Trials and values alone: without the attributes that rustuna would read and we would not."""
    path = setting.fresh_folder() / "plain.db"
    make_stage(path, trials, VALUES, curves=False)
    readers = {who: _alone(setting, "read", who, path) for who in ("rustuna", "ours")}
    samples = interleave(f"store, all of {trials:,} trials", readers, rounds=setting.rounds)
    theirs, ours = seconds_of(samples["rustuna"]), seconds_of(samples["ours"])
    figure = Figure(
        f"store: all of {trials:,} trials x {VALUES} read, against rustuna's study.trials",
        ratio(theirs, ours),
        asked=ASKED_RUSTUNA_READING,
        ours=median_s(ours),
        theirs=median_s(theirs),
        note="ours: every trial and every value as DataFrames; starting excluded on both sides",
    )
    return figure, {f"read: {name}": some for name, some in samples.items()}

"""The store: writing trials, and whole commands over many of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cold
from big_stage import make_stage
from figures import Figure, ratio, seconds, spread
from interleaving import Measure, Sample, interleave, seconds_of
from setting import Part, Setting
from workloads import BOOK, SMALL

from hpsearch.store import open_store

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
    writing = _writing(setting)
    reading = _reading(setting)
    return Part("store", writing.figures + reading.figures, writing.samples | reading.samples)


def _printed(setting: Setting, module: str, *words: str) -> Sample:
    """The seconds that a program of the benchmark prints: of its work, without its start."""
    ran = cold.run(cold.module(module, *words), folder=setting.folder)
    return Sample(ran.json()["seconds"], {"whole_command": ran.seconds})


def _writing(setting: Setting) -> Part:
    many, some = (20, 10) if setting.quick else (1000, 100)

    def write(module: str, *numbers: int) -> Measure:
        return lambda _: _printed(setting, module, "write", str(setting.fresh_folder() / "x.db"), *map(str, numbers))

    # As a runner meets them: so many trials to a batch as train together, and all at once.
    contenders: dict[str, Measure] = {
        "Optuna": write("peers.optuna_store", some, VALUES),
        "ours, by lanes": write("ours.bulk_store", some, VALUES, BOOK.lanes),
        "ours, in one batch": write("ours.bulk_store", some, VALUES, some),
        "rustuna": write("peers.rustuna_store", many),
        "ours of two parameters, by lanes": write("ours.bulk_store", many, 0, SMALL.lanes),
        "ours of two parameters, in one batch": write("ours.bulk_store", many, 0, many),
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
                    ours=seconds(ours),
                    theirs=seconds(theirs),
                    note=f"ours claims and records {batch} trials at a time; starting excluded on both sides",
                )
            )
    return Part("writing", figures, samples)


def _reading(setting: Setting) -> Part:
    figures: list[Figure] = []
    samples: dict[str, list[Sample]] = {}
    for trials in (100, 1000) if setting.quick else (1000, 10_000, 100_000):
        path = setting.fresh_folder() / "big.db"
        make_stage(path, trials, VALUES)
        compared = trials == (1000 if setting.quick else OPTUNA_READS)
        readers: dict[str, Measure] = {
            name: partial(_command, setting, path, words) for name, words in COMMANDS.items()
        }
        if compared or (setting.slow and trials > OPTUNA_READS):
            readers["Optuna"] = partial(_optuna, setting, path)
        found = interleave(f"store, {trials:,} trials", readers, rounds=setting.rounds)
        figures += _commands(found, trials)
        samples |= {f"{trials} trials: {name}": one for name, one in found.items()}
        path.unlink()
        if compared:
            every = _read_all(setting, trials)
            figures += every.figures
            samples |= every.samples
    return Part("reading", figures, samples)


def _command(setting: Setting, path: Path, words: tuple[str, ...], _: int) -> Sample:
    return Sample(cold.run((*cold.HPSEARCH, *words, "--storage", str(path)), folder=setting.folder).seconds)


def _optuna(setting: Setting, path: Path, _: int) -> Sample:
    ran = cold.run(cold.module("peers.optuna_store", "read", str(path)), folder=setting.folder)
    return Sample(ran.seconds, ran.json())


def _read_all(setting: Setting, trials: int) -> Part:
    """Trials and values alone: without the attributes that rustuna would read and we would not."""
    path = setting.fresh_folder() / "plain.db"
    make_stage(path, trials, VALUES, curves=False)
    store = open_store(str(path))
    name = store.stages()[0].name
    store.close()
    readers: dict[str, Measure] = {
        "rustuna": lambda _: _printed(setting, "peers.rustuna_store", "read", str(path), name),
        "ours": lambda _: _printed(setting, "ours.bulk_store", "read", str(path)),
    }
    found = interleave(f"store, all of {trials:,} trials", readers, rounds=setting.rounds)
    theirs, ours = seconds_of(found["rustuna"]), seconds_of(found["ours"])
    figure = Figure(
        f"store: all of {trials:,} trials x {VALUES} read, against rustuna's study.trials",
        ratio(theirs, ours),
        asked=ASKED_RUSTUNA_READING,
        ours=seconds(ours),
        theirs=seconds(theirs),
        note="ours: every trial and every value as DataFrames; starting excluded on both sides",
    )
    return Part("reading all", [figure], {f"read: {name}": some for name, some in found.items()})


def _commands(found: dict[str, list[Sample]], trials: int) -> list[Figure]:
    theirs, note = "", ""
    if "Optuna" in found:
        theirs, note = seconds(seconds_of(found["Optuna"])), "theirs: the best five through Optuna's study.trials"
    return [
        Figure(
            f"store: `{name}` over {trials:,} trials x {VALUES}, whole command",
            spread(seconds_of(found[name])),
            unit="s",
            asked=ASKED_COMMAND_S,
            bound="at most",
            ours=seconds(seconds_of(found[name])),
            theirs=theirs,
            note=note,
        )
        for name in COMMANDS
    ]

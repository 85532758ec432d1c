"""Whole searches: ``hpsearch start`` and the peers, from a cold process to the last trial."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cold
import numpy as np
from measuring import (
    Figure,
    Measure,
    Part,
    Sample,
    Samples,
    Setting,
    details_of,
    interleave,
    median_s,
    ratio,
    seconds_of,
    spread,
)
from workloads import Assignment, Images, Workload, compare, for_all_trials

from hpsearch.objectives.network import runtime
from hpsearch.store import open_store
from hpsearch.study_file import parse

OURS, ONE_JOB, ALONE, SGEMM = "hpsearch", "hpsearch --jobs 1", "training alone", "sgemm"
WATCHED = "hpsearch, its memory watched"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another way of doing the same search."""

    name: str  # for people
    command: tuple[str, ...]  # its module and further words
    asked: dict[str, float]  # by workload, how many times its seconds are to be ours
    # the share of the workload's trials that a round runs; seconds are then scaled, start-up excepted
    share: float = 1.0
    note: str = ""  # conditions of the comparison


PEERS = (
    Peer("the book's loop", ("contenders.book_loop",), {"book": 8.0, "small": 7.0}, share=1 / 3),
    Peer(
        "Optuna + PyTorch, best",
        ("contenders.optuna_torch", "best"),
        {"book": 2.5, "small": 5.0, "large": 1.3},
        note="a process a core, one thread each, WAL",
    ),
    Peer("Optuna + PyTorch, default", ("contenders.optuna_torch", "default"), {"book": 4.0}, share=1 / 3),
    Peer(
        "scikit-learn",
        ("contenders.sklearn_search",),
        {"book": 1.4, "small": 1.8, "large": 1.3},
        note="it scores once a trial, not every epoch, and stores nothing",
    ),
)
ASKED_FLOP_SHARE = {ALONE: 0.85, OURS: 0.70}
ASKED_TWO_PROCESSES = 1.85
ASKED_MEMORY_MB = 500.0


def measure(workload: Workload, setting: Setting) -> Part:
    """Measure a workload; for the book's also one process against all, the memory and the share of the FLOP limit."""
    search = Search(workload.of(4) if setting.quick else workload, setting)
    peers = {peer.name: peer for peer in PEERS if workload.name in peer.asked}
    contenders: dict[str, Measure] = {OURS: search.ours}
    contenders |= {name: partial(search.theirs, peer) for name, peer in peers.items()}
    contenders |= {ALONE: search.alone, SGEMM: search.sgemm}
    book = workload.name == "book"
    if book:
        contenders |= {ONE_JOB: partial(search.ours, jobs=1), WATCHED: partial(search.ours, watch=True)}
    samples = interleave(workload.name, contenders, rounds=setting.rounds)
    figures = [search.against(peer, samples) for peer in peers.values()]
    figures += search.flop_shares(samples, asked=ASKED_FLOP_SHARE if book else {})
    if book:
        figures += [*search.processes(samples), search.memory(samples)]
    trained = {
        name: [accuracy for accuracies in details_of(samples[name], "accuracies") for accuracy in accuracies]
        for name in (OURS, *peers)
    }
    learned = compare(workload.name, workload.validation, trained, ours=OURS)
    return Part(workload.name, figures, samples, learned, search.facts())


class Search:
    """The contenders of one workload, with as many trials as are run."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        self.workload, self.setting = workload, setting
        self._study = setting.folder / f"{workload.name}.toml"
        self._study.write_text(workload.study_file())
        self._data = setting.folder / f"{workload.name}.npz"
        study = parse(tomllib.loads(workload.study_file()), source=workload.name)
        split = runtime.load(study.sections)
        objective = runtime.objective(study.sections, split, seed=0, space=study.space)
        self.live_inputs = objective.data.images.shape[1]
        images = Images(split.x_train, split.y_train, split.x_validation, split.y_validation)
        np.savez(self._data, **images._asdict())

    def ours(self, number: int, *, jobs: int | None = None, watch: bool = False) -> Sample:
        """The whole command on a database that is not there yet; each round samples with another seed."""
        folder = self.setting.fresh_folder()
        storage, cores = str(folder / "hpsearch.db"), jobs or self.setting.cores
        words = ["--trials", self.workload.trials, "--seed", number, "--jobs", cores, "--storage", storage]
        command = (*cold.HPSEARCH, "start", str(self._study), *map(str, words), "--format", "json")
        ran = cold.run(command, folder=folder, watch=watch)
        (stage,) = ran.json()["stages"]
        store = open_store(storage)
        scores = store.trials(store.stages()[0], states=("COMPLETE",))["score"].tolist()
        store.close()
        return Sample(
            ran.seconds,
            {
                "accuracies": scores,
                "stage_seconds": stage["seconds"],
                "store_seconds": stage["store_seconds"],
                "memory_mb": ran.memory / 1e6,
                "largest_rss_mb": ran.largest_rss / 1e6,
            },
        )

    def theirs(self, peer: Peer, number: int) -> Sample:
        """A peer's whole command, for all of the workload's trials."""
        measured = math.ceil(self.workload.trials * peer.share)
        assignment = self._assignment(measured, number)
        module, *words = peer.command
        ran = cold.run(cold.program(module, assignment.to_json(), *words), folder=Path(assignment.folder))
        answer: dict[str, Any] = ran.json()
        whole = ran.seconds - answer.get("not_counted", 0.0)
        scaled = for_all_trials(whole, answer["work_seconds"], measured=measured, trials=self.workload.trials)
        return Sample(scaled, {**answer, "measured_seconds": whole, "measured_trials": measured})

    def alone(self, number: int) -> Sample:
        """Training without runner and store."""
        assignment = self._assignment(self.workload.trials, number)
        ran = cold.run(cold.program("contenders.training_alone", assignment.to_json()), folder=Path(assignment.folder))
        return Sample(ran.json()["work_seconds"], ran.json())

    def sgemm(self, number: int) -> Sample:
        """The machine's rate in this round; its seconds are the FLOP limit's."""
        rate = cold.sgemm_rate(self.setting.cores)
        return Sample(self.workload.flops() / (self.setting.cores * rate), {"flops_per_core": rate})

    def _assignment(self, trials: int, number: int) -> Assignment:
        folder = str(self.setting.fresh_folder())
        return Assignment(self.workload.of(trials), number, self.setting.cores, str(self._data), folder)

    def facts(self) -> dict[str, int]:
        """The work: as asked, and without the inputs that are 0 in every image, which we leave out."""
        flops = self.workload.flops
        return {"flops": flops(), "live_inputs": self.live_inputs, "flops_made": flops(self.live_inputs)}

    def against(self, peer: Peer, samples: Samples) -> Figure:
        """Our whole command beside a peer's."""
        ours, theirs = seconds_of(samples[OURS]), seconds_of(samples[peer.name])
        measured = samples[peer.name][0].details["measured_trials"]
        notes = [peer.note] if peer.note else []
        if measured < self.workload.trials:
            notes.append(f"measured on {measured} of {self.workload.trials} trials a round, scaled without start-up")
        return Figure(
            f"{self.workload.name}: whole command, against {peer.name}",
            ratio(theirs, ours),
            asked=peer.asked[self.workload.name],
            ours=median_s(ours),
            theirs=median_s(theirs),
            note="; ".join(notes),
        )

    def flop_shares(self, samples: Samples, *, asked: dict[str, float]) -> list[Figure]:
        """Shares of the machine's limit that training, the stage and the whole command come to."""
        rates, limits = details_of(samples[SGEMM], "flops_per_core"), seconds_of(samples[SGEMM])
        made = self.workload.flops(self.live_inputs) / self.workload.flops()
        figures = []
        for what, name, took in (
            ("training alone", ALONE, seconds_of(samples[ALONE])),
            ("the stage", "stage", details_of(samples[OURS], "stage_seconds")),
            ("the whole command", OURS, seconds_of(samples[OURS])),
        ):
            share = spread([limit / seconds for limit, seconds in zip(limits, took, strict=True)])
            note = (
                f"sgemm: {spread(rates).value / 1e9:.0f} GFLOP/s a core, {self.setting.cores} at once; without inputs "
                f"that are 0 in all images ({self.live_inputs} are left): {made * share.value:.2f}"
            )
            title = f"{self.workload.name}: share of the FLOP limit, {what}"
            figures.append(
                Figure(title, share, "", asked.get(name), "at least", median_s(took), median_s(limits), note)
            )
        return figures

    def processes(self, samples: Samples) -> list[Figure]:
        """All processes against one."""
        cores = self.setting.cores
        stage = [details_of(samples[name], "stage_seconds") for name in (ONE_JOB, OURS)]
        whole = [seconds_of(samples[name]) for name in (ONE_JOB, OURS)]
        # 1.85 of 2 was asked: on other numbers of cores the same share of them.
        asked = ASKED_TWO_PROCESSES / 2 * cores if cores > 1 else None
        title = f"{self.workload.name}: {cores} processes against 1, "
        return [
            Figure(title + what, ratio(one, every), asked=limit, ours=median_s(every), theirs=median_s(one))
            for what, (one, every), limit in (("the stage", stage, asked), ("whole command", whole, None))
        ]

    def memory(self, samples: Samples) -> Figure:
        """The most memory that all processes of the command had together."""
        largest = spread(details_of(samples[WATCHED], "largest_rss_mb")).value
        return Figure(
            f"{self.workload.name}: memory of all processes together",
            spread(details_of(samples[WATCHED], "memory_mb")),
            unit="MB",
            asked=ASKED_MEMORY_MB,
            bound="at most",
            note=f"sum of PSS every 20 ms; the largest process alone, by the kernel: {largest:.0f} MB (RSS)",
        )

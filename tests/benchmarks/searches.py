"""Whole searches: ``hpsearch start`` and the peers, from a cold process to the last trial."""

from __future__ import annotations

import math
import tomllib
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import cold
import numpy as np
from measuring import Figure, Measure, Part, Sample, Samples, Setting, by_round, cores, interleave, median_s, spread
from workloads import Assignment, Images, Workload, for_all_trials, learned

from hpsearch.objectives.network import runtime
from hpsearch.store import open_store
from hpsearch.study_file import parse

OURS, ONE_JOB, WATCHED, SGEMM = "hpsearch", "hpsearch --jobs 1", "hpsearch, its memory watched", "sgemm"
FLOP_SHARE, PROCESSES, MEMORY_MB = 0.70, 0.925, 500.0  # asked of the book's workload


@dataclass(frozen=True, slots=True)
class Peer:
    """Another way of doing the same search."""

    name: str  # for people
    command: tuple[str, ...]  # its module and further words
    asked: dict[str, float]  # by workload, how many times its seconds are to be ours
    share: float = 1.0  # of the workload's trials that a round runs; seconds are then scaled, start-up excepted
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


def measure(workload: Workload, setting: Setting) -> Part:
    """Measure a workload; for the book's also one process against all, and the memory."""
    search = Search(workload.of(4) if setting.quick else workload, setting)
    peers = [peer for peer in PEERS if workload.name in peer.asked]
    contenders: dict[str, Measure] = {OURS: search.ours, SGEMM: search.sgemm}
    contenders |= {peer.name: partial(search.theirs, peer) for peer in peers}
    book = workload.name == "book"
    if book:
        contenders |= {ONE_JOB: partial(search.ours, jobs=1), WATCHED: partial(search.ours, watch=True)}
    samples = interleave(workload.name, contenders, rounds=setting.rounds)
    figures = [*(search.against(peer, samples) for peer in peers), *search.flop_shares(samples)]
    if book:
        figures += [*search.processes(samples), search.memory(samples)]
    names = (OURS, *(peer.name for peer in peers))
    accuracies = {name: list(chain.from_iterable(by_round(samples[name], "accuracies"))) for name in names}
    return Part(figures, samples, learned(workload.name, workload.validation, accuracies))


class Search:
    """The contenders of one workload, with as many trials as are run, and what follows from their samples."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        self.workload, self.setting = workload, setting
        self.path = setting.folder / f"{workload.name}.toml"
        self.path.write_text(workload.study_file())
        self.data = setting.folder / f"{workload.name}.npz"
        study = parse(tomllib.loads(workload.study_file()), source=workload.name)
        split = runtime.load(study.sections)
        images = Images(split.x_train, split.y_train, split.x_validation, split.y_validation)
        np.savez(self.data, **images._asdict())
        objective = runtime.objective(study.sections, split, seed=0, space=study.space)
        self.live_inputs = objective.data.images.shape[1]

    def ours(self, number: int, *, jobs: int | None = None, watch: bool = False) -> Sample:
        """The whole command on a database that is not there yet; each round samples with another seed."""
        folder = self.setting.fresh_folder()
        storage = str(folder / "hpsearch.db")
        words = ["--trials", self.workload.trials, "--seed", number, "--jobs", jobs or len(cores())]
        command = (*cold.HPSEARCH, "start", str(self.path), *map(str, words), "--storage", storage)
        ran = cold.run((*command, "--format", "json"), folder=folder, watch=watch)
        (stage,) = ran.json()["stages"]
        with closing(open_store(storage)) as store:
            scores = store.trials(store.stages()[0], states=("COMPLETE",))["score"].tolist()
        memory = ran.memory / 1e6
        return {"seconds": ran.seconds, "accuracies": scores, "stage": stage["seconds"], "memory_mb": memory}

    def theirs(self, peer: Peer, number: int) -> Sample:
        """A peer's whole command, for all of the workload's trials."""
        measured = math.ceil(self.workload.trials * peer.share)
        folder = self.setting.fresh_folder()
        given = Assignment(self.workload.of(measured), number, len(cores()), str(self.data), str(folder))
        module, *words = peer.command
        ran = cold.run(cold.program(module, *given.words, *words), folder=folder)
        answer: dict[str, Any] = ran.json()
        whole = ran.seconds - answer.get("not_counted", 0.0)
        scaled = for_all_trials(whole, answer["work_seconds"], measured=measured, trials=self.workload.trials)
        return {"seconds": scaled, **answer, "measured_trials": measured}

    def sgemm(self, _: int) -> Sample:
        """The machine's rate in this round; its seconds are the FLOP limit's."""
        rate = cold.sgemm_rate()
        return {"seconds": self.workload.flops() / (len(cores()) * rate), "flops_per_core": rate}

    def against(self, peer: Peer, samples: Samples) -> Figure:
        """Our whole command beside a peer's."""
        measured, trials = samples[peer.name][0]["measured_trials"], self.workload.trials
        scaled = f"measured on {measured} of {trials} trials a round, scaled without start-up"
        return Figure.against(
            f"{self.workload.name}: whole command, against {peer.name}",
            theirs=by_round(samples[peer.name]),
            ours=by_round(samples[OURS]),
            asked=peer.asked[self.workload.name],
            note=peer.note if measured == trials else scaled,
        )

    def flop_shares(self, samples: Samples) -> list[Figure]:
        """Shares of the machine's limit that the stage and the whole command come to."""
        limits, rate = by_round(samples[SGEMM]), spread(by_round(samples[SGEMM], "flops_per_core")).value
        made = self.workload.flops(self.live_inputs) / self.workload.flops()
        figures = []
        for what, took, asked in (
            ("the stage", by_round(samples[OURS], "stage"), None),
            ("the whole command", by_round(samples[OURS]), FLOP_SHARE if self.workload.name == "book" else None),
        ):
            share = spread([limit / seconds for limit, seconds in zip(limits, took, strict=True)])
            note = (
                f"sgemm: {rate / 1e9:.0f} GFLOP/s a core, all at once; without inputs "
                f"that are 0 in all images ({self.live_inputs} are left): {made * share.value:.2f}"
            )
            title = f"{self.workload.name}: share of the FLOP limit, {what}"
            figures.append(Figure(title, share, "", asked, ours=median_s(took), theirs=median_s(limits), note=note))
        return figures

    def processes(self, samples: Samples) -> list[Figure]:
        """All processes against one."""
        many, figures = len(cores()), []
        for what, name, asked in (("the stage", "stage", PROCESSES * many), ("whole command", "seconds", None)):
            one, every = (by_round(samples[of], name) for of in (ONE_JOB, OURS))
            title = f"{self.workload.name}: {many} processes against 1, {what}"
            figures.append(Figure.against(title, theirs=one, ours=every, asked=asked))
        return figures

    def memory(self, samples: Samples) -> Figure:
        """The most memory that all processes of the command had together."""
        title = f"{self.workload.name}: memory of all processes together"
        used = spread(by_round(samples[WATCHED], "memory_mb"))
        return Figure(title, used, "MB", MEMORY_MB, "at most", note="sum of PSS every 20 ms")

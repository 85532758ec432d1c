"""``hpsearch init`` and ``hpsearch check``: study files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import DataDir, Format, FormatOption, Pruner
from hpsearch.text import counted

if TYPE_CHECKING:
    from hpsearch.data import Split
    from hpsearch.search.stage_loop import Estimate
    from hpsearch.study_file import StudyFile


def init(
    name: Annotated[str, typer.Argument(help="Name of the search; the file is studies/NAME.toml.")],
    force: Annotated[bool, typer.Option(help="Overwrite a file that is there.")] = False,
    output: FormatOption = Format.table,
) -> None:
    """Write a commented study file to begin from."""
    from hpsearch.cli.output import emit_record, say
    from hpsearch.study_lookup import write_study

    path = write_study(name, force=force)
    if output is not Format.table:
        emit_record({"search": name, "path": str(path)}, output)
        return
    say(f"wrote {path}")
    say(f"edit it, then: hpsearch check {path}")
    say(f"               hpsearch start {name}")


def check(
    study: Annotated[str | None, typer.Argument(help="Study file, or its name. [default: mnist]")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials a stage. [default: the study file's]")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes. [default: one a core]")] = None,
    pruner: Pruner = None,
    data_dir: DataDir = None,
    output: FormatOption = Format.table,
) -> None:
    """Validate a study file and say what a stage of it would do and cost; nothing is stored."""
    from hpsearch.cli.output import emit_record, note, say
    from hpsearch.objectives.network.words import network_words, only_where, training_words
    from hpsearch.search.pruning import plan_of, pruning_words, unused_words
    from hpsearch.search.stage_loop import estimate
    from hpsearch.search.workflow import check_counts, check_pruner, cores, load_split
    from hpsearch.space import describe
    from hpsearch.study_lookup import find

    check_counts(trials=trials, jobs=jobs)
    check_pruner(pruner)
    file = find(study)
    if pruner is not None:
        file = file.with_pruning(pruner)
    split = load_split(file, data_dir=data_dir)
    jobs = jobs or cores()
    trials = trials or file.trials.count
    cost = estimate(file, split, trials=trials, jobs=jobs)
    if (unused := unused_words(file)) is not None:
        note(unused)
    if output is not Format.table:
        emit_record(_plain(file, split, cost, trials=trials, jobs=jobs), output)
        return
    words = network_words(file)
    lines = {
        "search": file.name,
        "data": f"{file.data.name or file.data.path or 'mnist-10k'}: {len(split.x_train)} train, "
        f"{len(split.x_validation)} validation, {counted(split.x_train.shape[1], 'input')}, "
        f"{counted(split.classes, 'class')}",
        "network": f"{'-'.join(map(str, cost.sizes))}, {cost.parameters:,} parameters{words and f'; {words}'}",
        "training": training_words(file),
        **{f"  {name}": f"{describe(drawn)}{only_where(file, name)}" for name, drawn in file.parameters.items()},
        "objective": f"{file.objective.direction} {file.objective.metric} at the {file.objective.at} epoch",
        "pruning": pruning_words(plan_of(file), trials),
        "a trial": f"{cost.flops / 1e9:.3g} GFLOP, about {cost.seconds_per_trial:.2g} s in one process",
        "a stage": f"{counted(trials, 'trial')}, {counted(jobs, 'process')}, "
        f"{counted(cost.lanes, 'lane')}: about {cost.seconds:.2g} s",
    }
    for title, text in lines.items():
        say(f"{title:<16}{text}", hanging=16)


def _plain(file: StudyFile, split: Split, cost: Estimate, *, trials: int, jobs: int) -> dict[str, Any]:
    """What a check found, for programs: every number, and the whole study file with its defaults."""
    return {
        "search": file.name,
        "train": len(split.x_train),
        "validation": len(split.x_validation),
        "inputs": split.x_train.shape[1],
        "classes": split.classes,
        "data_fingerprint": split.fingerprint,
        "sizes": list(cost.sizes),
        "parameters": cost.parameters,
        "flops_per_trial": cost.flops,
        "seconds_per_trial": cost.seconds_per_trial,
        "trials": trials,
        "jobs": jobs,
        "lanes": cost.lanes,
        "seconds": cost.seconds,
        "study_file": file.to_dict(),
    }

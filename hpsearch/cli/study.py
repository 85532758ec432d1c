"""``hpsearch init`` and ``hpsearch check``: study files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import DataDir, Format, FormatOption, Pruner
from hpsearch.text import counted

if TYPE_CHECKING:
    from hpsearch.objectives.base import Data
    from hpsearch.search.stage_loop import StageEstimate
    from hpsearch.study_file import StudyFile


def init(
    name: Annotated[str, typer.Argument(help="Name of the search; the file is studies/NAME.toml.")],
    force: Annotated[bool, typer.Option(help="Overwrite a file that is there.")] = False,
    output: FormatOption = Format.table,
) -> None:
    """Write a commented study file to begin from."""
    from hpsearch.cli.output import emit_record, say
    from hpsearch.study_file import write_study

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
    from hpsearch.search.pruning import plan_of, pruning_words, unused_words
    from hpsearch.search.stage_loop import estimate
    from hpsearch.search.workflow import check_counts, check_pruner, cores
    from hpsearch.space import describe
    from hpsearch.study_file import find

    check_counts(trials=trials, jobs=jobs)
    check_pruner(pruner)
    file = find(study)
    if pruner is not None:
        file = file.with_pruning(pruner)
    split = file.load(data_dir=data_dir)
    jobs = jobs or cores()
    trials = trials or file.trials.count
    cost = estimate(file, split, trials=trials, jobs=jobs)
    if (unused := unused_words(file)) is not None:
        note(unused)
    if output is not Format.table:
        emit_record(_plain(file, split, cost, trials=trials, jobs=jobs), output)
        return
    words = dict(cost.trial.words)
    goal, one = words.pop("objective"), words.pop("a trial")
    lines = {
        "search": file.name,
        **words,
        **{f"  {name}": f"{describe(range_)}{file.only_where(name)}" for name, range_ in file.space.items()},
        "objective": goal,
        "pruning": pruning_words(plan_of(file), trials),
        "a trial": one,
        "a stage": f"{counted(trials, 'trial')}, {counted(jobs, 'process')}, "
        f"{counted(cost.trial.lanes, 'lane')}: about {cost.seconds:.2g} s",
    }
    for title, text in lines.items():
        say(f"{title:<16}{text}", hanging=16)


def _plain(file: StudyFile, data: Data, cost: StageEstimate, *, trials: int, jobs: int) -> dict[str, Any]:
    """Return what a check measured, for programs, and the whole study file with its defaults."""
    return {
        "search": file.name,
        "data_fingerprint": data.fingerprint,
        **cost.trial.facts,
        "seconds_per_trial": cost.trial.seconds_per_trial,
        "trials": trials,
        "jobs": jobs,
        "lanes": cost.trial.lanes,
        "seconds": cost.seconds,
        "study_file": file.to_dict(),
    }

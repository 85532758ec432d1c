"""``hpsearch start``: run a stage, or the whole staged workflow."""

from __future__ import annotations

from typing import Annotated

import typer

from hpsearch.cli.options import (
    DataDir,
    Engine,
    Format,
    FormatOption,
    Jobs,
    Lanes,
    Pruner,
    Scheduler,
    StageNumber,
    Storage,
    storage_url,
)


def start(
    study: Annotated[
        str | None,
        typer.Argument(help="Study file, its name, or a stage (mnist/stage-02). [default: mnist]", show_default=False),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="Finished trials that the stage is to have. [default: the study file's]", show_default=False),
    ] = None,
    stage: StageNumber = None,
    stages: Annotated[
        int | None,
        typer.Option(help="Run the whole workflow up to this many stages, narrowing in between."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(help="With --stages: best trials that narrowing uses. [default: 5]", show_default=False),
    ] = None,
    expand: Annotated[
        bool, typer.Option("--expand", help="With --stages: widen where the score rises to an edge.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of a new search. [default: the study file's]", show_default=False),
    ] = None,
    jobs: Jobs = None,
    engine: Engine = "pool",
    scheduler: Scheduler = None,
    lanes: Lanes = None,
    pruner: Pruner = None,
    storage: Storage = None,
    data_dir: DataDir = None,
    output: FormatOption = Format.table,
) -> None:
    """Run a stage until it has the trials asked for; what has finished before counts."""
    from hpsearch.cli.progress import Display
    from hpsearch.search.stage import resolve_study
    from hpsearch.search.workflow import Job, run

    study, stage = resolve_study(study, stage)
    job = Job(
        storage=storage_url(storage),
        make_folder=storage is None,
        study=study,
        trials=trials,
        stage=stage,
        stages=stages,
        top=top,
        expand=expand,
        seed=seed,
        engine=engine,
        jobs=jobs,
        scheduler=scheduler,
        lanes=lanes,
        pruner=pruner,
        data_dir=data_dir,
    )
    with Display(output) as display:
        run(job, display)
        display.done()

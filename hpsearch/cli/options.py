"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hpsearch.commands import DEFAULT_STORAGE


class Format(StrEnum):
    """How data is printed."""

    table = "table"
    csv = "csv"
    json = "json"


Storage = Annotated[
    str | None,
    typer.Option(
        envvar="HPSEARCH_STORAGE",
        help=f"Study database: a SQLite file or an SQLAlchemy URL. [default: {DEFAULT_STORAGE}]",
        show_default=False,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the data.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with data sets as IDX files. [default: $HPSEARCH_DATA]", show_default=False),
]
Search = Annotated[
    str | None,
    typer.Argument(help="Name of the search, or its study file. [default: the only search]", show_default=False),
]
SearchOrStage = Annotated[
    str | None,
    typer.Argument(
        help="Name of the search, or of a stage: mnist/stage-02. [default: the only search]",
        show_default=False,
    ),
]
Pruner = Annotated[
    str | None,
    typer.Option(
        "--pruner",
        help="Stop hopeless trials of a stage that begins: halving, median or none. [default: the study file's]",
        show_default=False,
    ),
]
Jobs = Annotated[int | None, typer.Option(help="Processes. [default: one a core]", show_default=False)]
Engine = Annotated[
    str, typer.Option(help="pool: processes; dask: the workers of a Dask cluster; inline: this process, to debug.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="With --engine dask: tcp://HOST:PORT of its scheduler, or the scheduler file. [default: "
        "$HPSEARCH_SCHEDULER, or --jobs workers on this machine]",
        show_default=False,
    ),
]
Lanes = Annotated[
    int | None,
    typer.Option(help="Trials trained together. [default: what suits the network]", show_default=False),
]
StageNumber = Annotated[
    int | None, typer.Option("--stage", help="Stage number. [default: the latest]", show_default=False)
]


def storage_url(storage: str | None) -> str:
    """The storage asked for, or the default one."""
    return str(DEFAULT_STORAGE) if storage is None else storage

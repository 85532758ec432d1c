"""``hpsearch data``: which data sets there are, downloading one, and looking at one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.options import DataDir, Format, FormatOption
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.data import Dataset

app = typer.Typer(help="List, download and look at data sets.")


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """List, download and look at data sets."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_data_sets(data_dir: DataDir = None, output: FormatOption = Format.table) -> None:
    """List the data sets that have a name, and whether they are here."""
    from hpsearch.cli import render
    from hpsearch.data import KNOWN, whereabouts

    rows: list[dict[str, object]] = []
    for name, known in KNOWN.items():
        where = whereabouts(name, data_dir)
        rows.append(
            {
                "name": name,
                "images": known.images,
                "test_images": known.test_images,
                "shape": "x".join(map(str, known.shape)),
                "classes": known.classes,
                "here": where is not None,
                "where": known.remedy.worded(render.word) if where is None else where,
            }
        )
    _print_rows(rows, output)


@app.command("fetch")
def fetch_data_set(
    name: Annotated[str, typer.Argument(help="mnist or fashion-mnist.")],
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Put it into the subfolder NAME of this folder.")
    ] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", hidden=True, help="Download from a mirror.")] = None,
    output: FormatOption = Format.table,
) -> None:
    """Download a data set; files that are here already are not downloaded again."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

    from hpsearch.cli.output import emit_record
    from hpsearch.data import fetch

    bars: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    # On stderr, so that stdout holds the folder and nothing else; and for people only.
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:

        def advance(file: str, here: int, size: int) -> None:
            if file not in bars:
                bars[file] = progress.add_task(file, total=size or None)
            progress.update(bars[file], completed=here, total=size or None)

        folder = fetch(name, data_dir=data_dir, base_url=base_url, progress=advance)
    if output is not Format.table:
        emit_record({"name": name, "folder": str(folder)}, output)
        return
    typer.echo(f"{name} is in {folder}")


@app.command("show")
def show_data_set(
    what: Annotated[str, typer.Argument(metavar="NAME_OR_PATH", help="A name, a file or a folder of IDX files.")],
    label: Annotated[str | None, typer.Option(help="The column of the labels in a table.")] = None,
    data_dir: DataDir = None,
    output: FormatOption = Format.table,
) -> None:
    """Show how many examples a data set has, their shape, and how many of each class."""
    from hpsearch.data import KNOWN, load

    # What looks like a path is one; any other word is a name, so that a misspelt name is answered as such.
    path = Path(what)
    is_path = what not in KNOWN and (bool(path.suffix) or os.sep in what or path.exists())
    dataset = load(path=path, label=label) if is_path else load(what, label=label, data_dir=data_dir)
    if output is Format.table:
        test = "" if dataset.x_test is None else f" and {len(dataset.x_test)} of its own test part"
        typer.echo(f"{dataset.name} ({dataset.source})")
        typer.echo(f"{counted(len(dataset.x), 'example')}{test}, each of shape {_shape(dataset)}, {dataset.x.dtype}")
        typer.echo(counted(dataset.classes, "class"))
    _print_rows(_class_rows(dataset), output)


def _shape(dataset: Dataset) -> str:
    return "x".join(str(n) for n in dataset.x.shape[1:])


def _class_rows(dataset: Dataset) -> list[dict[str, object]]:
    import numpy as np

    counts = np.bincount(dataset.labels, minlength=dataset.classes)
    test_labels = np.array([], dtype=np.int64) if dataset.labels_test is None else dataset.labels_test
    test_counts = np.bincount(test_labels, minlength=dataset.classes)
    return [
        {"class": name, "examples": int(count), "test_examples": int(test_count)}
        for name, count, test_count in zip(dataset.class_names, counts, test_counts, strict=True)
    ]


def _print_rows(rows: Sequence[dict[str, object]], output: Format) -> None:
    from hpsearch.cli.output import emit
    from hpsearch.reports.tables import by_column

    columns = by_column(rows)
    if output is Format.table:
        columns = {name.replace("_", " "): cells for name, cells in columns.items()}
    emit(columns, output)

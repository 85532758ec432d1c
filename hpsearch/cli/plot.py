"""``hpsearch plot``: a figure of a search, as a page or an image."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.options import SearchOrStage, StageNumber, Storage, storage_url
from hpsearch.reports.plot_kinds import OF_ALL_STAGES, OF_ONE_STAGE, WORDS, PlotKind, PlotRequest

_STDOUT = "-"


class Quantity(StrEnum):
    """What learning curves show."""

    accuracy = "accuracy"
    loss = "loss"


def plot(
    kind: Annotated[PlotKind, typer.Argument(help="What to plot; see below.", show_default=False)],
    search: SearchOrStage = None,
    stage: StageNumber = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="File, whose ending says how: .html, .png, .svg or .pdf; - for HTML to standard output. "
            "[default: SEARCH-KIND.html here]",
            show_default=False,
        ),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="Hyperparameter: of parameters and curves one, of pair two.", show_default=False),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(help="Best trials that are plotted (curves: 20) or highlighted (others: 5).", show_default=False),
    ] = None,
    quantity: Annotated[
        Quantity | None, typer.Option(help="Of curves. [default: accuracy]", show_default=False)
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Light on dark.")] = False,
    storage: Storage = None,
) -> None:
    """Plot a figure of a search."""
    from hpsearch.cli.output import say
    from hpsearch.errors import BadInput
    from hpsearch.reports import plots
    from hpsearch.search.stage import latest_with_trials, pick, resolve_stage, stages_of
    from hpsearch.store import open_store

    request = PlotRequest(kind, tuple(parameter or ()), top, quantity)
    search, stage = resolve_stage(search, stage)
    if stage is not None and kind in OF_ALL_STAGES:
        raise BadInput(f"stage {stage}: {kind} plots all stages; leave it out")
    _check(out)
    store = open_store(storage_url(storage), write=False)
    try:
        stages = stages_of(store, search)
        chosen = latest_with_trials(store, stages) if stage is None else pick(stages, stage)
        figure = plots.plot(store, stages, request, stage=chosen, alone=stage is not None)
    finally:
        store.close()
    from hpsearch.reports import figures

    if dark:
        figure = figures.dark(figure)
    if out == _STDOUT:
        sys.stdout.write(figures.page(figure))
        return
    of_one = stage is not None or kind in OF_ONE_STAGE
    whose = chosen.name.replace("/", "-") if of_one else chosen.search
    path = Path(f"{whose}-{kind}.html" if out is None else out)
    figures.save(figure, path, scale=2.0 if path.suffix.lower() == ".png" else 1.0)
    say(f"wrote {path}: {figures.describe(figure)}")


def _check(out: str | None) -> None:
    """Refuse a file that cannot be written before the database is read."""
    from hpsearch.errors import BadInput
    from hpsearch.reports.figures.saving import check_path

    if out == _STDOUT and sys.stdout.isatty():
        raise BadInput("--out - writes a page of 5 MB to the terminal; give a file, or a pipe for it to go into")
    if out is not None and out != _STDOUT:
        check_path(Path(out).expanduser())


plot.__doc__ = f"""{plot.__doc__}

\b
KIND is one of:
{chr(10).join(f"  {kind:<11} {words}" for kind, words in WORDS.items())}

Pruned trials are open triangles or dotted lines, failed ones crosses. A file is replaced.
"""

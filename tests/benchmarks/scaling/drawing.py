"""The figures of ``studies/scale.md``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from hpsearch.reports import figures
from hpsearch.reports.figures.style import MUTED, colour, empty_figure, log_axis
from scaling import told
from scaling.work import Work

_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def draw(found: Mapping[str, Any], folder: Path) -> None:
    """Draw what there is into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if "clock" in found:
        figures.save(workers(found), folder / "scale-workers.png")
    if "growth" in found:
        figures.save(trials(found), folder / "scale-trials.png")


def workers(found: Mapping[str, Any]) -> go.Figure:
    """Trials a second by workers: measured, the model's of the same points, and what the workers could do."""
    figure = empty_figure(key="dots: measured, lines: the model of the same runs", legend=True)
    lines = {f"{_NAMES[kind]}, no engine": runs for kind, runs in found["clock"].items()}
    lines |= {f"{_NAMES[kind]}, Dask": runs for kind, runs in found.get("dask", {}).items()}
    for place, (name, plain) in enumerate(lines.items()):
        runs = [told.run(one) for one in plain]
        at = [run.slots for run in runs]
        dots = {"color": colour(place), "size": 9}
        figure.add_scatter(x=at, y=[run.rate for run in runs], mode="markers", marker=dots, name=name)
        model = [one["predicted"] for one in plain]
        figure.add_scatter(x=at, y=model, mode="lines", line={"color": colour(place)}, showlegend=False)
    slots = [1, 1000]
    most = [one * 4 / Work(2.0).mean for one in slots]
    figure.add_scatter(x=slots, y=most, mode="lines", line={"color": MUTED, "dash": "dot"}, name="workers never wait")
    figure.update_xaxes(title_text="workers, each with a batch of 4 trials of 2 s", **log_axis(0.8, 1200))
    figure.update_yaxes(title_text="trials a second", **log_axis(0.5, 3000))
    return figure.update_layout(width=900, height=460)


def trials(found: Mapping[str, Any]) -> go.Figure:
    """Seconds of the store's reads and writes by trials in the stage."""
    figure = empty_figure(key="solid: PostgreSQL, dashed: SQLite", legend=True)
    names = ("claim 32", "record 32", "counts", "first counts", "top 5", "who finished", "narrow")
    for kind, grown in found["growth"].items():
        for place, name in enumerate(names):
            figure.add_scatter(
                x=[one["trials"] for one in grown],
                y=[one["seconds"][name] for one in grown],
                mode="lines+markers",
                name=name,
                line={"color": colour(place), "dash": "dash" if kind == "sqlite" else "solid"},
                showlegend=kind == "sqlite",
            )
    sizes = [one["trials"] for grown in found["growth"].values() for one in grown]
    figure.update_xaxes(title_text="finished trials of the stage", **log_axis(min(sizes), max(sizes)))
    figure.update_yaxes(title_text="seconds", **log_axis(0.001, 100))
    return figure.update_layout(width=900, height=460)

"""Markdown tables of what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from figures import Figure
from learning import Learned


def markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def number(value: float, unit: str) -> str:
    """Three digits and the unit: ``2.35x``, ``0.871``, ``412 MB``."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text}{unit}" if unit in ("", "x") else f"{text} {unit}"


def figures_table(figures: Iterable[Figure]) -> str:
    """What was asked and what was measured."""
    verdicts = {True: "yes", False: "**no**", None: "-"}
    rows = []
    for figure in figures:
        asked = "-" if figure.asked is None else f"{figure.bound} {number(figure.asked, figure.unit)}"
        measured = apart = "not measured"
        if figure.measured is not None:
            measured = number(figure.measured.value, figure.unit)
            apart = f"{number(figure.measured.low, '')} .. {number(figure.measured.high, '')}"
        cells = (figure.what, asked, measured, apart, verdicts[figure.met], figure.ours, figure.theirs, figure.note)
        rows.append([cell or "-" for cell in cells])
    return markdown(("what", "asked", "measured", "rounds", "met", "ours", "theirs", "note"), rows)


def learning_table(learned: Iterable[Learned]) -> str:
    """Whether all learn equally well."""
    return markdown(
        ("workload", "who", "trials", "best", "median of the best twentieth", "noise (2 s.e.)", "as ours"),
        (
            [
                one.workload,
                one.who,
                str(one.trials),
                f"{one.best:.3f}",
                f"{one.top:.3f}",
                f"{one.noise:.3f}",
                {True: "yes", False: "**no**", None: "-"}[one.alike],
            ]
            for one in learned
        ),
    )


def machine_table(machine: Mapping[str, Any]) -> str:
    """What it was measured on."""
    return markdown(("machine", ""), ([name, str(value)] for name, value in machine.items()))

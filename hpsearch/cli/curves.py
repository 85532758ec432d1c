"""Learning curves beside trials: characters for people, numbers for programs."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from hpsearch.cli.options import Format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.store.queries import Columns

_MANY = 500
"""Where so many trials are shown their curves are read only when asked for: that takes longer than all the rest."""


def wanted(asked: bool | None, output: Format, trials: int) -> bool:
    """Whether curves are to be read.

    Args:
        asked: Whether they are asked for; None: not a word was said.
        output: How the trials are printed.
        trials: How many there are.
    """
    if asked is not None:
        return asked
    return output is Format.table and trials <= _MANY and sys.stdout.isatty()


def with_curves(
    table: Columns, stage: Stage, curves: Mapping[int, Sequence[float]], output: Format, *, asked: bool | None
) -> Columns:
    """A table of trials with a column more, or the same one where people look and there is no room for it.

    Args:
        table: The trials.
        stage: Theirs.
        curves: (E,) scores after each epoch, by the trial's number.
        output: How they are printed.
        asked: Whether curves are asked for; then they are there whatever the room.
    """
    from hpsearch.cli.output import console, least_width
    from hpsearch.reports.terminal import Scale, shows_blocks

    of_trials = [curves.get(number, ()) for number in table["trial"]]
    if output is Format.json:
        return table | {"curve": [[v if math.isfinite(v) else None for v in curve] for curve in of_trials]}
    if output is Format.csv:
        return table | {"curve": [" ".join(map(repr, curve)) for curve in of_trials]}
    epochs = stage.study_file.get("training", {}).get("epochs")
    scale = Scale.of(of_trials, epochs=epochs, blocks=shows_blocks(sys.stdout.encoding))
    wider = table | {f"curve {scale.words}": [scale.sparkline(curve) or None for curve in of_trials]}
    return wider if asked or least_width(wider) <= console().width else table

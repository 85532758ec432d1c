"""``hpsearch predict``: what a saved network says of new examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import Format, FormatOption

if TYPE_CHECKING:
    from hpsearch.objectives.network.predicting import Predictions

_ROWS = 20
"""Of the printed table."""


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A network that --save wrote: .npz.", show_default=False)
    ],
    examples: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES...",
            help="Pictures (.png, .jpg), folders of them, .npz, .csv or .parquet.",
            show_default=False,
        ),
    ],
    label: Annotated[
        str | None, typer.Option(help="The column of the labels in a table. [default: label]", show_default=False)
    ] = None,
    resize: Annotated[bool, typer.Option("--resize", help="Scale pictures of another size.")] = False,
    crop: Annotated[
        bool, typer.Option("--crop", help="Cut out what is drawn and centre it, as MNIST's digits are.")
    ] = False,
    invert: Annotated[bool, typer.Option("--invert", help="For pictures of dark ink on white paper.")] = False,
    output: FormatOption = Format.table,
) -> None:
    """Classify new examples with a saved network; where they have labels, say how many are right."""
    from hpsearch.cli.output import emit, emit_object, note, say
    from hpsearch.data.examples import Adjustments, read_examples
    from hpsearch.nn import load_model
    from hpsearch.objectives.network import predicting
    from hpsearch.text import printable

    kept = load_model(model)
    shape = kept.takes().shape
    adjustments = Adjustments(invert=invert, crop=crop, resize=resize)
    found = [some for path in examples for some in read_examples(path, shape, label=label, adjustments=adjustments)]
    predictions = predicting.predict(kept, found)
    for source in predictions.scaled:
        note(f"{source} lies within 0 .. 1: taken as grey levels that are divided by 255 already")
    columns = {
        name: [printable(cell) if isinstance(cell, str) else cell for cell in cells]
        for name, cells in predictions.columns().items()
    }
    match output:
        case Format.json:
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            emit_object({"predictions": rows, **_scores(predictions)})
        case Format.csv:
            emit(columns, output)
            if predictions.labelled:
                note(_sentence(predictions))
        case Format.table:
            emit({name.replace("_", " "): cells[:_ROWS] for name, cells in columns.items()}, output)
            if (more := len(predictions.best) - _ROWS) > 0:
                say(f"and {more} more (all with --format csv or json)")
            if predictions.labelled:
                say()
                say(_sentence(predictions))


def _scores(predictions: Predictions) -> dict[str, Any]:
    if not predictions.labelled:
        return {}
    accuracy, interval = predictions.accuracy()
    return {
        "labelled": predictions.labelled,
        "right": predictions.hits,
        "accuracy": accuracy,
        "interval": {"low": interval.low, "high": interval.high, "level": interval.level},
    }


def _sentence(predictions: Predictions) -> str:
    accuracy, interval = predictions.accuracy()
    return (
        f"accuracy {accuracy:.4g}, {predictions.hits} of {predictions.labelled} right "
        f"({interval.level:.0%} interval {interval.low:.4g} .. {interval.high:.4g})"
    )

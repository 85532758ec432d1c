"""``hpsearch model``: what is in a saved network's file, and the network as an ONNX file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.options import Format, FormatOption

app = typer.Typer(help="Look at a saved network, or export it.")


class Raw(StrEnum):
    """The type of what goes into an exported network."""

    uint8 = "uint8"
    float32 = "float32"


ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A network that --save wrote: .npz.", show_default=False)
]


@app.callback(invoke_without_command=True)
def model(context: typer.Context) -> None:
    """Look at a saved network, or export it."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("show")
def show_model(path: ModelFile, output: FormatOption = Format.table) -> None:
    """Show what is in a saved network's file: architecture, what goes in and comes out, where it is from."""
    from hpsearch.cli.output import emit, emit_object, say
    from hpsearch.nn import load_model
    from hpsearch.objectives.network import describing

    kept = load_model(path)
    match output:
        case Format.json:
            emit_object(describing.plain(kept))
        case Format.csv:
            facts = {"network": describing.headline(kept), **describing.facts(kept)}
            emit({"name": list(facts), "value": list(facts.values())}, output)
        case Format.table:
            facts = describing.facts(kept)
            say(f"{path}: {describing.headline(kept)}")
            say()
            emit({"what": list(facts), "value": list(facts.values())}, output)


@app.command("export")
def export_model(
    path: ModelFile,
    to: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="The file to write.", show_default=False)],
    raw: Annotated[
        Raw | None,
        typer.Option(
            "--input", help="Type of the raw values that go in. [default: as it was trained]", show_default=False
        ),
    ] = None,
) -> None:
    """Export a saved network as an ONNX file: raw values go in, probabilities come out."""
    from hpsearch.cli.output import say
    from hpsearch.nn import load_model
    from hpsearch.objectives.network import onnx_export

    onnx_export.export_onnx(load_model(path), to, raw=None if raw is None else raw.value)
    say(f"the network is in {to}")

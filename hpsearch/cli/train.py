"""``hpsearch train``: one network with given hyperparameters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import DataDir, Format, FormatOption
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hpsearch.nn import Epoch, History
    from hpsearch.objectives.network.train_once import Trained
    from hpsearch.store.queries import Columns
    from hpsearch.study_file import StudyFile

_ROWS = 10
"""Epochs of the printed table."""


def train(
    study: Annotated[
        str | None, typer.Argument(help="Study file, or its name. [default: mnist]", show_default=False)
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="KEY=VALUE, such as training.lr=0.01 or lr=0.01; may be repeated.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of weights, order and dropout. [default: the study file's]", show_default=False),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the learning curves: .html, .png, .svg or .pdf.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the trained network: .npz.")] = None,
    data_dir: DataDir = None,
    output: FormatOption = Format.table,
) -> None:
    """Train one network with the study file's values and show its learning curves; nothing is stored."""
    from hpsearch.cli.output import emit, emit_object
    from hpsearch.errors import BadInput
    from hpsearch.objectives.network.train_once import train_once, with_settings
    from hpsearch.study_file import find

    file = find(study)
    file = replace(file, sections=with_settings(file.sections, assignments or []), space={})
    if seed is not None and not 0 <= seed < 2**63:
        raise BadInput(f"--seed {seed}: give a whole number from 0")
    check_outputs({"--plot": plot}, save)
    split: Any = file.load(data_dir=data_dir)
    chosen = file.trials.seed if seed is None else seed
    trained = watch(file, partial(train_once, file.sections, split, seed=chosen))
    match output:
        case Format.json:
            emit_object(_plain(trained))
        case Format.csv:
            emit(_table(trained.history), output)
        case Format.table:
            _show(file, trained, len(split.y_validation))
    _write(file, split, trained, plot, save)


def check_outputs(figures: Mapping[str, Path | None], save: Path | None) -> None:
    """Check, before anything is trained, that files can be written.

    Args:
        figures: Of options that write figures: their paths, or None.
        save: Of ``--save``.

    Raises:
        BadInput: An ending of another kind, or a path that cannot be written.
    """
    from hpsearch.errors import BadInput

    for path in figures.values():
        if path is not None:
            from hpsearch.reports.figures import check_path

            check_path(path)
    if save is not None and save.suffix != ".npz":
        raise BadInput(f"--save {save}: a network is saved as .npz")
    for option, path in (*figures.items(), ("--save", save)):
        if path is not None and not path.absolute().parent.is_dir():
            raise BadInput(f"{option} {path}: there is no folder {path.parent}; make it first")
        if path is not None and path.is_dir():
            raise BadInput(f"{option} {path}: it is a folder; give a file")


def watch(file: StudyFile, fit: Callable[..., Any], *, advice: str = "Try a smaller --set training.lr") -> Trained:
    """Train with a bar on standard error, where that is a terminal.

    Args:
        file: The study file.
        fit: Trains, given ``on_epoch``.
        advice: What to do if the loss diverges.

    Raises:
        Interrupted: Ctrl-C.
        EvaluationFailure: The loss diverged.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from hpsearch.cli.output import console
    from hpsearch.errors import EvaluationFailure, Interrupted

    screen = console(stderr=True)
    bar = Progress(
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("epochs{task.fields[words]}"),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    done = 0

    def on_epoch(epoch: Epoch) -> None:
        nonlocal done
        done = epoch.epoch
        words = f", val. accuracy {epoch.validation_accuracy[0]:.4g}" if len(epoch.lanes) else ""
        bar.update(task, completed=epoch.epoch, words=words)

    try:
        with bar:
            task = bar.add_task("epochs", total=file.epochs, words="")
            trained: Trained = fit(on_epoch=on_epoch)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped after epoch {done} of {file.epochs}; nothing was written") from None
    rate = file.sections.training.lr
    if trained.history.ended is not None:
        raise EvaluationFailure(f"{trained.history.ended} (lr = {rate:g}); nothing was written. {advice}")
    return trained


def _plain(trained: Trained) -> dict[str, Any]:
    settings = {name: value for name, value in trained.settings.items() if value is not None}
    return {
        "settings": settings,
        "seed": trained.seed,
        "seconds": round(trained.seconds, 3),
        "curves": trained.history.curves(),
    }


def _table(history: History) -> Columns:
    return {"epoch": list(range(1, len(history) + 1)), **history.curves()}


def _show(file: StudyFile, trained: Trained, images: int) -> None:
    from hpsearch.cli.output import emit, say
    from hpsearch.reports.tables import share_error
    from hpsearch.reports.terminal import chart

    history, network = trained.history, trained.network
    epochs = len(history)
    shown = (
        {round(1 + i * (epochs - 1) / (_ROWS - 1)) for i in range(_ROWS)} if epochs > _ROWS else range(1, epochs + 1)
    )
    say(f"{file.name}: {'-'.join(map(str, network.sizes))}, {_how(file)}, seed {trained.seed}")
    say()
    table = {
        name.replace("validation_", "val. "): [cells[epoch - 1] for epoch in sorted(shown)]
        for name, cells in _table(history).items()
    }
    emit(table, Format.table)
    say()
    for line in chart({".": history.train_accuracy, "o": history.validation_accuracy}):
        say(line)
    say("            accuracy: . train  o validation")
    say()
    accuracy = history.validation_accuracy[-1]
    error = share_error(accuracy, images)
    say(
        f"validation accuracy {accuracy:.4g} +- {error:.2g} (one standard error) after {counted(epochs, 'epoch')}, "
        f"in {trained.seconds:.1f} s"
    )


def _how(file: StudyFile) -> str:
    """What was trained with, in a line."""
    network, training = file.sections.network, file.sections.training
    words = [network.activation, network.initializer]
    words += ["batch norm"] if network.batch_norm else []
    words += [f"dropout {network.dropout:g}"] if network.dropout else []
    words += [f"{training.optimizer} lr {training.lr:g}"]
    words += [training.lr_schedule] if training.lr_schedule != "constant" else []
    words += [f"weight decay {training.weight_decay:g}"] if training.weight_decay else []
    return ", ".join(words)


def _write(file: StudyFile, split: Any, trained: Trained, plot: Path | None, save: Path | None) -> None:
    from hpsearch.cli.output import note

    if save is not None:
        from hpsearch.nn import save as save_network

        save_network(
            trained.network,
            save,
            about=trained.about(file.name, file.sections, split),
            preprocessing=split.preprocessing,
            class_names=split.class_names,
        )
        note(f"the network is in {save}")
    if plot is not None:
        from hpsearch.objectives.kinds import DEFAULT
        from hpsearch.reports import figures

        bounds = DEFAULT.curve_bounds
        figures.save(figures.training_curves(trained.history.curves(), bounds=bounds, title=file.name), plot)
        note(f"the learning curves are in {plot}")

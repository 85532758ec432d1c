"""``hpsearch train``, ``evaluate``, ``predict`` and ``model``: training, evaluation and use of single networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from hpsearch import representations
from hpsearch.api import Evaluation, Search, plotting
from hpsearch.cli import options
from hpsearch.cli.options import FILE, Format, Group
from hpsearch.cli.render import emit, emit_object, note, say, terminal
from hpsearch.data.examples import Adjustments, read_examples
from hpsearch.data.preprocessing import is_picture
from hpsearch.errors import BadArgument, BadInput, EvaluationFailure, Interrupted
from hpsearch.nn import load_model
from hpsearch.nn import save as save_network
from hpsearch.objectives.kinds import DEFAULT, used
from hpsearch.objectives.network import predicting
from hpsearch.objectives.network.onnx_export import export_onnx
from hpsearch.objectives.network.predicting import Predictions
from hpsearch.objectives.network.predicting import predict as classify
from hpsearch.objectives.network.runtime import settings_words, train_once, with_settings
from hpsearch.reports.tables import chart
from hpsearch.search.stage import check_seed
from hpsearch.space import shown
from hpsearch.statistics.intervals import share_error
from hpsearch.study_file import find
from hpsearch.text import counted
from hpsearch.wording import worded

if TYPE_CHECKING:
    from hpsearch.data import Split
    from hpsearch.nn import Epoch
    from hpsearch.objectives.base import Fitted
    from hpsearch.objectives.network.runtime import Trained
    from hpsearch.search.evaluation import Prepared
    from hpsearch.study_file import StudyFile

_EPOCHS = 10  # of the printed learning curve
_ROWS = 20  # predictions of the printed table

plot_option = click.option("--plot", type=FILE, help="Plot the learning curves: .html, .png, .svg or .pdf.")
save_option = click.option("--save", type=FILE, help="Write the trained network: .npz.")
model_file = click.argument("path", metavar="MODEL", type=FILE, help="A network that --save wrote: .npz.")


@click.command()
@click.argument("study", required=False, help="Study file, or its name. [default: mnist]")
@click.option("--set", "assignments", multiple=True, help="KEY=VALUE, such as training.lr=0.01; may be repeated.")
@click.option("--seed", type=int, help="Of weights, order and dropout. [default: the study file's]")
@plot_option
@save_option
@options.data_dir
@options.output
def train(
    study: str | None,
    assignments: tuple[str, ...],
    seed: int | None,
    plot: Path | None,
    save: Path | None,
    data_dir: Path | None,
    output: Format,
) -> None:
    """Train one model with the study file's values; nothing is stored.

    Its learning curves are shown.
    """
    file = find(study)
    if file.kind is not DEFAULT:
        raise BadInput(
            f"the objective of {file.name} is your own ({file.kind.name}), and only a network is trained here"
        )
    file = replace(file, sections=with_settings(file.sections, assignments), space={})
    check_seed(seed)
    _check_outputs(plot=plot, save=save)
    split: Any = file.load(data_dir=data_dir)
    chosen = file.trials.seed if seed is None else seed
    trained = _train_shown(file, partial(train_once, file.sections, split, seed=chosen), "a smaller --set training.lr")
    curves = trained.history.curves()
    if output == "json":
        settings = {name: value for name, value in trained.settings.items() if value is not None}
        seconds = round(trained.seconds, 3)
        emit_object({"settings": settings, "seed": trained.seed, "seconds": seconds, "curves": curves})
    elif output == "csv":
        emit({"epoch": list(range(1, len(trained.history) + 1)), **curves}, output)
    else:
        _show_training(file, trained, len(split.y_validation))
    if save is not None:
        _save_network(trained, save, trained.about(file.name, file.sections, split), split)
    if plot is not None:
        plotting().save(plotting().training_curves(curves, bounds=DEFAULT.curve_bounds, title=file.name), plot)
        note(f"the learning curves are in {plot}")


def _check_outputs(*, save: Path | None, **plots: Path | None) -> None:
    """Check, before anything is trained, that the network and the figures, by their options, can be written."""
    for figure in filter(None, plots.values()):
        plotting().check_path(figure)
    if save is not None and save.suffix != ".npz":
        raise BadArgument("save", save, "a network is saved as .npz")
    for name, path in {**plots, "save": save}.items():
        if path is not None and not path.absolute().parent.is_dir():
            raise BadArgument(name, path, f"there is no folder {path.parent}", "make it first")
        if path is not None and path.is_dir():
            raise BadArgument(name, path, "it is a folder", "give a file")


def _save_network(trained: Trained, path: Path, about: dict[str, Any], split: Split, whose: str = "") -> None:
    save_network(trained.network, path, about=about, preprocessing=split.preprocessing, class_names=split.class_names)
    note(f"the network is in {path}" + (whose and f": {whose}"))


def _train_shown(file: StudyFile, fit: Callable[..., Any], advice: str) -> Trained:
    """Train by ``fit(on_epoch=...)`` with a bar on standard error, where that is a terminal.

    Raises:
        Interrupted: Ctrl-C.
        EvaluationFailure: The loss diverged; the message says to try what is advised.
    """
    done, epochs = 0, file.epochs
    bar = terminal().bar("epochs{task.fields[words]}", transient=True)

    def on_epoch(epoch: Epoch) -> None:
        nonlocal done
        done = epoch.epoch
        words = f", val. accuracy {epoch.validation_accuracy[0]:.4g}" if len(epoch.lanes) else ""
        bar.update(task, completed=done, words=words)

    try:
        with bar:
            task = bar.add_task("epochs", total=epochs, words="")
            trained: Trained = fit(on_epoch=on_epoch)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped after epoch {done} of {epochs}; nothing was written") from None
    if trained.history.ended is not None:
        rate = file.sections.training.lr
        raise EvaluationFailure(f"{trained.history.ended} (lr = {rate:g}); nothing was written; use {advice}")
    return trained


def _show_training(file: StudyFile, trained: Trained, examples: int) -> None:
    history, epochs = trained.history, len(trained.history)
    rows: Sequence[int] = range(1, epochs + 1)
    if epochs > _EPOCHS:
        rows = sorted({round(1 + i * (epochs - 1) / (_EPOCHS - 1)) for i in range(_EPOCHS)})
    sizes = "-".join(map(str, trained.network.sizes))
    say(f"{file.name}: {sizes}, {settings_words(file.sections)}, seed {trained.seed}")
    say()
    curves = {name.replace("validation_", "val. "): cells for name, cells in history.curves().items()}
    emit({"epoch": list(rows), **{name: [cells[i - 1] for i in rows] for name, cells in curves.items()}}, "table")
    say()
    for line in chart({".": history.train_accuracy, "o": history.validation_accuracy}):
        say(line)
    say("            accuracy: . train  o validation")
    say()
    accuracy = history.validation_accuracy[-1]
    say(
        f"validation accuracy {accuracy:.4g} +- {share_error(accuracy, examples):.2g} (one standard error) after "
        f"{counted(epochs, 'epoch')}, in {trained.seconds:.1f} s"
    )


@click.command()
@options.search_or_stage
@options.one_stage
@click.option("--trial", type=int, help="With --stage: this trial itself.")
@options.flag("--confirmed", "The values that a confirmation ranks first.")
@options.flag("--best", "The best trial itself, confirmed or not.")
@click.option("--epochs", type=int, help="Epochs to train for. [default: the study file's]")
@click.option("--seed", type=int, help="Of weights, order and dropout. [default: the search's]")
@options.flag("--again", "Evaluate on the test set once more.")
@click.option("--plot", type=FILE, help="Plot the confusion matrix: .html, .png, .svg or .pdf.")
@click.option("--mistakes", type=FILE, help="Plot the most confident mistakes; likewise.")
@save_option
@options.storage
@options.data_dir
@options.output
def evaluate(
    search: str | None,
    trial: int | None,
    confirmed: bool,
    best: bool,
    plot: Path | None,
    mistakes: Path | None,
    save: Path | None,
    storage: str | None,
    output: Format,
    **request: Any,
) -> None:
    """Train the chosen values and score them on the test set, once.

    They are trained on all examples but those of the test set. With --best or --trial it is the network of that trial
    that is scored, trained again with its seed. A second evaluation needs --again.
    """
    choices = {"--confirmed": confirmed, "--best": best, "--trial": trial is not None}
    if sum(choices.values()) > 1:
        given = " and ".join(name for name, chosen in choices.items() if chosen)
        raise BadInput(f"{given} choose different values; give one of them")
    _check_outputs(plot=plot, mistakes=mistakes, save=save)

    def check(prepared: Prepared) -> None:
        data: Any = prepared.data
        for name, value in {"save": save, "mistakes": mistakes}.items():
            if value is not None and prepared.study.kind is not DEFAULT:
                raise BadArgument(name, value, "only a network has this", "leave it out")
        if mistakes is not None and not is_picture(shape := data.preprocessing.shape):
            words = f"examples of shape {'x'.join(map(str, shape))} are no pictures"
            raise BadArgument("mistakes", mistakes, words, "leave it out")

    def fit(prepared: Prepared) -> Fitted:
        if prepared.study.kind is not DEFAULT:
            return prepared.fit()
        advice = "other values, or another --seed. The test set was not read"
        trained = _train_shown(prepared.study, prepared.fit, advice)
        if prepared.own:
            _check_own(prepared, trained)
        return trained

    by = "confirmed" if confirmed else "best" if best else None
    evaluation = Search(search, storage=storage).evaluate(trial=trial, by=by, check=check, fit=fit, **request)
    # The files come first: a terminal that is gone must not cost the network, as there is no second evaluation.
    _write_evaluation(evaluation, plot, mistakes, save)
    _show_evaluation(evaluation, output)


def _check_own(prepared: Prepared, trained: Trained) -> None:
    """Say so where a network that was trained again is not the trial's, as on another machine."""
    choice = prepared.choice
    score = getattr(trained.history, choice.stage.metric)[trained.epoch - 1]
    if score != choice.score:
        note(
            f"this is not the network of {choice.stage.name} trial {choice.trial}: its {choice.stage.metric} is "
            f"{score:.6g}, and the trial's was {choice.score:.6g}; another machine or version rounds otherwise"
        )


def _write_evaluation(evaluation: Evaluation, plot: Path | None, mistakes: Path | None, save: Path | None) -> None:
    prepared = evaluation.prepared
    result: Any = evaluation.evaluated.result
    trained: Any = evaluation.fitted
    data: Any = prepared.data
    if save is not None:
        trial = f"{prepared.choice.stage.name} trial {prepared.choice.trial}"
        whose = f"{trial} trained again" if prepared.own else f"a new one, trained with the values of {trial}"
        _save_network(trained, save, _about(evaluation), data, whose)
    score = result.score
    title = f"{prepared.choice.stage.name} trial {prepared.choice.trial}, {counted(score.examples, 'test example')}"
    if plot is not None:
        figure = result.figure("plot", title=f"{title}: {score.metric} {score.score:.3f}")
        plotting().save(plotting().styled(figure), plot)
        note(f"the confusion matrix is in {plot}")
    if mistakes is not None:
        title += f": the most confident of {counted(len(result.mistakes), 'mistake')}"
        plotting().save(plotting().styled(result.figure("mistakes", title=title)), mistakes)
        note(f"the mistakes are in {mistakes}")


def _about(evaluation: Evaluation) -> dict[str, Any]:
    """Return the origin of the network and its test score, as JSON-able data to be saved with it."""
    prepared, score = evaluation.prepared, evaluation.evaluated.result.score
    trained: Any = evaluation.fitted
    about: dict[str, Any] = trained.about(prepared.study.name, prepared.study.sections, prepared.data)
    if not prepared.own:
        del about["validation_accuracy"], about["validation_loss"]  # it was trained on these examples too
    return about | {
        "trained_on": prepared.trained_on,
        "stage": prepared.choice.stage.name,
        "trial": prepared.choice.trial,
        "test_accuracy": score.score,
        "test_interval": [score.low, score.high],
        "test_images": score.examples,
        "look": evaluation.evaluated.count,
    }


def _show_evaluation(evaluation: Evaluation, output: Format) -> None:
    result: Any = evaluation.evaluated.result
    if output == "json":
        emit_object(representations.evaluation(evaluation))
    elif output == "csv":
        emit(representations.evaluation_columns(evaluation), output)
    else:
        for line in _headlines(evaluation):
            say(line)
        say()
        emit(result.table(), output)
        say()
        if result.mistakes is None:
            return
        if not result.mistakes:
            say("no test example was classified wrong")
            return
        names = result.class_names
        worst = [f"{names[m.label]} taken for {names[m.prediction]} ({m.probability:.1%})" for m in result.mistakes[:3]]
        say(f"{counted(len(result.mistakes), 'mistake')}; the most confident:")
        say(f"  {', '.join(worst)}")


def _headlines(evaluation: Evaluation) -> list[str]:
    prepared, score = evaluation.prepared, evaluation.evaluated.result.score
    trained: Any = evaluation.fitted
    choice, is_network = prepared.choice, prepared.study.kind is DEFAULT
    epochs = f" for {counted(trained.epoch, 'epoch')}" if is_network else ""
    values = ", ".join(f"{name} = {shown(choice.params[name])}" for name in used(choice.stage, choice.params))
    sizes = prepared.data.sizes
    trained_on = f"trained on {counted(prepared.trained_on, 'example')}"
    if prepared.own:
        trained_on = f"its own network, {trained_on} again with its seed"
    else:
        trained_on += f" ({sizes['train']:,} train, {sizes['validation']:,} validation)"
    reason = {"asked": "", "best": ", for which it was selected"}.get(choice.by, ", expected when trained again")
    interval = f" on {counted(score.examples, 'example')}"
    if score.hits is not None:
        interval = (
            f", 95 % interval {score.low:.3f} .. {score.high:.3f} ({score.hits:,} of {score.examples:,} examples)"
        )
    lines = [
        f"{choice.stage.name} trial {choice.trial}: {values}",
        f"chosen: {choice.why}",
        f"{choice.stage.metric.replace('_', ' ')} {choice.score:.4g}{reason}",
        f"{trained_on}{epochs}, in {trained.seconds:.1f} s",
    ]
    if is_network and not prepared.own and prepared.study.sections.objective.at == "best":
        lines.append("the last epoch's network: without validation examples none can be called the best one")
    lines += [
        "",
        f"test {score.metric} {score.score:.4g}{interval}",
    ]
    if evaluation.evaluated.count > 1:
        lines.append(f"evaluation {evaluation.evaluated.count} on this test set: no longer an unbiased estimate")
    return lines


@click.command()
@click.argument("model", metavar="MODEL", type=FILE, help="A network that --save wrote: .npz.")
@click.argument(
    "examples",
    metavar="FILES...",
    nargs=-1,
    required=True,
    type=FILE,
    help="Pictures (.png, .jpg), folders of them, .npz, .csv or .parquet.",
)
@click.option("--label", help="The column of the labels in a table. [default: one of a usual name]")
@click.option("--header/--no-header", default=None, help="Whether a table has names on top. [default: as in training]")
@click.option("--encoding", help="Of a table of text, as cp949. [default: as in training]")
@options.flag("--resize", "Scale pictures of another size. [default: as in training]")
@options.flag("--crop", "Crop to the content and centre it, as in MNIST.")
@options.flag("--invert", "For pictures of dark ink on white paper.")
@options.output
def predict(
    model: Path,
    examples: tuple[Path, ...],
    label: str | None,
    header: bool | None,
    encoding: str | None,
    output: Format,
    **adjustments: bool,
) -> None:
    """Classify new examples with a saved model.

    Where they have labels, it says how many are right.
    """
    kept = load_model(model)
    takes = kept.takes()
    taken = [takes.table.name(position) for position in takes.table.used] if takes.table is not None else []
    trained = predicting.reading(kept)
    adjustments["resize"] |= trained["resize"] is not None
    read = partial(
        read_examples,
        shape=takes.shape,
        label=label,
        columns=taken,
        header=trained["header"] if header is None else header,
        encoding=encoding or trained["encoding"],
        adjustments=Adjustments(**adjustments),
    )
    parts = [part for path in examples for part in read(path)]
    predictions = classify(kept, parts)
    for sentence in dict.fromkeys(sentence for part in parts for sentence in part.notes):
        note(worded(sentence))
    for source in predictions.scaled:
        note(f"{source} lies within 0 .. 1: taken as grey levels that are divided by 255 already")
    columns = dict(predictions.columns)
    if output == "json":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        scores: dict[str, Any] = {}
        if predictions.labelled:
            accuracy, interval = predictions.accuracy()
            scores = {"labelled": predictions.labelled, "right": predictions.hits}
            scores |= {"accuracy": accuracy, "interval": interval}
        emit_object({"predictions": rows, **scores})
    elif output == "csv":
        emit(columns, output)
        if predictions.labelled:
            note(_sentence(predictions))
    else:
        emit({name.replace("_", " "): cells[:_ROWS] for name, cells in columns.items()}, output)
        if (more := len(columns["file"]) - _ROWS) > 0:
            say(f"and {more} more (all with --format csv or json)")
        if predictions.labelled:
            say()
            say(_sentence(predictions))


def _sentence(predictions: Predictions) -> str:
    accuracy, interval = predictions.accuracy()
    return (
        f"accuracy {accuracy:.4g}, {predictions.hits} of {predictions.labelled} right "
        f"({interval.level:.0%} interval {interval.low:.4g} .. {interval.high:.4g})"
    )


@click.group(cls=Group)
def model() -> None:
    """Show a saved model, or export it."""


@model.command("show")
@model_file
@options.output
def show_model(path: Path, output: Format) -> None:
    """Show the architecture, inputs, outputs and origin of a saved network."""
    kept = load_model(path)
    if output == "json":
        emit_object(predicting.plain(kept))
        return
    facts, headline = predicting.facts(kept), predicting.headline(kept)
    if output == "table":
        say(f"{path}: {headline}")
        say()
    else:
        facts = {"network": headline, **facts}
    emit({"name": list(facts), "value": list(facts.values())}, output)


@model.command("export")
@model_file
@click.argument("to", metavar="FILE.onnx", type=FILE, help="The file to write.")
@click.option(
    "--input",
    "raw",
    type=click.Choice(["uint8", "float32"]),
    help="Type of the raw values that go in. [default: as it was trained]",
)
def export_model(path: Path, to: Path, raw: Literal["uint8", "float32"] | None) -> None:
    """Export a saved network as an ONNX file: raw values go in, probabilities come out."""
    export_onnx(load_model(path), to, raw=raw)
    say(f"the network is in {to}")

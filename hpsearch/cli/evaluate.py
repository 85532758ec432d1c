"""``hpsearch evaluate``: the chosen values, scored on the test images once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import DataDir, Format, FormatOption, SearchOrStage, Storage, storage_url
from hpsearch.text import counted

if TYPE_CHECKING:
    from hpsearch.objectives.network.train_once import Trained
    from hpsearch.search.evaluation import Evaluated, Prepared


def evaluate(
    search: SearchOrStage = None,
    stage: Annotated[
        int | None, typer.Option("--stage", help="Of this stage only. [default: all]", show_default=False)
    ] = None,
    trial: Annotated[
        int | None, typer.Option("--trial", help="With --stage: this trial's values.", show_default=False)
    ] = None,
    confirmed: Annotated[bool, typer.Option("--confirmed", help="The values that a confirmation puts first.")] = False,
    best: Annotated[bool, typer.Option("--best", help="The best trial's values, confirmed or not.")] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs to train for. [default: the study file's]", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of weights, order and dropout. [default: the search's]", show_default=False)
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Look at the test images once more.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the confusion matrix: .html, .png, .svg or .pdf.")] = None,
    mistakes: Annotated[Path | None, typer.Option(help="Draw the most confident mistakes; likewise.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the trained network: .npz.")] = None,
    storage: Storage = None,
    data_dir: DataDir = None,
    output: FormatOption = Format.table,
) -> None:
    """Train the chosen values on all but the test images, and score them on those, once."""
    from hpsearch.cli.train import check_outputs, watch
    from hpsearch.search.evaluation import evaluate as score
    from hpsearch.search.evaluation import prepare
    from hpsearch.search.stage import resolve_stage, stages_of
    from hpsearch.search.workflow import check_counts, check_seed
    from hpsearch.store import open_store

    search, stage = resolve_stage(search, stage)
    _check_choice(confirmed, best, trial)
    check_counts(epochs=epochs)
    check_seed(seed)
    check_outputs({"--plot": plot, "--mistakes": mistakes}, save)
    store = open_store(storage_url(storage), write=True)
    try:
        prepared = prepare(
            store,
            stages_of(store, search),
            number=stage,
            trial=trial,
            by="confirmed" if confirmed else "best" if best else None,
            epochs=epochs,
            seed=seed,
            again=again,
            data_dir=data_dir,
        )
        _check_pictures(prepared, mistakes)
        advice = "The test images were not looked at; choose other values, or another --seed"
        trained = watch(prepared.study, prepared.fit, advice=advice)
        found = score(store, prepared, trained)
    finally:
        store.close()
    # What is kept comes first: a terminal that is gone must not cost the network, as there is no second look.
    _write(prepared, trained, found, plot, mistakes, save)
    _show(prepared, trained, found, output)


def _check_choice(confirmed: bool, best: bool, trial: int | None) -> None:
    from hpsearch.errors import BadInput

    asked = [name for name, on in (("--confirmed", confirmed), ("--best", best), ("--trial", trial is not None)) if on]
    if len(asked) > 1:
        raise BadInput(f"{' and '.join(asked)} choose different values; give one of them")


def _check_pictures(prepared: Prepared, mistakes: Path | None) -> None:
    # Before anything is trained or looked at.
    from hpsearch.errors import BadInput
    from hpsearch.objectives.network.figures import is_picture

    data: Any = prepared.data
    shape = data.preprocessing.shape
    if mistakes is not None and not is_picture(shape):
        raise BadInput(
            f"--mistakes {mistakes}: examples of shape {'x'.join(map(str, shape))} are no pictures; leave it out"
        )


def _show(prepared: Prepared, trained: Trained, found: Evaluated, output: Format) -> None:
    from hpsearch.cli.output import emit, emit_object, say

    result: Any = found.result
    match output:
        case Format.json:
            emit_object(_plain(prepared, trained, found))
        case Format.csv:
            nested = {"params", "versions", "interval", "id"}
            row = {name: [value] for name, value in found.entry.items() if name not in nested}
            ends = {"low": [found.result.score.low], "high": [found.result.score.high]}
            emit(row | ends | {"look": [found.count]} | {k: [v] for k, v in prepared.choice.params.items()}, output)
        case Format.table:
            for line in _headlines(prepared, trained, found):
                say(line)
            say()
            emit(result.table(), output)
            say()
            for line in _worst(result):
                say(line)


def _plain(prepared: Prepared, trained: Trained, found: Evaluated) -> dict[str, Any]:
    entry = {name: value for name, value in found.entry.items() if name != "id"}
    return {
        **entry,
        "look": found.count,
        "why": prepared.choice.why,
        "validation_score": prepared.choice.score,
        "seconds": round(trained.seconds, 3),
        **found.result.facts,
    }


def _headlines(prepared: Prepared, trained: Trained, found: Evaluated) -> list[str]:
    from hpsearch.objectives import kinds
    from hpsearch.space import shown

    choice, score = prepared.choice, found.result.score
    used = ", ".join(f"{name} = {shown(choice.params[name])}" for name in kinds.used(choice.stage, choice.params))
    train, validation = (prepared.data.sizes[part] for part in ("train", "validation"))
    metric = choice.stage.metric.replace("_", " ")
    how = {"confirmed": f"the mean of {counted(choice.repeats, 'repeat')}", "best": "for which it was picked"}.get(
        choice.by
    )
    lines = [
        f"{choice.stage.name} trial {choice.trial}: {used}",
        f"chosen: {choice.why}",
        f"{metric} {choice.score:.4g}" + (f", {how}" if how else ""),
        f"trained on {counted(train + validation, 'image')} ({train:,} train, {validation:,} validation) for "
        f"{counted(len(trained.history), 'epoch')}, in {trained.seconds:.1f} s",
        "",
        f"test accuracy {score.score:.4g}, 95 % interval {score.low:.3f} .. {score.high:.3f} "
        f"({score.hits:,} of {counted(score.examples, 'image')})",
    ]
    if prepared.study.sections.objective.at == "best":
        lines.insert(4, "the last epoch's network: without validation images none can be called the best one")
    if found.count > 1:
        lines.append(f"the {_ordinal(found.count)} look at the test images: no longer an unbiased estimate")
    return lines


def _worst(found: Any) -> list[str]:
    names = found.class_names
    if not found.mistakes:
        return ["no test image was classified wrong"]
    few = found.mistakes[:3]
    words = [f"{names[one.label]} taken for {names[one.prediction]} ({one.probability:.1%})" for one in few]
    ones = "" if len(found.mistakes) == 1 else "; the most confident ones"
    return [f"{counted(len(found.mistakes), 'mistake')}{ones}:", f"  {', '.join(words)}"]


def _ordinal(number: int) -> str:
    """``2nd``, ``3rd``, ``11th``."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _write(
    prepared: Prepared,
    trained: Trained,
    found: Evaluated,
    plot: Path | None,
    mistakes: Path | None,
    save: Path | None,
) -> None:
    from hpsearch.cli.output import note

    split: Any = prepared.data
    result: Any = found.result
    if save is not None:
        from hpsearch.nn import save as save_network

        save_network(
            trained.network,
            save,
            about=_about(prepared, trained, found),
            preprocessing=split.preprocessing,
            class_names=split.class_names,
        )
        note(f"the network is in {save}")
    if plot is None and mistakes is None:
        return
    from hpsearch.reports import figures

    what = f"{prepared.choice.stage.name} trial {prepared.choice.trial}, {counted(result.score.examples, 'test image')}"
    if plot is not None:
        title = f"{what}: {result.score.metric} {result.score.score:.3f}"
        figures.save(figures.styled(result.figure("plot", title=title)), plot)
        note(f"the confusion matrix is in {plot}")
    if mistakes is not None:
        title = f"{what}: the most confident of {counted(len(result.mistakes), 'mistake')}"
        figures.save(figures.styled(result.figure("mistakes", title=title)), mistakes)
        note(f"the mistakes are in {mistakes}")


def _about(prepared: Prepared, trained: Trained, found: Evaluated) -> dict[str, Any]:
    """Return the origin of the network and its test score, as JSON-able data to be saved with it."""
    sections, data, score = prepared.study.sections, prepared.data, found.result.score
    plain = trained.about(prepared.study.name, sections, data)  # type: ignore[arg-type]
    # It was trained on the validation examples too.
    kept = {name: value for name, value in plain.items() if not name.startswith("validation_")}
    return kept | {
        "trained_on": sum(data.sizes.values()),
        "stage": prepared.choice.stage.name,
        "trial": prepared.choice.trial,
        "test_accuracy": score.score,
        "test_interval": [score.low, score.high],
        "test_images": score.examples,
        "look": found.count,
    }

"""The final judgement: the chosen values, trained on everything but the test images, scored on those once.

Nothing else in hpsearch reads the test images. A second look makes their score a thing that was selected for, so each
look is claimed in the database before they are read, and the second is refused unless it is asked for.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadData, EvaluatedAlready
from hpsearch.nn import Model
from hpsearch.objectives.network.runtime import load_test
from hpsearch.objectives.network.train_once import Trained, with_values
from hpsearch.search.best import Choice, check_asked, choose
from hpsearch.search.stage import check_fingerprint, no_study_file, versions
from hpsearch.seeds import draw_seed
from hpsearch.statistics import Interval, wilson
from hpsearch.store.stages import EVALUATIONS
from hpsearch.study_file import Pruning, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hpsearch.data import Split
    from hpsearch.records import Stage
    from hpsearch.store import Store
    from hpsearch.study_file import StudyFile


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What is to be trained and scored.

    Args:
        first: The search's first stage, which keeps the list of looks.
        choice: The values, and why these.
        study: The study file with those values; nothing is drawn.
        split: With the validation images among the training images. Those that stand for validation are among them
            too, so that scores on them mean nothing.
        parts: How many images were for training and for validation.
        seed: Of weights, order of samples and dropout masks.
        again: Whether earlier looks do not matter.
        data_dir: Where data sets are looked for first.
    """

    first: Stage
    choice: Choice
    study: StudyFile
    split: Split
    parts: tuple[int, int]
    seed: int
    again: bool
    data_dir: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What the test images say.

    Args:
        entry: The look as the database keeps it.
        look: 1 for the first look at these images.
        images: T, how many there are.
        hits: How many were classified right.
        interval: Wilson's, of the accuracy.
        confusion: (C, C) counts, label by row and prediction by column.
        mistakes: Those classified wrong, the most confident first.
        inputs: (T, D) the test images as the network sees them.
    """

    entry: Mapping[str, Any]
    look: int
    images: int
    hits: int
    interval: Interval
    confusion: NDArray[np.int64]
    mistakes: tuple[Mistake, ...]
    inputs: NDArray[np.float32]

    @property
    def accuracy(self) -> float:
        """The share of the test images that were classified right."""
        return self.hits / self.images


def looks(store: Store, stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Every look at a search's test images, the first one first; one that broke off has no ``accuracy``.

    Args:
        store: The study database.
        stages: The search's stages.
    """
    return list(store.study_attribute(stages[0], EVALUATIONS) or [])


def prepare(
    store: Store,
    stages: Sequence[Stage],
    *,
    number: int | None = None,
    trial: int | None = None,
    by: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    again: bool = False,
    data_dir: Path | None = None,
) -> Prepared:
    """Choose the values and get their data ready; no test image is read.

    Args:
        store: The study database.
        stages: The search's stages.
        number: Only of this stage.
        trial: This trial of that stage; None to choose.
        by: ``confirmed`` or ``best``; None for what there is (`hpsearch.search.best.choose`).
        epochs: To train for; None for the study file's.
        seed: Of weights, order and masks; None for the search's own.
        again: Go on although the test images have been looked at.
        data_dir: Where data sets are looked for first.

    Raises:
        EvaluatedAlready: They have been, and ``again`` is not set.
        BadData: There are no test images.
        StageConflict: The data are not those of the search.
        NotEnoughTrials, UnknownSearch: As for `hpsearch.search.best.choose`.
    """
    first = stages[0]
    check_asked(store, stages, number=number, trial=trial)  # a wrong number is no second look
    if not again:
        _refuse(first, looks(store, stages))
    choice = choose(store, stages, number=number, trial=trial, by=by)
    if not choice.stage.trainable:
        raise no_study_file(choice.stage)
    kept = parse(choice.stage.study_file, source=f"the study file kept in {choice.stage.name}")
    split: Any = kept.load(data_dir=data_dir)
    check_fingerprint(choice.stage, split.fingerprint)
    if not split.test_examples:
        raise BadData(
            f"{kept.name} keeps no test images: its [data] says test = {kept.sections.data.test or 0} and the data set "
            "has no test part of its own; a search whose study file keeps some can be evaluated"
        )
    everything = replace(
        split,
        x_train=np.concatenate((split.x_train, split.x_validation)),
        y_train=np.concatenate((split.y_train, split.y_validation)),
    )
    return Prepared(
        first,
        choice,
        replace(kept, sections=with_values(kept.sections, choice.params, epochs=epochs), space={}, pruning=Pruning()),
        everything,
        (len(split.x_train), len(split.x_validation)),
        draw_seed(first.seed, 1, "evaluate") if seed is None else seed,
        again,
        data_dir,
    )


def look(
    store: Store,
    prepared: Prepared,
    trained: Trained,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Evaluated:
    """Score a network on the test images, once.

    The look is in the database before they are read. One that ends in between stays there without a result, and counts.

    Args:
        store: The study database.
        prepared: What was trained.
        trained: The network.
        now: The time, UTC.

    Raises:
        EvaluatedAlready: Somebody else has looked meanwhile.
    """
    ours = {
        "id": uuid.uuid4().hex,
        "when": now().isoformat(timespec="seconds"),
        "stage": prepared.choice.stage.name,
        "trial": prepared.choice.trial,
        "chosen": prepared.choice.by,
        "params": dict(prepared.choice.params),
        "epochs": prepared.study.epochs,
        "seed": prepared.seed,
        "trained_on": sum(prepared.parts),
        "data_fingerprint": prepared.split.fingerprint,
        "versions": versions(),
    }

    def claim(before: Any | None) -> Any:
        if not prepared.again:
            _refuse(prepared.first, before or [])
        return [*(before or []), ours]

    every = store.change_study_attribute(prepared.first, EVALUATIONS, claim)
    x, labels = load_test(prepared.study.sections, data_dir=prepared.data_dir)
    # What made these inputs from raw values has been applied to them already.
    ready = replace(prepared.split.preprocessing, dtype="float32", divisor=1.0)
    probabilities = Model(trained.network, ready, prepared.split.class_names).probabilities(x)
    predictions = probabilities.argmax(axis=1)
    hits = int(np.sum(predictions == labels))
    interval = wilson(hits, len(labels))
    result = ours | {
        "images": len(labels),
        "hits": hits,
        "accuracy": hits / len(labels),
        "interval": [interval.low, interval.high],
        "level": interval.level,
    }
    store.change_study_attribute(
        prepared.first,
        EVALUATIONS,
        lambda before: [result if one["id"] == ours["id"] else one for one in before or []],
    )
    return Evaluated(
        result,
        len(every),
        len(labels),
        hits,
        interval,
        confusion(labels, predictions, prepared.split.classes),
        mistakes(labels, probabilities),
        x,
    )


def about(prepared: Prepared, trained: Trained, found: Evaluated) -> dict[str, Any]:
    """Where the network comes from and what it is worth, as JSON-able data to be saved with it."""
    plain = trained.about(prepared.study.name, prepared.study.sections, prepared.split)
    # It was trained on the images that these are of.
    kept = {name: value for name, value in plain.items() if not name.startswith("validation_")}
    return kept | {
        "trained_on": sum(prepared.parts),
        "stage": prepared.choice.stage.name,
        "trial": prepared.choice.trial,
        "test_accuracy": found.accuracy,
        "test_interval": [found.interval.low, found.interval.high],
        "test_images": found.images,
        "look": found.look,
    }


def _refuse(first: Stage, before: Sequence[Mapping[str, Any]]) -> None:
    if not before:
        return
    one = before[0]  # the one whose result nothing was chosen by
    times = "" if len(before) == 1 else f" (the first of {len(before)} looks)"
    when = f"{first.search} was evaluated on {one['when'][:16].replace('T', ' ')} UTC{times}"
    if "accuracy" in one:
        low, high = one["interval"]
        result = (
            f"test accuracy {one['accuracy']:.4g}, 95 % interval {low:.3f} .. {high:.3f} "
            f"({one['stage']} trial {one['trial']})"
        )
    else:
        result = "that look did not end, and the test images may have been seen"
    raise EvaluatedAlready(
        f"{when}: {result}. After another look at the same images no score is an unbiased estimate; --again looks all "
        "the same"
    )


@dataclass(frozen=True, slots=True)
class Mistake:
    """A test image that was classified wrong.

    Args:
        index: Its place in the test part, from 0.
        label: Its class.
        prediction: The class that it was taken for.
        probability: How probable that was, by the network.
    """

    index: int
    label: int
    prediction: int
    probability: float


def confusion(labels: NDArray[np.integer], predictions: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """How often examples of each class were taken for each: (C, C), label by row and prediction by column.

    Args:
        labels: (T,).
        predictions: (T,).
        classes: C.
    """
    pairs = labels.astype(np.int64) * classes + predictions
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def mistakes(labels: NDArray[np.integer], probabilities: NDArray[np.float64]) -> tuple[Mistake, ...]:
    """The examples that were classified wrong, the most confident first; of equally confident ones the earlier.

    Args:
        labels: (T,).
        probabilities: (T, C).
    """
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    sure = probabilities[wrong, predictions[wrong]]
    order = np.argsort(-sure, kind="stable")
    return tuple(
        Mistake(int(wrong[i]), int(labels[wrong[i]]), int(predictions[wrong[i]]), float(sure[i])) for i in order
    )

"""What came of training the chosen values again, and of scoring them on the test images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.reports.page.contents import Section, Table
from hpsearch.reports.page.words import between, counted
from hpsearch.reports.tables import by_column, drawn_values

if TYPE_CHECKING:
    from hpsearch.records import Stage
    from hpsearch.space import Value
    from hpsearch.statistics import Interval


@dataclass(frozen=True, slots=True)
class Repeated:
    """One trial's values, trained again with other seeds.

    Args:
        trial: The trial's number in its stage.
        params: Its drawn values by name.
        before: Its score there.
        mean: Its mean score over the repeats.
        repeats: How many of them have a score.
        failed: How many ended without one.
        interval: Of that mean; None with fewer than two.
        covers: What the interval holds for: ``seeds and images``, or ``seeds``.
        p: Probability that values of the same worth differ this much, of the difference to the first; None: not asked.
        compared: What ``p`` holds for: ``seeds and images``, or ``seeds``.
    """

    trial: int
    params: Mapping[str, Value]
    before: float
    mean: float
    repeats: int
    failed: int
    interval: Interval | None
    covers: str
    p: float | None
    compared: str = "seeds and images"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A stage's best values, trained again.

    Args:
        stage: The stage.
        settings: Those that have a score, best first.
        left: How many of its trials are still to be run.
    """

    stage: Stage
    settings: tuple[Repeated, ...]
    left: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the test images.

    Args:
        stage: The name of the stage whose values were judged.
        trial: Whose values.
        params: The values by name.
        when: When, as text.
        accuracy: The share of test images that were right; None for a look that ended before it was known.
        interval: Of that share.
        images: How many test images there were.
        trained_on: How many images the network was trained on.
        epochs: For how many epochs.
        seed: Of its weights, order and dropout.
    """

    stage: str
    trial: int
    params: Mapping[str, Value]
    when: str
    accuracy: float | None
    interval: Interval | None
    images: int | None
    trained_on: int | None
    epochs: int | None
    seed: int | None


def confirmed_words(one: Confirmation, metric: str) -> str | None:
    """What a confirmation came to, in a sentence; None where nothing has."""
    if not one.settings:
        return None
    first = one.settings[0]
    held = "" if first.interval is None else f" ({between(first.interval)})"
    return (
        f"Trained again {counted(first.repeats, 'time')} with other seeds, the values of trial {first.trial} of "
        f"stage {one.stage.number} come first, with a mean {metric} of {first.mean:.3g}{held}."
        + (f" It is not complete: {counted(one.left, 'trial')} are still to be run." if one.left else "")
    )


def first_result(looks: tuple[Look, ...]) -> Look | None:
    """The first look that came to a result."""
    return next((look for look in looks if look.accuracy is not None), None)


def looked_words(looks: tuple[Look, ...]) -> str | None:
    """What the test images said when they were first looked at, in a sentence; None where they were not."""
    first = first_result(looks)
    if first is None or first.accuracy is None:
        return None
    held = "" if first.interval is None else f" ({between(first.interval)})"
    which = "" if first is looks[0] else ", but not at the first look"
    return (
        f"On {first.images or 0:,} test images that no trial has seen: accuracy {first.accuracy:.3g}{held}, "
        f"with the values of trial {first.trial} of {first.stage}{which}."
    )


def confirmations(found: tuple[Confirmation, ...], metric: str) -> Section | None:
    """The tables of the confirmations."""
    there = [one for one in found if one.settings]
    if not there:
        return None
    tables = []
    for one in there:
        covers = {setting.covers for setting in one.settings}
        held = "other seeds and other images" if covers == {"seeds and images"} else "other seeds, not for other images"
        caption = (
            f"The best of stage {one.stage.number}, trained again with other seeds, best mean first. Intervals hold "
            f"for {held}; p is the chance of such a difference to the first between equals{_compared(one)}."
        )
        tables.append(Table(caption, _columns(list(_rows(one)))))
    sentences = tuple(words for one in there if (words := confirmed_words(one, metric)))
    return Section(
        "confirmation", "Trained again with other seeds", "confirmed", sentences=sentences, tables=tuple(tables)
    )


def _compared(one: Confirmation) -> str:
    """Where p says less than it seems to: without the hits on single images it is of these images alone."""
    here = [setting for setting in one.settings if setting.p is not None and setting.compared == "seeds"]
    return ", and holds for these validation images alone" if here else ""


def _rows(one: Confirmation) -> Iterator[dict[str, Any]]:
    for setting in one.settings:
        ends = setting.interval
        yield {
            "trial": setting.trial,
            "mean": setting.mean,
            "95 % interval": None if ends is None else f"{ends.low:.3f} to {ends.high:.3f}",
            "score before": setting.before,
            "repeats": setting.repeats,
            "failed": setting.failed,
            "p": setting.p if setting.p is None else float(f"{setting.p:.2g}"),
            **drawn_values(one.stage, setting.params),
        }


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    columns = by_column(rows)
    for name in ("failed", "p"):
        says_nothing = None if name == "p" else 0
        if all(value == says_nothing for value in columns[name]):
            del columns[name]
    return columns


def evaluation(looks: tuple[Look, ...]) -> Section | None:
    """Every look at the test images; only the first is an unbiased judgement."""
    if not looks:
        return None
    sentences = [looked_words(looks) or "The look at the test images ended before its result was known."]
    if len(looks) > 1:
        sentences.append(
            f"The test images were looked at {len(looks)} times: what is chosen after the first look is no longer "
            "judged without bias."
        )
    rows = [
        {
            "look": place,
            "when (UTC)": look.when.replace("T", " ").removesuffix("+00:00"),
            "values of": f"{look.stage} trial {look.trial}",
            "test accuracy": look.accuracy,
            "95 % interval": None if look.interval is None else f"{look.interval.low:.3f} to {look.interval.high:.3f}",
            "test images": look.images,
            "trained on": look.trained_on,
            "epochs": look.epochs,
            "seed": look.seed,
        }
        for place, look in enumerate(looks, start=1)
    ]
    caption = "The chosen values, trained on all other images and scored on the test images."
    return Section(
        "evaluation",
        "On the test images",
        "test",
        sentences=tuple(sentences),
        tables=(Table(caption, by_column(rows)),),
    )

"""What makes two searches hard to compare: other metrics, data, budgets, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.study_file import differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hpsearch.records import Stage

_MOST_DIFFERENCES = 4


def remarks(a: Sequence[Stage], b: Sequence[Stage]) -> list[str]:
    """Sentences about what differs between two searches beside their results; the most serious first.

    Args:
        a: The stages of the first, A.
        b: The stages of the second, B.
    """
    return [*_scores(a[0], b[0]), *_data(a[0], b[0]), *_budgets(a, b), *_settings(a[0], b[0])]


def _scores(a: Stage, b: Stage) -> Iterator[str]:
    if a.metric != b.metric:
        yield f"not comparable: A is ranked by {a.metric} and B by {b.metric}; no test was made"
    elif a.direction != b.direction:
        yield f"not comparable: A is to {a.direction} its {a.metric} and B to {b.direction} it; no test was made"


def _data(a: Stage, b: Stage) -> Iterator[str]:
    unknown = [side for side, stage in (("A", a), ("B", b)) if not stage.fingerprint]
    if unknown:
        yield f"which data {' and '.join(unknown)} saw is not known, so a difference may be the data's"
    elif a.fingerprint != b.fingerprint:
        sizes = [f"{stage.sizes.get('train', '?')} + {stage.sizes.get('validation', '?')} images" for stage in (a, b)]
        yield f"not comparable: the data differ ({sizes[0]} in A, {sizes[1]} in B); a difference may be the data's"


def _budgets(a: Sequence[Stage], b: Sequence[Stage]) -> Iterator[str]:
    epochs = [stage.settings.get("epochs") for stage in (a[0], b[0])]
    if None not in epochs and epochs[0] != epochs[1]:
        yield f"the budgets differ: a trial of A trains for {epochs[0]} epochs, one of B for {epochs[1]}"
    for side, stages in (("A", a), ("B", b)):
        if len(stages) > 1:
            yield f"{side} is {len(stages)} stages together; name one (such as {stages[-1].name}) to compare its ranges"


def _settings(a: Stage, b: Stage) -> Iterator[str]:
    for side, one, other in (("A", a, b), ("B", b, a)):
        names = [name for name in one.space if name not in other.space]
        if names:
            yield f"only {side} searches {', '.join(names)}"
    if a.trainable and b.trainable:
        left_out = ("name", "space", "training.epochs", "trials")
        found = [text for text in differences(a.study_file, b.study_file) if not text.startswith(left_out)]
        if found:
            more = f" and {len(found) - _MOST_DIFFERENCES} more" if len(found) > _MOST_DIFFERENCES else ""
            yield f"from A to B also: {'; '.join(found[:_MOST_DIFFERENCES])}{more}"

"""What a report says of confirmations and of looks at the test images, from a study database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.reports.page.judgements import Confirmation, Look, Repeated
from hpsearch.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.store import Store


def confirmations(store: Store, stages: Sequence[Stage]) -> tuple[Confirmation, ...]:
    """The confirmations of some stages of one search, by number.

    Args:
        store: The study database; it is only read.
        stages: The stages.
    """
    from hpsearch.search.confirmation.tally import trials_left
    from hpsearch.search.confirming import ranking

    by_number = {stage.number: stage for stage in stages}
    return tuple(
        Confirmation(
            by_number[one.number],
            tuple(
                Repeated(
                    trial=found.setting.trial,
                    params=found.setting.params,
                    before=found.setting.score,
                    mean=found.mean,
                    repeats=found.repeats,
                    failed=found.failed,
                    interval=found.interval,
                    covers=found.covers,
                    p=found.p,
                    compared=found.compared,
                )
                for found in ranking(store, one)
            ),
            left=trials_left(store, one),
        )
        for one in store.confirmations(stages[0].search)
        if one.number in by_number
    )


def looks_at(store: Store, stages: Sequence[Stage]) -> tuple[Look, ...]:
    """Every look at a search's test images, the first one first.

    Args:
        store: The study database; it is only read.
        stages: The search's stages.
    """
    from hpsearch.search.evaluation import looks

    return tuple(map(_look, looks(store, stages)))


def _look(entry: Mapping[str, Any]) -> Look:
    ends = entry.get("interval")
    return Look(
        stage=entry["stage"],
        trial=entry["trial"],
        params=entry["params"],
        when=entry["when"],
        accuracy=entry.get("accuracy"),
        interval=None if ends is None else Interval(ends[0], ends[1], entry.get("level", 0.95)),
        images=entry.get("images"),
        trained_on=entry.get("trained_on"),
        epochs=entry.get("epochs"),
        seed=entry.get("seed"),
    )

"""The best trial of a search, what its score is worth, and which trials cannot be told from it.

Looks at the nearest `MOST` trials of a stage only, however many there are, and without NumPy, so that commands that
show a few rows stay fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.hits import fitting
from hpsearch.records import HITS
from hpsearch.search.stage import best_among
from hpsearch.seeds import draw_seed
from hpsearch.statistics.findings import Best
from hpsearch.statistics.intervals import wilson, wilson_of_share
from hpsearch.statistics.selection import corrected_share
from hpsearch.statistics.ties import is_tied, paired_p, unpaired_p
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.store import Store
    from hpsearch.store.frames import Columns

MOST = 100
"""So many of a stage's best trials are compared with the best one. Trials farther behind are not looked at."""

_NAMED = 5
"""So many trials that tie are named."""

_LEAST = 10
"""With fewer images there is nothing to be told apart and no luck to be taken away."""


@dataclass(frozen=True, slots=True)
class Contest:
    """The best trial of a search among its nearest rivals.

    Args:
        stage: Its stage.
        columns: That stage's best trials, best first (`hpsearch.store.Store.columns`).
        best: The best trial and what its score is worth.
        tied: For each of these trials but the first, whether it cannot be told from the best; None: not known.
        paired: Whether all of them were compared on the same images.
        trials: How many trials were drawn, of which this one came out best.
    """

    stage: Stage
    columns: Columns
    best: Best
    tied: tuple[bool | None, ...]
    paired: bool
    trials: int

    @property
    def tied_numbers(self) -> tuple[int, ...]:
        """The numbers of the trials that cannot be told from the best, best first."""
        numbers = self.columns["number"][1:]
        return tuple(number for number, tied in zip(numbers, self.tied, strict=True) if tied)

    @property
    def known(self) -> bool:
        """Whether the other trials could be compared with the best at all."""
        return None not in self.tied

    @property
    def open_ended(self) -> bool:
        """Whether further trials, which were not looked at, may tie as well."""
        return bool(self.tied) and len(self.columns["number"]) >= MOST and bool(self.tied[-1])

    def ties_sentence(self) -> str:
        """How many trials of the stage cannot be told from the best, and which, in plain words."""
        tied = self.tied_numbers
        if not tied:
            return f"no other trial of {self.stage.name} ties with it"
        named = ", ".join(map(str, tied[:_NAMED])) + (" ..." if len(tied) > _NAMED else "")
        many = f"{len(tied)} or more trials" if self.open_ended else counted(len(tied), "other trial")
        how = "" if self.paired else "; not all have their hits on single images stored, which would tell more apart"
        return f"{many} of the stage cannot be told from it: {named}{how}"


def contest(store: Store, stages: Sequence[Stage], *, most: int = MOST, correcting: bool = True) -> Contest | None:
    """Find the best trial of these stages and compare its rivals with it; None before any trial has a score.

    Args:
        store: The study database.
        stages: Stages of one search.
        most: How many of the best trials of a stage to look at.
        correcting: Whether to take the luck out of the best score, which takes a tenth of a second.
    """
    found = [(stage, store.columns(stage, top=most, hits=True)) for stage in stages]
    best = best_among(found)
    if best is None:
        return None
    stage, columns = best
    number, score = columns["number"][0], columns["score"][0]
    params = {name: columns[f"param:{name}"][0] for name in stage.space}
    images = stage.images
    rivals = [item for item in found if item[0] is stage or _same_images(item[0], stage)]
    trials = sum(store.drawn(rival) for rival, _ in rivals)
    plain = Best(stage.name, number, score, None, None, None, params, images, stage.metric)
    if images is None or not 0 <= score <= 1:
        unknown = (None,) * (len(columns["number"]) - 1)
        return Contest(stage, columns, plain, unknown, False, trials)
    hits = {rival.name: hits_of(of_rival, images) for rival, of_rival in rivals}
    tied, paired = ties(columns, hits[stage.name], images, trials)
    corrected = _corrected(stage, rivals, hits, images, most) if correcting else None
    measured = Best(
        stage.name,
        number,
        score,
        wilson(round(score * images), images),
        corrected,
        None if corrected is None else wilson_of_share(corrected, images),
        params,
        images,
        stage.metric,
    )
    return Contest(stage, columns, measured, tied, paired, trials)


def hits_of(columns: Columns, images: int) -> dict[int, int]:
    """The stored hits of trials that fit their scores, as whole numbers, by trial number.

    A trial whose hits are missing, of other images or of another epoch than its score is left out.

    Args:
        columns: Trials with their ``hits``.
        images: How many validation images there are.
    """
    found = {}
    for number, score, text in zip(columns["number"], columns["score"], columns[HITS], strict=True):
        if (hits := fitting(text, images, score)) is not None:
            found[number] = hits
    return found


def ties(columns: Columns, hits: Mapping[int, int], images: int, trials: int) -> tuple[tuple[bool, ...], bool]:
    """For each trial but the first, whether it ties with the first; and whether all were compared image by image.

    Args:
        columns: Trials, best first.
        hits: What `hits_of` gives for them.
        images: How many validation images there are.
        trials: How many trials were drawn, of which the first came out best.
    """
    numbers, scores = columns["number"], columns["score"]
    found, paired = [], True
    for number, score in zip(numbers[1:], scores[1:], strict=True):
        if numbers[0] in hits and number in hits:
            p = paired_p(hits[numbers[0]], hits[number])
        else:
            p, paired = unpaired_p(scores[0], score, images), False
        found.append(is_tied(p, trials))
    return tuple(found), paired


def ties_of(store: Store, stage: Stage, columns: Columns) -> tuple[bool | None, ...]:
    """For each of a stage's best trials but the first, whether it ties with the first; None: not known.

    Of more than `MOST` trials the others are not looked at.

    Args:
        store: The study database.
        stage: Their stage.
        columns: The trials with their ``hits``, best first.
    """
    others = len(columns["number"]) - 1
    if stage.images is None or others < 1 or not 0 <= columns["score"][0] <= 1:
        return (None,) * others
    near = {name: columns[name][:MOST] for name in ("number", "score", HITS)}
    tied, _ = ties(near, hits_of(near, stage.images), stage.images, store.drawn(stage))
    return (*tied, *[None] * (others - len(tied)))


def _same_images(one: Stage, other: Stage) -> bool:
    return bool(one.fingerprint) and one.fingerprint == other.fingerprint and one.images == other.images


def _corrected(
    stage: Stage,
    rivals: Collection[tuple[Stage, Columns]],
    hits: Mapping[str, Mapping[int, int]],
    images: int,
    most: int,
) -> float | None:
    """The best score without its luck, over all stages that are scored on the same images; None where hits miss."""
    if images < _LEAST or any(len(hits[rival.name]) < len(columns["number"]) for rival, columns in rivals):
        return None
    every = sorted((h for of_rival in hits.values() for h in of_rival.values()), key=int.bit_count, reverse=True)
    return corrected_share(every[:most], images, seed=draw_seed(stage.seed, 0, "images"))

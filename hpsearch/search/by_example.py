"""The stored hits of trials on single examples, or their scores on folds, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.objectives import kinds
from hpsearch.records import HITS, Stage
from hpsearch.search.noise import folds_of
from hpsearch.statistics.hits import matching, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hpsearch.store import Store


def by_example(store: Store, stage: Stage, scores: Mapping[int, float]) -> tuple[dict[int, NDArray[Any]], float]:
    """Return the hits or scores on folds of trials, (V,) each, by trial number, and the `split_ratio` of folds.

    Hits where the scores are shares of examples, else scores on folds. A trial without any that belong to its score is
    left out; so are all where not all have as many folds.
    """
    examples = kinds.examples(stage)
    if examples is None:
        folds, ratio = folds_of(store, stage, scores)
        same = len({len(of_trial) for of_trial in folds.values()}) == 1
        return {number: np.array(of_trial) for number, of_trial in folds.items() if same}, ratio
    texts = store.attribute(stage, scores, HITS)
    known = [number for number, text in texts.items() if matching(text, examples, scores[number]) is not None]
    return {number: np.frombuffer(unpack(texts[number], examples), np.bool_) for number in known}, 0.0

"""The values to use: by all trials instead of the luckiest one, and what training them again gives.

`hpsearch.search.best` names the trial with the best score. That score owes something to its seed and to the examples,
so neither are its values the best ones known nor will they score as well again. Here the setting is chosen, and its
score expected, by a Gaussian process over all finished and failed trials and all repeats of confirmations
(`hpsearch.statistics.retraining`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpsearch.objectives import kinds
from hpsearch.records import FOLDS, HITS, Action, Sentence, Setting, Stage, draw_seed
from hpsearch.search.best import Covers, Overview, best_trial, overview
from hpsearch.search.noise import REPORTING, folds_of, measured
from hpsearch.search.stage import actions_for, best_of, compares, known_confirmation, lacking, params_at
from hpsearch.search.surrogate import Surrogate, surrogate_of
from hpsearch.space import Categorical, Value, contains, delivered
from hpsearch.statistics.folds import corrected_error, error_interval
from hpsearch.statistics.hits import matching_bytes
from hpsearch.statistics.intervals import MOST_FREEDOM, Interval, share_interval
from hpsearch.statistics.retraining import Judged, expected_elsewhere, expected_on_other_folds, judge
from hpsearch.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.store import Store

_RIVALS = 100  # settings among which the choice is repeated on other examples: those beyond are never chosen
_RISKY = 0.05  # a probability of failing that is worth a sentence

"""Figures: a stage's trials or arrays in, Plotly figures out, in one house style.

``best`` stands for how many of the best trials are highlighted. Missing data make a figure that says so; data that do
not fit together raise `BadInput`.
"""

from hpsearch.reports.figures.budget import best_of_n
from hpsearch.reports.figures.by_parameter import importances, score_by_parameters
from hpsearch.reports.figures.curves import curve_grid, curves_together, training_curves
from hpsearch.reports.figures.history import search_history
from hpsearch.reports.figures.isolation import isolated, isolation, part_words
from hpsearch.reports.figures.lineage import lineage, scores_by_stage
from hpsearch.reports.figures.pairs import pair
from hpsearch.reports.figures.parallel import parallel
from hpsearch.reports.figures.saving import check_path, page, render, save
from hpsearch.reports.figures.style import dark, describe, styled
from hpsearch.reports.figures.trials import StageTrials

__all__ = [
    "StageTrials",
    "best_of_n",
    "check_path",
    "curve_grid",
    "curves_together",
    "dark",
    "describe",
    "importances",
    "isolated",
    "isolation",
    "lineage",
    "page",
    "pair",
    "parallel",
    "part_words",
    "render",
    "save",
    "score_by_parameters",
    "scores_by_stage",
    "search_history",
    "styled",
    "training_curves",
]

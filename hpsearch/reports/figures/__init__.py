"""Figures: rows and arrays in, Plotly figures out, in one house style.

What there is nothing of yet is answered by a figure that says so in words; what does not fit together by `BadInput`.
"""

from hpsearch.reports.figures.activations import activation_histograms
from hpsearch.reports.figures.by_parameter import score_by_parameter, score_by_parameters
from hpsearch.reports.figures.curves import curve_grid, curves_by_scale, learning_curves, training_history
from hpsearch.reports.figures.evaluation import Picture, confusion, mistakes
from hpsearch.reports.figures.history import search_history
from hpsearch.reports.figures.importance import importances
from hpsearch.reports.figures.lineage import lineage
from hpsearch.reports.figures.lines import by_layer, lines
from hpsearch.reports.figures.notebook import show
from hpsearch.reports.figures.optimizers import bowl, optimizer_paths
from hpsearch.reports.figures.pairs import pair
from hpsearch.reports.figures.parallel import parallel
from hpsearch.reports.figures.saving import ENDINGS, check_path, page, render, save
from hpsearch.reports.figures.stages import scores_by_stage
from hpsearch.reports.figures.style import DARK, dark, describe, least_width

__all__ = [
    "DARK",
    "ENDINGS",
    "Picture",
    "activation_histograms",
    "bowl",
    "by_layer",
    "check_path",
    "confusion",
    "curve_grid",
    "curves_by_scale",
    "dark",
    "describe",
    "importances",
    "learning_curves",
    "least_width",
    "lineage",
    "lines",
    "mistakes",
    "optimizer_paths",
    "page",
    "pair",
    "parallel",
    "render",
    "save",
    "score_by_parameter",
    "score_by_parameters",
    "scores_by_stage",
    "search_history",
    "show",
    "training_history",
]

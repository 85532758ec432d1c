"""Figures: rows and arrays in, Plotly figures out, in one house style.

What there is nothing of yet is answered by a figure that says so in words; what does not fit together by `BadInput`.
"""

from hpsearch.reports.figures.activations import activation_histograms
from hpsearch.reports.figures.curves import curve_grid, curves_by_scale, history, learning_curves
from hpsearch.reports.figures.evaluation import Picture, confusion, mistakes
from hpsearch.reports.figures.lines import by_layer, lines
from hpsearch.reports.figures.notebook import show
from hpsearch.reports.figures.optimizers import bowl, optimizer_paths
from hpsearch.reports.figures.pairs import pair
from hpsearch.reports.figures.saving import ENDINGS, check_path, render, save
from hpsearch.reports.figures.trials import score_by_parameter, scores_by_stage

__all__ = [
    "ENDINGS",
    "Picture",
    "activation_histograms",
    "bowl",
    "by_layer",
    "check_path",
    "confusion",
    "curve_grid",
    "curves_by_scale",
    "history",
    "learning_curves",
    "lines",
    "mistakes",
    "optimizer_paths",
    "pair",
    "render",
    "save",
    "score_by_parameter",
    "scores_by_stage",
    "show",
]

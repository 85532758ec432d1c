"""Figures as data in a web page: short numbers, no markup but the figures' own, layouts for phones."""

from __future__ import annotations

import base64
import copy
import json
import math
import re
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import plotly.graph_objects as go

DIGITS = 5
"""Significant digits of a plotted number: more than any screen can show."""
_MARKUP = re.compile(r"<(?!/?(?:b|i|br|sub|sup|extra)>)")
_LINE = 46
"""Characters of a line of text across a phone."""
_LINE_HEIGHT = 17
_TICKS, _TITLE = 11, 13
_GAP = 66
"""Below a panel, for its ticks and its title, in px."""


def plain_figure(figure: go.Figure) -> dict[str, Any]:
    """Return a figure's ``data`` and ``layout`` as JSON-able data.

    Plotly takes some HTML in any text for markup, links included: anything but the markup of our own figures, such as
    that in a parameter's or a choice's name, becomes text.

    Args:
        figure: It stays as it is.
    """
    plain: dict[str, Any] = _plain(figure.to_plotly_json())
    layout = plain["layout"]
    # The page has a background of its own.
    for ground in (layout, layout.get("template", {}).get("layout", {})):
        ground.update(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    # No trace has a template of its own.
    layout.get("template", {}).pop("data", None)
    for trace in plain["data"]:
        if isinstance(trace.get("text"), list):
            trace["text"] = _packed(trace["text"])
    return {"data": plain["data"], "layout": layout}


def _plain(value: Any) -> Any:
    match value:
        case str():
            return _MARKUP.sub("&lt;", value)
        case bool() | int() | None:
            return value
        case float():
            return _short(value)
        # Plotly's own packing of an array: eight bytes a number, whatever its digits.
        case {"dtype": kind, "bdata": packed}:
            return _plain(np.frombuffer(base64.b64decode(packed), np.dtype(kind).newbyteorder("<")))
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case np.ndarray() | np.generic():
            return _plain(value.tolist())
        case _:
            return [_plain(item) for item in value]


def _packed(texts: list[str]) -> list[str] | dict[str, Any]:
    """Return texts that come in runs of one length with each said once; the page's script writes them out again."""
    run = next((place for place, text in enumerate(texts) if text != texts[0]), 0)
    if run < 2 or len(texts) % run:
        return texts
    once = texts[::run]
    return {"each": run, "of": once} if texts == [text for text in once for _ in range(run)] else texts


def _short(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def script_json(value: Mapping[str, Any]) -> str:
    """Return data as JSON for a ``<script>`` element: nothing in it ends the element or begins another."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def narrowed(layout: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layout for a phone: smaller letters, narrower margins, and texts broken into lines that fit.

    Args:
        layout: Plotly's, as plain data; it stays as it is.
    """
    narrow: dict[str, Any] = copy.deepcopy(dict(layout))
    margin = narrow.setdefault("margin", {})
    # A title of all panels together is no axis', and makes no room for itself.
    turned = any(annotation.get("textangle") == -90 for annotation in narrow.get("annotations", ()))
    margin.update(l=min(margin.get("l", 60), 66 if turned else 52), r=min(margin.get("r", 28), 14))
    for name in _axes(narrow):
        axis = narrow[name]
        axis.setdefault("tickfont", {})["size"] = _TICKS
        if axis.get("ticktext") and name.startswith("x"):
            axis["ticktext"] = [text.replace(", ", "<br>") for text in axis["ticktext"]]
            lines = [text.split("<br>") for text in axis["ticktext"]]
            margin["b"] = max(margin.get("b", 58), 40 + _LINE_HEIGHT * (max(map(len, lines)) - 1))
            widest = max(len(line) for of_label in lines for line in of_label)
            if widest * len(lines) > _LINE:
                continue  # labels that do not fit side by side are turned
        axis["tickangle"] = 0
        if axis.get("title", {}).get("text"):
            axis["title"] = {**axis["title"], "text": _broken(axis["title"]["text"]), "font": {"size": _TITLE}}
    taller = 0
    for annotation in narrow.get("annotations", ()):
        # A key: in the margin above the data.
        if annotation.get("xref") == annotation.get("yref") == "paper" and annotation.get("y") == 1:
            broken = _broken(annotation["text"])
            taller = max(taller, _LINE_HEIGHT * (broken.count("<br>") - annotation["text"].count("<br>")))
            annotation["text"] = broken
    margin["t"] = margin.get("t", 40) + taller
    if "height" in narrow:
        narrow["height"] += taller
    return narrow


def stacked(layout: Mapping[str, Any], *, panel: int) -> dict[str, Any]:
    """Return a layout for a phone with the panels one below the other, each with its own axes, titles and ticks.

    Args:
        layout: Plotly's, as plain data; it stays as it is.
        panel: The height of a panel, in px.
    """
    narrow = narrowed(layout)
    pairs = [
        (narrow[name], narrow[name.replace("x", "y", 1)])
        for name in _axes(narrow)
        if name.startswith("x") and narrow[name].get("visible", True)
    ]
    height = len(pairs) * (panel + _GAP) - _GAP
    for place, (across, upwards) in enumerate(pairs):
        top = 1 - place * (panel + _GAP) / height
        across["domain"], upwards["domain"] = [0, 1], [max(top - panel / height, 0), top]
        upwards["showticklabels"] = True
    margin = narrow["margin"]
    narrow["height"] = margin["t"] + height + margin.get("b", 58)
    return narrow


def _axes(layout: Mapping[str, Any]) -> list[str]:
    names = [name for name in layout if re.fullmatch(r"[xy]axis\d*", name)]
    return sorted(names, key=lambda name: int(name[5:] or 1))


def _broken(text: str) -> str:
    return "<br>".join(line for part in text.split("<br>") for line in textwrap.wrap(part, _LINE) or [part])

"""The layout of a figure on a screen as narrow as a phone's."""

from __future__ import annotations

import copy
import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE = 46
"""Characters of a line of text across a phone."""
_LINE_HEIGHT = 17
_TICKS, _TITLE = 11, 13
_GAP = 66
"""Below a panel, for its ticks and its title, in px."""


def narrowed(layout: Mapping[str, Any]) -> dict[str, Any]:
    """A layout with smaller letters, narrower margins, and texts broken into lines that fit.

    Args:
        layout: Plotly's, as plain data; it stays as it is.
    """
    found: dict[str, Any] = copy.deepcopy(dict(layout))
    margin = found.setdefault("margin", {})
    # A title of all panels together is no axis', and makes no room for itself.
    turned = any(annotation.get("textangle") == -90 for annotation in found.get("annotations", ()))
    margin.update(l=min(margin.get("l", 60), 66 if turned else 52), r=min(margin.get("r", 28), 14))
    for name in _axes(found):
        axis = found[name]
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
    for annotation in found.get("annotations", ()):
        # A key: in the margin above the data.
        if annotation.get("xref") == annotation.get("yref") == "paper" and annotation.get("y") == 1:
            broken = _broken(annotation["text"])
            taller = max(taller, _LINE_HEIGHT * (broken.count("<br>") - annotation["text"].count("<br>")))
            annotation["text"] = broken
    margin["t"] = margin.get("t", 40) + taller
    if "height" in found:
        found["height"] += taller
    return found


def stacked(layout: Mapping[str, Any], *, panel: int) -> dict[str, Any]:
    """The panels of a figure one below the other; each has axes of its own, with their titles and ticks.

    Args:
        layout: Plotly's, as plain data; it stays as it is.
        panel: The height of a panel, in px.
    """
    found = narrowed(layout)
    pairs = [
        (found[name], found[name.replace("x", "y", 1)])
        for name in _axes(found)
        if name.startswith("x") and found[name].get("visible", True)
    ]
    height = len(pairs) * (panel + _GAP) - _GAP
    for place, (across, upwards) in enumerate(pairs):
        top = 1 - place * (panel + _GAP) / height
        across["domain"], upwards["domain"] = [0, 1], [max(top - panel / height, 0), top]
        upwards["showticklabels"] = True
    margin = found["margin"]
    found["height"] = margin["t"] + height + margin.get("b", 58)
    return found


def _axes(layout: Mapping[str, Any]) -> list[str]:
    names = [name for name in layout if re.fullmatch(r"[xy]axis\d*", name)]
    return sorted(names, key=lambda name: int(name[5:] or 1))


def _broken(text: str) -> str:
    return "<br>".join(line for part in text.split("<br>") for line in textwrap.wrap(part, _LINE) or [part])

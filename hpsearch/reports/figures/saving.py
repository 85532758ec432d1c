"""Figures as files: interactive pages, images rendered by a browser; and as data that a report's page carries."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import html
import json
import logging
import math
import os
import re
import textwrap
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput, MissingExtra, OutputFailure
from hpsearch.files import expanded, replacing
from hpsearch.reports.figures.style import KEY, LEGEND, describe, key_height, least_width, unmarked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go


IMAGES = ("png", "svg", "pdf")
ENDINGS = ("html", *IMAGES)
LEAST_PAGE = 700  # the room that title, buttons and legend need side by side, in px; a narrower window scrolls
WIDTH, HEIGHT = 900, 500  # the size in px of a figure without a size of its own
LIMIT_S = 60.0  # the time that starting the browser may take, and each figure; some 2 s on a quiet core
_CLOSE_S = 3.0


def save(figure: go.Figure, path: str | Path, *, scale: float = 1.0) -> None:
    """Write a figure to a file; an existing file is replaced, and never by half of one.

    Args:
        path: Its ending says how: ``.html``, a page that needs no network, or ``.png``, ``.svg`` and ``.pdf``.

    Raises:
        BadInput: Another ending, or a path that cannot be written.
        MissingExtra: An image without kaleido installed.
        OutputFailure: No browser, or one that does not render.
    """
    path = expanded(Path(path))
    ending = check_path(path)
    content = page(figure).encode() if ending == "html" else render([figure], ending, scale=scale)[0]
    with replacing(path) as whole:
        whole.write_bytes(content)


def check_path(path: Path) -> str:
    """Return the ending of a path that a figure can be saved to, without its dot. Raises what `save` raises."""
    ending = path.suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        raise BadInput(f"cannot save a figure as {path.name!r}; the name must end with .{', .'.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if ending in IMAGES:
        _check_kaleido(ending)
    return ending


def _check_kaleido(format: str) -> None:
    if find_spec("kaleido") is None:
        raise MissingExtra(f"writing a .{format} needs kaleido; pip install 'hpsearch[images]'")


def page(figure: go.Figure) -> str:
    """Return a figure as one page of HTML with plotly.js in it, some 5 MB, which loads nothing from elsewhere."""
    body = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        include_mathjax=False,
        # Without Plotly 7's button that uploads the figure to a cloud.
        config={"displaylogo": False, "responsive": True, "showSendToCloud": False},
        default_height="100vh",
    )
    title = html.escape(unmarked(figure.layout.title.text or "hpsearch"))
    ground = figure.layout.template.layout.paper_bgcolor or "white"
    width, alt = max(LEAST_PAGE, least_width(figure)), html.escape(describe(figure))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<title>{title}</title>\n<meta name="viewport" content="width=device-width">\n'
        f"<style>body, figure {{ margin: 0; background: {ground}; }}</style>\n</head>\n<body>\n"
        f'<main>\n<figure aria-label="{alt}" style="min-width: {width}px">\n{body}\n</figure>\n'
        "</main>\n</body>\n</html>\n"
    )


def render(figures: Sequence[go.Figure], format: str = "png", *, scale: float = 1.0) -> list[bytes]:
    """Return figures as images (png, svg or pdf), all from one browser; see `LIMIT_S`. Raises what `save` raises."""
    _check_kaleido(format)
    from choreographer.errors import ChromeNotFoundError  # an optional package, kaleido's own

    advice = "install Chromium or Chrome (Debian: apt install chromium), or save .html instead"
    try:
        # In a thread of its own: the loop of a notebook's is running already.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, _render(figures, format, scale)).result()
    except ChromeNotFoundError as error:
        named = os.environ.get("BROWSER_PATH")
        which = f"none is at BROWSER_PATH={named}" if named else "none was found"
        raise OutputFailure(f"writing a .{format} needs a browser and {which}; {advice}") from error
    except Exception as error:
        lines = str(error.args[0] if error.args else "").strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
        raise OutputFailure(f"the browser did not render the .{format} ({reason}); {advice}") from error


async def _render(figures: Sequence[go.Figure], format: str, scale: float) -> list[bytes]:
    import kaleido  # an optional package

    sizes = [(figure.layout.width or WIDTH, figure.layout.height or HEIGHT) for figure in figures]
    options = [{"format": format, "width": width, "height": height, "scale": scale} for width, height in sizes]
    for library in ("kaleido", "choreographer"):
        # Their messages come back as an exception.
        logging.getLogger(library).setLevel(logging.CRITICAL)
    # plotly.js is the one in the installed Plotly; MathJax would come from the network.
    browser = kaleido.Kaleido(timeout=LIMIT_S, mathjax=False)
    opening = asyncio.ensure_future(browser.open())
    try:
        await asyncio.wait({opening}, timeout=LIMIT_S)
        if not opening.done():
            raise TimeoutError(f"no answer within {LIMIT_S:g} s")
        opening.result()
        return [await browser.calc_fig(figure, opts=option) for figure, option in zip(figures, options, strict=True)]
    finally:
        opening.cancel()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await opening
        # Closing asks the browser to end, and kills one that does not answer.
        with contextlib.suppress(Exception):
            await asyncio.wait_for(browser.close(), _CLOSE_S)


DIGITS = 5  # significant digits of a plotted number: more than any screen can show
_LINE = 46  # characters of a line of text across a phone
_LINE_HEIGHT = 17
_TICKS, _TITLE = 11, 13
_LEGEND_LINES = 60  # the height of two more lines of a legend


def plain_figure(figure: go.Figure) -> dict[str, Any]:
    """Return a figure's ``data`` and ``layout`` as JSON-able data."""
    plain: dict[str, Any] = _plain(figure.to_plotly_json())
    layout = plain["layout"]
    del layout["meta"]  # the alternative text, which the page has
    # The page has a background of its own.
    for ground in (layout, layout.get("template", {}).get("layout", {})):
        ground.update(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    # No trace has a template of its own.
    layout.get("template", {}).pop("data", None)
    return {"data": plain["data"], "layout": layout}


def _plain(value: Any) -> Any:
    match value:
        case str() | bool() | int() | None:
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


def _short(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def script_json(value: Mapping[str, Any]) -> str:
    """Return data as JSON for a ``<script>`` element: nothing in it ends the element or begins another."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def without_key(plain: Mapping[str, Any]) -> str:
    """Take the key out of a `plain_figure`, and return it: where there is little room a legend would stand on it."""
    layout, keys = plain["layout"], []
    for annotation in [note for note in layout.get("annotations", ()) if note.get("name") == KEY]:
        layout["annotations"].remove(annotation)
        layout["margin"]["t"] -= key_height(annotation["text"].count("<br>"))
        keys.append(" ".join(unmarked(annotation["text"]).split()))
    return "; ".join(keys)


def narrowed(layout: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layout for a phone: smaller letters, narrower margins, and texts broken into lines that fit."""
    narrow: dict[str, Any] = copy.deepcopy(dict(layout))
    margin = narrow.setdefault("margin", {})
    # A title of all panels together is no axis', and makes no room for itself.
    turned = any(annotation.get("textangle") == -90 for annotation in narrow.get("annotations", ()))
    margin.update(l=min(margin.get("l", 60), 66 if turned else 52), r=min(margin.get("r", 28), 14))
    if margin.get("t", 0) >= LEGEND:  # there it takes two lines or more, which Plotly notices too late
        margin["t"] += _LEGEND_LINES
        narrow.update({"height": narrow["height"] + _LEGEND_LINES} if "height" in narrow else {})
    for name in _axes(narrow):
        axis = narrow[name]
        axis.setdefault("tickfont", {})["size"] = _TICKS
        if axis.get("ticktext") and name.startswith("x"):
            axis["ticktext"] = [text.replace(", ", "<br>") for text in axis["ticktext"]]
            lines = [text.split("<br>") for text in axis["ticktext"]]
            margin["b"] = max(margin.get("b", 58), 40 + _LINE_HEIGHT * (max(map(len, lines)) - 1))
            fit = math.ceil(max(len(line) for of_label in lines for line in of_label) * len(lines) / _LINE)
            if fit > 1 and axis.get("tickangle") != 0:
                continue  # labels that do not fit side by side are turned, or every so many of them is left
            axis["ticktext"] = [text if place % fit == 0 else "" for place, text in enumerate(axis["ticktext"])]
        axis["tickangle"] = 0
        if axis.get("title", {}).get("text"):
            axis["title"] = {**axis["title"], "text": _broken(axis["title"]["text"]), "font": {"size": _TITLE}}
    return narrow


def _axes(layout: Mapping[str, Any]) -> list[str]:
    names = [name for name in layout if re.fullmatch(r"[xy]axis\d*", name)]
    return sorted(names, key=lambda name: int(name[5:] or 1))


def _broken(text: str) -> str:
    parts = [textwrap.wrap(html.unescape(part), _LINE) or [part] for part in text.split("<br>")]
    return "<br>".join(html.escape(line, quote=False) for lines in parts for line in lines)

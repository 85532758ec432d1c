"""Whatever stands in the database is text in a report, never a part of it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from made_search import STUDY_FILE, material, stage, trials

from hpsearch.reports.page import Page, to_html, to_markdown
from hpsearch.reports.report import report
from hpsearch.space import Categorical, Float, Parameter

HOSTILE: dict[str, Parameter] = {
    "<script>alert(1)</script>": Float(0.0, 1.0),
    'x" onmouseover="alert(2)': Categorical(("</script><script>alert(3)</script>", "<img src=x onerror=alert(4)>")),
}


@cache
def hostile() -> Page:
    one = stage(space=HOSTILE, search="<b>&\"'", study_file={**STUDY_FILE, "data": {"path": "<i>.npz"}})
    frame = trials(40, space=HOSTILE, failed=5, reason="<script>alert({})</script> | [x](javascript:alert(1)) `a` *b*")
    return report(material([(one, frame)], advice=("<u>do</u> this",)))


def test_whatever_is_in_the_database_stays_text_in_html() -> None:
    html = to_html(hostile())
    # Three blocks of the page's own and one of each figure.
    figures = sum(len(part.drawings) for part in hostile().sections)
    assert html.count("<script") - to_html_of_plotly(html).count("<script") == figures + 3
    without = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(script|img|i|b|u)\b", without)
    assert 'onmouseover="' not in without
    assert "&lt;u&gt;do&lt;/u&gt; this" in without


def to_html_of_plotly(html: str) -> str:
    return max((str(script) for script in re.findall(r"<script>(.*?)</script>", html, re.DOTALL)), key=len)


def test_no_figure_takes_markup_from_the_database() -> None:
    texts: list[str] = []

    def collect(value: Any) -> None:
        match value:
            case str():
                texts.append(value)
            case dict():
                for item in value.values():
                    collect(item)
            case list():
                for item in value:
                    collect(item)

    for part in hostile().sections:
        for drawing in part.drawings:
            collect(dict(drawing.figure))
            collect(dict(drawing.narrow))
    assert any("script" in text for text in texts)
    assert {tag for text in texts for tag in re.findall(r"<[^>]*>", text)} <= {
        "<br>",
        "<b>",
        "</b>",
        "<extra>",
        "</extra>",
    }


def test_whatever_is_in_the_database_stays_text_in_markdown() -> None:
    text = to_markdown(hostile())
    assert not re.search(r"(?<!\\)<(?!!-- generator)", text)
    reason = next(line for line in text.splitlines() if "alert(" in line and "javascript" in line)
    assert len(re.findall(r"(?<!\\)\|", reason)) == 4
    assert not re.search(r"(?<!\\)[\[\]`*]", reason)

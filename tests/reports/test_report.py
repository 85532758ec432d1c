"""The contents of a report, whatever the search was like; that it is text, the same each time, and small enough."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from html import unescape
from typing import Any

import numpy as np
import pytest
from made_search import HOSTILE, LR, MIXED, SPACE, STUDY_FILE, THREE, material, question, section, stage, trials

from hpsearch.errors import MissingExtra
from hpsearch.records import Sentence
from hpsearch.reports import importance
from hpsearch.reports.figures.saving import narrowed, script_json
from hpsearch.reports.figures.style import DARK, FAINT, GRID, KEY, PALETTE, PAPER, SCALE
from hpsearch.reports.page import Page, to_html, to_markdown
from hpsearch.reports.report import report
from hpsearch.reports.sections import ends
from hpsearch.reports.sections import sentence as as_sentence
from hpsearch.search.next_step import NextStep
from hpsearch.search.range_analysis import NarrowedRange
from hpsearch.space import Categorical, Space
from hpsearch.statistics import Interval

IMPORTED = stage(study_file={}, sizes={}, fingerprint="", versions={})
LOSS = stage(direction="minimize", study_file={**STUDY_FILE, "objective": {"metric": "validation_loss"}})
SEARCHES: dict[str, Sequence[Any]] = {
    "no trial": [(stage(), trials(0))],
    "one trial": [(stage(), trials(1))],
    "only failures": [(stage(), trials(30, failed=30))],
    "pruned": [(stage(), trials(60, pruned=40, failed=5))],
    "choices": [(stage(space=MIXED), trials(60, space=MIXED, failed=3))],
    "one parameter": [(stage(space={"lr": LR}), trials(30, space={"lr": LR}))],
    "three stages": THREE,
    "imported": [(IMPORTED, trials(40))],
    "a loss": [(LOSS, trials(40))],
    "a stage without trials": [*THREE[:1], (THREE[1][0], THREE[1][1].head(0))],
    "hostile": HOSTILE,
}


@cache
def made(name: str) -> Page:
    """The report of a search of a kind, with its figures."""
    step = NextStep("narrow", Sentence("<u>do</u> this"), ())
    advice = {"next": step, "questions": (question("<u>so</u>"),)} if name == "hostile" else {}
    return report(material(SEARCHES[name], curves=0 if name == "imported" else 4, **advice))


@pytest.fixture(scope="module", autouse=True)
def _few_shuffles() -> Iterator[None]:
    """Importance has its own tests; here it is enough that it is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importance, "SHUFFLES", 2)
        yield


@pytest.fixture(scope="module", params=SEARCHES)
def page(request: pytest.FixtureRequest) -> Page:
    """The report of a search of each kind."""
    return made(request.param)


def keys(page: Page) -> list[str]:
    return [section.key for section in page.sections]


def figures(page: Page) -> list[Any]:
    return [figure for section in page.sections for figure in section.figures]


def test_every_search_has_a_report_whose_links_lead_somewhere(page: Page) -> None:
    assert page.answer.score
    assert page.answer.sure
    assert {"lineage", "provenance"} <= set(keys(page))
    assert not any("could not be made" in sentence for section in page.sections for sentence in section.sentences)
    for figure in figures(page):
        assert figure.caption.endswith(".")
        assert len(figure.alt) > 20
        assert figure.figure["data"]
    # Names for links are of one thing each.
    links = [*keys(page), *(figure.key for figure in figures(page)), "answer", "settings"]
    assert len(links) == len(set(links))
    assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in links)


@pytest.mark.parametrize("name", ["no trial", "three stages", "hostile"])
def test_a_page_loads_nothing_and_runs_only_its_own_scripts(name: str) -> None:
    html = to_html(made(name))
    policy = unescape(re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[0])
    assert policy.startswith("default-src 'none';")
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert len(hashes) == 2
    without = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert re.findall(r"""\b(?:src|srcset|action|data|poster)\s*=\s*["']""", without) == []
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', without))
    assert "url(" not in without
    assert "@import" not in without


def contrast(colour: str, paper: str) -> float:
    """The contrast of two colours, from 1 to 21 (WCAG 2.1)."""

    def luminance(of: str) -> float:
        parts = [int(of[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    light, dark = sorted((luminance(colour), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_stands_out_from_white() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    assert all(contrast(colour, "#ffffff") > 2 for colour in PALETTE)


def test_the_better_a_score_the_more_it_stands_out_from_the_page() -> None:
    for scale, paper in ((SCALE, "#ffffff"), ([DARK[colour] for colour in SCALE], DARK[PAPER])):
        contrasts = [contrast(colour, paper) for colour in scale]
        assert contrasts == sorted(contrasts)
        assert contrasts[0] > 2
        assert contrasts[-1] > 10


def test_every_colour_of_the_figures_can_be_seen_on_a_dark_page(page: Page) -> None:
    faint = {DARK[GRID], DARK[FAINT], DARK[PAPER]}  # lines and rims that are to be seen just so
    for figure in figures(page):
        colours = re.findall(r'"(#[0-9a-fA-F]{6}|rgb\([^)]*\))"', json.dumps(figure.figure))
        for colour in {DARK.get(colour, colour) for colour in colours} - faint:
            assert contrast(colour, DARK[PAPER]) >= 3, colour


def test_the_answer_says_the_score_its_interval_and_its_correction() -> None:
    page = report(material(THREE), figures=False)
    answer = page.answer
    assert answer.score == "Validation accuracy 0.74; corrected for selection 0.72"
    interval = "95\N{NO-BREAK SPACE}% interval 0.65 to 0.82"
    assert f"measured on 100 validation examples: {interval}; corrected for selection" in " ".join(answer.sure)
    assert set(answer.values) == set(SPACE)
    assert "stage 3" in answer.values_of
    assert answer.next == "Next: narrow(top=5)."
    assert section(page, "checklist").questions[0].answers == ("lr matters (p = 0.001).",)


def test_a_search_that_only_failed_is_said_to_have() -> None:
    page = made("only failures")
    assert page.answer.score == "All trials failed"
    assert "30 failed" in " ".join(page.answer.sure)
    [table] = section(page, "failures").tables
    assert table.rows == [("training loss became nan in epoch …", 30, "1/0, 1/1, 1/2, 1/3, 1/4, 1/5, ...")]


def test_values_without_effect_are_no_part_of_the_answer() -> None:
    space = {name: MIXED[name] for name in ("lr", "optimizer", "momentum")} | {"optimizer": Categorical(("sgd",))}
    page = report(material([(stage(space=space), trials(20, space=space))]), figures=False)
    assert list(page.answer.values) == ["lr", "optimizer"]
    assert "without effect in it: momentum" in page.answer.values_of
    assert set(section(page, "best").tables[0].columns["momentum"]) == {None}


@pytest.mark.parametrize("name", ["three stages", "a loss"])
def test_the_best_are_ranked_over_all_stages(name: str) -> None:
    columns = section(report(material(SEARCHES[name]), figures=False), "best").tables[0].columns
    metric = "validation loss" if name == "a loss" else "validation accuracy"
    every = sorted((s for _, f in SEARCHES[name] for s in f["score"].dropna()), reverse=name != "a loss")
    assert list(columns[metric]) == every[:20]
    assert columns["rank"] == list(range(1, 21))
    assert columns["tied"].count("best") == 1
    assert columns["tied"].count("yes") <= 2
    assert ("95 % interval" in columns) is (name != "a loss")


def test_where_it_comes_from() -> None:
    columns = section(report(material(THREE), figures=False), "provenance").tables[0].columns
    facts = dict(zip(columns["what"], columns["value"], strict=True))
    expected = {
        "database": "studies/made.db",
        "examples": "400 train, 100 validation",
        "sha256 of the data": "ab" * 32,
        "seed of the study file": "7",
        "made with": "hpsearch 1.0, numpy 2.0",
        "last trial finished": "2026-01-02 03:05 UTC",
    }
    assert {name: facts[name] for name in expected} == expected


def test_learning_curves_are_those_given() -> None:
    one = material([(stage(), trials(30))], curves=3)
    [figure] = section(report(one), "curves").figures
    assert "best 3 trials" in figure.title
    expected = one.curves[0]["validation_accuracy"]
    assert any(trace["y"] == pytest.approx(expected, rel=1e-4) for trace in figure.figure["data"])


def test_markdown_has_the_answer_and_the_tables() -> None:
    page = made("three stages")
    text = to_markdown(report(material(THREE), figures=False))
    asked = [sentence for of in section(page, "checklist").questions for sentence in of.answers]
    for sentence in (*page.answer.sure, page.answer.next, *asked):
        assert sentence in text
    tables = [table for section in page.sections for table in section.tables]
    assert len(re.findall(r"^\|(?: -+:? \|)+$", text, re.MULTILINE)) == len(tables)
    assert "](" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "more", "size"), [(1000, {"failed": 30, "pruned": 200}, 6e6), (3000, {"failed": 300}, 6.5e6)]
)
def test_a_report_of_many_trials_is_small_and_says_what_it_leaves_out(
    count: int, more: dict[str, Any], size: float
) -> None:
    space = MIXED if count == 1000 else SPACE
    page = report(material([(stage(space=space), trials(count, space=space, **more))], curves=20))
    assert len(to_html(page).encode()) < size
    assert f"{count:,} trials" in page.about
    for figure in figures(page):
        if count > 1000 and figure.key in ("history", "pair", "against-1"):
            assert re.search(r"of (2,700|3,000) trials plotted", figure.caption)


def test_whatever_is_in_the_database_stays_text_in_html() -> None:
    html = to_html(made("hostile"))
    plotly = max(re.findall(r"<script>(.*?)</script>", html, re.DOTALL), key=len)
    # Three blocks of the page's own and one of each figure.
    assert html.count("<script") - plotly.count("<script") == len(figures(made("hostile"))) + 3
    without = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(script|img|i|b|u)\b", without)
    assert 'onmouseover="' not in without
    assert "&lt;u&gt;do&lt;/u&gt; this" in without
    assert "\x1b" not in without


@pytest.mark.parametrize("form", [to_html, to_markdown])
def test_long_names_values_and_reasons_are_cut(form: Callable[[Page], str]) -> None:
    text = form(made("hostile"))
    for character in "LVR":
        assert character * 50 in text
        assert character * 301 not in text


def test_halves_are_rounded_up() -> None:
    assert ends(Interval(0.815, 0.845), 2) == "0.82 to 0.85"


def test_an_interval_has_the_decimals_of_its_width() -> None:
    assert ends(Interval(0.00213, 0.00981), 2) == "0.002 to 0.010"
    assert ends(Interval(0.000213, 0.000981)) == "0.0002 to 0.0010"
    assert ends(Interval(4850.21, 5150.12)) == "4850 to 5150"


def test_no_figure_takes_markup_from_the_database() -> None:
    text = json.dumps([(figure.figure, figure.narrow) for figure in figures(made("hostile"))])
    assert "&lt;a href=" in text
    assert "&lt;b&gt;&amp;lt;&lt;/b&gt;" in text
    assert set(re.findall(r"<[^>]*>", text)) <= {"<br>", "<b>", "</b>", "<sup>", "</sup>", "<extra>", "</extra>"}
    assert set(re.findall(r"%{([a-z.]*)", text)) <= {"text", "x", "y", "marker.color", "customdata", "hovertext"}
    assert "%{x} %{y" not in text
    assert "\\u001b" not in text


def test_whatever_is_in_the_database_stays_text_in_markdown() -> None:
    text = to_markdown(made("hostile"))
    assert not re.search(r"(?<!\\)<(?!!-- generator)", text)
    reason = next(line for line in text.splitlines() if "javascript:alert" in line)
    assert len(re.findall(r"(?<!\\)\|", reason)) == 4
    assert not re.search(r"(?<!\\)[\[\]`*]", reason)


def test_data_in_a_script_cannot_end_it() -> None:
    text = script_json({"a": "</script><!--\u2028"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--\u2028"}


def test_without_jinja2_there_is_one_line_and_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    page = report(material(THREE[:1]), figures=False)
    with pytest.raises(MissingExtra, match=r"pip install 'hpsearch\[report\]'"):
        to_html(page)
    assert to_markdown(page)


def test_layouts_for_phones_break_long_texts_and_leave_the_wide_one_alone() -> None:
    layout = {
        "height": 400,
        "margin": {"t": 40, "l": 80},
        "xaxis": {"title": {"text": "word " * 20}, "ticktext": ["a, b"]},
    }
    before = json.dumps(layout)
    narrow = narrowed(layout)
    assert narrowed({**layout, "margin": {"t": 46}})["margin"]["t"] > 100  # a legend
    assert json.dumps(layout) == before
    assert "<br>" in narrow["xaxis"]["title"]["text"]
    assert narrow["xaxis"]["ticktext"] == ["a<br>b"]
    assert narrow["margin"]["l"] < 80


def test_no_note_of_a_figure_can_stand_on_its_legend(page: Page) -> None:
    for figure in figures(page):
        for layout in (figure.figure["layout"], figure.narrow):
            notes = layout.get("annotations", ())
            assert not [note for note in notes if note.get("name") == KEY or note.get("yshift", 0) > 20]
            assert layout["margin"]["t"] >= 16
        if figure.key == "learning-curves":
            assert figure.caption.endswith(". Solid: validation, dashed: train.")


def test_the_report_says_where_trials_fail_and_shows_budget_and_isolation() -> None:
    frame = trials(80)
    fails = frame["param:lr"] > 2e-3
    frame = frame.assign(state=frame["state"].mask(fails, "FAIL"), score=frame["score"].mask(fails))
    page = report(material([(stage(), frame)]))
    assert (
        f"{fails.sum()} of {fails.sum()} with lr above 0.002, 0 of the other" in section(page, "failures").sentences[1]
    )
    of = {figure.key: figure for part in page.sections for figure in part.figures}
    assert "80 more trials would bring +0." in of["budget"].alt
    table = of["isolation"].table
    assert table is not None
    assert {*table.columns["parameter"]} == {"lr", "weight_decay"}
    assert all(" to " in str(cell) for cell in table.columns["95 % interval"])


def test_stages_of_other_epochs_are_not_said_to_compare() -> None:
    longer = {**STUDY_FILE, "training": {**STUDY_FILE["training"], "epochs": 100}}
    page = report(material([THREE[0], (stage(2, study_file=longer), trials(60))]))
    captions = {figure.key: figure.caption for figure in figures(page)}
    words = "different numbers of epochs (stage 1 50, stage 2 100), so their scores do not compare."
    assert all(words in captions[key] for key in ("history", "scores-by-stage"))
    assert not [figure for figure in figures(made("three stages")) if "numbers of epochs" in figure.caption]


def test_a_parameter_that_none_of_the_best_has_is_said_to_be_that() -> None:
    frame = trials(60)
    low = frame["score"] < frame["score"].quantile(0.6)
    frame = frame.assign(**{"param:lr": frame["param:lr"].where(low)})
    page = report(material([(stage(), frame)]))
    (caption,) = [figure.caption for figure in figures(page) if figure.title.endswith(" by lr")]
    assert caption.startswith("Stage 1: none of the best 5 trials has it.")


def test_ranges_per_value_share_a_column_of_the_best_trials() -> None:
    plain: Space = {"opt": Categorical(("a", "b")), "lr[a]": LR, "lr[b]": LR}
    frame = trials(40, space=plain)
    space = {name: replace(of, when={"opt": (name[-2],)}) if "[" in name else of for name, of in plain.items()}
    columns = section(report(material([(stage(space=space), frame)]), figures=False), "best").tables[0].columns
    assert not [name for name in columns if "[" in name]
    (first,) = frame[frame["number"] == columns["trial"][0]].to_dict("records")
    assert (columns["opt"][0], columns["lr"][0]) == (first["param:opt"], first[f"param:lr[{first['param:opt']}]"])


def test_a_question_about_ranges_per_value_links_to_the_figure_of_one() -> None:
    plain: Space = {"lr[a]": LR, "lr[b]": LR, "opt": Categorical(("a", "b"))}
    frame = trials(40, space=plain)
    space = {name: replace(of, when={"opt": (name[-2],)}) if "[" in name else of for name, of in plain.items()}
    page = report(material([(stage(space=space), frame)], ranges={}))
    (asked,) = section(page, "checklist").questions
    (linked,) = [figure.title for figure in figures(page) if figure.key == asked.figure]
    assert linked.endswith(" by lr[a]")


def test_names_and_ends_of_sentences() -> None:
    of = material(THREE, ranges={"lr[sgd]": NarrowedRange(LR, LR, 5, 0.001)})
    assert as_sentence("lr[sgd]: too few", of) == "lr[sgd]: too few."
    assert as_sentence("trials are few", of) == "Trials are few."
    assert as_sentence("loss became nan in epoch \N{HORIZONTAL ELLIPSIS}", of).endswith("epoch \N{HORIZONTAL ELLIPSIS}")

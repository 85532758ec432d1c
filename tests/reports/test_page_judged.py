"""What a report says once values were trained again, or judged by the test images: which figure counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from made_search import LR, THREE, material

from hpsearch.records import Sentence
from hpsearch.reports.page import Page
from hpsearch.reports.report import Confirmation, Look, Repeated, report
from hpsearch.search.evidence import Edge
from hpsearch.search.range_analysis import Movement, NarrowedRange
from hpsearch.space import Float
from hpsearch.statistics import Interval


def section(page: Page, key: str) -> Any:
    [found] = [section for section in page.sections if section.key == key]
    return found


def judged(stage_number: int, *, looks: int = 1) -> Page:
    """The three stages with one of them confirmed, and its first values looked at."""
    found = material(THREE)
    one = found.stages[stage_number - 1].stage
    params = {"lr": 0.002, "weight_decay": 3e-6}
    settings = tuple(
        Repeated(trial, params, 0.9, 0.8 - trial / 100, 5, 0, Interval(0.7, 0.85), "seeds and images", p)
        for trial, p in ((2, None), (4, 0.75))
    )
    seen = Look(one.name, 2, params, "2026-01-03T04:05:06+00:00", 0.812, Interval(0.78, 0.83), 1000, 500, 50, 9)
    broken = replace(seen, accuracy=None, interval=None, images=None)
    every = (*(broken for _ in range(looks - 1)), seen) if looks else ()
    return report(replace(found, confirmations=(Confirmation(one, settings),), looks=every), figures=False)


def test_the_values_to_pick_are_those_judged_last() -> None:
    confirmed, looked_at = judged(3, looks=0).answer, judged(3).answer
    assert confirmed.score == "Mean validation accuracy 0.78 (0.70 to 0.85)"
    assert looked_at.score == "Test accuracy 0.812 (0.780 to 0.830)"
    for answer in (confirmed, looked_at):
        assert answer.values == {"lr": "0.002", "weight_decay": "3e-06"}
        assert "number 2 of stage 3" in answer.values_of
        assert any("Trained again 5 times" in sentence for sentence in answer.sure)


def test_a_single_score_is_superseded_by_what_was_judged_later() -> None:
    for answer in (judged(3, looks=0).answer, judged(3).answer):
        assert answer.sure[-1].startswith("Superseded by that: the best single score of ")
    assert not any("Superseded" in sentence for sentence in judged(1).answer.sure)


def test_which_figure_counts_is_not_said_twice() -> None:
    counts, *others = map(Sentence, ("the mean counts", "lr matters", "next: this"))
    found = material(THREE, advice=(counts, *others), figures=(counts,))
    assert report(found, figures=False).answer.notes == ("lr matters.",)


def test_the_range_that_is_shown_next_is_the_one_that_is_advised() -> None:
    edge, moves = Edge("high", 1e-2, 0.0, 0.0, 0.0), Movement(0.3, 0.1, 0.0, 0.0, True)
    wide = Float(1e-6, 0.1, log=True)
    lr = NarrowedRange(LR, LR, 5, 0.001, edges=(edge,), widened=wide, movement=moves)
    advised = report(material(THREE, ranges={"lr": lr}, step="expand"), figures=False)
    shown = section(advised, "ranges")
    row = shown.tables[0].columns
    assert (row["stage"][3], row["range"][3]) == ("next, by narrow --expand", "1e-06 .. 0.1 (log)")
    assert "low end uncertain by x2.00, high end by x1.26" in shown.points[0].lower()
    assert not any("decades" in point for point in shown.points)
    judged_already = report(material(THREE, ranges={"lr": lr}, step="use"), figures=False)
    assert section(judged_already, "ranges").tables[0].columns["stage"][3] == "if narrowed, with --expand"


def test_p_of_these_images_alone_is_said_to_be() -> None:
    found = material(THREE)
    one = found.stages[2].stage
    settings = tuple(
        Repeated(trial, {"lr": 0.002, "weight_decay": 3e-6}, 0.9, 0.8, 5, 0, None, "seeds and images", p, "seeds")
        for trial, p in ((2, None), (4, 0.75))
    )
    page = report(replace(found, confirmations=(Confirmation(one, settings),)), figures=False)
    assert "holds for these validation images alone" in section(page, "confirmation").tables[0].caption
    assert "alone" not in section(judged(3), "confirmation").tables[0].caption


def test_what_was_judged_before_the_search_went_on_is_told_and_not_picked() -> None:
    answer = judged(1).answer
    assert answer.score.startswith("Validation accuracy 0.87")
    assert any("Trained again 5 times" in sentence for sentence in answer.sure)
    assert any("1,000 test images" in sentence and "made/stage-01" in sentence for sentence in answer.sure)


def test_confirmations_and_looks_have_their_tables() -> None:
    page = judged(3, looks=2)
    [table] = section(page, "confirmation").tables
    assert table.columns["mean"] == [0.78, 0.76]
    assert table.columns["p"] == [None, 0.75]
    test = section(page, "evaluation")
    assert test.tables[0].columns["test accuracy"] == [None, 0.812]
    assert any("2 times" in sentence for sentence in test.sentences)
    assert "not at the first look" in test.sentences[0]

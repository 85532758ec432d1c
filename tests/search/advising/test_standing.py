"""The findings know where the search stands: which figure counts, and what is left to do."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import replace

import hit_stages
import judged_stages
import pytest

from hpsearch.commands import DEFAULT_STORAGE, Commands, command_line
from hpsearch.errors import BadInput, EvaluatedAlready, UnknownSearch
from hpsearch.search.advice import not_firm
from hpsearch.search.best import choose
from hpsearch.search.evaluation import prepare
from hpsearch.search.findings import RangeFinding, findings, what_next
from hpsearch.search.narrowing import narrow_stage
from hpsearch.space import Float, Value
from hpsearch.store import Store


def rising(number: int, params: Mapping[str, Value]) -> float:
    return 0.5 + 0.1 * (math.log10(float(params["lr"])) + 4)


def edgeless(number: int, params: Mapping[str, Value]) -> float:
    return 0.85 if number % 7 else 0.88


def test_after_a_confirmation_its_mean_counts_and_single_scores_are_superseded(store: Store) -> None:
    stage = hit_stages.make(store, edgeless, trials=40)
    before = findings(store, [stage])
    assert before.step == "confirm"
    assert before.best is not None
    raw = f"expect about {before.best.corrected:.2f} of trial {before.best.trial}"
    assert any(sentence.startswith(raw) for sentence in before.advice)
    judged_stages.confirm(store, stage, [0.81, 0.86, 0.82])
    after = findings(store, [stage])
    assert after.confirmed is not None
    assert after.confirmed.trial != before.best.trial
    assert after.advice[0].startswith(f"trial {after.confirmed.trial} comes first of the 3 settings")
    assert "mean validation_accuracy 0.86" in after.advice[0]
    assert after.advice[1].startswith("superseded by it: the best single score 0.88")
    assert after.figures == after.advice[:2]
    assert not any(sentence.startswith(("expect about", "the top 5")) for sentence in after.advice)
    assert after.step == "evaluate"
    assert f"trial {after.confirmed.trial} is the one to pick" in after.advice[-1]
    assert after.commands == (f"hpsearch evaluate --storage {store.where}",)
    assert what_next(store, [stage]).commands == after.commands


def test_after_the_look_the_test_figure_is_the_answer_and_nothing_is_narrowed(store: Store) -> None:
    stage = hit_stages.make(store, rising, images=400)
    assert findings(store, [stage]).step == "expand"
    judged_stages.confirm(store, stage, [0.81, 0.86, 0.82])
    assert "or end here: hpsearch evaluate" in findings(store, [stage]).advice[-1]
    judged_stages.evaluate(store, stage, 7)
    found = findings(store, [stage])
    assert found.evaluated is not None
    assert found.evaluated.answers
    assert found.advice[0].startswith("test accuracy 0.855 (0.832 to 0.875) on 1,000 test images")
    assert found.advice[1].startswith("superseded by it: the mean 0.86 of made/confirm-01, the best single score")
    assert found.step == "use"
    assert not any(word in sentence for sentence in found.advice for word in ("narrow ", "expect about", "not firm"))
    assert "begin another search with other test images" in found.advice[-1]
    words = shlex.split(found.commands[0])
    assert words[:8] == ["hpsearch", "evaluate", "--stage", "1", "--trial", "7", "--again", "--save"]


def test_a_look_before_the_search_went_on_is_told_and_not_taken_for_the_answer(store: Store) -> None:
    stage = hit_stages.make(store, [0.6] * 40, trials=40)
    judged_stages.evaluate(store, stage, 3)
    later = hit_stages.make(store, edgeless, trials=40, number=2)
    judged_stages.confirm(store, later, [0.86, 0.85])
    found = findings(store, store.stages())
    assert "before the search went on" in found.advice[0]
    assert found.step == "pick"
    assert "the test images have been looked at" in found.advice[-1]
    assert not any(sentence.startswith("hpsearch evaluate") for sentence in found.commands)


def test_a_look_without_a_result_counts_as_one(store: Store) -> None:
    stage = hit_stages.make(store, edgeless, trials=40)
    judged_stages.confirm(store, stage, [0.86, 0.85])
    judged_stages.evaluate(store, stage, 3, accuracy=None, interval=None)
    found = findings(store, [stage])
    assert found.advice[0].startswith("the look at the test images")
    assert found.step == "pick"


def test_an_incomplete_confirmation_judges_nothing_and_is_brought_to_its_end(store: Store) -> None:
    stage = hit_stages.make(store, edgeless, trials=40)
    judged_stages.confirm(store, stage, [0.86, 0.85, 0.84], repeats=6, run=10)
    found = findings(store, [stage])
    assert any("made/confirm-01 is not complete, 8 trials are left" in sentence for sentence in found.advice)
    assert found.commands == (f"hpsearch confirm --top 3 --repeats 6 --storage {store.where}",)


def test_the_stage_of_the_best_trial_is_named_where_it_is_not_the_latest(store: Store) -> None:
    hit_stages.make(store, edgeless, trials=40)
    hit_stages.make(store, [0.6] * 40, trials=40, number=2)
    found = findings(store, store.stages())
    assert found.commands == (f"hpsearch confirm --stage 1 --storage {store.where}",)


def test_an_end_that_is_not_firm_is_told_with_the_share_that_says_so() -> None:
    lr = RangeFinding(Float(1e-4, 1.0, log=True), Float(0.1, 1.0, log=True), 0.001, None, 0.3, 0.1, 0.61, 0.2)
    # Four decades: a tenth of them is a factor of 2.51.
    (said,) = not_firm({"lr": lr})
    assert said.startswith("the lower end of lr's narrowed range is not firm")
    assert "move it by a factor of 2.51 or more in 61% of cases" in said
    assert not_firm({"lr": replace(lr, low_moves_often=0.5)}) == []
    assert not_firm({"lr": replace(lr, p=0.2)}) == []


def test_narrowing_by_all_that_were_confirmed_says_that_nothing_was_chosen(store: Store) -> None:
    stage = hit_stages.make(store, edgeless, trials=40)
    judged_stages.confirm(store, stage, [0.86, 0.85, 0.84, 0.83, 0.82], repeats=4)
    every = narrow_stage(store, [stage], top=5, dry_run=True, confirmed=True)
    assert every.movement == {}
    assert every.remarks[0].startswith("all 5 confirmed trials were taken, so their means chose nothing")
    assert "--top 3" in every.remarks[0]
    assert "move the ends is not known" in every.remarks[1]
    fewer = narrow_stage(store, [stage], top=3, dry_run=True, confirmed=True)
    assert [remark.startswith("all ") for remark in fewer.remarks] == [False]
    assert narrow_stage(store, [stage], top=5, dry_run=True).remarks == ()


def test_confirmed_values_are_chosen_though_another_stage_s_confirmation_is_not_complete(store: Store) -> None:
    one = hit_stages.make(store, edgeless, trials=40)
    two = hit_stages.make(store, edgeless, trials=40, number=2)
    judged_stages.confirm(store, one, [0.86, 0.85])
    judged_stages.confirm(store, two, [0.9, 0.8], run=3)
    chosen = choose(store, store.stages(), by="confirmed")
    assert chosen.stage.name == "made/stage-01"
    assert "without made/confirm-02" in chosen.why
    with pytest.raises(BadInput, match="confirm --stage 2 --top 2 --storage"):
        choose(store, store.stages(), by="confirmed", number=2)


def test_values_of_which_a_repeat_failed_are_below_all_others_of_any_stage(store: Store) -> None:
    one = hit_stages.make(store, edgeless, trials=40)
    two = hit_stages.make(store, edgeless, trials=40, number=2)
    judged_stages.confirm(store, one, [0.86])
    judged_stages.confirm(store, two, [None])
    assert choose(store, store.stages(), by="confirmed").stage.name == "made/stage-01"


def test_a_trial_that_is_asked_for_is_the_only_one_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = hit_stages.make(store, edgeless, trials=40)
    read: list[int] = []
    columns = store.columns

    def counted(*arguments: object, **options: object) -> object:
        found = columns(*arguments, **options)  # type: ignore[arg-type]
        read.append(len(found["number"]))
        return found

    monkeypatch.setattr(store, "columns", counted)
    assert choose(store, [stage], number=1, trial=14).trial == 14
    assert read == [1]
    with pytest.raises(BadInput, match=r"no trial 99 with a score; `hpsearch trials --stage 1 --storage"):
        choose(store, [stage], number=1, trial=99)


def test_a_stage_that_is_not_there_is_no_second_look(store: Store) -> None:
    stage = hit_stages.make(store, edgeless, trials=40)
    judged_stages.evaluate(store, stage, 3)
    with pytest.raises(UnknownSearch, match="no stage 9"):
        prepare(store, [stage], number=9)
    with pytest.raises(BadInput, match="no trial 99"):
        prepare(store, [stage], number=1, trial=99)
    with pytest.raises(EvaluatedAlready):
        prepare(store, [stage], number=1)


def test_commands_say_what_they_need_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HPSEARCH_STORAGE", raising=False)
    assert command_line("narrow", None, None) == "hpsearch narrow"
    assert command_line("narrow", None, str(DEFAULT_STORAGE)) == "hpsearch narrow"
    assert command_line("narrow", "a b", "my file.db", "--top", "3") == (
        "hpsearch narrow 'a b' --top 3 --storage 'my file.db'"
    )
    assert command_line("best", None, "sqlite:///x.db") == "hpsearch best --storage sqlite:///x.db"
    assert command_line("best", None, "postgresql://u:secret@h/db") == "hpsearch best --storage URL"
    monkeypatch.setenv("HPSEARCH_STORAGE", "x.db")
    assert command_line("narrow", None, "x.db") == "hpsearch narrow"
    assert command_line("narrow", None, str(DEFAULT_STORAGE)) == f"hpsearch narrow --storage {DEFAULT_STORAGE}"
    # `start` without a name means a study file, the others the only search there is.
    assert Commands("mnist", "x.db", named=True)("start") == "hpsearch start"
    assert Commands("other", "x.db")("start") == "hpsearch start other"
    assert Commands("other", "x.db")("narrow") == "hpsearch narrow"
    assert Commands("other", "x.db", named=True)("narrow") == "hpsearch narrow other"

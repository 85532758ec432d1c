"""Functions of the user's own: what they may return and do, what that costs, and what is left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import user_functions
from batches import batch, drain
from bounded import alive, until
from user_functions import BAD

from hpsearch.errors import BadStudyFile
from hpsearch.executors import base
from hpsearch.executors.base import (
    VARIABLES,
    Batch,
    Done,
    Executor,
    InlineExecutor,
    Lost,
    child_threads,
    pinned_children,
)
from hpsearch.functions import NotFound, imported
from hpsearch.objectives.base import Objective
from hpsearch.objectives.user.child import Device, environment
from hpsearch.objectives.user.function import LOCAL, FunctionObjective, LocalObjective, name_of
from hpsearch.objectives.user.repeats import Repeated
from hpsearch.objectives.user.trial import Study, Task, run
from hpsearch.objectives.user.trial import Trial as Called
from hpsearch.records import (
    ENDED,
    METRICS,
    OUTPUT,
    SECONDS,
    Completed,
    Failed,
    NewStage,
    Outcome,
    Paused,
    Pruned,
    Report,
    Trial,
    draw_seed,
)
from hpsearch.samplers import sampler_of
from hpsearch.search.workflow import estimate
from hpsearch.space import Categorical, Float, Int, Value
from hpsearch.study_file import parse, read

STUDY = Study("", "minimize", 7, {}, {})
TRIAL = Trial(0, 0, {})


def objective(name: str = "bad", **changes: Any) -> FunctionObjective:
    return replace(FunctionObjective(function=f"user_functions:{name}", folder="", study=STUDY), **changes)


def called(call: Any, trial: Trial = TRIAL, study: Study = STUDY, **task: Any) -> tuple[Outcome | Paused, list[Report]]:
    points: list[Report] = []
    return run(call, Called(Task(trial, **task), study, points.append)), points


def evaluated(objective: Objective, trials: Sequence[Trial], **options: Any) -> dict[int, Any]:
    items = [item for some in objective.evaluate(trials, **options) for item in some]
    return {item.number: item for item in items if not isinstance(item, Report)}


def test_a_bad_objective_costs_its_own_trial_and_leaves_no_process(executor: Executor) -> None:
    """The table of `user_functions.BAD`, in one batch, with any executor."""
    executor.load(objective(seconds=2.0))
    trials = tuple(Trial(number, number, {"bad": name}) for number, name in enumerate(BAD))
    (end,) = (event for event in drain(executor, [Batch(0, trials)]) if isinstance(event, Done | Lost))
    assert isinstance(end, Done), end
    outcomes = sorted(end.outcomes, key=lambda outcome: outcome.number)
    for outcome, (name, expected) in zip(outcomes, BAD.items(), strict=True):
        if expected.reason is None:
            assert isinstance(outcome, Completed), (name, outcome)
            assert outcome.score == 1.0
            continue
        assert isinstance(outcome, Failed), (name, outcome)
        assert expected.reason in outcome.reason, name
        assert "\n" not in outcome.reason
        assert outcome.attributes.get(ENDED) == expected.ended, name
        assert expected.output in outcome.attributes.get(OUTPUT, ""), name
        assert len(outcome.attributes.get(OUTPUT, "")) <= 4096
        assert outcome.attributes.get(OUTPUT, "").count("group: ") <= 1  # none of another trial's output
    outputs = [outcome.attributes.get(OUTPUT, "") for outcome in end.outcomes]
    groups = {int(number) for output in outputs for number in re.findall(r"group: (\d+)", output)}
    assert len(groups) == 6  # one more for each death
    executor.load(objective())  # inline, the old one is let go, and its process with it
    executor.close()
    until(lambda: not alive(groups), what="the end of all processes")


def test_the_trial_that_ends_the_process_is_the_one_that_fails() -> None:
    ends = evaluated(Repeated(objective("dies_again"), 2), [Trial(number, number, {}) for number in range(3)])
    assert ends[0].reason == "repeat 2 of 2: exit code 3"
    assert [ends[number].score for number in (1, 2)] == [1.0, 1.0]


def test_points_do_not_make_a_trial_s_time_longer() -> None:
    end = evaluated(objective("reports_for_seconds", seconds=0.3), [Trial(0, 0, {})])[0]
    assert (end.reason, end.attributes[ENDED], len(end.intermediate) > 5) == ("no result within 0.3 s", "timeout", True)
    assert end.attributes[SECONDS] >= 0.3


def test_global_generators_are_seeded_before_each_trial() -> None:
    sampling = objective("samples")
    first = evaluated(sampling, [Trial(n, n, {}) for n in (0, 1, 2)])
    process = int(first[0].attributes[METRICS]["process"])
    os.kill(process, signal.SIGKILL)  # which no trial is to blame for
    until(lambda: not alive({process}), what="the end of the process")
    again = evaluated(sampling, [Trial(n, n, {}) for n in (2, 0, 1)])
    assert [first[n].score for n in range(3)] == [again[n].score for n in range(3)]
    assert len({end.score for end in first.values()}) == 3


def test_what_a_trial_leaves_behind_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import os, sys\n"
        "sys.stderr = object()\n"
        "def f(trial):\n"
        "    sys.stdout.close()\n"
        "    if trial.number == 0:\n        os.rmdir(os.getcwd())\n        os.chdir('/')\n"
        "    return 1.0\n"
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(tmp_path)
    sys.path[0] = tmp_path  # type: ignore[call-overload]  # as people have it
    ends = evaluated(replace(objective(), function="mine:f"), [Trial(number, number, {}) for number in range(2)])
    assert [end.score for end in ends.values()] == [1.0, 1.0], ends


@pytest.mark.parametrize("engine", ["InlineExecutor()", "PoolExecutor(1)"])
def test_a_function_that_hangs_in_c_does_not_outlive_a_killed_run(engine: str, tmp_path: Path) -> None:
    file, script = tmp_path / "group", tmp_path / "script.py"
    script.write_text(KILLED.format(engine=engine, folder=Path(user_functions.__file__).parent, file=file))
    with subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as run:
        until(file.exists, what="the function to begin")
        group = int(file.read_text())
        assert alive({group})
        run.kill()
    until(lambda: not alive({group}), what="the end of the function's process")


KILLED = """
from hpsearch.executors.base import Batch, InlineExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.objectives.user.function import FunctionObjective
from hpsearch.objectives.user.trial import Study
from hpsearch.records import Trial
if __name__ == "__main__":
    executor = {engine}
    executor.load(FunctionObjective(
        function="user_functions:hang", folder="{folder}", study=Study("", "minimize", 0, {{}}, {{}})
    ))
    executor.submit(Batch(0, (Trial(0, 0, {{"file": "{file}"}}),)))
    while True:
        executor.wait(1)
"""


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("user_functions:nobody", "has no 'nobody'; it has: "),
        ("user_functions:NOT_CALLABLE", "is int, which cannot be called"),
        ("no_such_module:f", "importing no_such_module failed: ModuleNotFoundError"),
        ("no/such/file.py:f", "there is no file "),
        ("broken.py:f", "importing broken.py failed: SyntaxError"),
        ("exits.py:f", "importing exits.py:f failed: exit code 5: no device"),
        ("sleeps.py:f", "importing sleeps.py:f failed: no result within 0.1 s"),
    ],
)
def test_a_function_that_cannot_be_imported_costs_no_trial(
    function: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "sleeps.py").write_text("import time\ntime.sleep(5)\n")
    (tmp_path / "exits.py").write_text("import os\nprint('begins\\nno device', flush=True)\nos._exit(5)\n")
    executor = InlineExecutor()
    monkeypatch.setattr("hpsearch.objectives.user.function._IMPORT_S", 0.1)
    seconds = 0.1 if function == "sleeps.py:f" else None
    executor.load(replace(objective(), function=function, folder=str(tmp_path), seconds=seconds))
    (lost,) = drain(executor, [batch(0)])
    assert isinstance(lost, Lost)
    assert lost.fatal
    assert says in lost.reason


def test_a_script_that_starts_a_search_when_it_is_imported_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "unguarded.py").write_text(UNGUARDED)
    with pytest.raises(
        NotFound, match=r"unguarded.py starts a search when it is imported; put that below `if __name__ ="
    ):
        imported("unguarded.py:f", [str(tmp_path)])


UNGUARDED = """
from hpsearch import Search
f = lambda trial: 0.0
Search("x", f, space={"x": [1, 2]}, direction="minimize", storage=__file__ + ".db").start(1)
"""


def test_what_stands_beside_the_file_is_imported_as_in_a_script(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("SCORE = 4\n")
    (tmp_path / "mine.py").write_text("import beside\ndef f(trial):\n    return beside.SCORE\n")
    done = evaluated(replace(objective(), function="mine.py:f", folder=str(tmp_path)), [Trial(0, 0, {})])
    assert done[0].score == 4.0


def test_a_file_whose_name_another_module_has_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "taken", sys)
    (tmp_path / "taken.py").write_text("def f(trial): ...\n")
    assert imported("taken.py:f", [str(tmp_path)]) is imported("taken.py:f", [str(tmp_path)])


class Name(str):
    """A text of a class that other processes do not have."""


def test_a_trial_is_usable_as_one_of_optuna_s() -> None:
    given: dict[str, Value] = {"given": 0.5, "shape": "(2,)"}
    study = Study("mine/stage-01", "maximize", 7, {"lr": Float(0.1, 0.2)}, {"depth": 3})

    def call(trial: Any) -> dict[str, Any]:
        assert (trial.number, trial.study.study_name, trial.study.direction) == (4, "mine/stage-01", "maximize")
        assert trial.seed == draw_seed(7, 4, "objective")
        assert trial.params == {"depth": 3, **given}
        assert trial.suggest_int("depth", 1, 9) == 3  # fixed
        assert trial.suggest_float("given", 0, 1) == 0.5
        assert 0.1 <= trial.suggest_float("lr", 1e-5, 1, log=False) <= 0.2  # the stage's range, not the call's
        assert trial.suggest_float("one", 2, 2) == trial.params["one"] == 2.0
        assert trial.suggest_int("two", 2, 3, step=5) == trial.suggest_float("half", 0.5, 1, step=0.6) + 1.5 == 2
        assert trial.suggest_int("even", 2, 9, step=2) % 2 == 0
        assert trial.suggest_categorical("what", [None, True, "x"]) in (None, True, "x")
        assert round(10 * trial.suggest_float("third", 0.1, 0.85, step=0.3)) in (1, 4, 7)
        assert trial.distributions["even"].high == 8
        assert trial.suggest_uniform("lr", 1e-5, 1) == trial.params["lr"]
        assert 1 <= trial.suggest_loguniform("old", 1, 2) <= 2
        assert trial.suggest_discrete_uniform("third", 0.1, 0.85, 0.3) == trial.params["third"]
        for _ in range(2):
            assert trial.suggest_categorical("layers", [(50,), (50, 50)]) is trial.params["layers"] in {(50,), (50, 50)}
        assert trial.suggest_categorical("shape", [(1,), (2,)]) == (2,)  # given by its name
        trial.set_user_attr("note", (Name("a"), 2))
        trial.set_user_attr("folds", 5)
        return {"score": 1, "folds": (0.5, 1.5), "std_error": 0.1, "loss": 3}

    outcome, _ = called(call, Trial(0, 4, given), study)
    assert isinstance(outcome, Completed), outcome
    attributes = {**outcome.attributes, "seconds": None}
    assert attributes == {
        "note": ["a", 2],
        "user_folds": 5,
        "folds": [0.5, 1.5],
        "std_error": 0.1,
        "metrics": {"loss": 3.0},
        "seconds": None,
    }
    assert {name: parameter for name, (parameter, _) in outcome.suggested.items()} == {
        "given": Float(0, 1),
        "lr": Float(1e-5, 1),
        "even": Int(2, 8, step=2),
        "old": Float(1, 2, log=True),
        "third": Float(0.1, 0.7, step=0.3),
        "what": Categorical((None, True, "x")),
        "layers": Categorical(("(50,)", "(50, 50)")),
        "shape": Categorical(("(1,)", "(2,)")),
    }
    assert type(outcome.attributes["note"][0]) is str  # others could not be read without this module
    assert outcome.suggested["layers"][1] in ("(50,)", "(50, 50)")


def test_repeats_of_a_confirmation_share_their_seed() -> None:
    for number in (3, 9):
        outcome, _ = called(lambda trial: trial.seed, Trial(0, number, {}, repeat=1))
        assert isinstance(outcome, Completed)
        assert outcome.score == draw_seed(7, 1, "objective")


def test_pruning_calls_a_function_again_and_skips_what_is_known() -> None:
    trial = Trial(0, 0, {"x": 1.0})
    counting = user_functions.counting
    at_rung, points = called(counting, trial, until=3)
    assert isinstance(at_rung, Paused)
    assert (at_rung.intermediate, [point.step for point in points]) == ((10.0, 9.0, 8.0), [1, 2, 3])
    later, points = called(counting, trial, until=5, known=at_rung.intermediate, spent=100.0)
    assert isinstance(later, Paused)
    assert ([point.step for point in points], later.attributes["seconds"] > 100) == ([4, 5], True)
    end, _ = called(counting, trial, known=later.intermediate)
    assert isinstance(end, Completed)
    assert end.intermediate == tuple(range(10, 0, -1))


def test_a_function_may_prune_itself_or_not_at_all() -> None:
    def gives_up(trial: Any) -> float:
        for step in (0, 0.5):  # as in Optuna, the same step
            trial.report(1 + step, step)
        raise type("TrialPruned", (Exception,), {})

    own, _ = called(gives_up)
    assert own == Pruned(0, 1, (1.0,), own.attributes)
    whole, _ = called(user_functions.ignorant, until=3)
    assert isinstance(whole, Completed)
    assert whole.intermediate == (0.0, 1.0, 2.0)


def test_a_thread_that_reports_after_the_end_is_not_heard() -> None:
    trials: list[Any] = []
    _, points = called(lambda trial: trials.append(trial) or 1.0)  # type: ignore[func-returns-value]
    trials[0].report(9.0, 5)
    assert points == []


def test_a_lambda_is_called_in_this_process_alone() -> None:
    name = name_of(call := lambda trial: os.getpid(), "x")
    name_of(lambda trial: 0.0, "another search")
    assert LOCAL[name] is call
    assert evaluated(LocalObjective(call, STUDY), [Trial(0, 0, {})])[0].score == os.getpid()
    assert name_of(user_functions.square) == "user_functions:square"
    study = parse({"name": "x", "objective": {"function": name, "direction": "minimize"}}, source="x")
    study.check_names()
    del LOCAL[name]
    with pytest.raises(BadStudyFile, match="was given from Python"):
        study.check_names()


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_a_check_runs_trial_0_of_the_stage(sampler: str) -> None:
    seen: list[dict[str, float]] = []
    function = name_of(lambda trial: seen.insert(0, trial.params))  # trial 0 fails: None is no score
    ranges = {name: {"low": 0.0, "high": 1.0} for name in ("a", "b")}
    study = parse(
        {
            "name": "x",
            "objective": {"function": function, "direction": "minimize"},
            "space": ranges,
            "constraints": ["a + b <= 0.3"],
            "trials": {"sampler": sampler},
        },
        source="x",
    )
    estimate(study, study.load(), trials=8, jobs=1)
    stage = NewStage("x", 1, "minimize", 0, study.space, study.to_dict())
    assert seen == [sampler_of(stage).params(stage, 0)]
    assert sum(seen[0].values()) <= 0.3


def test_two_processes_have_two_devices_and_a_third_shares() -> None:
    names = [f"test-{os.getpid()}-{i}" for i in (0, 1)]
    devices = [Device(names) for _ in range(3)]
    assert [device.name for device in devices] == [names[0], names[1], names[0]]
    devices[1].close()
    assert Device(names).name == names[1]


@pytest.mark.parametrize(
    ("users", "count", "threads"), [({}, None, None), ({}, 4, "4"), ({"OMP_NUM_THREADS": "3"}, 4, "3")]
)
def test_processes_of_the_user_s_have_the_threads_that_the_user_set(
    users: dict[str, str], count: int | None, threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_before_pin", None)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in users.items():
        monkeypatch.setenv(name, value)
    with child_threads(count):
        with pinned_children():
            inside = environment(None)
        assert inside.get("OMP_NUM_THREADS") == threads
        assert inside.get("MKL_NUM_THREADS") == (None if users else threads)
    assert environment(None) == dict(os.environ)


FILE = """
name = "mine"
[objective]
function = "mine.py:f"
direction = "minimize"
"""


def test_a_study_file_without_ranges_keeps_its_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FILE)
    study = read(tmp_path / "mine.toml")
    kept = study.to_dict()
    assert (study.space, kept["space"], kept["objective"]["folder"]) == ({}, {}, str(tmp_path))
    assert parse(kept, source="kept") == study
    with pytest.raises(BadStudyFile, match=re.escape(f"there is no file {tmp_path}/mine.py nor ")):
        study.check_names()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"direction": None}, 'objective.direction: missing; add direction = "maximize" or "minimize"'),
        ({"function": "train.py"}, "give a file and a name, train.py:objective, or a module and a name"),
        ({"trial_timeout": "soon"}, "not a span of time above 0; write 90, 90s, 10m, 1.5h or 1h30m"),
        ({"functoin": "x"}, "'functoin' is not a key of [objective]; did you mean 'function'?"),
    ],
)
def test_refused_study_files(changes: dict[str, Any], says: str) -> None:
    section = {"function": "train.py:f", "direction": "minimize", **changes}
    plain = {"name": "mine", "objective": {key: value for key, value in section.items() if value is not None}}
    with pytest.raises(BadStudyFile, match=re.escape(says)):
        parse(plain, source="mine.toml")

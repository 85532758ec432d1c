"""Commands of the user's own: their arguments, their scores, what they may do, and what is left of it."""

from __future__ import annotations

import json
import os
import re
import sys
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from batches import drain
from bounded import alive, until

from hpsearch.errors import BadStudyFile
from hpsearch.executors.base import Batch, Done, Executor
from hpsearch.functions import NotFound
from hpsearch.objectives.user.command import CommandObjective, Lines
from hpsearch.objectives.user.placeholders import fill_all, names, unused
from hpsearch.objectives.user.trial import Study
from hpsearch.records import DEVICE, ENDED, OUTPUT, Completed, Failed, Paused, Report, Trial, draw_seed
from hpsearch.space import Value
from hpsearch.study_file import parse

STUDY = Study("mine/stage-01", "maximize", 7, {}, {})


def shell(script: str, **changes: Any) -> CommandObjective:
    return replace(CommandObjective(command=["sh", "-c", script], folder="", study=STUDY), **changes)


def evaluated(objective: CommandObjective, *trials: Trial, **options: Any) -> list[Any]:
    return [item for some in objective.evaluate(trials or [Trial(0, 0, {})], **options) for item in some]


def outcome(objective: CommandObjective, *trials: Trial, **options: Any) -> Any:
    (end,) = (item for item in evaluated(objective, *trials, **options) if not isinstance(item, Report))
    return end


class Bad(NamedTuple):
    """A shell script, and what becomes of its trial."""

    script: str
    reason: str | None  # in the reason of its failure; None: it has the score 1
    ended: str | None = None  # how it failed
    output: str = ""  # in the end of its output


SCORE = """echo '{"score": 1}'"""
BAD: Mapping[str, Bad] = {
    "good": Bad(SCORE, None),
    "other lines": Bad(f"""echo '{{"score": 0}}'; {SCORE}; echo '{{"loss": 3}}'; echo '{{"score"}}'; echo end""", None),
    "no line's end": Bad("""printf '{"score": 1.0}'""", None),
    "progress bar": Bad("""printf ' 10 %%\\r{"score": 1}\\r\\n'""", None),
    "exit 3": Bad(f"{SCORE}; echo 'No such\nfile' >&2; exit 3", "exit code 3: file", "exit", "No such"),
    "segfault": Bad(f"{SCORE}; kill -SEGV $$", "killed by signal 11 (SIGSEGV)", "signal"),
    "killed": Bad("kill -KILL $$", "killed by signal 9 (SIGKILL), perhaps because memory ran out", "signal"),
    "killed in a shell": Bad("sh -c 'kill -KILL $$'; exit $?", "killed by signal 9 (SIGKILL)", "signal"),
    "memory": Bad("echo 'MemoryError: no' >&2; exit 1", "exit code 1: MemoryError: no", "memory"),
    "exit 255": Bad("exit 255", "exit code 255", "exit"),
    "no score": Bad(
        "echo nothing; echo why >&2", 'JSON such as {"score": 0.91}, or give score_pattern', "result", "why"
    ),
    "nan": Bad("""echo '{"score": NaN}'""", "the score is nan", "result"),
    "text": Bad("""echo '{"score": "high"}'""", "the last line with a score: the score is str 'high'", "result"),
    "null": Bad("""echo '{"score": null}'""", "the score is None", "result"),
    "folds": Bad("""echo '{"score": 1, "folds": 2}'""", "folds is 2", "result"),
    "hangs": Bad(f"trap '' TERM; {SCORE}; sleep 60", "no result within 2 s", "timeout"),
    "many lines": Bad(f"yes 'a line' | head -n 100000; {SCORE}", None),
    "complaints": Bad("yes complaint | head -n 100000 >&2; exit 1", "exit code 1: complaint", "exit"),
    "forks": Bad(f"sleep 60 & {SCORE}", None),
    "forks and fails": Bad("sleep 60 & exit 1", "exit code 1", "exit"),
    "closes its output": Bad(f"{SCORE}; exec >&- 2>&-; sleep 0.1", None),
}


def test_a_bad_command_costs_its_own_trial_and_leaves_no_process(executor: Executor) -> None:
    """The table `BAD`, with any executor; each says its process group in a line that is no score."""
    trials = {name: Trial(number, number, {"name": name}) for number, name in enumerate(BAD)}
    cases = "".join(f'"{name}") {bad.script} ;;\n' for name, bad in BAD.items())
    executor.load(shell(f'echo group: $$ >&2\ncase "$HPSEARCH_PARAM_NAME" in\n{cases}esac', seconds=2.0))
    ends = drain(executor, [Batch(number, (trial,)) for number, trial in enumerate(trials.values())])
    assert all(isinstance(end, Done) for end in ends), ends
    outcomes = {end.outcomes[0].number: end.outcomes[0] for end in ends if isinstance(end, Done)}
    groups = set[int]()
    for name, expected in BAD.items():
        end = outcomes[trials[name].number]
        if expected.reason is None:
            assert isinstance(end, Completed), (name, end)
            assert end.score == 1.0
            continue
        assert isinstance(end, Failed), (name, end)
        assert expected.reason in end.reason, name
        assert "\n" not in end.reason
        assert end.attributes[ENDED] == expected.ended, name
        assert expected.output in end.attributes[OUTPUT], name
        assert len(end.attributes[OUTPUT]) <= 4096
        groups |= {int(number) for number in re.findall(r"group: (\d+)", end.attributes[OUTPUT])}
    assert len(groups) >= 5
    until(lambda: not alive(groups), what="the end of all processes")
    # Workers hear no Ctrl-C, and their commands do. (A shell would; other programs have what they inherit.)
    executor.load(replace(shell(""), command=[sys.executable, "-Sc", "import os; os.kill(os.getpid(), 2)"]))
    (last,) = drain(executor, [Batch(len(trials), (Trial(0, 0, {}),))])
    assert isinstance(last, Done)
    assert getattr(last.outcomes[0], "reason", "").startswith("killed by signal 2 (SIGINT)")


@pytest.mark.parametrize("output", [f"yes '{'x' * 300}' | head -c 30000000", "head -c 20000000 /dev/zero"])
def test_many_lines_and_a_line_without_end_do_not_fill_memory(output: str) -> None:
    tracemalloc.start()
    try:
        assert outcome(shell(f"{output}; echo; {SCORE}")).score == 1.0
        assert tracemalloc.get_traced_memory()[1] < 6e6
    finally:
        tracemalloc.stop()


def test_what_leaves_the_group_and_writes_for_ever_delays_nothing() -> None:
    script = "import os, subprocess; print('{\"score\": 1}'); subprocess.Popen(['yes'], start_new_session=True)"
    assert outcome(replace(shell(""), command=[sys.executable, "-c", script])).score == 1.0  # its pipe ends, and `yes`


def test_a_command_gets_its_values_as_arguments_variables_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import json, os, sys\n"
        "with open(sys.argv[1]) as file:\n    params = json.load(file)\n"
        "mine = {name: value for name, value in os.environ.items() if name.startswith('HPSEARCH_')}\n"
        "print(json.dumps({'score': 1, 'said': [sys.argv[2:], params, mine, os.getcwd()]}))\n"
    )
    params: dict[str, Value] = {"lr": 1e-5, "flag": True, "kind": "a b", "nothing": None, "max-depth": 3}
    command = [sys.executable, "train.py", "{params_file}", "--lr={lr}", "{flag}", "{kind}", "{nothing}", "{max-depth}"]
    (tmp_path / "out.json").touch()  # left from a run by hand
    command += [
        "out.json",
        "{folder}/out.json",
        "--gone",
        "{gone}",
        "--also={gone}",
        "{{lr}}",
        "${lr}",
        "{seed}",
        "{trial}",
        "{search}",
        "{depth}",
    ]
    study = replace(STUDY, fixed={"depth": 2})
    objective = CommandObjective(
        command=command, folder=str(tmp_path), study=study, workdir=str(tmp_path / "{search}" / "{trial}")
    )
    end = outcome(objective, Trial(0, 4, params))
    assert isinstance(end, Completed), end
    arguments, read, variables, folder = end.attributes["said"]
    seed = str(draw_seed(7, 4, "objective"))
    assert arguments == [
        *("--lr=1e-05", "true", "a b", "null", "3", "out.json", f"{tmp_path}/out.json", "{lr}", "${lr}"),
        *(seed, "4", "mine/stage-01", "2"),
    ]
    assert read == {"depth": 2, **params}
    assert not Path(variables.pop("HPSEARCH_PARAMS_FILE")).exists()
    assert variables == {
        "HPSEARCH_SEED": seed,
        "HPSEARCH_TRIAL": "4",
        "HPSEARCH_SEARCH": "mine/stage-01",
        "HPSEARCH_FOLDER": str(tmp_path),
        "HPSEARCH_PARAM_LR": "1e-05",
        "HPSEARCH_PARAM_FLAG": "true",
        "HPSEARCH_PARAM_KIND": "a b",
        "HPSEARCH_PARAM_NOTHING": "null",
        "HPSEARCH_PARAM_MAX_DEPTH": "3",
        "HPSEARCH_PARAM_DEPTH": "2",
    }
    assert folder == str(tmp_path / "mine/stage-01/4")
    assert outcome(objective, Trial(0, 4, params, again=2)).attributes["said"][3] == f"{folder}-2"
    outcome(replace(objective, study=replace(study, study_name="")), Trial(0, 9, params))  # a check leaves nothing
    assert {path.name for path in (tmp_path / "mine").rglob("*")} == {"stage-01", "4", "4-2"}


def test_a_worker_keeps_its_device_and_a_failure_names_it() -> None:
    device = f"test-{os.getpid()}"
    objective = shell("echo $CUDA_VISIBLE_DEVICES; exit 1", devices=[device])
    first, second = evaluated(objective, Trial(0, 0, {}), Trial(1, 1, {}))[-2:]
    for end in (first, second):
        assert end.attributes[DEVICE] == device if isinstance(end, Failed) else not end
    assert second.attributes[OUTPUT] == f"{device}\n"


def test_the_names_in_a_command() -> None:
    assert names("--lr={lr} {{no}} ${no} {a.b} {print $1} {} {1}") == {"lr", "a.b"}
    assert fill_all(["x", "--lr", "{lr}", "--m", "{m}", "{m}", "y"], {"lr": 0.5}) == ["x", "--lr", "0.5", "y"]
    assert unused(["lr", "m"], ["--lr={lr}"]) == ["m"]
    assert unused(["lr", "m"], ["{params_file}"]) == []


def test_the_ends_of_both_outputs_are_kept() -> None:
    assert outcome(shell("echo nothing")).attributes[OUTPUT] == "nothing\n"
    assert outcome(shell("echo nothing; echo why >&2; exit 1")).attributes[OUTPUT] == "nothing\nwhy\n"
    long = outcome(shell("yes out | head -n 9000; yes err | head -n 9000 >&2; exit 1")).attributes[OUTPUT]
    assert long == "out\n" * 512 + "err\n" * 512


def test_facts_of_the_last_line() -> None:
    line = {"score": 1, "step": 9, "loss": 2, "folds": [1, 3], "std_error": 0.5, "file": "x.pt", "reason": "mine"}
    end = outcome(shell(f"echo '{json.dumps(line)}'"))
    facts = {"folds": [1.0, 3.0], "std_error": 0.5, "metrics": {"loss": 2.0}, "file": "x.pt", "user_reason": "mine"}
    assert end.attributes == {**facts, "seconds": end.attributes["seconds"]}
    assert end.intermediate == (1.0,)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo acc=0.5; echo acc=0.75 time=3", 0.75),
        ("echo acc=0.5 >&2", 0.5),
        ("echo acc=0.25; echo acc=0.5 >&2", 0.25),
        ("printf 'acc=0.5\\racc=0.75\\r'", 0.75),
        ("echo acc=1e-3", 0.001),
        ("echo acc", "nothing that it printed matches score_pattern = 'acc=([-.e0-9]+)'"),
        ("echo acc=1.2.3", "score is str '1.2.3'"),
        ("echo acc=1.18E-11 time=3", "finds a part of '1.18E-11'; ([-+.\\w]+) finds all"),
        ("echo acc=1.18E-11; echo acc=2.", 2.0),
    ],
)
def test_a_pattern_finds_the_score(script: str, expected: float | str) -> None:
    end = outcome(shell(script, pattern="acc=([-.e0-9]+)"))
    assert end.score == expected if isinstance(expected, float) else expected in end.reason


CURVE = """for i in 1 2 3 4 5 6 7 8; do echo "{\\"score\\": $i, \\"step\\": ${i}0}"; done; echo '{"score": 9}'"""
PATTERN = "for i in 1 2 3 4 5 6 7 8; do echo acc=$i; done; echo acc=9"


@pytest.mark.parametrize(
    "objective", [shell(CURVE), shell(PATTERN, pattern="acc=([0-9])", curve=True)], ids=["JSON", "pattern"]
)
def test_pruning_ends_a_command_and_runs_it_again(objective: CommandObjective) -> None:
    *points, rung = evaluated(objective, until=3)
    assert isinstance(rung, Paused)
    assert (rung.intermediate, [(point.step, point.value) for point in points]) == (
        (1.0, 2.0, 3.0),
        [(1, 1.0), (2, 2.0), (3, 3.0)],
    )
    *points, end = evaluated(objective, paused=[rung])
    assert isinstance(end, Completed)
    assert ([point.step for point in points][:5], end.score, end.intermediate[:8]) == (
        [4, 5, 6, 7, 8],
        9.0,
        tuple(range(1, 9)),
    )


def test_a_rung_ends_a_command_that_would_go_on(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    rung = outcome(shell(f"echo $$ > {file}; {CURVE}; sleep 60"), until=3)
    assert isinstance(rung, Paused)
    until(lambda: not alive({int(file.read_text())}), what="the end of the command")


@pytest.mark.parametrize("sizes", [[1], [7], [10_000]])
def test_lines_come_whole_however_they_are_cut(sizes: Sequence[int]) -> None:
    lines: list[bytes] = []
    reader = Lines(lines.append)
    text = b"one\ntwo\r\n\n" + b"x" * 9_000 + b"\nlast"
    for start in range(0, len(text), sizes[0]):
        reader.add(text[start : start + sizes[0]])
    reader.end()
    assert lines == [b"one", b"two", b"x" * 9_000, b"last"]


def study_file(command: Any, **sections: Any) -> dict[str, Any]:
    objective = {"command": command, "direction": "maximize", **sections.pop("objective", {})}
    return {"name": "mine", "objective": objective, "space": {"lr": {"low": 0.0, "high": 1.0}}, **sections}


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        (study_file(["train", "{lr}", "{momentun}"]), "'{momentun}': momentun is neither sampled nor fixed; known: "),
        (study_file(["train", "{lrr}"]), "did you mean 'lr'?"),
        (study_file(["awk", "{print}"]), "for braces as they stand, write {{print}}"),
        (study_file("train.py {lr}"), 'command must be a list, as it runs without a shell: ["train.py", "{lr}"]'),
        (study_file([]), "objective.command: tuple should have at least 1 item"),
        (study_file(["{lr}"]), "the program must be a fixed name"),
        (study_file(["train"], objective={"score_pattern": "acc"}), "it has 0 groups; put the score"),
        (study_file(["train"], objective={"score_pattern": "(acc"}), "not a regular expression (missing )"),
        (study_file(["train"], objective={"workdir": "{serach}/{trial}"}), "did you mean 'search'?"),
        (study_file(["train"], fixed={"seed": 3}), "seed cannot name a parameter: {seed} is the"),
        (study_file(["train"], fixed={"LR": 3}), "have one environment variable, HPSEARCH_PARAM_LR; rename one"),
        (study_file(["train"], space={}), "[space] is empty"),
        (study_file(["train"], pruning={"rule": "median"}), "pruning.rule = 'median' needs epochs = ... under [obj"),
    ],
)
def test_refused_commands(plain: dict[str, Any], says: str) -> None:
    with pytest.raises(BadStudyFile, match=re.escape(says)):
        parse(plain, source="mine.toml")


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("no-such-program", "'no-such-program' is not in PATH"),
        ("python-9", f"this Python is {sys.executable}"),
        ("./no.sh", "there is no file "),
        ("./plain.sh", "plain.sh is not executable (chmod +x)"),
    ],
)
def test_an_unknown_program_is_refused_before_anything_runs(program: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "plain.sh").write_text("exit 0")
    study = parse(study_file([program], objective={"folder": str(tmp_path)}), source="mine.toml")
    with pytest.raises(BadStudyFile, match=re.escape(says)):
        study.check_names()


def test_a_script_without_a_first_line_for_the_system_costs_no_trial(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("no program")
    (tmp_path / "train").chmod(0o755)
    objective = replace(shell(""), command=["./train"], folder=str(tmp_path))
    with pytest.raises(NotFound, match="train cannot be started: Exec format error"):
        evaluated(objective)


def test_a_command_that_cannot_be_started_with_some_values_fails_their_trial(tmp_path: Path) -> None:
    long, longer, short = (Trial(n, n, {"x": "x" * size}) for n, size in enumerate((300, 200_000, 3)))
    made = shell(SCORE, workdir=str(tmp_path / "{x}"))
    ends = [end for end in evaluated(made, long, short) if not isinstance(end, Report)]
    assert "the command cannot be started: [Errno 36] File name too long: " in ends[0].reason
    assert ends[1].score == 1.0
    for trial, says in ((longer, "Argument list too long"), (Trial(0, 0, {"x": "\0"}), "embedded null byte")):
        assert says in outcome(shell(SCORE), trial).reason

"""`hpsearch init` for objectives of one's own and for sweeps of W&B; completion in a shell."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Cli

from hpsearch.errors import BadInput
from hpsearch.exchange.drafts import parse_range
from hpsearch.exchange.sweeps import read_sweep
from hpsearch.study_file import read, shipped

STUDY = Path("studies") / "mine.toml"


def test_a_shipped_study_is_copied_and_not_replaced_by_another_of_its_name(cli: Cli) -> None:
    assert "optimizers ships with hpsearch: a copy of it" in cli.ok("init optimizers")
    assert (STUDY.parent / "optimizers.toml").read_text() == shipped()["optimizers"].read_text()
    cli.refused("init optimizers", says="exists; use --force")


def test_a_command_is_searched_from_nothing(cli: Cli) -> None:
    Path("train.sh").write_text("""echo "{\\"score\\": $1}"\n""")
    cli.ok("init mine --direction minimize --range lr=1e-5:1e-1:log --command", "sh train.sh {lr}")
    assert "minimize score of sh train.sh {lr}" in cli.ok("check mine")
    cli.ok("start mine --trials 3 --engine inline")
    for trial in cli.json("trials mine"):
        assert trial["lr"] == trial["score"]


def test_check_notes_a_parameter_that_the_command_is_not_given(cli: Cli) -> None:
    cli.ok("init mine --direction minimize --range lr=0.1:1 --range wd=1:9 --command", "sh -c 'echo {lr}'")
    words = cli.ok("check mine")
    assert "unused          wd: sampled, but not in the command, which can read HPSEARCH_PARAM_WD" in words
    assert "  wd            1 .. 9, whole numbers\n" in words
    assert cli.json("check mine")["unused"] == ["wd"]


def test_check_notes_a_choice_without_a_range(cli: Cli) -> None:
    cli.ok("init mine --direction minimize --range lr=1:2 --command", "sh -c 'echo 1' {lr} {wd} {of}")
    ranges = 'of = { choices = ["a", "b", "c"] }\nlr = { low = 1, high = 2 }\n'
    ranges += 'wd = { by = "of", b = { low = 0, high = 1 } }'
    STUDY.write_text(STUDY.read_text().partition("[space]")[0] + f"[space]\n{ranges}\n")
    assert "wd has no range for of = a, c: such trials are without wd" in cli("check mine").err


def test_a_function_s_file_is_complete_once_its_direction_is_given(cli: Cli) -> None:
    Path("train.py").write_text("def objective(trial):\n    return trial.suggest_float('lr', 0, 1)\n")
    made = cli.json("init mine --function train.py:objective")
    assert made == {"search": "mine", "path": str(STUDY), "notes": [], "missing": ["which scores are better"]}
    cli.refused("check mine", says='add direction = "maximize" or "minimize"')
    STUDY.write_text(STUDY.read_text().replace('# direction = "minimize"', 'direction = "minimize"'))
    assert "minimize score of train.py:objective" in cli.ok("check mine")


def test_parameters_without_a_range_are_asked_for(cli: Cli) -> None:
    line = "init mine --direction maximize --range units=16:256 --command"
    assert "add the range of a.b, lr, then: hpsearch check " in cli.ok(line, "python x.py {lr} {units} {a.b} {seed}")
    cli.refused("check mine", says="'{lr}': lr is neither sampled nor fixed")
    text = STUDY.read_text().replace("...", "1").replace("high = 1", "high = 2").replace("# lr", "lr")
    STUDY.write_text(text.replace('# "a.b"', '"a.b"'))
    assert list(read(STUDY).space) == ["units", "a.b", "lr"]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1e-5:1e-1:log", {"low": 1e-5, "high": 0.1, "log": True}),
        ("16:256", {"low": 16, "high": 256}),
        ("16:256:log", {"low": 16, "high": 256, "log": True}),
        ("16:256:16", {"low": 16, "high": 256, "step": 16}),
        ("0:1.0", {"low": 0.0, "high": 1.0}),
        ("0:0.9:0.1", {"low": 0.0, "high": 0.9, "step": 0.1}),
        ("sgd, adam", {"choices": ["sgd", "adam"]}),
        ("2,2.5,true,no", {"choices": [2, 2.5, True, "no"]}),
    ],
)
def test_short_forms_of_ranges(text: str, plain: dict[str, Any]) -> None:
    assert parse_range(text) == plain


@pytest.mark.parametrize(
    ("line", "command", "says"),
    [
        ("init", "", "NAME is missing"),
        ("init ../x --function a:b", "", "is not a name for a search"),
        ("init x --range lr=1:2", "", "--range goes with --function or --command"),
        ("init x --from x.yaml --direction maximize", "", "--direction goes with --function or --command"),
        ("init x --from x.yaml --function a:b", "", "--function and --from: a search has one objective"),
        ("init x --data a.csv --function a:b", "", "--data and --function: a search has one objective"),
        ("init x --from x.yaml", "", "cannot read x.yaml: No such file"),
        ("init x --function train.py", "", "give a file and a name, train.py:objective"),
        ("init x --function a:b --range lr", "", "--range lr: give NAME=LOW:HIGH"),
        ("init x --function a:b --range lr=1:2:3:4", "", "--range lr=1:2:3:4: give NAME=LOW:HIGH"),
        ("init x --function a:b --range lr=2:1", "", "--range lr=2:1: low = 2 is not below high = 1"),
        ("init x --function a:b --range lr=a", "", "--range lr=a: give NAME=LOW:HIGH"),
        ("init x --command", "a 'b", "it cannot be read as a shell does: No closing quotation"),
        ("init x --command", "a {lr} | tee b", "it runs without a shell, so | has no effect; use sh -c '...'"),
        ("init x --command", " ", "it is empty; give a program and its arguments"),
        ("init x --range seed=1:2 --command", "a {seed}", "seed cannot name a parameter"),
    ],
)
def test_refused(cli: Cli, line: str, command: str, says: str) -> None:
    cli.refused(line, *([command] if command else []), says=says)
    assert not Path("studies").exists()


SWEEP = """
program: train.py
method: bayes
name: My sweep!
metric: {name: val_acc, goal: maximize, target: 0.9}
run_cap: 30
early_terminate: {type: hyperband, max_iter: 27, min_iter: 3, eta: 3}
controller: {type: local}
parameters:
  lr: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}
  units: {min: 16, max: 256}
  x: {min: 0, max: 1.0}
  dropout: {distribution: q_uniform, min: 0, max: 0.95, q: 0.1}
  opt: {values: [sgd, adam, null], probabilities: [0.5, 0.3, 0.2]}
  one: {values: [1]}
  epochs: {value: 5}
  wd: {distribution: normal, mu: 0, sigma: 1}
  net: {parameters: {depth: {values: [2, 3]}}}
  "two\\nlines": {value: [1, 2]}
  nothing: {values: [null]}
"""


def test_a_sweep_becomes_a_study_file_and_says_what_it_leaves_out(cli: Cli) -> None:
    Path("sweep.yaml").write_text(SWEEP)
    made = cli.json("init --from sweep.yaml")
    assert made["search"] == "My-sweep"
    assert made["missing"] == ["the range of dropout, wd, net, two\nlines, nothing"]
    plain = tomllib.loads(Path(made["path"]).read_text())
    taken = ["one", "epochs", "lr", "units", "x", "opt", "dropout", "wd", "net", "two\nlines", "nothing"]
    assert plain["objective"] == {
        "command": ["python", "train.py", *(f"--{name}={{{name}}}" for name in taken)],
        "folder": "..",
        "metric": "val_acc",
        "direction": "maximize",
        "epochs": 27,
    }
    assert plain["fixed"] == {"one": 1, "epochs": 5}
    assert plain["space"] == {
        "lr": {"low": 1e-5, "high": 0.1, "log": True},
        "units": {"low": 16, "high": 256},
        "x": {"low": 0.0, "high": 1.0},
        "opt": {"choices": ["sgd", "adam"], "none": True},
    }
    assert plain["trials"]["count"] == 30
    assert plain["pruning"] == {"rule": "halving", "reduction_factor": 3, "min_epochs": 3}
    notes = "\n".join(made["notes"])
    for what in (
        "controller is",
        "method: bayes is",
        "probabilities is",
        "wd = {'distribution': 'normal'",
        "two lines = ",
    ):
        assert f"{what}" in notes
    assert "a run may end at score >= 0.9" in notes
    assert all(f"# Note: {note}\n" in Path(made["path"]).read_text() for note in made["notes"])


PARAMETERS = {"lr": {"min": 0.1, "max": 1.0}}


@pytest.mark.parametrize(
    ("command", "ours", "note"),
    [
        (None, ["python", "train.py", "--lr={lr}"], None),
        (["${env}", "python3", "${program}", "${args}"], ["python3", "train.py", "--lr={lr}"], None),
        (["./run.sh", "${args_json_file}"], ["./run.sh", "{params_file}"], None),
        (["./run.sh", "${args_json}"], ["./run.sh"], "${args_json} is left out of the command"),
    ],
)
def test_the_command_of_a_sweep(command: Any, ours: list[str], note: str | None, tmp_path: Path) -> None:
    sweep = {"program": "train.py", "parameters": PARAMETERS, **({} if command is None else {"command": command})}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    draft = read_sweep(tmp_path / "sweep.yaml")
    assert draft.objective["command"] == ours
    assert note is None or any(note in of for of in draft.notes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "cannot be read as YAML: "),
        ("- a", "is not a W&B sweep: Input should be a valid dictionary"),
        ("program: x", "is not a W&B sweep; parameters: Field required"),
        ("parameters: {}\nrun_cap: many", "is not a W&B sweep; run_cap: Input should be a valid integer"),
        ("parameters: {lr: {min: 0.1, max: 1.0}}", "names no program"),
        ("program: x\nparameters: {lr: 3}", "parameters.lr: Input should be a valid dictionary or instance"),
        ("program: x\nparameters: {lr: {min: 2, max: 1}}", "parameters: lr: low = 2 is not below high = 1"),
        ("program: x\nparameters: {seed: {min: 0, max: 9}}", "seed cannot name a parameter"),
        ("program: x\nparameters: {lr: {min: [1], max: 1}}", "parameters.lr.min.int: Input should be a valid integer"),
        ("&a [*a]", "is not a W&B sweep"),
        ("!!python/object/apply:os.system ['x']", "cannot be read as YAML: could not determine a constructor"),
    ],
)
def test_files_that_are_no_sweep(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(BadInput) as refused:
        read_sweep(tmp_path / "sweep.yaml")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_value_that_unfolds_without_end_is_not_spelled_out(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30))]
    lines += ["program: x", "parameters: {lr: {values: *a29}, x: {value: *a29}, y: {value: 1}}"]
    (tmp_path / "sweep.yaml").write_text("\n".join(lines))
    assert max(map(len, read_sweep(tmp_path / "sweep.yaml").notes)) < 200


def test_a_shell_completes_commands() -> None:
    shell = {"_HPSEARCH_COMPLETE": "bash_complete", "COMP_WORDS": "hpsearch sta", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "hpsearch"], env={**os.environ, **shell}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["plain,start", "plain,status"]

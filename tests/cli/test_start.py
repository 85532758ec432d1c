"""`hpsearch start`, `narrow`, `init` and `check`: what they do and print when all is well, and how commands begin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import tiny as tiny_study
from bounded import LIMIT_S, until
from commands import DIVERGING, HELD_OUT, START, Cli, Made
from PIL import Image

from hpsearch import __version__
from hpsearch.__main__ import main
from hpsearch.cli.app import COMMANDS, app
from hpsearch.records import NewStage, PastTrials
from hpsearch.search.stage import resolve_stage
from hpsearch.space import Float
from hpsearch.store import open_store
from hpsearch.study_file import find, shipped

STOPPING = tiny_study.text(training={"epochs": 8}, pruning={"cohort": 12, "reduction_factor": 3, "min_epochs": 2})
TWELVE = f"{START} --trials 12 --pruner halving"


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_table_of_commands_has_their_help(cli: Cli) -> None:
    assert cli.ok("--version") == f"hpsearch {__version__}\n"
    assert cli("").out == cli("--help").out
    context = click.Context(app)
    for name, (_, line) in COMMANDS.items():
        command = app.get_command(context, name)
        assert command is not None
        assert (command.help or "").strip().splitlines()[0] == line
    assert app.get_command(click.Context(app, resilient_parsing=True), "strat") is None  # a shell that completes


def test_start_says_the_best_trials_and_what_is_next(cli: Cli, tiny: Path) -> None:
    out = cli.ok(START)
    assert "tiny/stage-01 has 8 finished trials; 8 of them now" in out
    assert "one standard error" in out
    following = out.splitlines()[-1]
    assert following == "next: hpsearch start tiny --trials 100"
    assert following.split("    ")[0].removeprefix("next: ") in cli.ok("checklist")
    (best,) = cli.json("trials --top 1")
    assert f"best validation_accuracy {best['validation_accuracy']:.4g}" in out


def test_start_again_does_only_what_is_missing(searched: Cli, tiny: Path) -> None:
    before = searched.json("trials")
    again = searched(f"{START} --trials 5")
    assert again.err == "tiny/stage-01 has 8 trials already\n"
    assert again.out.startswith("tiny/stage-01 has 8 finished trials; nothing was left to do")
    assert searched.json("trials") == before
    tiny.unlink()  # the database holds it
    more = searched("start tiny --engine inline --trials 10")
    assert "2 of them now" in more.out
    assert "tiny/stage-01: 10 trials" in more.err
    after = searched.json("trials")
    assert after[:8] == before
    assert [row["trial"] for row in after] == list(range(10))


def test_for_programs_and_with_the_storage_of_the_environment(
    cli: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPSEARCH_STORAGE", "elsewhere.db")
    (stage,) = cli.json(START)["stages"]
    assert [stage[name] for name in ("stage", "finished", "failed", "run_now")] == ["tiny/stage-01", 8, 0, 8]
    assert stage["store_seconds"] > 0
    assert {path.name for path in tiny.parent.iterdir()} >= {"elsewhere.db"}
    assert not (tiny.parent / "studies").exists()


def test_the_whole_workflow_unattended(cli: Cli, tiny: Path) -> None:
    assert "tiny/stage-03 has 3 finished trials" in cli.ok(f"{START} --trials 3 --stages 3 --top 3")
    assert [(row["stage"], row["from"], row["finished"], len(row["trials_used"])) for row in cli.json("status")] == [
        ("tiny/stage-01", None, 3, 0),
        ("tiny/stage-02", "stage-01", 3, 3),
        ("tiny/stage-03", "stage-02", 3, 3),
    ]


def test_fewer_trials_than_top_are_fine_where_the_stage_has_more(searched: Cli) -> None:
    assert "tiny/stage-02 has 3 finished trials" in searched.ok(f"{START} --trials 3 --stages 2 --top 5")


def test_narrow_shows_ranges_evidence_and_the_next_command(searched: Cli) -> None:
    out = searched.ok("narrow --top 3 --dry-run")
    assert "evidence" in out
    assert "nothing was written" in out
    assert len(searched.json("status")) == 1
    assert "made tiny/stage-02; next: hpsearch start" in searched.ok("narrow --top 3")
    assert "replaced tiny/stage-02" in searched.ok("narrow --top 4")
    assert len(searched.json("status")[1]["trials_used"]) == 4
    assert searched(f"{START} --trials 2").code == 0
    searched.refused("narrow --top 3 --stage 1", says="--branch")
    assert "made tiny/stage-03" in searched.ok("narrow --top 3 --stage 1 --branch")
    assert searched.json("status")[2]["from"] == "stage-01"


def test_a_bound_that_cuts_off_better_values_is_to_be_widened_before_the_next_stage_starts(cli: Cli) -> None:
    store, lr = open_store("a.db", create=True, write=True), np.geomspace(1e-4, 1e-2, 60)
    stage = NewStage("one", 1, "maximize", 0, {"lr": Float(1e-4, 1e-2, log=True)}, {"objective": {"metric": "score"}})
    now, scores = [datetime(2026, 1, 2)] * 60, list(np.log10(lr) + 4)
    none = np.array([], dtype=int), np.array([], dtype=int), np.array([])
    store.import_stages([(stage, PastTrials(["COMPLETE"] * 60, scores, now, now, {"lr": list(lr)}, none, []))])
    store.close()
    again = "hpsearch narrow one --top 7 --expand --storage a.db"
    assert f"made one/stage-02; next: {again} (replaces it), or " in cli.ok("narrow one --top 7 --storage a.db")
    assert "replaced one/stage-02; next: hpsearch start one" in cli.ok(again.removeprefix("hpsearch "))


def test_failures_say_why(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = made(study=DIVERGING)
    ended = cli(START)
    assert ended.code == 1
    assert "(8 failed)" in ended.out
    assert "next: hpsearch trials tiny --state fail    hpsearch retry tiny" in ended.out.replace("\n", " ")
    assert ended.err.splitlines()[-1] == (
        "hpsearch: every trial of tiny/stage-01 has failed, so none has a score; `hpsearch trials tiny --state fail` "
        "gives the reasons"
    )
    monkeypatch.setattr("hpsearch.cli.show.wants_curves", lambda *args: True)
    assert "curve" not in cli.ok("trials --state fail")  # no trial has one
    assert ["loss became" in row["reason"] for row in cli.json("trials --state fail")] == [True] * 8


def test_the_search_is_named_where_there_are_several(searched: Cli, tiny: Path) -> None:
    replaced(tiny, '"tiny"', '"mnist"')
    (tiny.parent / "studies" / "mnist.toml").write_text(tiny.read_text())
    assert "next: hpsearch start --trials 100" in searched.ok("start mnist --engine inline")
    searched.refused("best", says="mnist, tiny")
    assert searched("best tiny").code == 0
    confirmed = searched.ok("confirm mnist --top 3 --repeats 2 --engine inline")
    assert confirmed.splitlines()[-1] in searched.ok("checklist mnist")


def test_a_folder_s_name_may_be_no_text(cli: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.parent / os.fsdecode(b"dir\xff")
    folder.mkdir()
    tiny.rename(folder / tiny.name)
    monkeypatch.chdir(folder)
    for command in (START, "export --out e.json", "import e.json --name other --storage new.db", "report", "db check"):
        cli.ok(command)
    cli.refused("status --storage", str(folder / "new.db"), says="change to its folder and give the file's name alone")


def test_init_writes_a_file_that_check_accepts(cli: Cli, tmp_path: Path) -> None:
    assert cli.json("init mine") == {"search": "mine", "path": "studies/mine.toml", "notes": [], "missing": []}
    cli.refused("init mine")
    assert cli("init mine --force").code == 0
    assert "784-100-100-10" in cli.ok("check mine --trials 4 --jobs 1")
    check = "check mine --trials 4 --jobs 2 --pruner halving"
    plain = cli.json(check)
    assert (plain["search"], plain["sizes"], plain["trials"], plain["jobs"]) == ("mine", [784, 100, 100, 10], 4, 2)
    assert plain["study_file"] == find("mine").with_pruning("halving").to_dict()
    (row,) = cli.csv(check)
    assert (row["parameters"], json.loads(row["study_file"])) == (str(plain["parameters"]), plain["study_file"])
    assert not (tmp_path / "studies" / "hpsearch.db").exists()


@pytest.mark.parametrize(
    ("rows", "tested", "sizes"),
    [(100, 0, (0.6, 0.2, 0.2)), (100, 30, (0.8, 0.2, 30)), (20_010, 0, (12_000, 4000, 4000))],
)
def test_two_commands_lead_from_a_file_to_a_narrowed_stage(
    rows: int, tested: int, sizes: tuple[float, ...], cli: Cli
) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {f"x_{part}": rng.random((n, 3)) for part, n in (("train", rows), ("test", tested)) if n}
    path = """it's "my" \\1 \u00e9.npz"""
    np.savez(path, **arrays | {f"y{name[1:]}": (x[:, 0] > 0.5).astype(int) for name, x in arrays.items()})
    said = cli("init", "mine", "--data", path)
    assert f"{rows:,} examples" in said.out
    assert "each of shape 3, float64, 2 classes" in " ".join(said.out.split())
    assert ("20,000 of 20,010 examples are used" in " ".join(said.err.split())) == (rows > 20_000)
    data = find("mine").to_dict()["data"]
    assert (data["path"], data["train"], data["validation"], data["test"]) == (path, *sizes)
    if rows < 20_000:  # of many, training takes seconds
        assert "mine/stage-02 has 5 finished trials" in cli.ok(
            "start mine --stages 2 --top 2 --trials 5 --engine inline"
        )


def test_examples_that_are_not_used_are_said_of_ones_own_data_alone(cli: Cli) -> None:
    rng = np.random.default_rng(0)
    np.savez("some.npz", x=rng.random((100, 3)), y=np.arange(100) % 2)
    assert "are used" not in cli("init mine --data some.npz").err
    path = Path("studies/mine.toml")
    path.write_text(path.read_text().replace("train = 0.6", "train = 30"))
    for command in ("check mine", "start mine --trials 2 --engine inline"):
        said = " ".join(cli(command).err.split())
        assert "70 of 100 examples are used: train 30, validation 20, test 20" in said, command
    assert "are used" not in cli("check mnist --trials 1 --jobs 1").err


def test_init_reads_a_file_as_it_is_told_to_and_keeps_that(cli: Cli) -> None:
    Path("a.csv").write_bytes(
        "größe,kind\n".encode("latin-1") + b"".join(b"%d,%d\n" % (i * 7 % 100, i % 21) for i in range(420))
    )
    said = cli("init mine --data a.csv --label kind --header --encoding latin-1")
    assert "420 examples" in said.out
    assert "the labels are 21 classes" in said.err
    data = find("mine").to_dict()["data"]
    assert (data["label"], data["header"], data["encoding"], data["resize"]) == ("kind", True, "latin-1", None)
    for kind, side in (("x", 3), ("x", 4), ("x", 5), ("y", 4), ("y", 5)):
        Path("pictures", kind).mkdir(parents=True, exist_ok=True)
        Image.new("L", (side, side)).save(Path("pictures", kind, f"{side}.png"))
    assert cli("init mine --data pictures --resize 4 --force").code == 0
    assert find("mine").to_dict()["data"]["resize"] == 4


def test_init_refuses_data_that_cannot_be_searched(cli: Cli) -> None:
    Path("a.csv").write_text("sex,age\n" + "".join(f"{'mf'[i % 2]},{i * 1.37}\n" for i in range(60)))
    cli.refused("init mine --data a.csv", says="continuous target")
    cli.refused("init mine --data none.csv", says="none.csv")
    cli.refused("init", "mine", "--data", "a\x7f.csv", says="plain name")
    for option in ("--label sex", "--no-header", "--encoding cp949", "--resize 8"):
        cli.refused(f"init mine {option}", says="--data FILE")
    Path("few.csv").write_text("a,label\n1,x\n2,y\n3,x\n")
    cli.refused("init mine --data few.csv", says="0.2 of 3 examples")
    cli.refused("start a.csv", says="hpsearch init NAME --data a.csv")
    assert not Path("studies/mine.toml").exists()
    assert cli("init mine --data a.csv --label sex").code == 0
    assert find("mine").to_dict()["data"]["label"] == "sex"
    cli.refused("init mine --data a.csv --label sex", says="exists")


def test_check_says_what_a_stage_of_the_shipped_default_amounts_to(cli: Cli) -> None:
    repository = Path(__file__).resolve().parents[2] / "studies" / "mnist.toml"
    assert shipped()["mnist"].read_text(encoding="utf-8") == repository.read_text(encoding="utf-8")
    out = cli.ok("check --jobs 1 --trials 2")
    for part in ("400 train, 100 validation", "784-100-100-100-100-100-100-10", "130,010 parameters", "13.7 GFLOP"):
        assert part in out


def test_check_says_what_is_fixed_and_where_a_range_holds(cli: Cli, tiny: Path) -> None:
    replaced(tiny, "epochs = 3", 'epochs = 3\nlr_schedule = "cosine"\nlr_decay = 0.1\nevaluate_train = true')
    space = 'optimizer = { choices = ["sgd", "momentum"] }\nmomentum = { low = 0.5, high = 0.9 }'
    replaced(tiny, "[space]", f"[space]\n{space}")
    said = cli.ok("check tiny.toml --jobs 1 --trials 2")
    assert "lr_schedule cosine, batch_size 20, 3 epochs, whole training set scored\n" in said
    assert "  optimizer     {sgd, momentum}\n" in said
    assert "  momentum      0.5 .. 0.9, only where optimizer is momentum or nesterov\n" in said


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("none", "none: every trial runs to the end"),
        ("halving", "halving after epochs 1, 4: the best 1 in 4 of each cohort of 100 continue, and trials tied"),
        ("median", "median after epochs 1, 2, 4, 8: each cohort of 20 against the median of the trials before it"),
    ],
)
def test_check_says_what_pruning_will_do(cli: Cli, tmp_path: Path, rule: str, says: str) -> None:
    for in_file, option in ((rule, ""), ("median" if rule == "none" else "none", f"--pruner {rule}")):
        tiny_study.write(tmp_path, training={"epochs": 16}, pruning={"rule": in_file})
        assert cli.ok(f"check tiny.toml --trials 20 {option}").count(says) == 1


@pytest.mark.parametrize(
    ("section", "pruner", "says"),
    [
        ("cohort = 9\nmin_epochs = 1", "none", "min_epochs, cohort have no effect: only rule = halving or median uses"),
        ("startup_trials = 5", "halving", ""),  # as if nothing had been said
    ],
)
def test_a_key_that_the_rule_of_pruning_does_not_use_is_noticed_once(
    cli: Cli, tiny: Path, section: str, pruner: str, says: str
) -> None:
    tiny.write_text(f"{tiny.read_text()}[pruning]\n{section}\n")
    start = f"{START} --trials 2 --pruner {pruner}"
    noted = [cli(line).err for line in (f"check tiny.toml --trials 2 --pruner {pruner}", start)]
    assert [("[pruning]" in err, says in err) for err in noted] == [(bool(says), True)] * 2
    assert "[pruning]" not in cli(start).err


def test_trials_that_were_stopped_early_are_counted_everywhere(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = made(study=STOPPING)
    out = cli.ok(TWELVE)
    assert "pruned)" in out
    assert "next: hpsearch start tiny --trials 100\n" in out  # as `checklist` says: so few say little
    (status,) = cli.json("status")
    stopped, complete = status["pruned"], status["finished"] - status["pruned"]
    assert stopped > 0
    assert status["pruning"] == "halving"
    assert "pruned" in cli.ok("status").splitlines()[0]
    assert cli.ok("status").splitlines()[2] == "pruned by halving: tiny/stage-01"
    trials = cli.json("trials --state pruned --curves")
    assert {(row["state"], row["reason"], len(row["curve"])) for row in trials} == {
        ("PRUNED", "stopped after epoch 2", 2)
    }
    assert len(trials) == stopped == cli.ok("trials").count("  stopped after epoch 2\n")
    assert len(cli.json("trials --top 12")) == complete
    narrowed = cli.ok("narrow --top 2 --dry-run")
    assert "of 12 trials (" in narrowed
    assert f"; {stopped} pruned" in narrowed
    cli.refused("narrow --top 12", says=f"there are {complete} ({stopped} more were pruned)")
    assert "was begun with hpsearch" not in cli(TWELVE).err
    monkeypatch.setattr("hpsearch.search.stage.version_of", lambda package: "99")
    assert "tiny/stage-01 was begun with hpsearch" in cli(TWELVE).err
    # Narrowing later goes by the plan that the stage keeps, whatever the study file has come to say.
    tiny_study.write(tmp_path, training={"epochs": 8}, pruning={"cohort": 12, "reduction_factor": 2, "min_epochs": 4})
    assert "pruning by halving may leave only 11 complete" in cli(f"{START} --trials 24 --stages 2 --top 12").err


def test_a_stage_s_name_is_its_search_and_number(made: Made) -> None:
    cli = made(START, "narrow --top 4", START)
    for command in (
        "trials tiny{}",
        "best tiny{}",
        "narrow tiny{} --dry-run --branch --top 3",
        "report tiny{} --format md --out -",
    ):
        out = cli.ok(command.format("/stage-01"))
        assert out == cli.ok(command.format(" --stage 1"))
        assert "tiny/stage-01" in out
    assert cli.ok("plot parallel tiny/stage-01").startswith("wrote tiny-stage-01-parallel.html")
    assert " of tiny/stage-01 to " in cli.ok("export tiny/stage-01 --out one.json")
    assert cli.ok("start tiny/stage-01 --trials 9 --engine inline").startswith("tiny/stage-01 has 9 ")


def test_what_a_name_means(tiny: Path) -> None:
    for given, number, meant in (
        (None, 2, (None, 2)),
        ("mnist", 2, ("mnist", 2)),
        ("mnist/stage-2", 2, ("mnist", 2)),
        ("a.b/stage-100", None, ("a.b", 100)),
        ("mnist/stage-two", None, ("mnist/stage-two", None)),
        ("studies/mnist/stage-02", None, ("studies/mnist/stage-02", None)),
    ):
        assert resolve_stage(given, number) == meant
    # A study file is its search, and stays a path where it is read.
    assert resolve_stage(str(tiny), 3) == ("tiny", 3)
    assert resolve_stage(str(tiny), 3, keep_path=True) == (str(tiny), 3)


def test_a_search_on_dask_equals_one_in_this_process(
    cli: Cli, tiny: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times, tables = ("seconds", "started", "finished"), []
    for storage, options in (("x.db", "--engine inline"), ("y.db", f"--engine dask --scheduler {scheduler}")):
        ran = cli(f"start tiny.toml --storage {storage} {options}")
        said = ("note: 784 numbers", "tiny/stage-01: 8 trials of 3 epochs, ", "4/8", "8/8")
        assert all(line.startswith(said) for line in ran.err.splitlines()), ran.err
        rows = cli.json(f"trials --curves --storage {storage}")
        assert f"best {max(row['validation_accuracy'] for row in rows):.4g} (trial " in ran.err.splitlines()[-1]
        tables.append([{k: v for k, v in row.items() if k not in times} for row in rows])
    assert tables[0] == tables[1] != []
    monkeypatch.setenv("HPSEARCH_SCHEDULER", "tcp://127.0.0.1:1")
    cli.refused("start tiny.toml --engine dask", says="no Dask scheduler answers at tcp://127.0.0.1:1")
    assert cli(START).code == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_code(tmp_path: Path, closed: str) -> None:
    command = f'"{sys.executable}" -m hpsearch status {closed}'
    ran = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False)
    assert ran.stderr.count("\n") == (0 if "2>" in closed else 1)


def test_a_package_that_is_missing_is_said_at_the_door(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = made(START, study=HELD_OUT)
    for module in ("kaleido", "pyarrow", "pyarrow.parquet", "jinja2", "fastapi", "onnx", "distributed"):
        monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith("hpsearch.executors.dask.")]:
        monkeypatch.delitem(sys.modules, name)  # so that they are imported anew
    for command, package in (
        ("evaluate --plot confusion.png", "hpsearch[images]"),
        ("plot history --out history.png", "hpsearch[images]"),
        ("train tiny.toml --plot curves.svg", "hpsearch[images]"),
        ("export --out trials.parquet", "hpsearch[data]"),
        ("report", "hpsearch[report]"),
        ("serve", "hpsearch[service]"),
        ("start tiny.toml --engine dask", "hpsearch[dask]"),
    ):
        assert package in cli.refused(command, says="pip install")
    # Above all no look at the test images that nothing came of.
    assert cli("evaluate").code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_search_outlives_its_display(cli: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, pipe = os.pipe()
    os.close(reader)
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)  # a clock that stands still
    with open("/dev/full", "w", buffering=1) as full:
        left = open(pipe, "w", buffering=1)  # noqa: SIM115 - `main` leaves it open to /dev/null
        monkeypatch.setattr(sys, "stderr", full)
        for out, trials in ((full, 4), (left, 8)):
            monkeypatch.setattr(sys, "stdout", out)
            # All is done, but what was to be printed is lost.
            assert main(f"{START} --trials {trials} --stages 2 --top 2".split()) == 1
        left.close()
    monkeypatch.undo()
    monkeypatch.chdir(tiny.parent)
    assert [row["finished"] for row in cli.json("status")] == [4, 8]


def test_without_standard_error_the_exit_code_stays(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert main(["nonsense"]) == 2


def test_limits_have_words_a_json_form_and_exit_codes(cli: Cli, tiny: Path) -> None:
    ran = cli(f"{START} --format json --until", "score >= 0")
    assert (ran.code, json.loads(ran.out)["stages"][0]["ended_by"]) == (0, "until")
    assert "note: --until score >= 0 reached: tiny/stage-01 has 8 of 8 trials, all recorded\n" in ran.err
    assert "note: --timeout 0.001 s reached: " in cli(f"{START} --trials 12 --timeout 0.001").err
    tiny.write_text(DIVERGING.replace("tiny", "other"))
    failed = cli(f"{START} --lanes 1 --max-failures 2")
    assert failed.code == 1
    assert "other/stage-01 has 2 finished trials (2 failed)" in failed.out
    assert "hpsearch: --max-failures 2: 2 trials in a row failed; the last: " in failed.err
    assert "; once the cause is fixed, `hpsearch retry other/stage-01` gives" in failed.err
    assert cli.ok("retry other --trial 1").splitlines() == [
        "given back: 1 failed trial of other/stage-01 (1)",
        "next: hpsearch start other --stage 1 --trials 3",
    ]
    assert cli.csv("retry other") == [{"stage": "other/stage-01", "trial": "0"}]
    assert cli.json("retry other") == {"stage": "other/stage-01", "trials": [], "next": []}
    assert cli.ok("retry other") == "no trial of other/stage-01 has failed\n"
    (Path("table.csv")).write_text("lr,loss\n0.1,0.5\n0.2,\n")
    cli.ok("import table.csv --metric loss --parameter lr --direction minimize --name table")
    cli.refused("retry table", says="table/stage-01 was run elsewhere, and hpsearch cannot run its trials")
    cli.refused("retry other --trial 0", says="--trial 0: other/stage-01 has no failed trial of this number")


def test_a_run_is_stopped_from_elsewhere(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    cli.ok(START)
    idle = "no run holds a trial; one that waits for workers, or for another run, stops too\n"
    assert cli.ok("stop") == idle
    command = [sys.executable, "-m", "hpsearch", *START.split(), "--trials", "100000"]
    with subprocess.Popen(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        until(lambda: cli.json("status")[0]["running"] > 0, what="a run that holds trials")
        (asked,) = cli.json("stop tiny")["asked"]
        out, err = run.communicate(timeout=LIMIT_S)
    assert (asked["stage"], asked["pid"], asked["trials"] > 0) == ("tiny/stage-01", run.pid, True)
    assert run.returncode == 0, err
    assert "note: stopped by `hpsearch stop tiny`: tiny/stage-01 has " in err
    (stage,) = cli.json("status")
    assert (stage["running"], stage["failed"]) == (0, 0)
    assert f"tiny/stage-01 has {stage['finished']:,} finished trials" in out
    assert "next: hpsearch start tiny" in out

"""Bad input: one clear line on standard error, exit code 2, and nothing lost or left behind.

What is wrong in a study file or in data is worded below the command line, and tested there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import CONFIRM, DIVERGING, HELD_OUT, START, TINY, Cli, Made

Prepare = Callable[[Path], object]


def edited(old: str, new: str) -> Prepare:
    """A copy of the tiny study file with one thing changed: bad.toml."""

    def prepare(folder: Path) -> None:
        text = (folder / "tiny.toml").read_text()
        assert old in text
        (folder / "bad.toml").write_text(text.replace(old, new))

    return prepare


def file(name: str, text: str) -> Prepare:
    return lambda folder: (folder / name).write_text(text)


MINE = file("my.db", "long enough " * 9)
WRONG = 'optimizer = "adm"\n[space]'
NOTHING: list[Any] = [
    # Study files and data
    ("start nope", "no study file studies/nope.toml"),
    ("start bad.toml", "did you mean 'epochs'", edited("epochs", "epoch")),
    *(
        (f"{command} bad.toml", "hpsearch: the study file of tiny: no optimizer 'adm'", edited("[space]", WRONG))
        for command in ("check", "start")
    ),
    ("start bad.toml", "not TOML that can be read", edited("epochs = 3", f"epochs = {'9' * 5000}")),
    ("start bad.toml", "10040 is more than the 10000 examples", edited("train = 60", "train = 10_000")),
    (f"start ./{'a' * 300}", "cannot read aaa"),
    ("start my.csv", "my.csv is no study file"),
    ("init ../mine", "is not a name for a search"),
    # Options
    ("start tiny.toml --trials 0", "--trials 0: give a number from 1"),
    ("start tiny.toml --jobs 99999", "from 1 to 1,024"),
    ("start tiny.toml --top 3", "--top 3 needs --stages"),
    ("check tiny.toml --trials=-5", "--trials -5"),
    ("start --momentum 3", "No such option '--momentum' - see `hpsearch start --help`"),
    ("start --lane 3", "No such option '--lane'. Did you mean '--lanes'? - see"),
    ("halt", "No such command 'halt' - see"),
    ("stop", "no database studies/hpsearch.db"),
    ("retry", "no database studies/hpsearch.db"),
    ("start tiny.toml --timeout 10x", "--timeout 10x: not a span of time above 0; write 90"),
    ("start tiny.toml --until score>0.5x", 'write a comparison with a number, such as "score >= 0.9"'),
    ("start tiny.toml --until loss<1", "--until loss < 1: the metric is validation_accuracy"),
    ("start tiny.toml --until score<1", "the search maximizes its score; compare with >= or >"),
    ("start tiny.toml --max-failures 0", "--max-failures 0: give a number from 1"),
    ("docs halt", "no topic 'halt'; known:"),
    ("strat", "Did you mean one of: 'start'"),
    ("start --trails 3", "No such option '--trails'. Did you mean '--trials'? - see `hpsearch start --help`"),
    ("start --trials", "'--trials' requires an argument"),
    ("start --trials many", "'--trials': 'many' is not a valid integer"),
    ("serve --studies nowhere", "--studies nowhere: there is no such folder; make it, or give another"),
    ("serve --port 99999", "99999 is not in the range 0<=x<=65535"),
    ("plot", "'KIND'. Choose from: curves, parameters"),
    ("import", "Missing argument 'FILE_OR_URL' - see `hpsearch import --help`"),
    ("best tiny other", "unexpected extra argument (other)"),
    ("trials --state complet", "'complet' is not one of 'complete', 'fail'"),
    # Dask
    ("start tiny.toml --scheduler tcp://127.0.0.1:1", "with --engine pool: use --engine dask, or leave it out"),
    ("confirm --engine dask --jobs 2 --scheduler tcp://127.0.0.1:1", "leave out one of them"),
    # Databases
    (
        "start tiny.toml --storage my.db",
        "my.db is not a SQLite database; give another storage\n",
        file("my.db", "long enough " * 9),
    ),
    ("start tiny.toml", "cannot make the folder", file("studies", "")),
    ("start tiny.toml --storage sqlite:///a.db?timeout=abc", "cannot be used"),
    ("db check --storage postgresql+psycopg://me@127.0.0.1:1/x", "connection failed"),
    *(
        (f"{command} --storage none.db", "no database none.db; `hpsearch start --storage none.db` makes one")
        for command in (
            *("status", "status --watch", "narrow", "plot history", "delete tiny"),
            *("db check", "db repair", "db vacuum", "db backup copy.db"),
        )
    ),
    *(
        (f"{command} other --storage none.db", "no database none.db; `hpsearch start other --storage none.db` makes")
        for command in ("refine", "confirm", "narrow", "recommend")
    ),
    ("plot curves --out a.jpeg --storage none.db", "the name must end with"),
    # One network
    ("train tiny.toml --set optimizer=adm", "did you mean 'adam'?"),
    ("train tiny.toml --seed=-1", "--seed -1: give a whole number from 0"),
    ("train tiny.toml --save net.pkl", "saved as .npz"),
    ("train tiny.toml --save no/net.npz", "there is no folder no; make it first"),
    ("train tiny.toml --save x.npz", "--save x.npz: it is a folder; give a file", lambda at: (at / "x.npz").mkdir()),
    ("train tiny.toml --plot no/curves.html", "no folder no; make it first"),
]
SEARCHED: list[Any] = [
    ("trials tiny/stage-01 --stage 2", "tiny/stage-01 and --stage 2 name different stages"),
    ("checklist tiny/stage-01", "this command takes a whole search: give tiny"),
    ("status tiny/stage-01", "this command takes a whole search: give tiny"),
    ("trials --stage 7", "tiny has no stage 7; known: 1"),
    ("trials tiny/confirm-01", "`hpsearch narrow tiny --stage 1 --from confirm`"),
    ("trials --top 3 --state fail", "only complete trials have a score"),
    (f"trials --top {10**20}", "is not in the range 1<=x<=1000000000"),
    ("narrow tniy", "did you mean 'tiny'"),
    ("narrow --top 9", "the top 9 needs 9 trials that finished with a score"),
    ("narrow --from confirm", "tiny/stage-01 has not been confirmed; `hpsearch confirm --stage 1`"),
    ("narrow --from confirm --quantile 0.5", "--quantile 0.5: only few trials are confirmed"),
    ("confirm --repeats 1", "--repeats 1: give a number from 2 to 1,000"),
    ("confirm --jobs 0", "--jobs 0"),
    ("checklist --top 1", "1 is not in the range x>=2"),
    ("status --watch --every 0", "--every 0: give 0.1 to 3600 seconds"),
    ("status --watch --every nan", "--every nan: give 0.1 to 3600 seconds"),
    ("status --watch --trials 0", "--trials 0: give a number from 1"),
    ("status --watch --format csv", "--format csv: a watched search is no table"),
    ("status --every 2", "--every 2: status is shown once; add --watch, or leave it out"),
    ("status --until-done", "--until-done: status is shown once"),
    ("status --trials 3", "--trials 3: status is shown once"),
    ("compare tiny nope", "no search 'nope'"),
    ("stop nope", "no search 'nope'"),
    ("stop tiny/stage-01", "this command takes a whole search: give tiny"),
    ("retry --trial 3", "--trial 3: tiny/stage-01 has no failed trial of this number"),
    ("retry --stage 9", "tiny has no stage 9"),
    ("compare tiny gone.db::two", "gone.db"),
    ("report --out a.txt", "let it end with .html or .md"),
    ("report --out a.md --format html", "--format html: does not go with 'a.md'"),
    ("report --out nowhere/a.html", "there is no folder nowhere"),
    ("report --out studies/ --format html", "it is a folder"),
    ("report --out - --open", "there is no file to open"),
    ("report --stage 9", "tiny has no stage 9"),
    ("report --out mine.html", "is no report of hpsearch", file("mine.html", "my own")),
    ("plot lineage tiny/stage-01", "--stage 1: lineage plots all stages"),
    ("plot stages --stage 1", "stages plots all stages; leave it out"),
    ("plot curves --top 21", "give up to 20"),
    ("plot parallel --top 0", "--top 0: too few; give at least 1"),
    ("plot pair --top 5", "--top: of no use to pair"),
    ("plot parameters --parameter lrr", "did you mean 'lr'?"),
    ("plot pair --parameter lr", "pair takes 2"),
    ("plot pair --parameter lr --parameter lr", "given twice"),
    ("export", "give --out FILE"),
    ("export --out r.xlsx", "no format 'xlsx'"),
    ("export --out r", "--format"),
    ("export --out r.txt --format csv", "call it r.csv"),
    ("export --out . --format csv", "folder"),
    ("export --stage 7 --out r.csv", "has no stage 7"),
    ("export --out gone/r.csv", "gone/r"),
    ("export --out r.csv", "--force", file("r.curves.csv", "mine")),
]
HELD: list[Any] = [
    ("evaluate --confirmed", "tiny/stage-01 has not been confirmed"),
    ("evaluate --confirmed --best", "--confirmed and --best choose different values; give one of them"),
    ("evaluate --best --stage 1 --trial 2", "--best and --trial"),
    ("evaluate --stage 1 --trial 99", "tiny/stage-01 has no trial 99 with a score"),
    ("evaluate --epochs 0", "--epochs 0"),
    ("evaluate --seed=-1", "--seed -1"),
    ("evaluate --save net.pt", "--save net.pt: a network is saved as .npz"),
]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for SQLite's own side files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


CASES = [
    *((TINY, (), *case) for case in NOTHING),
    *((TINY, (START,), *case) for case in SEARCHED),
    *((HELD_OUT, (START,), *case) for case in HELD),
    (HELD_OUT, (START, CONFIRM), "narrow --from confirm --top 4", "or first `hpsearch confirm --stage 1 --top 4`"),
    (DIVERGING, (START,), "narrow", "no trial with a score"),
    (DIVERGING, (START,), "compare tiny tiny", "no trial with a score"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[2][:60])
def test_one_line_and_nothing_left_behind(made: Made, tmp_path: Path, case: Any) -> None:
    study, before, command, says, *preparing = case
    cli = made(*before, study=study)
    for prepare in preparing:
        prepare(tmp_path)
    there = snapshot(tmp_path)
    cli.refused(command, says=says)
    assert snapshot(tmp_path) == there


def test_a_debug_run_shows_the_traceback(cli: Cli) -> None:
    ran = cli("start nope --debug")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "Traceback (most recent call last):")

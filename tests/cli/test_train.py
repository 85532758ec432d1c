"""``hpsearch train``: one network, its curves and its file."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from commands import Cli

from hpsearch.nn import load


def test_it_shows_the_curves_of_the_values_that_were_set(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    ran = cli("train", "tiny.toml", "--set", "training.lr=0.3", "--set", "optimizer=adam", "--set", "dropout=0.1")
    assert ran.code == 0
    first, *lines = ran.out.splitlines()
    assert first == "tiny: 784-8-10, relu, he, dropout 0.1, adam lr 0.3, seed 0"
    assert [line.split()[0] for line in lines[2:5]] == ["1", "2", "3"]
    assert lines[-1].startswith("validation accuracy 0.")
    assert "(one standard error) after 3 epochs, in " in lines[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]  # nothing is stored


def test_json_and_csv_hold_every_digit_of_every_epoch(cli: Cli, tiny: Path) -> None:
    plain = json.loads(cli("train", "tiny.toml", "--seed", "5", "--format", "json").out)
    assert plain["seed"] == 5
    assert plain["settings"]["lr"] == 0.01
    rows = list(csv.DictReader(io.StringIO(cli("train", "tiny.toml", "--seed", "5", "--format", "csv").out)))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, curve in plain["curves"].items():
        assert [float(row[name]) for row in rows] == curve


def test_the_network_is_saved_with_where_it_comes_from(cli: Cli, tiny: Path) -> None:
    ran = cli("train", "tiny.toml", "--set", "lr=0.3", "--save", "net.npz")
    assert (ran.code, ran.err) == (0, "note: the network is in net.npz\n")
    network, about = load(Path("net.npz"))
    assert network.sizes == (784, 8, 10)
    assert about["study"] == "tiny"
    assert about["settings"]["lr"] == 0.3


def test_the_curves_are_plotted(cli: Cli, tiny: Path) -> None:
    ran = cli("train", "tiny.toml", "--plot", "curves.html")
    assert (ran.code, ran.err) == (0, "note: the learning curves are in curves.html\n")
    assert "plotly" in Path("curves.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--set", "lr=1e30"], 1, r"hpsearch: training loss became \w+ in epoch 1 (lr = 1e+30); nothing was written"),
        (["--set", "lrr=1"], 2, "did you mean 'lr'?"),
        (["--seed", "-1"], 2, "--seed -1: give a whole number from 0"),
        (["--save", "net.pkl"], 2, "saved as .npz"),
        (["--save", "no/net.npz"], 2, "there is no folder no; make it first"),
        (["--save", "folder.npz"], 2, "--save folder.npz: it is a folder; give a file"),
        (["--plot", "curves.gif"], 2, "curves.gif"),
        (["--plot", "no/curves.html"], 2, "no folder no; make it first"),
        (["--set", "optimizer=adm"], 2, "did you mean 'adam'?"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    cli: Cli, tiny: Path, arguments: list[str], code: int, message: str
) -> None:
    Path("folder.npz").mkdir()
    ran = cli("train", "tiny.toml", *arguments, *(["--plot", "a.html"] if code == 1 else []))
    assert ran.code == code
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert message.replace(r"\w+", "nan") in ran.err or message.replace(r"\w+", "inf") in ran.err
    assert not Path("a.html").exists()

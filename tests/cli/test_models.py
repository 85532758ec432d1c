"""`hpsearch train`, `predict` and `model`: one network, its file, and whoever has the file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import pandas as pd
import pytest
from commands import TRAIN, Cli, Made
from data_files import write_part
from PIL import Image

from hpsearch.data.preprocessing import Preprocessing
from hpsearch.nn import load_model, save
from hpsearch.statistics import wilson

NAMES = ("a", "b", "c")
RAW = np.random.default_rng(0).integers(0, 256, (30, 2, 3)).astype(np.uint8)
Prepare = Callable[[], object]


@pytest.fixture
def net(cli: Cli, tmp_path: Path) -> Path:
    """A network of 2x3 grey levels and the classes a, b and c."""
    return models.saved(tmp_path / "net.npz")


def expected(net: Path, raw: Any = RAW) -> list[str]:
    model = load_model(net)
    return [model.class_names[best] for best in model.probabilities(np.asarray(raw)).argmax(axis=1)]


def table(path: Path, raw: Any, labels: list[str] | None = None) -> None:
    rows = [[*([labels[i]] if labels else []), *map(str, row.ravel())] for i, row in enumerate(raw)]
    header = [*(["kind"] if labels else []), *(f"p{i}" for i in range(raw[0].size))]
    path.write_text("\n".join(map(",".join, [header, *rows])) + "\n")


def predicted(cli: Cli, sources: str) -> list[str]:
    return [row["predicted"] for row in cli.csv(f"predict net.npz {sources}")]


def test_train_shows_the_curves_of_the_values_that_were_set(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    first, *lines = cli.ok("train tiny.toml --set training.lr=0.3 --set optimizer=adam --set dropout=0.1").splitlines()
    assert first == (
        "tiny: 784-8-10, relu, he, dropout 0.1, adam, beta1 0.9, beta2 0.999, lr 0.3, batch_size 20, 3 epochs, seed 0"
    )
    assert [line.split()[0] for line in lines[2:5]] == ["1", "2", "3"]
    assert lines[-1].startswith("validation accuracy 0.")
    assert "(one standard error) after 3 epochs, in " in lines[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]  # nothing is stored


def test_train_for_programs_and_its_files(cli: Cli, tiny: Path) -> None:
    plain = cli.json("train tiny.toml --seed 5")
    assert (plain["seed"], plain["settings"]["lr"]) == (5, 0.01)
    rows = cli.csv("train tiny.toml --seed 5")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, curve in plain["curves"].items():
        assert [float(row[name]) for row in rows] == curve  # every digit
    ran = cli("train tiny.toml --set lr=0.3 --save net.npz --plot curves.html")
    assert ran.code == 0
    for line in ("note: the network is in net.npz\n", "note: the learning curves are in curves.html\n"):
        assert line in ran.err
    assert "plotly" in Path("curves.html").read_text(encoding="utf-8")
    model = load_model(Path("net.npz"))
    assert (model.network.sizes, model.about["study"], model.about["settings"]["lr"]) == ((784, 8, 10), "tiny", 0.3)


def test_training_that_diverges_writes_nothing(cli: Cli, tiny: Path) -> None:
    said = cli.refused("train tiny.toml --set lr=1e30 --plot a.html", says="hpsearch: training loss became ", code=1)
    assert " in epoch 1 (lr = 1e+30); nothing was written" in said
    assert not Path("a.html").exists()


def test_every_way_to_give_the_same_pixels_gives_the_same_classes(cli: Cli, net: Path) -> None:
    np.savez("images.npz", images=RAW.astype(np.int64))
    np.savez("bytes.npz", x=RAW)
    np.savez("flat.npz", x=RAW.reshape(30, 6))
    np.savez("deep.npz", x=RAW[..., None])
    np.savez("scaled.npz", x=RAW / 255)
    table(Path("table.csv"), RAW)
    Path("pictures").mkdir()
    for i, raw in enumerate(RAW):
        Image.fromarray(raw).save(f"pictures/{i:02}.png")
    for source in ("bytes.npz", "images.npz", "flat.npz", "deep.npz", "scaled.npz", "table.csv", "pictures"):
        assert predicted(cli, source) == expected(net), source
    for source in ("bytes.npz", "scaled.npz"):
        note = "taken as grey levels that are divided by 255 already" in cli(f"predict net.npz {source}").err
        assert note == (source == "scaled.npz")


def test_probabilities_and_the_next_best_class_are_those_of_the_model(cli: Cli, net: Path) -> None:
    np.savez("x.npz", x=RAW)
    plain = cli.json("predict net.npz x.npz")
    assert set(plain) == {"predictions"}
    for row, own in zip(plain["predictions"], load_model(net).probabilities(RAW), strict=True):
        _, second, first = own.argsort()
        assert (row["predicted"], row["next"]) == (NAMES[first], NAMES[second])
        assert (row["probability"], row["next_probability"]) == (own[first], own[second])
    assert [row["row"] for row in plain["predictions"]] == list(range(1, 31))


@pytest.mark.parametrize("source", ["x.npz", "x.csv --label kind"])
def test_labels_give_the_accuracy_and_its_interval(cli: Cli, net: Path, source: str) -> None:
    labels = expected(net)
    labels[:5] = [NAMES[(NAMES.index(label) + 1) % 3] for label in labels[:5]]
    np.savez("x.npz", x=RAW, y=np.array(labels))
    table(Path("x.csv"), RAW, labels)
    interval = wilson(25, 30)
    command = f"predict net.npz {source}"
    plain = cli.json(command)
    assert (plain["labelled"], plain["right"], plain["accuracy"]) == (30, 25, 25 / 30)
    assert plain["interval"] == {"low": interval.low, "high": interval.high, "level": 0.95}
    out = cli.ok(command)
    assert f"accuracy 0.8333, 25 of 30 right (95% interval {interval.low:.4g} .. {interval.high:.4g})\n" in out
    assert "and 10 more (all with --format csv or json)\n" in out
    assert "25 of 30 right" in cli(f"{command} --format csv").err
    assert [row["right"] for row in cli.csv(command)] == ["False"] * 5 + ["True"] * 25


def test_a_test_part_is_taken_alone_and_it_is_said(cli: Cli, net: Path) -> None:
    for part, name in (("train", "a"), ("test", "b")):
        Path("parts", part, name).mkdir(parents=True)
        Image.fromarray(RAW[3]).save(f"parts/{part}/{name}/0.png")
        write_part(Path("idx"), "t10k" if part == "test" else part)
    np.savez("whole.npz", x_train=RAW, y_train=["a"] * 30, x_test=RAW[3:4], y_test=["b"])
    np.savez("alone.npz", x_test=RAW[3:4])
    for path in ("parts", "whole.npz", "alone.npz"):
        assert f"{path}: its test part is taken" in cli(f"predict net.npz {path}").err
        rows = cli.json(f"predict net.npz {path}")["predictions"]
        assert [row.get("label") for row in rows] == [None if path == "alone.npz" else "b"]
    cli.refused("predict net.npz idx", says="idx has a label '0' that the network does not know")


def test_a_table_is_read_as_the_network_s_was(cli: Cli) -> None:
    rows = [f"{i % 7};{'男女'[i % 2]};{'甲乙'[i % 2]}" for i in range(60)]
    Path("t.csv").write_text("\n".join(rows), encoding="gb18030")
    Path("t.toml").write_text(
        'name = "t"\n[data]\npath = "t.csv"\nencoding = "gb18030"\nheader = false\ncolumns = ["1", "2"]\ntrain = 30\n'
        'validation = 30\n[network]\nhidden = "4"\n[training]\nlr = 0.5\nbatch_size = 5\nepochs = 9\n'
        "[space]\nlr = { low = 1e-3, high = 1e-1 }\n"
    )
    cli.ok("train t.toml --save net.npz")
    assert cli.json("predict net.npz t.csv --label 3")["accuracy"] == 1
    Path("u.csv").write_text("1;2\n3;男\n4;女", encoding="utf-8")
    assert predicted(cli, "u.csv --encoding utf-8 --header") == ["甲", "乙"]
    Path("u.csv").write_text("1;2\nfew;男\n4;女", encoding="utf-8")
    says = "u.csv: column '1' holds texts such as 'few'; numbers are needed there"
    cli.refused("predict net.npz u.csv --encoding utf-8 --header", says=says)


def test_several_files_are_one_answer(cli: Cli, net: Path) -> None:
    np.savez("x.npz", x=RAW[:3], y=np.array(expected(net)[:3]))
    Image.fromarray(RAW[3]).save("3.png")
    table(Path("x.csv"), RAW[4:6])
    rows = cli.csv("predict net.npz x.npz 3.png x.csv")
    assert [(row["file"], row["row"]) for row in rows] == [
        *(("x.npz", str(i)) for i in (1, 2, 3)),
        ("3.png", ""),
        *(("x.csv", str(i)) for i in (1, 2)),
    ]
    assert [row["predicted"] for row in rows] == expected(net)[:6]
    assert [row["right"] for row in rows] == ["True"] * 3 + [""] * 3


def test_numbers_that_are_no_grey_levels_are_taken_as_they_are(cli: Cli, tmp_path: Path) -> None:
    takes = Preprocessing((6,), "float64", -4, 4, "none")
    save(models.network(), tmp_path / "net.npz", preprocessing=takes, class_names=NAMES)
    raw = np.random.default_rng(0).normal(0, 9, (5, 6))  # beyond what training saw, too
    np.savez("x.npz", x=raw)
    assert predicted(cli, "x.npz") == expected(tmp_path / "net.npz", raw)
    Image.fromarray(RAW[0]).save("0.png")
    cli.refused("predict net.npz 0.png", says="which no grey level stands for")


@pytest.mark.parametrize(("high", "divisor"), [(1, 255), (255, 1), (16, 1)])
def test_a_picture_comes_on_the_scale_that_was_trained_on(cli: Cli, high: float, divisor: float) -> None:
    save(models.network(), Path("net.npz"), preprocessing=Preprocessing((6,), "float64", 0, high, "none"))
    Image.fromarray(RAW[0]).save("0.png")
    own = load_model(Path("net.npz")).probabilities(RAW[:1].reshape(1, 6) / divisor)[0]
    assert cli.json("predict net.npz 0.png")["predictions"][0]["probability"] == own.max()


def test_a_network_over_a_table_takes_its_columns_by_name(cli: Cli) -> None:
    rng = np.random.default_rng(0)
    sex, age = rng.choice(["m", "f"], 120), np.where(rng.random(120) < 0.1, np.nan, rng.normal(40, 9, 120))
    frame = pd.DataFrame({"id": range(120), "sex": sex, "age": age, "pay": rng.normal(5e4, 9e3, 120)})
    frame.assign(label=np.where((sex == "f") & (frame["pay"] > 5e4), "yes", "no")).to_csv("t.csv", index=False)
    Path("t.toml").write_text(
        'name = "t"\n[data]\npath = "t.csv"\ntrain = 80\nvalidation = 40\n[network]\nhidden = "20"\n[training]\n'
        'optimizer = "adam"\nlr = 0.02\nbatch_size = 20\nepochs = 20\n[space]\nlr = { low = 1e-3, high = 1e-1 }\n'
    )
    cli.ok("train t.toml --save net.npz")
    pd.read_csv("t.csv")[["pay", "label", "age", "sex"]].to_csv("other.csv", index=False)
    answers = [cli.json(f"predict net.npz {name}.csv") for name in ("t", "other")]
    assert answers[0]["accuracy"] == answers[1]["accuracy"] > 0.9
    shown = " ".join(cli.ok("model show net.npz").split())
    assert all(words in shown for words in ("for each: 'sex' (2)", "it numbers the rows: 'id'"))
    frame.drop(columns="pay").to_csv("less.csv", index=False)
    cli.refused("predict net.npz less.csv", says="less.csv: no column 'pay'; the network takes age, pay, sex")
    np.savez("x.npz", x=frame[["id", "age", "pay"]])
    cli.refused("predict net.npz x.npz", says="x.npz: numbers alone, and the network takes a table")
    cli.refused("model export net.npz net.onnx", says="columns of texts")


def test_a_drawn_digit_is_cropped_inverted_and_resized_when_asked(made: Made) -> None:
    cli = made(TRAIN)
    page = np.full((90, 60), 250, dtype=np.uint8)
    page[20:60, 20:25] = 10
    Image.fromarray(page).save("page.png")
    for options in ("--invert --crop", "--invert --resize", "--resize"):
        cli.ok(f"predict net.npz page.png {options}")
    cli.refused(
        "predict net.npz page.png",
        says="page.png is 60x90 pixels, the network takes 28x28 (width x height); scale it, or use --resize or --crop",
    )


def npz(x: Any = RAW, **others: Any) -> Prepare:
    """Writes examples to x.npz."""
    return lambda: np.savez("x.npz", x=np.asarray(x), **others)


@pytest.mark.parametrize(
    ("command", "says", "prepare"),
    [
        ("predict missing.npz x.npz", "cannot read missing.npz: No such file or directory", lambda: None),
        ("predict x.npz x.npz", "x.npz is not a saved network", npz()),
        ("predict net.npz x.doc", "x.doc is a .doc file; rename it to .csv", lambda: Path("x.doc").write_text("x")),
        ("predict net.npz x.npz", "cannot read x.npz", lambda: None),
        ("predict net.npz x", "is a folder without pictures", lambda: Path("x").mkdir()),
        ("predict net.npz x.npz", "x.npz: examples of 3x2 values; the network takes 2x3", npz(RAW.reshape(30, 3, 2))),
        ("predict net.npz x.npz", "values from 0 to 256; the network takes", npz(np.linspace(0, 256, 6)[None])),
        ("predict net.npz x.npz", "6 missing values", npz(np.full((1, 6), np.nan))),
        ("predict net.npz x.npz", "label 'd' that the network does not know; known: a, b, c", npz(RAW[:1], y=["d"])),
        ("predict net.npz x.npz", "labels have shape (2,)", npz(RAW[:1], y=["a", "b"])),
        ("predict net.npz x.npz", "no array 'x', 'images'", lambda: np.savez("x.npz", y=RAW)),
        ("predict net.npz x.npz --crop", "--crop: it is for pictures, and x.npz is none", npz()),
        ("predict net.npz x.npz --label y", "names a column, and x.npz has none", npz()),
        ("predict net.npz x.csv --label king", "has no column 'king'", lambda: table(Path("x.csv"), RAW)),
        ("predict net.npz x.png --label y", "and x.png has none", lambda: Image.fromarray(RAW[0]).save("x.png")),
        (
            "predict net.npz x.csv",
            "column 'f' holds texts such as 'x'",
            lambda: Path("x.csv").write_text("a,b,c,d,e,f\n1,2,3,4,5,x\n"),
        ),
        ("predict bare.npz x.npz", "does not say how raw values become its inputs; train and save it again", npz()),
        ("model export net.npz net.pb", "cannot export to net.pb: give a file that ends in .onnx", lambda: None),
        ("model export net.npz no/net.onnx", "No such file or directory", lambda: None),
        ("model export bare.npz net.onnx", "does not say how raw values become its inputs", lambda: None),
    ],
)
def test_what_cannot_be_predicted_or_exported_is_said_in_one_line(
    cli: Cli, net: Path, command: str, says: str, prepare: Prepare
) -> None:
    save(models.network(), Path("bare.npz"))
    prepare()
    cli.refused(command, says=says)
    assert not Path("net.onnx").exists()


def test_a_network_is_exported(cli: Cli, net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the file: tests/objectives/test_onnx.py."""
    ran = cli("model export net.npz net.onnx")
    assert (ran.code, ran.out, ran.err) == (0, "the network is in net.onnx\n", "")
    before = Path("net.onnx").read_bytes()
    cli.ok("model export net.npz net.onnx --input float32")
    assert Path("net.onnx").read_bytes() != before
    absent: Any = None
    monkeypatch.setitem(sys.modules, "onnx", absent)
    cli.refused("model export net.npz other.onnx", says="an ONNX file needs onnx; pip install 'hpsearch[onnx]'\n")
    assert not Path("other.onnx").exists()


def test_what_is_in_a_file_is_shown(made: Made) -> None:
    cli = made(TRAIN)
    out = cli.ok("model show net.npz")
    assert out.startswith("net.npz: 784-8-10, relu, batch norm, float32, 6,386 parameters\n")
    for line in ("28x28 uint8 from 0 to 255, divided by 255", "tiny", "validation_accuracy", "settings.lr", "numpy 2"):
        assert line in out
    plain = cli.json("model show net.npz")
    assert plain["about"]["settings"]["batch_norm"] is True
    assert "momentum" not in plain["about"]["settings"]  # sgd has none
    assert plain["preprocessing"]["scale"] == [255]
    facts = {row["name"]: row["value"] for row in cli.csv("model show net.npz")}
    assert facts["classes"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


def test_texts_from_anybody_steer_no_terminal(cli: Cli, tmp_path: Path) -> None:
    evil = "\x1b[31m[red]\n\x07"
    save(models.network(), tmp_path / "net.npz", about={evil: evil}, preprocessing=models.GREY, class_names=[evil] * 3)
    np.savez("x.npz", x=RAW)
    for command in ("predict net.npz x.npz", "model show net.npz"):
        for form in ("table", "csv", "json"):
            out = cli.ok(f"{command} --format {form}")
            assert not set("\x1b\x07") & set(out)
            assert "\\x1b[31m[red]" in out or "\\u001b[31m[red]" in out

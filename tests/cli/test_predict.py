"""``hpsearch predict`` and ``hpsearch model show``: a saved network is used by whoever has the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import pytest
from commands import TRAIN, Cli, Made
from PIL import Image

from hpsearch import data
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.nn import load_model, save
from hpsearch.statistics import wilson

NAMES = ("a", "b", "c")
RAW = np.random.default_rng(0).integers(0, 256, (30, 2, 3)).astype(np.uint8)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A network of 2x3 grey levels and the classes a, b and c."""
    return models.saved(tmp_path / "net.npz")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def expected(net: Path, raw: object = RAW) -> list[str]:
    model = load_model(net)
    return [model.class_names[best] for best in model.probabilities(np.asarray(raw)).argmax(axis=1)]


def table(path: Path, raw: np.ndarray, labels: list[str] | None = None, name: str = "label") -> None:
    header = [*([name] if labels else []), *(f"p{i}" for i in range(raw[0].size))]
    lines = [[*([labels[i]] if labels else []), *map(str, row.ravel())] for i, row in enumerate(raw)]
    path.write_text("\n".join(",".join(line) for line in [header, *lines]) + "\n")


def test_a_digit_that_was_trained_on_mnist_is_read_from_a_png(made: Made) -> None:
    cli = made(TRAIN)
    images = data.load("mnist-10k")
    Path("digits").mkdir()
    for i in range(12):
        Image.fromarray(images.x[i]).save(f"digits/{i:02}.png")
    np.savez("digits.npz", x=images.x[:12], y=images.labels[:12])
    found = rows(cli("predict", "net.npz", "digits", "--format", "csv").out)
    assert [row["file"] for row in found] == [f"digits/{i:02}.png" for i in range(12)]
    assert [row["predicted"] for row in found] == expected(Path("net.npz"), images.x[:12])
    whole = json.loads(cli("predict", "net.npz", "digits.npz", "--format", "json").out)
    assert [row["probability"] for row in whole["predictions"]] == [float(row["probability"]) for row in found]


def test_every_way_to_give_the_same_pixels_gives_the_same_classes(cli: Cli, net: Path) -> None:
    np.savez("bytes.npz", x=RAW)
    np.savez("whole.npz", images=RAW.astype(np.int64))
    np.savez("flat.npz", x=RAW.reshape(30, 6))
    np.savez("deep.npz", x=RAW[..., None])
    np.savez("scaled.npz", x=RAW / 255)
    table(Path("table.csv"), RAW)
    Path("pictures").mkdir()
    for i, raw in enumerate(RAW):
        Image.fromarray(raw).save(f"pictures/{i:02}.png")
    for source in ("bytes.npz", "whole.npz", "flat.npz", "deep.npz", "scaled.npz", "table.csv", "pictures"):
        ran = cli("predict", "net.npz", source, "--format", "csv")
        assert ran.code == 0, source
        assert [row["predicted"] for row in rows(ran.out)] == expected(net), source
        assert ("taken as grey levels that are divided by 255 already" in ran.err) == (source == "scaled.npz")


def test_probabilities_and_the_next_best_class_are_those_of_the_model(cli: Cli, net: Path) -> None:
    np.savez("x.npz", x=RAW)
    probabilities = load_model(net).probabilities(RAW)
    found = json.loads(cli("predict", "net.npz", "x.npz", "--format", "json").out)
    assert set(found) == {"predictions"}
    for row, own in zip(found["predictions"], probabilities, strict=True):
        third, second, first = own.argsort()
        assert (row["predicted"], row["next"]) == (NAMES[first], NAMES[second])
        assert (row["probability"], row["next_probability"]) == (own[first], own[second])
        assert own[first] >= own[second] >= own[third]
    assert [row["row"] for row in found["predictions"]] == list(range(1, 31))


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_labels_give_the_accuracy_and_its_interval(cli: Cli, net: Path, kind: str) -> None:
    labels = expected(net)
    labels[:5] = [NAMES[(NAMES.index(label) + 1) % 3] for label in labels[:5]]
    if kind == "npz":
        np.savez("x.npz", x=RAW, y=np.array(labels))
    else:
        table(Path("x.csv"), RAW, labels)
    interval = wilson(25, 30)
    found = json.loads(cli("predict", "net.npz", f"x.{kind}", "--format", "json").out)
    assert (found["labelled"], found["right"], found["accuracy"]) == (30, 25, 25 / 30)
    assert found["interval"] == {"low": interval.low, "high": interval.high, "level": 0.95}
    ran = cli("predict", "net.npz", f"x.{kind}")
    assert f"accuracy 0.8333, 25 of 30 right (95% interval {interval.low:.4g} .. {interval.high:.4g})\n" in ran.out
    assert "and 10 more (all with --format csv or json)\n" in ran.out
    ran = cli("predict", "net.npz", f"x.{kind}", "--format", "csv")
    assert "25 of 30 right" in ran.err
    assert [row["right"] for row in rows(ran.out)] == ["False"] * 5 + ["True"] * 25


def test_labels_stand_in_the_column_that_is_named(cli: Cli, net: Path) -> None:
    table(Path("x.csv"), RAW, expected(net), name="kind")
    assert "30 of 30 right" in cli("predict", "net.npz", "x.csv", "--label", "kind").out
    ran = cli("predict", "net.npz", "x.csv", "--label", "king")
    assert (ran.code, "has no column 'king'" in ran.err) == (2, True)


def features(path: Path, low: float, high: float) -> Path:
    """A network over a table's numbers as they are."""
    asked = Preprocessing((6,), "float64", 1.0, low, high)
    save(models.network(), path, preprocessing=asked, class_names=NAMES)
    return path


def test_numbers_that_are_no_grey_levels_are_taken_as_they_are(cli: Cli, tmp_path: Path) -> None:
    net = features(tmp_path / "net.npz", -4, 4)
    raw = np.random.default_rng(0).normal(0, 9, (5, 6))  # beyond what training saw, too
    np.savez("x.npz", x=raw)
    assert [row["predicted"] for row in rows(cli("predict", "net.npz", "x.npz", "--format", "csv").out)] == expected(
        net, raw
    )
    Image.fromarray(RAW[0]).save("0.png")
    ran = cli("predict", "net.npz", "0.png")
    assert (ran.code, "which no grey level stands for" in ran.err) == (2, True)


@pytest.mark.parametrize(("high", "divisor"), [(1, 255), (255, 1), (16, 1)])
def test_a_picture_comes_on_the_scale_that_was_trained_on(
    cli: Cli, tmp_path: Path, high: float, divisor: float
) -> None:
    net = features(tmp_path / "net.npz", 0, high)
    Image.fromarray(RAW[0]).save("0.png")
    found = json.loads(cli("predict", "net.npz", "0.png", "--format", "json").out)
    own = load_model(net).probabilities(RAW[:1].reshape(1, 6) / divisor)[0]
    assert found["predictions"][0]["probability"] == own.max()


def test_a_drawn_digit_is_cropped_inverted_and_resized_when_asked(made: Made) -> None:
    cli = made(TRAIN)
    Image.fromarray(np.full((90, 60), 250, dtype=np.uint8)).save("empty.png")
    page = np.full((90, 60), 250, dtype=np.uint8)
    page[20:60, 20:25] = 10
    Image.fromarray(page).save("page.png")
    for options in (["--invert", "--crop"], ["--invert", "--resize"], ["--resize"]):
        assert cli("predict", "net.npz", "page.png", *options).code == 0
    ran = cli("predict", "net.npz", "page.png")
    assert ran.err == (
        "hpsearch: page.png is 60x90 pixels, the network takes 28x28 (width x height); scale it, or use --resize or "
        "--crop\n"
    )
    assert "nothing in it" in cli("predict", "net.npz", "empty.png", "--crop").err


def bare() -> None:
    """A file that does not say how raw values become inputs."""
    save(models.network(), Path("bare.npz"))
    np.savez("x.npz", x=RAW)


Prepare = Callable[[], object]


def npz(x: object = RAW, **others: object) -> Prepare:
    """Writes examples to x.npz."""
    return lambda: np.savez("x.npz", **{"x": np.asarray(x), **others})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "says", "prepare"),
    [
        ("missing.npz x.npz", "cannot read missing.npz: No such file or directory", lambda: None),
        ("x.npz x.npz", "x.npz is not a saved network", npz()),
        ("net.npz x.txt", "holds no examples that can be read; allowed: .npz", lambda: Path("x.txt").write_text("x")),
        ("net.npz x.npz", "no file or folder x.npz", lambda: None),
        ("net.npz x", "is a folder without pictures", lambda: Path("x").mkdir()),
        ("net.npz x.npz", "holds examples of 3x3 values, the network takes 2x3", npz(RAW[:, [0, 1, 0]])),
        ("net.npz x.npz", "holds examples of 3x2 values, the network takes 2x3", npz(RAW.reshape(30, 3, 2))),
        ("net.npz x.npz", "holds values from -1 to 3", npz(np.linspace(-1, 3, 6)[None])),
        ("net.npz x.npz", "values from 0 to 256; the network takes", npz(np.linspace(0, 256, 6)[None])),
        ("net.npz x.npz", "are NaN, infinite", npz(np.full((1, 6), np.nan))),
        ("net.npz x.npz", "a label 'd' that the network does not know; known: a, b, c", npz(RAW[:1], y=["d"])),
        ("net.npz x.npz", "2 labels for 1 example;", npz(RAW[:1], y=["a", "b"])),
        ("net.npz x.npz", "no array 'x' or 'images'", lambda: np.savez("x.npz", y=RAW)),
        ("net.npz x.npz --crop", "--crop: it is for pictures, and x.npz is none", npz()),
        ("net.npz x.npz --label y", "names a column, and x.npz has none", npz()),
        ("net.npz x.png", "is no whole .png or .jpg picture", lambda: Path("x.png").write_bytes(b"GIF89a")),
        ("net.npz x.png --label y", "and x.png has none", lambda: Image.fromarray(RAW[0]).save("x.png")),
        ("net.npz x.csv", "is not a number", lambda: Path("x.csv").write_text("a,b,c,d,e,f\n1,2,3,4,5,x\n")),
        ("bare.npz x.npz", "does not say how raw values become its inputs; train and save it again", bare),
        ("net.npz", "predict needs FILES...", lambda: None),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_said_in_one_line(
    cli: Cli, net: Path, command: str, says: str, prepare: Prepare
) -> None:
    prepare()
    ran = cli("predict", *command.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert says in ran.err


def test_what_is_in_a_file_is_shown(made: Made) -> None:
    cli = made(TRAIN)
    out = cli("model", "show", "net.npz").out
    assert out.startswith("net.npz: 784-8-10, relu, batch norm, float32, 6,386 parameters\n")
    for line in ("28x28 uint8 from 0 to 255, divided by 255", "tiny", "validation_accuracy", "settings.lr", "numpy 2"):
        assert line in out
    found = json.loads(cli("model", "show", "net.npz", "--format", "json").out)
    assert found["about"]["settings"]["batch_norm"] is True
    assert "momentum" not in found["about"]["settings"]  # sgd has none
    assert found["preprocessing"]["divisor"] == 255
    facts = {row["name"]: row["value"] for row in rows(cli("model", "show", "net.npz", "--format", "csv").out)}
    assert facts["classes"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


def test_texts_from_anybody_steer_no_terminal(cli: Cli, tmp_path: Path) -> None:
    evil = "\x1b[31m[red]\n\x07"
    save(models.network(), tmp_path / "net.npz", about={evil: evil}, preprocessing=models.GREY, class_names=[evil] * 3)
    np.savez("x.npz", x=RAW)
    for command in (["predict", "net.npz", "x.npz"], ["model", "show", "net.npz"]):
        for form in ("table", "csv", "json"):
            ran = cli(*command, "--format", form)
            assert ran.code == 0
            assert not set("\x1b\x07") & set(ran.out)
            assert "\\x1b[31m[red]" in ran.out or "\\u001b[31m[red]" in ran.out

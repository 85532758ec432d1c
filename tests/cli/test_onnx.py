"""An exported network says what the saved one says, by another program, from raw values."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import models
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from commands import TRAIN, Cli, Made

from hpsearch import data
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.nn import ACTIVATIONS, load_model, save

IMAGES = data.load("mnist-10k").x[:70]


def run(path: Path, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Probabilities by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"pixels": raw})
    return np.asarray(found)


def digits(path: Path, **options: Any) -> Path:
    """A network of images of digits."""
    asked = Preprocessing((28, 28))
    save(models.network(sizes=(784, 20, 15, 10), **options), path, about={"study": "é"}, preprocessing=asked)
    return path


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_real_images_get_the_same_probabilities(
    cli: Cli, tmp_path: Path, activation: str, batch_norm: bool, dtype: str
) -> None:
    net = digits(tmp_path / "net.npz", activation=activation, batch_norm=batch_norm, dtype=dtype)
    ran = cli("model", "export", "net.npz", "net.onnx")
    assert (ran.code, ran.out, ran.err) == (0, "the network is in net.onnx\n", "")
    expected = load_model(net).probabilities(IMAGES)
    assert np.ptp(expected, axis=0).max() > 0.01  # not the same answer for every image
    for raw in (IMAGES, IMAGES[:1]):  # any number at a time
        found = run(tmp_path / "net.onnx", raw)
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_allclose(found, expected[: len(raw)], atol=1e-12 if dtype == "float64" else 1e-5, rtol=0)


@pytest.mark.parametrize("sizes", [(6, 3), (6, 1, 3), (6, 5, 5, 5, 5, 3)])
@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3)])
def test_any_depth_and_any_shape_of_examples(
    cli: Cli, tmp_path: Path, sizes: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    save(models.network(sizes=sizes), tmp_path / "net.npz", preprocessing=Preprocessing(shape))
    assert cli("model", "export", "net.npz", "net.onnx").code == 0
    raw = np.random.default_rng(0).integers(0, 256, (9, *shape)).astype(np.uint8)
    expected = load_model(tmp_path / "net.npz").probabilities(raw)
    np.testing.assert_allclose(run(tmp_path / "net.onnx", raw), expected, atol=1e-5)


def test_a_network_over_numbers_takes_them_as_they_are(cli: Cli, tmp_path: Path) -> None:
    save(models.network(), tmp_path / "net.npz", preprocessing=Preprocessing((6,), "float64", 1.0, -3.0, 3.0))
    assert cli("model", "export", "net.npz", "net.onnx").code == 0
    raw = np.random.default_rng(0).standard_normal((9, 6)).astype(np.float32)
    expected = load_model(tmp_path / "net.npz").probabilities(raw)
    np.testing.assert_allclose(run(tmp_path / "net.onnx", raw), expected, atol=1e-5)
    ran = cli("model", "export", "net.npz", "net.onnx", "--input", "uint8")
    assert (ran.code, "the network takes float64, not grey levels" in ran.err) == (2, True)


def test_large_sums_do_not_overflow(cli: Cli, tmp_path: Path) -> None:
    net = models.network(batch_norm=False, activation="relu")
    for layer in net.parameters:
        for values in layer.values():
            values *= 100
    save(net, tmp_path / "net.npz", preprocessing=models.GREY)
    assert cli("model", "export", "net.npz", "net.onnx").code == 0
    raw = np.random.default_rng(0).integers(0, 256, (9, 2, 3)).astype(np.uint8)
    found = run(tmp_path / "net.onnx", raw)
    np.testing.assert_allclose(found, load_model(tmp_path / "net.npz").probabilities(raw), atol=1e-5)


def test_the_file_is_valid_and_says_where_it_comes_from(made: Made) -> None:
    cli = made(TRAIN)
    assert cli("model", "export", "net.npz", "net.onnx").code == 0
    made = onnx.load("net.onnx")
    onnx.checker.check_model(made, full_check=True)
    said = {entry.key: json.loads(entry.value) for entry in made.metadata_props}
    model = load_model(Path("net.npz"))
    assert said["about"] == model.about
    assert said["class_names"] == list(model.class_names)
    assert said["versions"] == model.versions
    assert said["preprocessing"]["divisor"] == 255
    assert (made.producer_name, made.opset_import[0].version, made.ir_version) == ("hpsearch", 17, 8)
    (given,), (answer,) = made.graph.input, made.graph.output
    sizes = [size.dim_param or size.dim_value for size in given.type.tensor_type.shape.dim]
    assert (given.name, answer.name, sizes) == ("pixels", "probabilities", ["N", 28, 28])


def test_without_onnx_what_to_install_is_said(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits(tmp_path / "net.npz")
    absent: Any = None
    monkeypatch.setitem(sys.modules, "onnx", absent)
    ran = cli("model", "export", "net.npz", "net.onnx")
    assert (ran.code, ran.err) == (2, "hpsearch: an ONNX file needs onnx; pip install 'hpsearch[onnx]'\n")
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["net.npz", "net.pb"], "cannot export to net.pb: give a file that ends in .onnx"),
        (["net.npz", "no/net.onnx"], "No such file or directory"),
        (["net.npz", "folder.onnx"], "it is a folder"),
        (["missing.npz", "net.onnx"], "cannot read missing.npz"),
        (["bare.npz", "net.onnx"], "does not say how raw values become its inputs"),
        (["net.npz", "net.onnx", "--input", "int8"], "--input 'int8'; did you mean 'uint8'? known: float32, uint8"),
        (["net.npz"], "model export needs FILE.onnx"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(cli: Cli, tmp_path: Path, arguments: list[str], says: str) -> None:
    digits(tmp_path / "net.npz")
    save(models.network(), tmp_path / "bare.npz")
    Path("folder.onnx").mkdir()
    ran = cli("model", "export", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert says in ran.err
    assert not (tmp_path / "net.onnx").exists()

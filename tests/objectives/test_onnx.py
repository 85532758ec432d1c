"""An exported network says what the saved one says, by another program, from raw values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import models
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pandas as pd
import pytest

from hpsearch import data
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadInput
from hpsearch.nn import ACTIVATIONS, Network, load_model, save
from hpsearch.objectives.network.onnx_export import export_onnx

IMAGES: npt.NDArray[np.uint8] = np.asarray(data.load("mnist-10k").x[:70])
RAW = np.random.default_rng(0).integers(0, 256, (9, 2, 3)).astype(np.uint8)


def exported(
    folder: Path,
    network: Network,
    examples: npt.NDArray[Any],
    takes: Preprocessing,
    *,
    close: float = 1e-5,
    **options: Any,
) -> npt.NDArray[Any]:
    """Save and export a network; its probabilities by onnxruntime, which are as close to its own as that."""
    save(network, folder / "net.npz", about={"study": "é"}, preprocessing=takes)
    model = load_model(folder / "net.npz")
    export_onnx(model, folder / "net.onnx", **options)
    runtime = onnxruntime.SessionOptions()
    runtime.intra_op_num_threads = runtime.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "net.onnx", runtime, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"pixels": examples})
    (first,) = session.run(["probabilities"], {"pixels": examples[:1]})  # any number at a time
    np.testing.assert_allclose(probabilities, model.probabilities(examples), atol=close, rtol=0)
    np.testing.assert_allclose(first, model.probabilities(examples[:1]), atol=close, rtol=0)
    return np.asarray(probabilities)


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_real_images_get_the_same_probabilities(
    tmp_path: Path, activation: str, batch_norm: bool, dtype: str, close: float
) -> None:
    net = models.network(sizes=(784, 20, 15, 10), activation=activation, batch_norm=batch_norm, dtype=dtype)
    probabilities = exported(tmp_path, net, IMAGES, Preprocessing((28, 28)), close=close)
    assert np.ptp(probabilities, axis=0).max() > 0.01  # not the same answer for every image
    assert probabilities.dtype == np.dtype(dtype)


@pytest.mark.parametrize("sizes", [(6, 3), (6, 1, 3), (6, 5, 5, 5, 5, 3)])
@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3)])
def test_any_depth_and_any_shape_of_examples(tmp_path: Path, sizes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    exported(tmp_path, models.network(sizes=sizes), RAW.reshape(9, *shape), Preprocessing(shape))


def test_a_network_over_numbers_takes_them_as_they_are(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).standard_normal((9, 6)).astype(np.float32)
    exported(tmp_path, models.network(), raw, Preprocessing((6,), "float64", -3.0, 3.0, "none"))
    with pytest.raises(BadInput, match="the network takes float64, not grey levels"):
        export_onnx(load_model(tmp_path / "net.npz"), tmp_path / "net.onnx", raw="uint8")


def test_columns_are_picked_filled_and_scaled_in_the_graph(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    raw: npt.NDArray[Any] = (rng.normal(size=(30, 7)) * 10.0 ** np.arange(-3, 4)).astype(np.float32)
    raw[::4, 2] = np.nan
    takes = Preprocessing.fit(raw, left_out={0: "because", 5: "because"})
    assert takes.inputs == 6  # five numbers, and whether one of them is missing
    exported(tmp_path, models.network(), raw, takes)
    texts = Preprocessing.fit(pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]}))
    save(models.network(sizes=(3, 2)), tmp_path / "texts.npz", preprocessing=texts)
    with pytest.raises(BadInput, match="columns of texts, and an ONNX file takes numbers alone"):
        export_onnx(load_model(tmp_path / "texts.npz"), tmp_path / "net.onnx")


def test_grey_levels_may_go_in_as_floats(tmp_path: Path) -> None:
    exported(tmp_path, models.network(), RAW.astype(np.float32), models.GREY, raw="float32")


def test_the_file_is_valid_the_same_each_time_and_says_where_it_comes_from(tmp_path: Path) -> None:
    exported(tmp_path, models.network(), RAW, models.GREY)
    model = load_model(tmp_path / "net.npz")
    export_onnx(model, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()
    made = onnx.load(str(tmp_path / "net.onnx"))
    onnx.checker.check_model(made, full_check=True)
    kept = {entry.key: json.loads(entry.value) for entry in made.metadata_props}
    assert (kept["about"], kept["versions"]) == (model.about, model.versions)
    assert kept["class_names"] == list(model.class_names)
    assert kept["preprocessing"]["scale"] == [255]
    assert (made.producer_name, made.opset_import[0].version, made.ir_version) == ("hpsearch", 17, 8)
    (given,), (answer,) = made.graph.input, made.graph.output
    sizes = [size.dim_param or size.dim_value for size in given.type.tensor_type.shape.dim]
    assert (given.name, answer.name, sizes) == ("pixels", "probabilities", ["N", 2, 3])

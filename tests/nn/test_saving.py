"""A network comes back from its file as it was, with what is needed to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import models
import numpy as np
import pytest

from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadInput
from hpsearch.nn import ACTIVATIONS, Inputs, Model, Network, Purpose, lane_rngs, load, load_model, save


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("dropout", [None, 0.5])
def test_a_saved_lane_answers_with_the_same_bits(
    tmp_path: Path, activation: str, batch_norm: bool, dtype: str, dropout: float | None
) -> None:
    trained = models.network(3, activation=activation, batch_norm=batch_norm, dtype=dtype, dropout=dropout)
    save(trained, tmp_path / "n.npz", lane=1, about={"study": "mnist", "lr": 0.1})
    loaded, about = load(tmp_path / "n.npz")
    assert about == {"study": "mnist", "lr": 0.1}
    x = np.random.default_rng(2).standard_normal((1, 4, 6)).astype(dtype)
    assert loaded.lanes == 1
    assert loaded.infer(x)[0].tobytes() == trained.infer(x)[1].tobytes()


@pytest.mark.parametrize("sizes", [(6, 3), (6, 1, 3), (6, 7, 2, 9, 3)])
def test_any_depth_comes_back(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    trained = models.network(sizes=sizes)
    save(trained, tmp_path / "n.npz")
    x = np.random.default_rng(2).random((1, 4, 6), dtype=np.float32)
    assert load(tmp_path / "n.npz")[0].infer(x).tobytes() == trained.infer(x).tobytes()


def test_a_model_is_saved_and_predicts_with_the_same_bits(tmp_path: Path) -> None:
    trained = models.network()
    names = ("cat", "dog", "é\N{SNOWMAN}")
    save(trained, tmp_path / "n.npz", about={"a": [1, None]}, preprocessing=models.GREY, class_names=names)
    loaded = load_model(tmp_path / "n.npz")
    assert (loaded.preprocessing, loaded.class_names, loaded.about) == (models.GREY, names, {"a": [1, None]})
    assert set(loaded.versions) == {"hpsearch", "python", "numpy"}
    raw = np.random.default_rng(3).integers(0, 256, (300, 2, 3)).astype(np.uint8)  # more than one pass
    before = Model(trained, models.GREY, names).probabilities(raw)
    assert loaded.probabilities(raw).tobytes() == before.tobytes()
    assert np.allclose(before.sum(axis=1), 1)


def test_probabilities_are_the_softmax_of_the_logits_of_scaled_pixels() -> None:
    trained = models.network(dtype="float64")
    raw = np.random.default_rng(3).integers(0, 256, (5, 2, 3)).astype(np.uint8)
    logits = trained.infer((raw.reshape(1, 5, 6).astype(np.float32) / np.float32(255)).astype(np.float64))[0]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = Model(trained, models.GREY, ("a", "b", "c")).probabilities(raw)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(784, 100, 10), (784, 33, 7), (784, 10)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_said_of_an_example_does_not_hang_on_its_company(sizes: tuple[int, ...], dtype: str) -> None:
    model = Model(models.network(sizes=sizes, dtype=dtype, batch_norm=False), Preprocessing((28, 28)), ())
    raw = np.random.default_rng(3).integers(0, 256, (261, 28, 28)).astype(np.uint8)
    together = model.probabilities(raw)
    for i in (0, 1, 100, 255, 256, 260):
        assert model.probabilities(raw[i : i + 1])[0].tobytes() == together[i].tobytes()


def test_inputs_that_were_left_out_come_back_in_the_file(tmp_path: Path) -> None:
    inputs = Inputs(6, np.array([1, 2, 5]))
    narrow = Network([3, 4, 3], rngs=lane_rngs(0, range(2), Purpose.WEIGHTS), inputs=inputs)
    save(narrow, tmp_path / "n.npz", lane=1, inputs=inputs, preprocessing=models.GREY)
    loaded = load_model(tmp_path / "n.npz")
    assert loaded.network.sizes == (6, 4, 3)
    x = np.random.default_rng(2).random((1, 4, 6), dtype=np.float32)
    assert loaded.network.infer(x).tobytes() == narrow.widened(inputs).infer(x)[1:].tobytes()
    np.testing.assert_allclose(loaded.network.infer(x)[0], narrow.infer(x[..., inputs.kept])[1], rtol=1e-5, atol=1e-6)


def test_the_same_network_gives_the_same_file(tmp_path: Path) -> None:
    first, second = models.saved(tmp_path / "a.npz"), models.saved(tmp_path / "b.npz")
    assert first.read_bytes() == second.read_bytes()


def test_the_file_holds_arrays_and_text_and_no_pickle(tmp_path: Path) -> None:
    models.saved(tmp_path / "n.npz")
    with np.load(tmp_path / "n.npz", allow_pickle=False) as archive:
        kinds = {name: archive[name].dtype.kind for name in archive.files}
    assert {name for name, kind in kinds.items() if kind == "U"} == {"about", "architecture", "preprocessing"}
    assert set(kinds.values()) == {"U", "f"}
    assert [path.name for path in tmp_path.iterdir()] == ["n.npz"]


def former(
    path: Path, about: Mapping[str, object], *, sizes: tuple[int, ...] = (784, 4, 10), by_old_numpy: bool = False
) -> Network:
    """A file as hpsearch 0.2.0 wrote it, in format 1."""
    trained = Network(sizes, rngs=lane_rngs(0, [0], Purpose.WEIGHTS))
    architecture = {"format": 1, "sizes": sizes, "activation": "relu", "batch_norm": False, "dtype": "float32"}
    arrays = {f"{i}.{n}": a[0] for i, p in enumerate(filter(None, trained.parameters)) for n, a in p.items()}
    texts = {"architecture": np.array(json.dumps(architecture)), "about": np.array(json.dumps(about))}
    # NumPy before 2.1 took savez's option allow_pickle=False for an array.
    others = {"allow_pickle": np.array(False)} if by_old_numpy else {}
    np.savez(path, **texts, **arrays, **others)  # type: ignore[arg-type]
    return trained


@pytest.mark.parametrize("data", [{"name": "mnist"}, {"name": None, "path": None}, {"name": "fashion-mnist"}])
@pytest.mark.parametrize("by_old_numpy", [False, True])
def test_a_file_of_format_1_over_named_images_predicts(
    tmp_path: Path, data: dict[str, object], by_old_numpy: bool
) -> None:
    names = list("zyxwvutsrq")
    about = {"study": "mnist", "data": data, "class_names": names}
    trained = former(tmp_path / "n.npz", about, by_old_numpy=by_old_numpy)
    loaded = load_model(tmp_path / "n.npz")
    assert (loaded.preprocessing, loaded.class_names) == (Preprocessing((28, 28)), tuple(names))
    raw = np.random.default_rng(3).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    before = Model(trained, Preprocessing((28, 28)), ()).probabilities(raw)
    assert loaded.probabilities(raw).tobytes() == before.tobytes()


@pytest.mark.parametrize("about", [{}, {"data": {"name": "digits"}}, {"data": {"name": None, "path": "x.csv"}}])
def test_a_file_of_format_1_that_does_not_say_its_scale_loads_and_does_not_guess(
    tmp_path: Path, about: dict[str, object]
) -> None:
    former(tmp_path / "n.npz", about, sizes=(6, 4, 3))
    loaded = load_model(tmp_path / "n.npz")
    assert (loaded.preprocessing, loaded.class_names) == (None, ("0", "1", "2"))
    with pytest.raises(BadInput, match="does not say how raw values become its inputs; train and save it again"):
        loaded.probabilities(np.zeros((1, 6)))


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    path = models.saved(tmp_path / "n.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["architecture"] = np.array(str(arrays["architecture"]).replace('"format": 2', '"format": 3'))
    np.savez(path, **arrays)
    with pytest.raises(BadInput, match="format 3, this hpsearch reads 2; update hpsearch"):
        load(path)


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    made = models.network(3)
    with pytest.raises(BadInput, match=r"saved as \.npz"):
        save(made, tmp_path / "n.pkl")
    with pytest.raises(BadInput, match="lanes 0 to 2"):
        save(made, tmp_path / "n.npz", lane=3)
    with pytest.raises(BadInput, match="No such file or directory"):
        save(made, tmp_path / "missing" / "n.npz")
    with pytest.raises(BadInput, match=r"examples of shape \(28, 28\) for a network of 6 inputs"):
        save(made, tmp_path / "n.npz", preprocessing=Preprocessing((28, 28)))
    with pytest.raises(BadInput, match="2 class names for a network of 3 classes"):
        save(made, tmp_path / "n.npz", class_names=["a", "b"])
    made.parameters[0]["bias"][2, 0, 1] = np.nan
    with pytest.raises(BadInput, match=r"0\.bias holds numbers that are not finite"):
        save(made, tmp_path / "n.npz", lane=2)
    save(made, tmp_path / "n.npz", lane=1)
    assert [path.name for path in tmp_path.iterdir()] == ["n.npz"]


def test_sums_that_overflow_are_no_probabilities() -> None:
    made = models.network(batch_norm=False, activation="relu")
    for layer in made.parameters:
        for values in layer.values():
            values[...] = 1e30
    with pytest.raises(BadInput, match="no finite probabilities"):
        Model(made, models.GREY, ("a", "b", "c")).probabilities(np.full((1, 6), 255, dtype=np.uint8))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Preprocessing(()),
        lambda: Preprocessing((2, 0)),
        lambda: Preprocessing((2,) * 9),
        lambda: Preprocessing((2,), divisor=0),
        lambda: Preprocessing((2,), low=2, high=1),
        lambda: Preprocessing((2,), high=float("nan")),
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(BadInput, match="examples of"):
        make()


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_preprocessing_leaves_the_raw_values_as_they_are(dtype: str) -> None:
    raw = np.arange(12).reshape(2, 2, 3).astype(dtype)
    asked = Preprocessing.of(raw)
    inputs = asked.apply(raw)
    assert (inputs.dtype, inputs.shape) == (np.dtype(np.float32), (2, 6))
    np.testing.assert_array_equal(raw.ravel(), np.arange(12))
    np.testing.assert_array_equal(inputs.ravel(), np.arange(12, dtype=np.float32) / np.float32(asked.divisor))
    assert (asked.low, asked.high, asked.divisor) == ((0, 255, 255) if dtype == "uint8" else (0, 11, 1))

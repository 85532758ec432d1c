"""A network comes back from its file as it was, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.nn import ACTIVATIONS, Network, Purpose, lane_rngs, load, save


def network(lanes: int = 3, *, activation: str = "tanh", batch_norm: bool = True, dtype: str = "float32") -> Network:
    made = Network(
        [6, 5, 4, 3],
        rngs=lane_rngs(0, range(lanes), Purpose.WEIGHTS),
        activation=activation,
        batch_norm=batch_norm,
        dropout=0.5,
        dropout_rngs=lane_rngs(0, range(lanes), Purpose.DROPOUT),
        dtype=dtype,
    )
    x = np.random.default_rng(1).standard_normal((lanes, 8, 6)).astype(dtype)
    for _ in range(3):
        made.forward(x)  # so that running statistics are no longer those of the start
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_a_saved_lane_answers_with_the_same_bits(tmp_path: Path, activation: str, batch_norm: bool, dtype: str) -> None:
    trained = network(activation=activation, batch_norm=batch_norm, dtype=dtype)
    save(trained, tmp_path / "n.npz", lane=1, about={"study": "mnist", "lr": 0.1})
    loaded, about = load(tmp_path / "n.npz")
    assert about == {"study": "mnist", "lr": 0.1}
    x = np.random.default_rng(2).standard_normal((1, 4, 6)).astype(dtype)
    assert loaded.lanes == 1
    assert loaded.infer(x)[0].tobytes() == trained.infer(x)[1].tobytes()


def test_the_file_holds_arrays_and_text_and_no_pickle(tmp_path: Path) -> None:
    save(network(), tmp_path / "n.npz")
    with np.load(tmp_path / "n.npz", allow_pickle=False) as archive:
        kinds = {name: archive[name].dtype.kind for name in archive.files}
    assert {name for name, kind in kinds.items() if kind == "U"} == {"about", "architecture", "preprocessing"}
    assert set(kinds.values()) == {"U", "f"}
    assert [path.name for path in tmp_path.iterdir()] == ["n.npz"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(b""),
        lambda path: np.savez(path, images=np.zeros(3)),
        lambda path: np.savez(path, architecture=np.array("not JSON"), about=np.array("{}")),
        lambda path: np.savez(path, architecture=np.array("[]"), about=np.array("{}")),
        lambda path: np.savez(path, **{**dict(np.load(path)), "0.weight": np.zeros((6, 4), np.float32)}),
        lambda path: np.savez(path, **{**dict(np.load(path)), "9.weight": np.zeros((6, 4), np.float32)}),
        lambda path: np.savez(path, **{k: v for k, v in np.load(path).items() if k != "0.bias"}),
        lambda path: np.savez(path, **{**dict(np.load(path)), "0.weight": np.array([{}], dtype=object)}),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # np.load in a lambda closes nothing
def test_what_is_no_network_is_refused(tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "n.npz"
    save(network(), path)
    assert callable(spoil)
    spoil(path)
    with pytest.raises(BadInput, match=r"n\.npz is not a saved network, or is damaged"):
        load(path)


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "n.npz"
    save(network(), path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["architecture"] = np.array(str(arrays["architecture"]).replace('"format": 2', '"format": 3'))
    np.savez(path, **arrays)
    with pytest.raises(BadInput, match="format 3, this hpsearch reads 2; update hpsearch"):
        load(path)


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"saved as \.npz"):
        save(network(), tmp_path / "n.pkl")
    with pytest.raises(BadInput, match="lanes 0 to 2"):
        save(network(), tmp_path / "n.npz", lane=3)
    with pytest.raises(BadInput, match="No such file or directory"):
        save(network(), tmp_path / "missing" / "n.npz")
    with pytest.raises(BadInput, match="No such file or directory"):
        load(tmp_path / "n.npz")

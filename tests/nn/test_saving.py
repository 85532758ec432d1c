"""Saved networks: they come back as they were; a file from anybody gives a network or a refusal of one line.

Nothing in a file is run, and no more memory is taken than the file has bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadInput
from hpsearch.nn import Model, load_model, save


@pytest.mark.parametrize("names", [(), ("cat", "dog", "é\N{SNOWMAN}")])
@pytest.mark.parametrize(
    ("activation", "batch_norm", "dtype", "dropout", "sizes"),
    [
        ("relu", False, "float32", None, (6, 3)),
        ("sigmoid", True, "float32", 0.5, (6, 1, 3)),
        ("tanh", False, "float64", 0.5, (6, 7, 2, 9, 3)),
        ("relu", True, "float64", None, (6, 5, 4, 3)),
    ],
)
def test_a_saved_network_comes_back_and_answers_with_the_same_bits(
    tmp_path: Path, names: tuple[str, ...], activation: str, batch_norm: bool, dtype: str, dropout: Any, sizes: Any
) -> None:
    options = {"activation": activation, "batch_norm": batch_norm, "dtype": dtype, "dropout": dropout, "sizes": sizes}
    trained = models.network(3, **options)
    trained.keep(np.array([1]))
    save(trained, tmp_path / "n.npz", about={"a": [1, None]}, preprocessing=models.GREY, class_names=names)
    loaded = load_model(tmp_path / "n.npz")
    assert (loaded.preprocessing, loaded.about) == (models.GREY, {"a": [1, None]})
    assert loaded.class_names == (names or ("0", "1", "2"))
    assert set(loaded.versions) == {"hpsearch", "python", "numpy"}
    raw = np.random.default_rng(3).integers(0, 256, (9, 2, 3)).astype(np.uint8)
    assert loaded.probabilities(raw).tobytes() == Model(trained, models.GREY, names).probabilities(raw).tobytes()


def test_probabilities_are_the_softmax_of_the_logits_of_scaled_pixels() -> None:
    trained = models.network(dtype="float64")
    raw = np.random.default_rng(3).integers(0, 256, (5, 2, 3)).astype(np.uint8)
    logits = trained.infer((raw.reshape(1, 5, 6).astype(np.float32) / np.float32(255)).astype(np.float64))[0]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = Model(trained, models.GREY, ("a", "b", "c")).probabilities(raw)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("sizes", "dtype"), [((784, 100, 10), "float32"), ((784, 33, 7), "float64"), ((784, 10), "float32")]
)
def test_what_is_said_of_an_example_does_not_hang_on_its_company(sizes: tuple[int, ...], dtype: str) -> None:
    model = Model(models.network(sizes=sizes, dtype=dtype, batch_norm=False), Preprocessing((28, 28)), ())
    raw = np.random.default_rng(3).integers(0, 256, (261, 28, 28)).astype(np.uint8)
    together = model.probabilities(raw)
    for i in (0, 1, 100, 255, 256, 260):
        assert model.probabilities(raw[i : i + 1])[0].tobytes() == together[i].tobytes()


def test_a_file_holds_arrays_and_text_and_no_pickle_and_is_the_same_for_the_same_network(tmp_path: Path) -> None:
    first, second = models.saved(tmp_path / "a.npz"), models.saved(tmp_path / "b.npz")
    assert first.read_bytes() == second.read_bytes()
    with np.load(first, allow_pickle=False) as archive:
        kinds = {name: archive[name].dtype.kind for name in archive.files}
    assert {name for name, kind in kinds.items() if kind == "U"} == {"about", "architecture", "preprocessing"}
    assert set(kinds.values()) == {"U", "f"}
    assert {path.name for path in tmp_path.iterdir()} == {"a.npz", "b.npz"}


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    made = models.network()
    with pytest.raises(BadInput, match=r"saved as \.npz"):
        save(made, tmp_path / "n.pkl")
    with pytest.raises(BadInput, match="cannot save 3 lanes; keep one"):
        save(models.network(3), tmp_path / "n.npz")
    with pytest.raises(BadInput, match="a network of one class"):
        save(models.network(sizes=(6, 1)), tmp_path / "n.npz")
    with pytest.raises(BadInput, match="No such file or directory"):
        save(made, tmp_path / "missing" / "n.npz")
    with pytest.raises(BadInput, match=r"examples of shape \(28, 28\) for a network of 6 inputs"):
        save(made, tmp_path / "n.npz", preprocessing=Preprocessing((28, 28)))
    with pytest.raises(BadInput, match="2 class names for a network of 3 classes"):
        save(made, tmp_path / "n.npz", class_names=["a", "b"])
    made.parameters[0]["bias"][0, 0, 1] = np.nan
    with pytest.raises(BadInput, match=r"0\.bias holds numbers that are not finite"):
        save(made, tmp_path / "n.npz")
    assert list(tmp_path.iterdir()) == []


def test_large_sums_have_probabilities_and_those_that_overflow_have_none() -> None:
    made = models.network(batch_norm=False, activation="relu")
    model, raw = Model(made, models.GREY, ("a", "b", "c")), np.full((1, 6), 255, dtype=np.uint8)
    made.values[:] = 1e2
    np.testing.assert_allclose(model.probabilities(raw), 1 / 3)
    made.values[:] = 1e30
    with pytest.raises(BadInput, match="no finite probabilities"):
        model.probabilities(raw)


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": ()},
        {"shape": (2, 0)},
        {"shape": (2,) * 9},
        {"shape": (2,), "scale": (0.0,)},
        {"shape": (2,), "centre": (float("inf"),)},
        {"shape": (2,), "scale": (1.0, 1.0, 1.0)},
        {"shape": (2,), "method": "magic"},
        {"shape": (2,), "low": 2, "high": 1},
        {"shape": (2,), "high": float("nan")},
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(fields: Any) -> None:
    with pytest.raises(BadInput, match="examples of"):
        Preprocessing(**fields)


RAW = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)  # two images
DESCR = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"  # a .npy header but for the shape
WEIGHT = np.zeros((6, 2), np.float32).tobytes()  # what the first layer of the file has for weights


def refused(path: Path, says: str = "") -> None:
    """Assert that a file is not loaded, and that this is said in one line."""
    with pytest.raises(BadInput) as caught:
        load_model(path)
    message = str(caught.value)
    assert f"{path} is not a saved network, or is damaged" in message
    assert says in message
    assert len(message.splitlines()) == 1
    assert len(message) < 500


def loaded(path: Path) -> Model | None:
    """The network, or None where the file is refused in one line."""
    try:
        return load_model(path)
    except BadInput as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    return None


def answers(model: Model) -> tuple[bytes, Any]:
    """What a model says of some images, and of itself."""
    return model.probabilities(RAW).tobytes(), (model.class_names, model.about, model.preprocessing)


def contents(whole: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(whole), allow_pickle=False) as archive:
        return dict(archive)


def npy(header: str, payload: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy member with this header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text + payload


def repacked(whole: bytes, path: Path, members: dict[str, bytes]) -> None:
    """The file with some members in place of its own, or besides."""
    with zipfile.ZipFile(io.BytesIO(whole)) as own:
        parts = {name: own.read(name) for name in own.namelist()} | members
    with zipfile.ZipFile(path, "w") as archive:
        for name, payload in parts.items():
            archive.writestr(name, payload)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file as it should be."""
    return models.saved(tmp_path_factory.mktemp("whole") / "n.npz", sizes=(6, 2, 3)).read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a spoilt file goes."""
    return tmp_path_factory.mktemp("spoilt") / "n.npz"


def test_a_file_cut_off_anywhere_is_refused(whole: bytes, path: Path) -> None:
    for length in (*range(1, 100, 3), *range(100, len(whole) - 100, 97), *range(len(whole) - 100, len(whole), 3)):
        path.write_bytes(whole[:length])
        refused(path)


@given(
    changes=st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 255)), min_size=1, max_size=4),
    junk=st.binary(max_size=300),
    keep=st.integers(0, 10**9),
)
def test_changed_bytes_and_junk_give_the_same_network_or_a_refusal(
    whole: bytes, path: Path, changes: list[tuple[int, int]], junk: bytes, keep: int
) -> None:
    path.write_bytes(whole)
    expected = answers(load_model(path))
    changed, cut = bytearray(whole), keep % len(whole)
    for place, change in changes:
        changed[place % len(whole)] ^= change
    for spoilt in (bytes(changed), junk, whole[:cut] + junk + whole[cut:], whole[:cut] + junk):
        path.write_bytes(spoilt)
        found = loaded(path)
        assert found is None or answers(found) == expected


class Bomb:
    """What a pickle may hold: unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["0.weight", "architecture", "about", "preprocessing", "other"])
def test_a_pickle_is_never_loaded_in_the_file_or_in_its_place(
    whole: bytes, path: Path, tmp_path: Path, name: str
) -> None:
    mark = tmp_path / "mark"
    path.write_bytes(pickle.dumps(Bomb(mark)))
    refused(path)
    np.savez(path, **{**contents(whole), name: np.array([Bomb(mark)], dtype=object)})
    refused(path)
    assert not mark.exists()
    np.load(path, allow_pickle=True)[name]  # the trap works
    assert mark.exists()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")  # nobody writes into it: a reader would wait for ever
    for name, says in (("missing.npz", "No such file"), ("", "is a folder"), ("pipe.npz", "no file that can be read")):
        with pytest.raises(BadInput, match=f"{tmp_path / name}.* {says}.*; give .npz"):
            load_model(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda own: {"images": np.zeros((3, 4)), "labels": np.zeros(3)}, "it has no architecture"),
        (lambda own: own | {"1.variance": -own["1.variance"]}, "1.variance holds numbers that no network has"),
        (lambda own: own | {"about": np.array("[" * 100_000)}, "recursion"),
        (lambda own: own | {"about": np.array('{"a": ' + "9" * 10_000 + "}")}, "4300 digits"),
        (lambda own: own | {"about": np.array("[]")}, "its about is no JSON object"),
    ],
)
def test_arrays_and_texts_of_others_are_refused(
    whole: bytes, path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], says: str
) -> None:
    np.savez(path, **change(contents(whole)))
    refused(path, says)


@pytest.mark.parametrize(
    "member",
    [
        npy(DESCR % "(1000000000000, 1000000000000)", WEIGHT),
        npy(DESCR % "(-6, -2)", WEIGHT),
        npy(DESCR % "(True, 12)", WEIGHT),
        npy(DESCR % "(12,)", WEIGHT),
        npy(DESCR % "(2, 6)", WEIGHT),
        npy(DESCR % "(6, 2)", WEIGHT + b"0"),
        npy((DESCR % "(6, 2)").replace("<f4", "<i4"), WEIGHT),
        npy((DESCR % "(6, 2)").replace("<f4", "|O"), WEIGHT),
        npy((DESCR % "(6, 2)").replace("<f4", "<M8[s]"), WEIGHT * 2),
        npy((DESCR % "(6, 2)").replace("'<f4'", "[('a', '<f4')]"), WEIGHT),
        npy((DESCR % "(6, 2)").replace("<f4", "<f8"), WEIGHT * 2),
        npy("[" * 5000, WEIGHT),
        npy(DESCR % "(6, 2)", WEIGHT, (3, 0)),
        npy(DESCR % "(6, 2)", np.full(12, np.nan, np.float32).tobytes()),
        b"\x93NUMPY",
        b"",
    ],
)
def test_an_array_that_is_not_the_wanted_one_is_refused(whole: bytes, path: Path, member: bytes) -> None:
    repacked(whole, path, {"0.weight.npy": member})
    refused(path)


def test_numbers_of_the_other_byte_order_are_the_same_numbers(whole: bytes, path: Path) -> None:
    path.write_bytes(whole)
    expected = answers(load_model(path))
    swapped = {name: a.astype(a.dtype.newbyteorder(">")) for name, a in contents(whole).items()}
    np.savez(path, **swapped)
    assert answers(load_model(path)) == expected


@pytest.mark.parametrize("name", ["../evil.npy", "evil.pkl", "9.weight.npy"])
def test_members_that_do_not_belong_are_refused(whole: bytes, path: Path, name: str) -> None:
    repacked(whole, path, {name: npy(DESCR % "(6, 2)", WEIGHT)})
    refused(path, "1 arrays are missing or too many")


@pytest.mark.parametrize("missing", ["0.weight", "1.mean", "architecture", "preprocessing", "about"])
def test_members_that_are_missing_are_missed(whole: bytes, path: Path, missing: str) -> None:
    np.savez(path, **{name: values for name, values in contents(whole).items() if name != missing})
    refused(path)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Fails where more than some MiB are taken."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.usefixtures("little_memory")
def test_what_is_compressed_is_not_unpacked(whole: bytes, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("0.weight.npy", "w") as member:
        member.write(npy(DESCR % "(10000000, 1)"))
        for _ in range(640):
            member.write(bytes(2**16))
    assert path.stat().st_size < 10**5
    refused(path, "is compressed")


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("sizes", [[2**20, 2**20, 3], [6, 10**12, 3], [6, *[2] * 10**4, 3]])
def test_a_network_larger_than_its_file_is_not_made(whole: bytes, path: Path, sizes: list[int]) -> None:
    with_json(whole, path, ("architecture", "sizes"), sizes)
    refused(path, "need more than the")


@pytest.mark.usefixtures("little_memory")
def test_members_that_lie_over_one_another_are_refused(path: Path) -> None:
    payload = npy(DESCR % "(1000, 1)", bytes(4000))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.weight.npy", payload)
        first = archive.infolist()[0]
        for i in range(1, 3000):  # the directory says 3000 members, all of them in one place
            twin = zipfile.ZipInfo(f"{i}.weight.npy")
            twin.header_offset = first.header_offset
            twin.CRC, twin.file_size, twin.compress_size = first.CRC, first.file_size, first.compress_size
            archive.filelist.append(twin)
    refused(path, "more bytes than its own")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
KEYS = [
    *(("architecture", key) for key in ("format", "sizes", "activation", "batch_norm", "dtype", "versions")),
    *(("preprocessing", key) for key in ("class_names", "values")),
    *(
        ("preprocessing", "values", key)
        for key in ("shape", "dtype", "low", "high", "method", "centre", "scale", "table")
    ),
    ("about", "study"),
]


def with_json(whole: bytes, path: Path, key: tuple[str, ...], value: object) -> None:
    """Write the file with another value in one of its texts."""
    arrays = contents(whole)
    text = json.loads(str(arrays[key[0]]))
    inner = text
    for name in key[1:-1]:
        inner = inner[name]
    inner[key[-1]] = value
    np.savez(path, **{**arrays, key[0]: np.array(json.dumps(text))})


@given(key=st.sampled_from(KEYS), value=JSON)
def test_any_json_in_any_place_gives_a_network_or_a_refusal(
    whole: bytes, path: Path, key: tuple[str, ...], value: object
) -> None:
    with_json(whole, path, key, value)
    found = loaded(path)
    if found is not None:
        assert found.network.sizes == (6, 2, 3)
        json.dumps(dict(found.about), allow_nan=False, ensure_ascii=False).encode()
        with contextlib.suppress(BadInput):
            assert found.probabilities(RAW).shape == (2, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("architecture", "sizes"), [6, 2.0, 3]),
        (("architecture", "sizes"), [6, True, 3]),
        (("architecture", "sizes"), [6]),
        (("architecture", "activation"), "__class__"),
        (("architecture", "batch_norm"), 1),
        (("architecture", "dtype"), "object"),
        (("architecture", "versions"), {"numpy": 2}),
        (("preprocessing", "class_names"), ["a", "b"]),
        (("preprocessing", "class_names"), ["a", "b", "\ud800"]),
        (("preprocessing", "values", "shape"), [10**9, 10**9]),
        (("preprocessing", "values", "scale"), [0.0]),
        (("preprocessing", "values", "divisor"), 0.0),
        (("preprocessing", "values", "high"), float("nan")),
        (("about", "score"), float("inf")),
    ],
)
def test_texts_that_make_no_sense_are_refused(whole: bytes, path: Path, key: tuple[str, ...], value: object) -> None:
    with_json(whole, path, key, value)
    refused(path)


@pytest.mark.parametrize("number", [1, 4, None, "x" * 1000])
def test_another_format_is_named(whole: bytes, path: Path, number: object) -> None:
    with_json(whole, path, ("architecture", "format"), number)
    refused(path, f"it has format {repr(number)[:20]}, this hpsearch reads 3; use the hpsearch that wrote it")

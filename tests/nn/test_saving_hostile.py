"""A file from anybody gives a network or a refusal of one line: nothing else, and nothing is run."""

from __future__ import annotations

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

from hpsearch.errors import BadInput
from hpsearch.nn import Model, load_model

RAW = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file as it should be."""
    return models.saved(tmp_path_factory.mktemp("whole") / "n.npz", sizes=(6, 2, 3)).read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a spoilt file goes."""
    return tmp_path_factory.mktemp("spoilt") / "n.npz"


def refused(path: Path, says: str = "") -> str:
    """What is said where a file is not loaded, in one line."""
    with pytest.raises(BadInput) as caught:
        load_model(path)
    message = str(caught.value)
    assert str(path) in message
    assert says in message
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    assert caught.value.exit_code == 2
    return message


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


def test_a_file_cut_off_anywhere_is_refused(whole: bytes, path: Path) -> None:
    # Every byte of the directory at the end and of the first header; between them, places of every kind.
    for length in (*range(100), *range(100, len(whole) - 100, 17), *range(len(whole) - 100, len(whole))):
        path.write_bytes(whole[:length])
        refused(path, "is not a saved network, or is damaged")


@given(changes=st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 255)), min_size=1, max_size=4))
def test_changed_bytes_give_the_same_network_or_a_refusal(
    whole: bytes, path: Path, changes: list[tuple[int, int]]
) -> None:
    path.write_bytes(whole)
    expected = answers(load_model(path))
    spoilt = bytearray(whole)
    for place, change in changes:
        spoilt[place % len(whole)] ^= change
    path.write_bytes(spoilt)
    found = loaded(path)
    assert found is None or answers(found) == expected


@given(junk=st.binary(max_size=300), keep=st.integers(0, 10**9))
def test_junk_gives_the_same_network_or_a_refusal(whole: bytes, path: Path, junk: bytes, keep: int) -> None:
    path.write_bytes(whole)
    expected = answers(load_model(path))
    cut = keep % len(whole)
    for spoilt in (junk, whole[:cut] + junk + whole[cut:], whole[:cut] + junk):
        path.write_bytes(spoilt)
        found = loaded(path)
        assert found is None or answers(found) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
KEYS = [
    *(("architecture", key) for key in ("format", "sizes", "activation", "batch_norm", "dtype", "versions")),
    *(("preprocessing", key) for key in ("class_names", "values")),
    *(("preprocessing", "values", key) for key in ("shape", "dtype", "divisor", "low", "high")),
    ("about", "study"),
]


@given(key=st.sampled_from(KEYS), value=JSON)
def test_any_json_in_any_place_gives_a_network_or_a_refusal(
    whole: bytes, path: Path, key: tuple[str, ...], value: object
) -> None:
    arrays = contents(whole)
    text = json.loads(str(arrays[key[0]]))
    inner = text
    for name in key[1:-1]:
        inner = inner[name]
    inner[key[-1]] = value
    np.savez(path, **{**arrays, key[0]: np.array(json.dumps(text))})
    found = loaded(path)
    if found is not None:
        assert found.network.sizes == (6, 2, 3)
        json.dumps(dict(found.about), allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("architecture", "sizes"), [6, 2.0, 3]),
        (("architecture", "sizes"), [6, True, 3]),
        (("architecture", "sizes"), [6, -2, 3]),
        (("architecture", "sizes"), [6]),
        (("architecture", "sizes"), [10**9, 10**9, 3]),
        (("architecture", "sizes"), [10**400, 2, 3]),
        (("architecture", "sizes"), [1] * 100_000),
        (("architecture", "format"), True),
        (("architecture", "format"), 1.0),
        (("architecture", "format"), 0),
        (("architecture", "activation"), "__class__"),
        (("architecture", "activation"), ["relu"]),
        (("architecture", "batch_norm"), 1),
        (("architecture", "batch_norm"), False),
        (("architecture", "dtype"), "float64"),
        (("architecture", "dtype"), "object"),
        (("architecture", "versions"), {"numpy": 2}),
        (("preprocessing", "class_names"), ["a", "b"]),
        (("preprocessing", "class_names"), [1, 2, 3]),
        (("preprocessing", "class_names"), ["a", "b", "\ud800"]),
        (("preprocessing", "values"), {"shape": [6]}),
        (("preprocessing", "values", "shape"), [10**9, 10**9]),
        (("preprocessing", "values", "shape"), []),
        (("preprocessing", "values", "divisor"), 0.0),
        (("preprocessing", "values", "high"), float("nan")),
        (("about", "score"), float("inf")),
    ],
)
def test_texts_that_make_no_sense_are_refused(whole: bytes, path: Path, key: tuple[str, ...], value: object) -> None:
    arrays = contents(whole)
    text = json.loads(str(arrays[key[0]]))
    inner = text
    for name in key[1:-1]:
        inner = inner[name]
    inner[key[-1]] = value
    np.savez(path, **{**arrays, key[0]: np.array(json.dumps(text))})
    refused(path, "is not a saved network, or is damaged")


class Bomb:
    """What a pickle may hold: unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["0.weight", "architecture", "about", "preprocessing", "other"])
def test_a_pickle_in_the_file_is_never_loaded(whole: bytes, path: Path, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "mark"
    np.savez(path, **{**contents(whole), name: np.array([Bomb(mark)], dtype=object)})
    refused(path)
    assert not mark.exists()
    np.load(path, allow_pickle=True)[name]  # the trap works
    assert mark.exists()


def test_a_pickle_in_place_of_the_file_is_never_loaded(path: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path.write_bytes(pickle.dumps(Bomb(mark)))
    refused(path)
    path.write_bytes(pickle.dumps(np.array([Bomb(mark)], dtype=object)))
    refused(path)
    np.save(path.with_suffix(".npy"), np.array([Bomb(mark)], dtype=object))
    path.with_suffix(".npy").rename(path)
    refused(path)
    assert not mark.exists()


def npy(header: str, payload: bytes = b"", *, version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy member with this header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text + payload


def repacked(whole: bytes, path: Path, members: dict[str, bytes], **options: Any) -> None:
    """The file with some members in place of its own, or besides."""
    with zipfile.ZipFile(io.BytesIO(whole)) as own:
        parts = {name: own.read(name) for name in own.namelist()} | members
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, payload in parts.items():
            archive.writestr(name, payload)


DESCR = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"
WEIGHT = np.zeros((6, 2), np.float32).tobytes()


@pytest.mark.parametrize(
    "member",
    [
        npy(DESCR % "(1000000000000, 1000000000000)", WEIGHT),
        npy(DESCR % "(6, 1000000000)", WEIGHT),
        npy(DESCR % "(-6, -2)", WEIGHT),
        npy(DESCR % "(6, 2, 0)", WEIGHT),
        npy(DESCR % "(True, 12)", WEIGHT),
        npy(DESCR % "(12,)", WEIGHT),
        npy(DESCR % "(2, 6)", WEIGHT),
        npy(DESCR % "(6, 2)", WEIGHT + b"0"),
        npy((DESCR % "(6, 2)").replace("False", "True"), WEIGHT),
        npy((DESCR % "(6, 2)").replace("<f4", "<i4"), WEIGHT),
        npy((DESCR % "(6, 2)").replace("<f4", "|O"), WEIGHT),
        npy((DESCR % "(6, 2)").replace("<f4", "<U1"), WEIGHT),
        npy((DESCR % "(6, 2)").replace("<f4", "<M8[s]"), WEIGHT * 2),
        npy((DESCR % "(6, 2)").replace("'<f4'", "[('a', '<f4')]"), WEIGHT),
        npy((DESCR % "(6, 2)").replace("<f4", "<f2"), WEIGHT[:24]),
        npy((DESCR % "(6, 2)").replace("<f4", "<f8"), WEIGHT * 2),
        npy("{'descr': '\\\\d', 'fortran_order': False, 'shape': (6L, 2), }", WEIGHT),
        npy("[" * 5000, WEIGHT),
        npy("{" + " " * 30_000 + "}", WEIGHT),
        npy(DESCR % "(6, 2)", WEIGHT, version=(3, 0)),
        npy(DESCR % "(6, 2)", np.full(12, np.nan, np.float32).tobytes()),
        npy(DESCR % "(6, 2)", np.full(12, -np.inf, np.float32).tobytes()),
        b"\x93NUMPY",
        b"",
    ],
)
def test_an_array_that_is_not_the_wanted_one_is_refused(whole: bytes, path: Path, member: bytes) -> None:
    repacked(whole, path, {"0.weight.npy": member})
    refused(path, "is not a saved network, or is damaged")


def test_a_variance_below_zero_is_refused(whole: bytes, path: Path) -> None:
    arrays = contents(whole)
    np.savez(path, **{**arrays, "1.variance": -arrays["1.variance"]})
    refused(path, "1.variance holds numbers that no network has")


def test_numbers_of_the_other_byte_order_are_the_same_numbers(whole: bytes, path: Path) -> None:
    path.write_bytes(whole)
    expected = answers(load_model(path))
    swapped = {name: a.astype(a.dtype.newbyteorder(">")) for name, a in contents(whole).items()}
    np.savez(path, **swapped)
    assert answers(load_model(path)) == expected


@pytest.mark.parametrize(
    "name", ["../evil.npy", "/tmp/evil.npy", "..\\evil.npy", "evil.pkl", "9.weight.npy", "évil.npy"]
)
def test_members_that_do_not_belong_are_refused_and_go_nowhere(whole: bytes, path: Path, name: str) -> None:
    before = set(path.parent.parent.rglob("*evil*"))
    repacked(whole, path, {name: npy(DESCR % "(6, 2)", WEIGHT)})
    refused(path, "is not a saved network, or is damaged")
    assert set(path.parent.parent.rglob("*evil*")) == before


@pytest.mark.parametrize(
    "missing", ["0.weight.npy", "1.mean.npy", "architecture.npy", "preprocessing.npy", "about.npy"]
)
def test_members_that_are_missing_are_missed(whole: bytes, path: Path, missing: str) -> None:
    with zipfile.ZipFile(io.BytesIO(whole)) as own, zipfile.ZipFile(path, "w") as archive:
        for name in own.namelist():
            if name != missing:
                archive.writestr(name, own.read(name))
    refused(path, "is not a saved network, or is damaged")


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
@pytest.mark.parametrize("sizes", [[2**20, 2**20, 3], [6, 10**12, 3], [6, *[2] * 10**5, 3]])
def test_a_network_larger_than_its_file_is_not_made(whole: bytes, path: Path, sizes: list[int]) -> None:
    arrays = contents(whole)
    text = json.loads(str(arrays["architecture"])) | {"sizes": sizes}
    np.savez(path, **{**arrays, "architecture": np.array(json.dumps(text))})
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


def test_two_members_of_one_name_are_refused(whole: bytes, path: Path) -> None:
    path.write_bytes(whole)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("0.weight.npy", npy(DESCR % "(6, 2)", WEIGHT))
    refused(path, "two members have one name")


def test_json_that_nests_without_end_is_refused(whole: bytes, path: Path) -> None:
    np.savez(path, **{**contents(whole), "about": np.array("[" * 100_000)})
    refused(path, "its about is no JSON")
    np.savez(path, **{**contents(whole), "about": np.array('{"a": ' + "9" * 10_000 + "}")})
    refused(path, "its about is no JSON")
    np.savez(path, **{**contents(whole), "about": np.array("[]")})
    refused(path, "its about is no JSON object")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    refused(tmp_path / "missing.npz", "No such file or directory")
    refused(tmp_path, "it is a folder")
    os.mkfifo(tmp_path / "pipe.npz")  # nobody will ever write into it
    refused(tmp_path / "pipe.npz", "it is no file")


def test_archives_of_others_are_refused(path: Path) -> None:
    np.savez(path, images=np.zeros((3, 4)), labels=np.zeros(3))
    refused(path, "it has no architecture")
    np.savez(path, architecture=np.array("{}"), about=np.array("{}"))
    refused(path, "it has no format")

"""The arrays of a file from anybody are those of its network and no larger than the file, or it is refused."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from spoilt import DESCR, WEIGHT, answers, contents, npy, refused, repacked

from hpsearch.nn import load_model


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

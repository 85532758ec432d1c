"""A file from anybody gives a network or a refusal of one line: nothing else, and nothing is run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoilt import answers, contents, loaded, refused

from hpsearch.nn import load_model


def test_a_file_cut_off_anywhere_is_refused(whole: bytes, path: Path) -> None:
    # Every byte of the directory at the end and of the first header; between them, places of every kind.
    for length in (*range(100), *range(100, len(whole) - 100, 41), *range(len(whole) - 100, len(whole))):
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

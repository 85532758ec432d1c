from __future__ import annotations

import pwd
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from data_files import idx_bytes, refused, write_part

from hpsearch.data import KNOWN, datasets, load, whereabouts
from hpsearch.data.fetch import fetch
from hpsearch.errors import BadArgument, MissingExtra
from hpsearch.files import expanded


def test_the_shipped_images() -> None:
    dataset = load("mnist-10k")
    assert dataset.x.shape == (10_000, 28, 28)
    assert dataset.x.dtype == np.uint8
    assert dataset.class_names == tuple("0123456789")
    counts = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    assert np.bincount(dataset.labels).tolist() == counts
    assert dataset.source == whereabouts("mnist-10k") == "shipped with hpsearch"
    assert dataset.x_test is None


def test_digits_which_need_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load("digits")
    known = KNOWN["digits"]
    assert dataset.x.shape == (known.images, *known.shape)
    assert dataset.x.dtype == np.float32
    assert (dataset.x.min(), dataset.x.max()) == (0, 1)
    assert dataset.classes == known.classes
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r'pip install "hpsearch\[data\]"'):
        load("digits")


def test_where_named_data_is_looked_for(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the last place to the first: each new one is preferred to those before."""
    name = "fashion-mnist"
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path / "variable"))
    data_dir, variable = tmp_path / "given", tmp_path / "variable"
    folders = [cache / "debian", cache / "hpsearch" / name, variable, variable / name, data_dir, data_dir / name]
    assert whereabouts(name, data_dir) is None
    for grey, folder in enumerate(folders):
        write_part(folder, grey=grey)
        assert whereabouts(name, data_dir) == str(folder)
        dataset = load(name, data_dir=data_dir)
        assert dataset.source == str(folder)
        assert dataset.name == name
        assert dataset.x.max() == grey


def test_not_here_or_another_data_set(tmp_path: Path, cache: Path) -> None:
    write_part(tmp_path / "fashion-mnist")
    assert whereabouts("fashion-mnist", tmp_path / "fashion-mnist")
    assert whereabouts("mnist", tmp_path / "fashion-mnist") is None
    refused(lambda: load("mnist"), "data fetch(name='mnist')", str(cache))
    places = (str(tmp_path / "none"), str(cache / "debian"), "dataset-fashion-mnist")
    refused(lambda: load("fashion-mnist", data_dir=tmp_path / "none"), *places)


def test_names_and_paths(tmp_path: Path) -> None:
    refused(lambda: load("mnits"), "no data set 'mnits'", "did you mean 'mnist'?")
    refused(lambda: whereabouts("mnits"), "no data set 'mnits'", "did you mean 'mnist'?")
    refused(load, "no data set is given", "mnist-10k")
    refused(lambda: load("mnist", path=tmp_path), "give one of them")
    refused(lambda: load("mnist", label="y"), "label = 'y' is for a file, and mnist is none; leave label out")


def test_folders_with_half_of_it(tmp_path: Path) -> None:
    write_part(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").rename(tmp_path / "aside")
    refused(lambda: load("mnist", data_dir=tmp_path), "holds no train-labels")
    (tmp_path / "aside").rename(tmp_path / "train-labels-idx1-ubyte.gz")
    write_part(tmp_path, "t10k")
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    refused(lambda: load(path=tmp_path), "holds no test-images")


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    write_part(tmp_path, zipped=False)
    write_part(tmp_path, "t10k", n=4, zipped=False)
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.array([0, 1, 2], dtype=np.uint8)))
    refused(lambda: load(path=tmp_path), "test part: labels have shape (3,)", "shape (4,)")
    labels.write_bytes(idx_bytes(np.array([0, 1, 2, 9], dtype=np.uint8)))
    refused(lambda: load(path=tmp_path), "a label '9' that no training example has")
    labels.write_bytes(idx_bytes(np.zeros(4, dtype=np.uint8)))
    images = tmp_path / "t10k-images-idx3-ubyte"
    images.write_bytes(idx_bytes(np.zeros((4, 2, 2), dtype=np.uint8)))
    refused(lambda: load(path=tmp_path), "examples of shape (3, 2), and of (2, 2) in the test part")


def test_without_a_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", Mock(side_effect=KeyError))  # a uid that is in no passwd
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    assert datasets.cache_folder("mnist") is None
    assert datasets.places("mnist") == [tmp_path / "mnist", tmp_path]
    assert whereabouts("mnist") is None
    with pytest.raises(BadArgument, match="there is no home folder"):
        fetch("mnist")
    assert expanded(Path("~/x")) == Path("~/x")

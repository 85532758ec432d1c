from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.errors import BadInput, OutputFailure
from hpsearch.files import replacing


def test_a_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as neighbour:
        assert neighbour.suffix == ".txt"
        neighbour.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_goes_wrong_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as neighbour:  # noqa: PT012 - the block is what is tested
        neighbour.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_system_s_refusal_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="it is a folder"), replacing(tmp_path):
        pass
    with pytest.raises(BadInput, match=r"cannot write .*a\.txt: No such file"), replacing(tmp_path / "no" / "a.txt"):
        pass
    with pytest.raises(OutputFailure, match="No space left"), replacing(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []

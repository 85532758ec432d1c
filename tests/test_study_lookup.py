"""Finding and reading study files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from refusals import one_line

from hpsearch.study_file import find, read


def test_reading(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    assert f"cannot read the study file {file}: No such file" in one_line(read, file)
    assert f"cannot read the study file {tmp_path}: Is a directory" in one_line(read, tmp_path)
    file.write_bytes(b'name = "\xff\xfe"\n')
    assert one_line(read, file) == f"{file} is not a text file in UTF-8"
    file.write_text('name = "a"\n[space\nlr = 3\n')
    message = one_line(read, file)
    assert message.startswith(f"{file} is not valid TOML: ")
    assert re.search(r"at line 2, column \d+", message)
    file.write_text('name = "a"\nname = "b"\n')
    assert "is not valid TOML" in one_line(read, file)
    file.write_text("")
    assert f"{file}: name is missing" in one_line(read, file)
    file.write_text('name = "a"\n[space]\nlr = { low = 0.1, high = 1979-05-27 }\n')
    assert "is not a finite number" in one_line(read, file)


def test_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    text = 'name = "{}"\n[space]\nlr = {{ low = 0.1, high = 1.0 }}\n'
    (folder / "mine.toml").write_text(text.format("by-name"))
    (tmp_path / "other.toml").write_text(text.format("by-path"))
    monkeypatch.chdir(tmp_path)
    assert find("mine", folder=folder).name == "by-name"
    assert find("mine").name == "by-name"  # studies/ is where names are looked up
    assert find("other.toml", folder=folder).name == find("./other.toml").name == "by-path"
    assert find("mnist", folder=folder) == find(None, folder=tmp_path / "no folder")
    message = one_line(find, "mnie", folder=folder)
    assert (
        f"no study file {folder / 'mnie.toml'}; did you mean 'mine'? known: batch-norm, initialisation, mine, mnist, "
        in message
    )
    assert "`init(name='mnie')`" in message
    assert "No such file" in one_line(find, "no.toml")
    assert "is no study file" in one_line(find, "studies/")
    assert "is not a name" in one_line(find, "")
    (folder / "mnist.toml").write_text(text.format("my-own"))  # before the shipped one
    assert find(None, folder=folder).name == "my-own"
    (folder / "bad.toml").write_text("?")
    assert str(folder / "bad.toml") in one_line(find, "bad", folder=folder)

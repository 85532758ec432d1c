"""The study file that `hpsearch init` writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from refusals import one_line

from hpsearch.errors import OutputFailure
from hpsearch.study_file import StudyFile, read, write_study


def test_the_template_is_a_study_file(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    path = write_study("mine", folder=folder)
    assert path == folder / "mine.toml"
    study = read(path)
    assert isinstance(study, StudyFile)
    assert study.name == "mine"
    # What it shows commented out works too, in place of what is set.
    path.write_text(_uncommented(path.read_text()))
    shown = read(path)
    assert set(shown.space) == {
        "lr",
        "weight_decay",
        "batch_size",
        "optimizer",
        "momentum",
        "dropout",
        "batch_norm",
    }
    assert shown.sections.network.hidden_units == 100
    assert shown.sections.training.lr_schedule == "step"
    assert shown.pruning.rule == "none"
    for section in (shown.sections.network, shown.sections.training, shown.pruning):
        assert set(type(section).model_fields) <= section.model_fields_set | {"hidden"}


def _uncommented(text: str) -> str:
    """The last of each key's lines in a section, comments included, but for keys that exclude another one."""
    lines: dict[tuple[str, str], str] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line
            lines[section, ""] = line
        elif match := re.match(r"(?:# )?(\w+) = ", line):
            lines[section, match[1]] = line.removeprefix("# ")
    for instead in (("[data]", "name"), ("[network]", "hidden"), ("[space]", "hidden")):
        del lines[instead]
    return "\n".join(lines.values())


def test_init_overwrites_only_when_told_and_then_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_study("mine", folder=tmp_path)
    path.write_text("my own work")
    assert one_line(write_study, "mine", folder=tmp_path) == f"{path} exists; use force to overwrite it"
    assert path.read_text() == "my own work"

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(OutputFailure, match=r"cannot write .*: No space left on device"):
            write_study("mine", folder=tmp_path, force=True)
    assert path.read_text() == "my own work"
    assert list(tmp_path.iterdir()) == [path]
    assert write_study("mine", folder=tmp_path, force=True) == path
    assert read(path).name == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_init_where_nothing_can_be_made(tmp_path: Path) -> None:
    for force in (False, True):
        assert "cannot write" in one_line(write_study, "mine", folder=tmp_path / "no" / "folder", force=force)
    assert list(tmp_path.iterdir()) == []

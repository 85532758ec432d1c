"""The door itself: streams that are closed, and commands that go on where another search is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import Cli


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_code(tmp_path: Path, closed: str) -> None:
    command = f'"{sys.executable}" -m hpsearch status {closed}'
    ran = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("\n") == (0 if "2>" in closed else 1)


def test_the_next_command_names_the_search_where_there_are_several(searched: Cli, tiny: Path) -> None:
    assert "next: hpsearch start tiny --trials 100" in searched("start", "tiny.toml", "--engine", "inline").out
    tiny.write_text(tiny.read_text().replace('"tiny"', '"mnist"'))
    (tiny.parent / "studies" / "mnist.toml").write_text(tiny.read_text())
    out = searched("start", "--engine", "inline").out
    assert "next: hpsearch start --trials 100" in out  # which means mnist
    confirmed = searched("confirm", "mnist", "--top", "3", "--repeats", "2", "--engine", "inline").out
    assert "next: hpsearch narrow mnist --from confirm --top 2    hpsearch evaluate mnist" in confirmed
    assert searched("narrow", "mnist", "--top", "5", "--dry-run").code == 0


def test_fewer_trials_than_top_are_fine_where_the_stage_has_more(searched: Cli) -> None:
    ran = searched("start", "tiny.toml", "--trials", "3", "--stages", "2", "--top", "5", "--engine", "inline")
    assert ran.code == 0
    assert "tiny/stage-02 has 3 finished trials" in ran.out

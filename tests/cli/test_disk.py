"""Disks that are full or read-only, as real file systems."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Cli

Mount = Callable[[str], Path]

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="only root may mount a file system"
)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a file system in memory with these options; again, to change them."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mounted(options: str) -> Path:
        again = "remount," if os.path.ismount(folder) else ""
        subprocess.run(["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(folder)], check=True)
        return folder

    yield mounted
    if os.path.ismount(folder):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_at_the_door(cli: Cli, tiny: Path, mount: Mount) -> None:
    disk = mount("size=16k")
    ran = cli("start", str(tiny), "--storage", "disk/my.db", "--engine", "inline")
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran
    assert "full" in ran.err
    assert list(disk.iterdir()) == []


def test_a_disk_that_fills_up_in_the_middle_of_a_run(cli: Cli, tiny: Path, mount: Mount) -> None:
    disk = mount("size=600k")
    tiny.write_text(tiny.read_text().replace("epochs = 3", "epochs = 60"))
    command = ("start", str(tiny), "--storage", "disk/my.db", "--engine", "inline", "--lanes", "4", "--trials", "60")
    # In a process of its own, which is gone when it cannot give its trials back: the next start sees that.
    first = subprocess.run([sys.executable, "-m", "hpsearch", *command], capture_output=True, text=True)
    assert (first.returncode, first.stderr.splitlines()[-1].startswith("hpsearch: ")) == (1, True), first
    assert "the disk of disk/my.db is full" in first.stderr
    assert "Traceback" not in first.stderr
    mount("size=16m")
    ran = cli(*command)
    assert ran.code == 0, ran
    assert "has 60 finished trials" in ran.out
    assert {path.name for path in disk.iterdir()} <= {"my.db", "my.db-wal", "my.db-shm"}


def test_a_read_only_database_can_be_read_and_not_written(searched: Cli, tmp_path: Path, mount: Mount) -> None:
    disk = mount("size=16m")
    shutil.copy(tmp_path / "studies" / "hpsearch.db", disk / "my.db")
    mount("ro")
    for command in ("start tiny.toml --trials 9", "narrow --top 3"):
        ran = searched(*command.split(), "--storage", "disk/my.db")
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran
        assert "read-only" in ran.err
    for command in ("status", "trials", "best", "narrow --top 3 --dry-run"):
        ran = searched(*command.split(), "--storage", "disk/my.db")
        assert (ran.code, ran.err) == (0, ""), ran

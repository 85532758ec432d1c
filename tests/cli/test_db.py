"""`hpsearch db` and `delete`: what they say, what they ask, and exit with; databases of 0.2; disks that fail."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cared
import pytest
from cared import PLANTS
from commands import Cli

from hpsearch.store import Owner, open_store

MADE_BY_0_2 = Path(__file__).parents[1] / "databases" / "0.2.db"
STORED_TRIALS = 30
Mount = Callable[[str], Path]
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="only root may mount a file system"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A sound database."""
    return cared.write(tmp_path)


@pytest.fixture
def db(cli: Cli) -> Cli:
    """The command line with the option for that database."""
    return Cli(lambda words: cli.run(words if "--storage" in words else [*words, "--storage", "my.db"]))


def plant(file: Path, kind: str) -> None:
    cared.run_sql(file, next(plant.sql for plant in PLANTS if plant.kind == kind))


def test_a_sound_database(db: Cli, file: Path) -> None:
    for command in ("db check", "db repair"):
        ran = db(command)
        assert (ran.code, ran.err, ran.out) == (0, "", "my.db: 7 studies, 81 trials: sound\n")
    assert db.json("db check")["sound"] is True
    assert [path.name for path in file.parent.iterdir()] == ["my.db"]


def test_damage_is_shown_asked_about_and_mended(db: Cli, file: Path) -> None:
    plant(file, "no-value")
    ran = db("db check")
    assert (ran.code, "- tiny/stage-01: trial 2: complete, without a value" in ran.out) == (1, True)
    assert ran.out.endswith("next: hpsearch db repair --storage my.db\n")
    (finding,) = json.loads(db("db check --format json").out)["findings"]
    assert (finding["kind"], finding["study"], finding["trials"]) == ("no-value", "tiny/stage-01", [2])
    before = file.read_bytes()
    ran = db("db repair")
    assert (ran.code, ran.err) == (2, "hpsearch: not a terminal: pass --yes\n")
    assert file.read_bytes() == before
    out = db.ok("db repair --yes")
    assert "next: hpsearch start tiny --stage 1 --trials 6 --storage my.db\n" in out.split("\nrepaired\n")[1]
    assert "copied to my.before-repair-" in out
    assert db("db check").code == 0
    plant(file, "stage")
    ran = db("db repair --yes")
    assert (ran.code, "no repair: take the study from a backup" in ran.out) == (1, True)


def test_a_damaged_database_is_salvaged(db: Cli, file: Path) -> None:
    whole = file.read_bytes()
    harmed = whole[: len(whole) // 2]
    file.write_bytes(harmed)
    for command in ("status tiny", "best tiny"):
        db.refused(command, says="`hpsearch db repair --salvage --storage my.db` saves")
    ran = db("db check")
    assert ran.code == 1
    assert ran.out.endswith("next: hpsearch db repair --salvage --storage my.db\n")
    db.refused("db repair --yes")
    assert "my.db is unchanged; what was saved is in new.db" in db("db repair --salvage --out new.db").out
    assert file.read_bytes() == harmed
    ran = db("db repair --out new.db --storage new.db")
    assert (ran.code, "--salvage" in ran.err) == (2, True)


def test_a_copy_and_a_vacuum(db: Cli, file: Path) -> None:
    assert db.ok("db backup copy.db").startswith("copied my.db to copy.db: ")
    copy = file.with_name("copy.db")
    assert cared.rows(file) == cared.rows(copy)
    db.refused("db backup copy.db")
    plain = db.json("db backup other.db")
    assert plain == {"database": "my.db", "copy": "other.db", "bytes": file.with_name("other.db").stat().st_size}
    before = file.stat().st_size
    assert db.json("db vacuum") == {"database": "my.db", "bytes_before": before, "bytes": file.stat().st_size}
    assert " before, " in db.ok("db vacuum")


def test_deleting_is_shown_asked_about_and_copied_first(db: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Typed(io.StringIO):
        def isatty(self) -> bool:
            return True

    before = cared.rows(file)
    ran = db("delete tiny/stage-02")
    assert (ran.code, "to delete:\n  tiny/stage-02      4 trials\n" in ran.out) == (2, True)
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin", Typed("yes\n"))
        ran = db("delete tiny/stage-02")
        assert (ran.code, "nothing was changed" in ran.err) == (2, True)
    db.refused("delete tiny/stage-02 --format json")
    assert cared.rows(file) == before
    plain = db.json("delete tiny/stage-02 --yes")
    (copy,) = file.parent.glob("my.before-delete-*.db")
    assert plain == {"deleted": [{"study": "tiny/stage-02", "trials": 4}], "backup": copy.name, "looks": 0}
    assert cared.rows(copy) == before
    monkeypatch.setattr("sys.stdin", Typed("tiny\n"))
    (row,) = db.csv("delete tiny --no-backup")
    assert row["deleted"].startswith('[{"study": "tiny/')
    assert len(list(file.parent.glob("*.db"))) == 2
    db.refused("delete tiny --yes")


def test_a_runner_at_work_is_said_before_anything_is_copied(db: Cli, file: Path) -> None:
    store = open_store(str(file), write=True)
    store.claim(store.stages("tiny")[0], until=99, most=1, owner=Owner.current())
    store.close()
    db.refused("delete tiny --yes", says="works on tiny/stage-01; stop it first")
    assert [path.name for path in file.parent.glob("*.db")] == ["my.db"]


def stored() -> list[list[tuple[object, ...]]]:
    """Every row of the trials that were stored by 0.2, as it is stored."""
    with closing(sqlite3.connect("old.db")) as connection:
        return [
            sorted(connection.execute(f"SELECT * FROM {table} WHERE trial_id <= {STORED_TRIALS}"), key=repr)
            for table in (
                *("trials", "trial_params", "trial_values", "trial_intermediate_values"),
                *("trial_user_attributes", "trial_system_attributes", "trial_heartbeats"),
            )
        ]


def test_a_database_of_0_2_goes_on_and_its_trials_stay_as_they_are(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stages, the second pruned by halving, a confirmation and an evaluation."""
    shutil.copy(MADE_BY_0_2, tmp_path / "old.db")
    monkeypatch.setenv("HPSEARCH_STORAGE", "old.db")
    status = [line.split()[:8] for line in cli.ok("status").splitlines()]
    assert ["tiny/stage-02", "stage-01", "12", "0", "9", "0", "0", "0.4"] in status
    best = [(trial["trial"], trial["validation_accuracy"]) for trial in cli.json("trials --top 3")]
    assert best == [(7, 0.4), (1, 0.325), (9, 0.2)]
    before = stored()
    assert len(before[0]) == STORED_TRIALS
    for line in (
        *("best", "checklist", "narrow --top 3 --dry-run", "compare tiny/stage-01 tiny/stage-02", "db check"),
        *("report --out r.html", "start tiny --trials 14 --engine inline", "narrow --top 3"),
        *("start tiny --trials 2 --engine inline", "confirm --stage 2 --top 3 --repeats 3 --engine inline"),
    ):
        cli.ok(line)
    assert Path("r.html").stat().st_size > 10_000
    assert stored() == before
    with closing(sqlite3.connect("old.db")) as connection:
        counts = dict(
            connection.execute("SELECT study_name, count(*) FROM trials JOIN studies USING (study_id) GROUP BY 1")
        )
    assert counts == {"tiny/stage-01": 12, "tiny/stage-02": 14, "tiny/stage-03": 2, "tiny/confirm-02": 9}


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


@as_root
def test_a_disk_that_is_full_or_fills_up(cli: Cli, tiny: Path, mount: Mount) -> None:
    disk = mount("size=16k")
    cli.refused(f"start {tiny} --storage disk/my.db --engine inline", says="full")
    assert list(disk.iterdir()) == []
    mount("size=600k")
    tiny.write_text(tiny.read_text().replace("epochs = 3", "epochs = 60"))
    command = f"start {tiny} --storage disk/my.db --engine inline --lanes 4 --trials 60"
    # In a process of its own, which is gone when it cannot give its trials back: the next start sees that.
    first = subprocess.run([sys.executable, "-m", "hpsearch", *command.split()], capture_output=True, text=True)
    assert (first.returncode, first.stderr.splitlines()[-1].startswith("hpsearch: ")) == (1, True), first
    assert "the disk of disk/my.db is full" in first.stderr
    assert "Traceback" not in first.stderr
    mount("size=16m")
    assert "has 60 finished trials" in cli.ok(command)
    assert {path.name for path in disk.iterdir()} <= {"my.db", "my.db-wal", "my.db-shm"}


@as_root
def test_a_read_only_database_can_be_read_and_not_written(searched: Cli, tmp_path: Path, mount: Mount) -> None:
    shutil.copy(tmp_path / "studies" / "hpsearch.db", mount("size=16m") / "my.db")
    mount("ro")
    for command in ("start tiny.toml --trials 9", "narrow --top 3"):
        searched.refused(f"{command} --storage disk/my.db", says="read-only")
    for command in ("status", "trials", "best", "narrow --top 3 --dry-run"):
        ran = searched(f"{command} --storage disk/my.db")
        assert (ran.code, ran.err) == (0, ""), ran

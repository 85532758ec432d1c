"""What of random damage to a study database is found, and what a salvage saves.

    python tests/benchmarks/damaged.py --files 50 --seed 1

makes one database of three stages of 100 trials and a confirmation, damages copies of it in six ways at random, and
prints for each way: how many files `hpsearch db check` finds something in; of those where it finds nothing, whether any
row reads otherwise than before; how many of the trials a salvage keeps; and how many of the kept ones are not, to the
last bit, those of the original.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpsearch.errors import HpsearchError
from hpsearch.store.care.checking import check
from hpsearch.store.care.salvaging import salvage

_TABLES = ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes")
PAGE = 4096
STUDY = """\
name = "mnist"
[data]
name = "mnist-10k"
train = 100
validation = 100
[network]
hidden = [16]
[training]
epochs = 8
batch_size = 50
[space]
lr = { low = 1e-3, high = 1.0, log = true }
weight_decay = { low = 1e-8, high = 1e-4, log = true }
optimizer = { choices = ["sgd", "adam"] }
"""
Trials = Mapping[tuple[str, int], tuple[str, ...]]
"""Everything of each trial, by study and number: its state first."""
Damage = Callable[[Path, random.Random], None]


def trials(file: Path) -> Trials:
    """Every trial of a sound database, with all that lasts."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        names = dict(connection.execute("SELECT study_id, study_name FROM studies"))
        key, found = {}, {}
        for trial_id, number, study, state in connection.execute(
            "SELECT trial_id, number, study_id, state FROM trials"
        ):
            key[trial_id] = names.get(study, ""), number
            found[key[trial_id]] = [state]
        for table in _TABLES:
            for row in connection.execute(f"SELECT * FROM {table}"):
                if row[1] in key:
                    found[key[row[1]]].append(repr((table, *row[2:])))
    return {at: (of[0], *sorted(of[1:])) for at, of in found.items()}


def finished(of: tuple[str, ...]) -> bool:
    """Whether a trial has a result; one that a salvage marked as failed has none."""
    return of[0] in ("COMPLETE", "PRUNED", "FAIL") and not any('"damaged: ' in part for part in of)


def _change(file: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(file.read_bytes())
    change(content)
    file.write_bytes(content)


def flip(file: Path, rng: random.Random) -> None:
    """One to twenty bits, anywhere."""

    def change(content: bytearray) -> None:
        for _ in range(rng.randint(1, 20)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)

    _change(file, change)


def flip_one(file: Path, rng: random.Random) -> None:
    """One bit, anywhere."""

    def change(content: bytearray) -> None:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)

    _change(file, change)


def zero(file: Path, rng: random.Random) -> None:
    """One to five pages, all zeros."""

    def change(content: bytearray) -> None:
        for _ in range(rng.randint(1, 5)):
            start = rng.randrange(len(content) // PAGE) * PAGE
            content[start : start + PAGE] = bytes(PAGE)

    _change(file, change)


def garble(file: Path, rng: random.Random) -> None:
    """A run of 16 to 4,000 random bytes."""

    def change(content: bytearray) -> None:
        many = rng.randint(16, 4000)
        start = rng.randrange(len(content) - many)
        content[start : start + many] = rng.randbytes(many)

    _change(file, change)


def truncate(file: Path, rng: random.Random) -> None:
    """The end, from a twentieth to three quarters of the file, is gone."""
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.truncate(int(size * (1 - rng.uniform(0.05, 0.75))))


def behead(file: Path, rng: random.Random) -> None:
    """The first 16 to 4,096 bytes are random: the header, and the schema."""
    _change(file, lambda content: content.__setitem__(slice(0, many := rng.randint(16, PAGE)), rng.randbytes(many)))


def lose_log(file: Path, rng: random.Random) -> None:
    """A log of some commits, of which the pages of some were in the file already, is gone."""
    whole = file.read_bytes()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        ids = [row[0] for row in connection.execute("SELECT trial_id FROM trials ORDER BY trial_id DESC LIMIT 40")]
        for start in range(0, 40, 8):
            some = ", ".join(map(str, ids[start : start + 8]))
            connection.execute("BEGIN")
            for table in (*_TABLES, "trial_system_attributes", "trials"):
                connection.execute(f"DELETE FROM {table} WHERE trial_id IN ({some})")
            connection.execute("COMMIT")
        log = file.with_name(f"{file.name}-wal").read_bytes()
    # What a power cut in the middle of moving the log into the file leaves, where the log itself is lost.
    frames = [log[at : at + 24 + PAGE] for at in range(32, len(log), 24 + PAGE)]
    moved = rng.sample(frames, len(frames) // 2)
    content = bytearray(whole)
    for frame in moved:
        number = int.from_bytes(frame[:4], "big")
        content[(number - 1) * PAGE : number * PAGE] = frame[24:]
    for end in ("-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)
    file.write_bytes(content)


KINDS: Mapping[str, Damage] = {
    "one bit flipped": flip_one,
    "1 to 20 bits flipped": flip,
    "1 to 5 pages zeroed": zero,
    "16 to 4,000 bytes of noise": garble,
    "the tail cut off": truncate,
    "header and schema hit": behead,
    "log lost half way": lose_log,
}


@dataclass
class Tally:
    """What became of the files of one kind of damage."""

    files: int = 0
    found: int = 0
    unseen_same: int = 0
    unseen_other: int = 0
    saved: int = 0
    kept: int = 0
    of: int = 0
    wrong: int = 0
    unsound: int = 0
    examples: list[str] = field(default_factory=list)


def judge(original: Path, damaged: Path, before: Trials, tally: Tally) -> None:
    """Check and salvage one damaged file."""
    tally.files += 1
    found = check(str(damaged))
    if not found.sound:
        tally.found += 1
    else:
        same = _rows(original) == _rows(damaged)
        tally.unseen_same += same
        tally.unseen_other += not same
        if not same:
            tally.examples += _differences(original, damaged)
    target = damaged.with_name("saved.db")
    target.unlink(missing_ok=True)
    tally.of += sum(map(finished, before.values()))
    try:
        done = salvage(str(damaged), target)
    except HpsearchError as error:
        tally.examples.append(str(error))
        return
    tally.saved += 1
    tally.unsound += not done.after.sound
    for at, of in trials(target).items():
        if finished(of):
            if before.get(at) == of:
                tally.kept += 1
            else:
                tally.wrong += 1
                other = set(of) ^ set(before.get(at, ()))
                tally.examples.append(f"{at}: {sorted(other)[:2]}")


def _rows(file: Path) -> dict[str, list[str]]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.text_factory = bytes
        return {
            table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}")))
            for table in (*_TABLES, "trials", "studies", "study_user_attributes", "trial_system_attributes")
        }


def _differences(original: Path, damaged: Path) -> list[str]:
    before, after = _rows(original), _rows(damaged)
    return [
        f"unseen in {table}: {sorted(set(before[table]) ^ set(after[table]))[0][:100]}"
        for table in before
        if before[table] != after[table]
    ]


def make(folder: Path) -> Path:
    """A database of three stages of 100 trials, and a confirmation."""
    from hpsearch.__main__ import main

    study, file = folder / "mnist.toml", folder / "made.db"
    study.write_text(STUDY)
    for command in (f"start {study} --stages 3 --storage {file}", f"confirm --top 2 --repeats 3 --storage {file}"):
        with contextlib.redirect_stdout(sys.stderr):
            assert main(command.split()) == 0
    return file


def main() -> None:
    """Damage, check, salvage, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=50, help="of each kind of damage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="show what was not seen, and what was kept wrongly")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        original = make(folder)
        before = trials(original)
        print(f"{len(before)} trials, {original.stat().st_size / 1e3:.0f} kB; {asked.files} files a kind")
        print("| damage | files | found | unseen, no row changed | unseen, a row changed | salvaged | kept | wrong |")
        print("|---|---|---|---|---|---|---|---|")
        for kind, damage in KINDS.items():
            tally = Tally()
            for number in range(asked.files):
                damaged = folder / "damaged.db"
                shutil.copy(original, damaged)
                damage(damaged, random.Random(f"{asked.seed} {kind} {number}"))
                judge(original, damaged, before, tally)
            kept = f"{tally.kept} of {tally.of} ({tally.kept / tally.of:.1%})"
            saved = f"{tally.saved} ({tally.unsound} not sound)"
            print(
                f"| {kind} | {tally.files} | {tally.found} | {tally.unseen_same} | {tally.unseen_other} "
                f"| {saved} | {kept} | {tally.wrong} |",
                flush=True,
            )
            if asked.verbose:
                for example in tally.examples[:8]:
                    print("   ", example[:300])


if __name__ == "__main__":
    main()

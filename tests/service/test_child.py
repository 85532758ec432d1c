"""The process of a job, in this process: what is printed, and what becomes of the job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bounded import until
from job_processes import running_here

from hpsearch.errors import BadInput
from hpsearch.records import Action, Job, Line
from hpsearch.service import child
from hpsearch.service.database import open_service
from hpsearch.service.jobs import Queue
from hpsearch.service.settings import Settings
from hpsearch.store.engine import Database
from hpsearch.store.leases import Owner

Command = Callable[[list[str]], int]
Ran = tuple[Job, list[tuple[str, str]]]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    handler = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as ``hpsearch serve`` does
    with closing(open_service(str(tmp_path / "studies.db"))) as database:
        yield Queue(database)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def run(queue: Queue, tmp_path: Path) -> Callable[..., Ran]:
    """Runs a job of so many actions by a command; the job, and its log as streams and texts."""

    def ran(command: Command, actions: int = 1) -> Ran:
        job = queue.submit([Action("narrow", {"search": "tiny", "top": n + 2}) for n in range(actions)], by="ann")
        owner = Owner.current()
        assert queue.claim(owner, at_once=1) is not None
        child.run_job(owner.run, Settings(storage=str(tmp_path / "studies.db")), command=command)
        lines = queue.log(job.id)
        assert [line.id for line in lines] == [*range(1, len(lines) + 1)]
        return queue.job(job.id), [(line.stream, line.text) for line in lines]

    return ran


def test_what_anybody_prints_is_in_the_log(run: Callable[..., Ran], capfd: pytest.CaptureFixture[str]) -> None:
    def command(words: list[str]) -> int:
        print("größer\n\n a", end="")
        print(" b", end="")
        subprocess.run(["/bin/sh", "-c", "echo from a child >&2"], check=True)
        os.write(sys.stderr.fileno(), b"no \xff text\nthe end")
        return 0

    job, lines = run(command)
    assert [text for stream, text in lines if stream == "stdout"] == ["größer", "", " a b"]
    assert [text for stream, text in lines if stream == "stderr"] == ["from a child", "no \\xff text", "the end"]
    assert (job.state, job.position, job.exit_code) == ("done", 1, 0)
    print("after it")
    print("after it", file=sys.stderr)
    assert capfd.readouterr() == ("after it\n", "after it\n")


def test_the_first_action_that_fails_is_the_last_one(run: Callable[..., Ran]) -> None:
    def command(words: list[str]) -> int:
        done.append(words)
        print("hpsearch: --top 3: too few\n", file=sys.stderr)
        return 2 if len(done) == 2 else 0

    done: list[list[str]] = []
    job, _ = run(command, actions=3)
    assert [[word for word in words if "top" in word] for words in done] == [["--top=2"], ["--top=3"]]
    assert (job.state, job.position, job.exit_code, job.reason) == ("failed", 1, 2, "--top 3: too few")


def test_a_failure_without_a_word_has_a_reason(run: Callable[..., Ran]) -> None:
    assert run(lambda words: 1)[0].reason == "exit code 1"


def test_a_job_that_fails_while_the_database_was_away_is_begun_again(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "on_disconnect", lambda database, note, stopping: note("the server is away"))
    job, _ = run(lambda words: 2)
    assert (job.state, job.attempts, job.exit_code) == ("queued", 0, None)


def test_a_log_has_so_many_lines_and_a_line_so_many_bytes(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(words: list[str]) -> int:
        print("\n".join(map(str, range(5))), "x" * 25, sep="\n")
        print("hpsearch: why", file=sys.stderr)
        return 1

    monkeypatch.setattr(child, "_MOST_LINES", 4)
    job, lines = run(command)
    assert [text for _, text in lines] == ["0", "1", "2", "the log ends here, after 4 lines"]
    assert job.reason == "why"
    monkeypatch.undo()
    monkeypatch.setattr(child, "_LONGEST_LINE", 10)
    assert max(len(text) for _, text in run(lambda words: print("x" * 10**6) or 0)[1]) < 10**6


def test_lines_are_there_while_the_command_runs(queue: Queue, run: Callable[..., Ran]) -> None:
    def command(words: list[str]) -> int:
        print("first")
        until(lambda: queue.log(1) == [Line(1, "stdout", "first")], what="the line in the log")
        return 0

    assert run(command)[0].state == "done"


def test_a_job_that_is_to_stop_is_interrupted(queue: Queue, run: Callable[..., Ran]) -> None:
    def command(words: list[str]) -> int:
        queue.cancel(1)
        until(lambda: False, what="SIGTERM")
        return 0

    job, _ = run(command)
    assert (job.state, job.exit_code) == ("stopped", 130)


def test_a_process_that_has_lost_its_claim_is_interrupted_and_says_nothing_more(
    queue: Queue, run: Callable[..., Ran]
) -> None:
    def command(words: list[str]) -> int:
        (owner,) = running_here(queue)
        queue.abandon(owner.run)
        assert queue.claim(Owner.current(), at_once=1) is not None
        print("late")
        until(lambda: False, what="SIGTERM")
        return 0

    job, lines = run(command)
    assert (job.state, job.attempts, lines) == ("running", 2, [])


def test_a_second_signal_does_not_keep_the_end_from_being_recorded(
    queue: Queue, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Queue.finish

    def ended(*arguments: object, **named: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        finish(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Queue, "finish", ended)
    assert run(lambda words: 0)[0].state == "done"


def test_a_job_that_goes_on_begins_with_the_action_that_was_interrupted(
    queue: Queue, tmp_path: Path, run: Callable[..., Ran]
) -> None:
    def interrupted(words: list[str]) -> int:
        done.append(words)
        if len(done) == 2:
            raise KeyboardInterrupt
        return 0

    done: list[list[str]] = []
    job, _ = run(interrupted, actions=3)
    assert (job.state, job.position, job.attempts) == ("queued", 1, 0)
    owner = Owner.current()
    assert queue.claim(owner, at_once=1) is not None
    child.run_job(owner.run, Settings(storage=str(tmp_path / "studies.db")), command=interrupted)
    assert done[2:] == done[1:2] + done[3:]
    assert len(done) == 4
    assert queue.job(job.id).state == "done"


def test_nobody_claimed_it(queue: Queue, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no job is claimed by x; the service starts this process"):
        child.run_job("x", Settings(storage=str(tmp_path / "studies.db")), command=lambda words: 0)

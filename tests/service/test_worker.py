"""Jobs in processes of their own, and what becomes of them when a process is stopped or killed.

The trials of the search are a shell's, and wait at trial 3 until there is a file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from bounded import LIMIT_S, until
from faulty import search
from job_processes import running_here
from signalled import states

from hpsearch import Search
from hpsearch.records import Action, Job
from hpsearch.service import worker as worker_module
from hpsearch.service.database import open_service
from hpsearch.service.jobs import Queue
from hpsearch.service.settings import Settings
from hpsearch.service.worker import working
from hpsearch.store import open_store

pytestmark = pytest.mark.slow

TRIALS, HELD_FROM = 6, 3
STUDY = f"""
name = "tiny"
[objective]
command = [
  "/bin/sh", "-c",
  'while [ $0 -ge {HELD_FROM} ] && [ ! -e "$1/go" ]; do sleep 0.1; done; echo "{{\\"score\\": $2}}"',
  "{{trial}}", "{{folder}}", "{{x}}",
]
direction = "maximize"
[space]
x = {{ low = 0.0, high = 1.0 }}
[trials]
count = {TRIALS}
sampler = "random"
"""
GOES_ON = "the jobs that run here record what has finished, and go on when this is started again"
START = Action("start", {"search": "tiny", "jobs": 1, "lanes": 1})


@dataclass(frozen=True)
class Place:
    """A folder in which a service has its database."""

    settings: Settings
    queue: Queue

    @property
    def database(self) -> Path:
        """The study database."""
        return Path(self.settings.storage)

    def submit(self, *actions: Action) -> int:
        """Hand in a job; its id."""
        return self.queue.submit(actions, by="ann").id

    def go(self) -> None:
        """Let the trials go on."""
        (self.settings.studies / "go").touch()

    def held(self, *besides: int) -> int:
        """Wait until the trials wait, and another process than these has the job; return it."""
        others = {os.getpid(), *besides}

        def runners() -> list[int]:
            return [owner.pid for owner in running_here(self.queue) if owner.pid not in others]

        until(lambda: states(self.database).count("COMPLETE") == HELD_FROM and bool(runners()), what="a held job")
        return runners()[0]

    def ended(self, id: int, *states: str) -> Job:
        """Wait until a job has come to its end, or to a state."""
        wanted = states or ("done", "failed", "stopped")
        until(lambda: self.queue.job(id).state in wanted, what=f"job {id}, {self.queue.job(id)}")
        return self.queue.job(id)

    def rows(self) -> search.Rows:
        """Its trials, to the bit."""
        found = search.read(f"sqlite:///{self.database}")
        assert (found.repeated, found.running) == (0, 0)
        return found.rows

    def printed(self, id: int, stream: str) -> list[str]:
        """Lines that a job has printed."""
        return [line.text for line in self.queue.log(id) if line.stream == stream]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPSEARCH_SERVER", "http://nowhere.invalid")
    settings = Settings(storage="studies/my.db")
    settings.studies.mkdir()
    (settings.studies / "tiny.toml").write_text(STUDY)
    open_store(settings.storage, create=True).close()
    with closing(open_service(settings.storage)) as database:
        yield Place(settings, Queue(database))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> search.Rows:
    """The trials of the search where nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "go").touch()
    (folder / "tiny.toml").write_text(STUDY)
    Search(str(folder / "tiny.toml"), storage=folder / "my.db").start(jobs=1, lanes=1)
    return search.read(f"sqlite:///{folder / 'my.db'}").rows


@contextmanager
def worker() -> Iterator[subprocess.Popen[str]]:
    """``hpsearch serve --worker`` in a process of its own."""
    words = ["serve", "--worker", "--storage", "studies/my.db"]
    with subprocess.Popen([sys.executable, "-m", "hpsearch", *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "note: jobs are run here; Ctrl-C ends it\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_job_runs_its_actions_and_its_log_has_what_they_print(place: Place, undisturbed: search.Rows) -> None:
    place.go()
    narrow = Action("narrow", {"search": "tiny", "top": 3})
    id = place.submit(START, narrow, replace(narrow, arguments={"search": "tiny", "top": 1}), START)
    with working(place.settings):
        job = place.ended(id)
    assert (job.state, job.position, job.exit_code, job.attempts) == ("failed", 2, 2, 1)
    assert job.reason == "--top 1: one value has no spread; give at least 2"
    errors = place.printed(id, "stderr")
    assert (errors[0], errors[-1]) == (f"tiny/stage-01: {TRIALS} trials, 1 process", f"hpsearch: {job.reason}")
    assert place.rows() == undisturbed
    out = place.printed(id, "stdout")
    assert out[0].startswith(f"tiny/stage-01 has {TRIALS} finished trials; {TRIALS} of them now")
    assert out[-1] == "made tiny/stage-02; next: hpsearch start tiny"  # without a --storage


def test_a_job_that_is_stopped_or_killed_goes_on_with_the_same_bits(place: Place, undisturbed: search.Rows) -> None:
    job = place.submit(replace(START, arguments={**START.arguments, "trials": 2}), START)
    with working(place.settings):
        ended = place.held()
        os.kill(ended, signal.SIGTERM)
        killed = place.held(ended)
        assert place.queue.job(job).attempts == 1
        os.kill(killed, signal.SIGKILL)
        place.held(ended, killed)
        assert place.queue.job(job).attempts == 2
        place.queue.cancel(job)
        stopped = place.ended(job)
        last = place.submit(START)
        place.go()
        done = place.ended(last)
    assert (stopped.state, stopped.exit_code, stopped.reason) == ("stopped", 130, "stopped as requested")
    assert sum("has 2 finished trials" in line for line in place.printed(job, "stdout")) == 1  # done once
    assert (done.state, done.attempts) == ("done", 1)
    assert place.rows() == undisturbed


def test_a_killed_service_leaves_its_job_running_and_the_next_one_takes_care_of_it(
    place: Place, undisturbed: search.Rows
) -> None:
    job = place.submit(START)
    with worker() as first:
        pid = place.held(first.pid)
        first.kill()
        first.wait(LIMIT_S)
    assert [owner.pid for owner in place.queue.orphans()] == [pid]
    with worker() as second:
        second.send_signal(signal.SIGTERM)
        assert second.wait(LIMIT_S) == 0
        assert second.stderr is not None
        assert second.stderr.read() == f"hpsearch: {GOES_ON}\n"
    waiting = place.queue.job(job)  # and not a moment later: the worker has waited for it
    assert (waiting.state, waiting.attempts) == ("queued", 0)
    assert states(place.database).count("RUNNING") == 0
    with worker() as third:
        place.held(third.pid)
        third.kill()
    place.go()
    assert place.ended(job).attempts == 1  # nobody is there but its own process
    assert place.rows() == undisturbed


@pytest.mark.parametrize(
    ("script", "state"),
    [("exit 1", "failed"), (None, "queued"), ("exit 130", "queued"), ("kill -TERM $$", "queued")],
    ids=["dies", "is not there", "is interrupted", "is ended"],
)
def test_a_process_that_ends_before_it_has_its_job(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], script: str | None, state: str
) -> None:
    """Three deaths are the job's fault; interruptions, and a machine that can start no process, are not."""
    program, begun = place.settings.studies / "program", place.settings.studies / "begun"
    if script is not None:
        program.write_text(f"#!/bin/sh\necho >>{begun}\n{script}\n")
        program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(worker_module, "_LOOK_S", 0.01)
    job = place.submit(START)
    with working(place.settings):
        if state == "failed":
            assert place.ended(job).attempts == 3
        elif script is None:
            for _ in range(4):
                until(lambda: "jobs cannot be run: " in capfd.readouterr().err, what="another try")
        else:
            until(lambda: begun.exists() and len(begun.read_text()) > 4, what="another try")
    assert place.queue.job(job).state == state

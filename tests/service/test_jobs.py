"""The queue of jobs, over both databases: keys, claims, leases, ends, logs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import together
from job_processes import running_here
from sqlalchemy import select, update

from hpsearch.errors import BadInput, BadStorage
from hpsearch.records import Action, Job, Line
from hpsearch.service import jobs
from hpsearch.service.database import open_service
from hpsearch.service.jobs import JOBS, KeyConflict, Queue, TooManyJobs, UnknownJob
from hpsearch.store.engine import Database
from hpsearch.store.leases import Owner, utc_now

if TYPE_CHECKING:
    from postgres import Server

START = Action("start", {"search": "mnist", "trials": 8})
Submit = Callable[..., Job]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A study database without a service's beside it, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "studies.db")
    server: Server = request.getfixturevalue("postgres")
    made: str = request.getfixturevalue("postgres_url")
    server.run("DROP SCHEMA IF EXISTS hpsearch_service CASCADE", database=made.rpartition("/")[2])
    return made


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    made = open_service(url)
    yield made
    made.close()


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database)


@pytest.fixture
def submit(queue: Queue) -> Submit:
    """Hands in a job on a search."""
    return lambda search="mnist", **given: queue.submit([Action("start", {"search": search, **given})], by="ann")


def claim(queue: Queue, *, at_once: int = 100, **owner: Any) -> tuple[str, Job | None]:
    """Claim a job; the claim and the job."""
    me = replace(Owner.current(), **owner)
    return me.run, queue.claim(me, at_once=at_once)


def claimed(queue: Queue, *, at_once: int = 100, **owner: Any) -> str:
    """Claim the job that is there; the claim."""
    mine, job = claim(queue, at_once=at_once, **owner)
    assert job is not None
    assert job.state == "running"
    return mine


def nothing_to_claim(queue: Queue, **how: Any) -> bool:
    return claim(queue, **how)[1] is None


ELSEWHERE: dict[str, Any] = {"host": "elsewhere"}
DEAD: dict[str, Any] = {"pid": 2**22 + 1}  # beyond the greatest number of a process


def let_grow_old(database: Database, age: timedelta = timedelta(hours=1)) -> None:
    """Let all claims be renewed so long ago."""
    with database.write() as connection:
        connection.execute(update(JOBS).values(renewed=utc_now() - age))


def test_a_folder_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadStorage, match=r"^cannot lock the folder of .*nowhere/a-service.db: No such file"):
        open_service(str(tmp_path / "nowhere" / "a.db"))


def test_a_new_job_waits_and_says_who_handed_it_in_and_when(queue: Queue) -> None:
    actions = [START, Action("confirm", {"search": "mnist/stage-01", "top": 3})]
    before = datetime.now(UTC)
    job = queue.submit(actions, by="ann")
    assert job == queue.job(job.id) == Job(job.id, tuple(actions), "mnist", "queued", "ann", job.created)
    assert before <= job.created <= datetime.now(UTC)


def test_the_same_key_is_the_same_job(queue: Queue) -> None:
    job = queue.submit([START], by="ann", key="k")
    assert queue.submit([START], by="ann", key="k") == job
    with pytest.raises(KeyConflict, match=f"'k' was used for job {job.id}"):
        queue.submit([replace(START, kind="confirm")], by="ann", key="k")
    others = [queue.submit([START], by=by, key=key) for by, key in (("ben", "k"), ("ann", None), ("ann", None))]
    assert len({job.id, *(other.id for other in others)}) == len(queue.jobs()) == 4


def test_a_user_has_so_many_open_jobs_and_no_more(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_OPEN", 2)
    first = queue.submit([START], by="ann", key="k")
    queue.submit([START], by="ann")
    with pytest.raises(TooManyJobs, match="2 jobs of ann wait or run"):
        queue.submit([START], by="ann")
    assert queue.submit([START], by="ann", key="k") == first
    queue.submit([START], by="ben")
    queue.cancel(first.id)
    queue.submit([START], by="ann")


def test_a_key_that_comes_many_times_at_once_is_one_job(queue: Queue) -> None:
    answers: list[Job] = []
    threads = [threading.Thread(target=lambda: answers.append(queue.submit([START], by="ann", key="k"))) for _ in "123"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.id for job in answers] == [1, 1, 1]


def test_who_reads_keeps_nobody_from_handing_a_job_in(database: Database, queue: Queue) -> None:
    with database.read() as connection:
        connection.execute(select(JOBS)).all()
        assert queue.submit([START], by="ann").id == 1


@pytest.mark.parametrize(
    ("actions", "names"),
    [([], "none"), ([Action("start")], "none"), ([START, Action("start", {"search": "digits"})], "digits, mnist")],
)
def test_a_job_is_about_one_search(tmp_path: Path, actions: list[Action], names: str) -> None:
    database = open_service(str(tmp_path / "studies.db"))
    with pytest.raises(BadInput, match=f"these name {names};"):
        Queue(database).submit(actions, by="ann")
    database.close()


def test_jobs_are_listed_the_latest_first(queue: Queue, submit: Submit) -> None:
    ids = [submit(search).id for search in ("a", "b", "a", "b")]
    queue.cancel(ids[0])

    def listed(**wanted: Any) -> list[int]:
        return [job.id for job in queue.jobs(**wanted)]

    assert listed() == ids[::-1]
    assert listed(search="a") == [ids[2], ids[0]]
    assert listed(state="stopped") == [ids[0]]
    assert listed(limit=2) == ids[:1:-1]
    assert listed(limit=2, before=ids[2]) == ids[1::-1]


def test_the_oldest_job_is_claimed_and_never_two_of_a_search(queue: Queue, submit: Submit) -> None:
    first, second, other = submit("a"), submit("a"), submit("b")
    a, job = claim(queue)
    assert (job and job.id, job and job.attempts) == (first.id, 1)
    assert queue.job(first.id).started is not None
    b, job = claim(queue)
    assert job is not None
    assert job.id == other.id
    assert nothing_to_claim(queue)
    queue.finish(a, 0)
    assert claim(queue)[1] == queue.job(second.id)
    queue.finish(b, 0)


def test_a_machine_runs_so_many_jobs_at_once(queue: Queue, submit: Submit) -> None:
    for search in "abcd":
        submit(search)
    claimed(queue, **ELSEWHERE)  # it does not count here
    mine = claimed(queue, at_once=2)
    claimed(queue, at_once=2)
    assert nothing_to_claim(queue, at_once=2)
    queue.finish(mine, 0)
    claimed(queue, at_once=2)


def test_threads_claim_every_job_once(queue: Queue, submit: Submit) -> None:
    ids, mine = {submit(f"s{number}").id for number in range(12)}, []

    def work() -> None:
        while (job := claim(queue)[1]) is not None:
            mine.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(mine) == sorted(ids)


def test_processes_make_the_database_at_once_and_claim_every_job_once(url: str) -> None:
    assert together.at_once(together.open_service, 2, url) == [True, True]
    database = open_service(url)
    queue = Queue(database)
    ids = [queue.submit([Action("start", {"search": f"s{number}"})], by="ann").id for number in range(16)]
    first, second = together.at_once(together.claim_jobs, 2, url)
    assert sorted(first + second) == ids
    database.close()


def test_a_job_whose_process_has_gone_is_begun_again(queue: Queue, submit: Submit) -> None:
    job = submit()
    claimed(queue, **DEAD)
    claimed(queue)
    assert queue.job(job.id).attempts == 2
    assert nothing_to_claim(queue)


def test_a_job_whose_process_the_worker_saw_end_is_begun_again(queue: Queue, submit: Submit) -> None:
    submit()
    mine = claimed(queue)
    queue.abandon(mine)
    claimed(queue)
    queue.abandon(mine)  # it is another's now
    assert nothing_to_claim(queue)


def test_a_process_elsewhere_has_its_job_as_long_as_it_renews_its_claim(
    database: Database, queue: Queue, submit: Submit
) -> None:
    submit()
    there = claimed(queue, **ELSEWHERE)
    let_grow_old(database, timedelta(seconds=100))
    assert nothing_to_claim(queue)
    let_grow_old(database)
    assert queue.report(there) == "go on"
    assert nothing_to_claim(queue)
    let_grow_old(database)
    claimed(queue)
    assert queue.report(there) == "lost"


def test_a_process_here_has_its_job_however_old_its_claim_is(database: Database, queue: Queue, submit: Submit) -> None:
    submit()
    claimed(queue)
    let_grow_old(database)  # the machine was suspended
    assert nothing_to_claim(queue)


def test_a_job_that_three_processes_have_died_with_has_failed(queue: Queue, submit: Submit) -> None:
    job, other = submit("a"), submit("b")
    for _ in range(3):
        claimed(queue, **DEAD)
    assert claim(queue)[1] == queue.job(other.id)
    job = queue.job(job.id)
    assert (job.state, job.attempts) == ("failed", 3)
    assert job.ended is not None
    assert job.reason == "3 processes have died with it: they were killed, or there was not enough memory"


def test_the_child_takes_the_claim_over(queue: Queue, submit: Submit) -> None:
    job = submit()
    mine = claimed(queue, **DEAD)
    assert running_here(queue) == []
    child = replace(Owner.current(), run=mine)
    taken = queue.take(child)
    assert taken is not None
    assert (taken.id, taken.owner) == (job.id, f"process {child.pid} on {child.host}")
    assert nothing_to_claim(queue)  # its process lives
    assert running_here(queue) == [child]
    assert queue.take(Owner.current()) is None


def test_an_orphan_is_a_process_whose_worker_has_gone(queue: Queue, submit: Submit) -> None:
    submit()
    child = replace(Owner.current(), run=claimed(queue, **DEAD))
    queue.take(child)
    assert queue.orphans() == [child]
    submit("other")
    queue.take(replace(Owner.current(), run=claim(queue, at_once=2)[0]))  # its worker lives: it is nobody else's care
    assert queue.orphans() == [child]


@pytest.mark.parametrize(
    ("code", "asked", "state", "reason"),
    [
        (0, False, "done", None),
        (0, True, "stopped", "stopped as requested"),
        (2, False, "failed", "why"),
        (1, True, "failed", "why"),
        (130, True, "stopped", "stopped as requested"),
    ],
)
def test_how_a_job_ends(queue: Queue, submit: Submit, code: int, asked: bool, state: str, reason: str | None) -> None:
    job, mine = submit(), claimed(queue)
    if asked:
        assert queue.cancel(job.id).stopping
        assert queue.report(mine) == "stop"
    queue.finish(mine, code, reason="why")
    job = queue.job(job.id)
    assert (job.state, job.exit_code, job.reason, job.owner) == (state, code, reason, None)
    assert job.ended is not None
    assert queue.report(mine) == "lost"
    assert queue.cancel(job.id) == job
    assert nothing_to_claim(queue)


def test_an_interrupted_job_waits_again_goes_on_where_it_was_and_costs_no_attempt(queue: Queue, submit: Submit) -> None:
    job = submit()
    for position in range(4):
        mine = claimed(queue)
        queue.advance(mine, position)
        queue.finish(mine, 130)
        waiting = queue.job(job.id)
        assert (waiting.state, waiting.attempts, waiting.position) == ("queued", 0, position)
        assert (waiting.exit_code, waiting.owner, waiting.ended) == (None, None, None)
    first = waiting.started
    claimed(queue)
    assert queue.job(job.id).started == first


def test_who_has_lost_the_claim_changes_nothing(queue: Queue, submit: Submit) -> None:
    job = submit()
    lost = claimed(queue, **DEAD)
    claimed(queue)
    before = queue.job(job.id)
    queue.advance(lost, 7)
    queue.finish(lost, 1, reason="late")
    assert queue.report(lost, [Line(1, "stdout", "late")]) == "lost"
    assert queue.job(job.id) == before
    assert queue.log(job.id) == []


def test_a_job_that_waits_is_stopped_at_once(queue: Queue, submit: Submit) -> None:
    job = queue.cancel(submit().id)
    assert (job.state, job.reason) == ("stopped", "stopped before it began")
    assert nothing_to_claim(queue)


def test_a_job_that_was_to_stop_when_its_process_died_is_stopped(queue: Queue, submit: Submit) -> None:
    _, job = submit("a"), submit("b")
    claimed(queue)
    claimed(queue, **DEAD)
    queue.cancel(job.id)
    assert nothing_to_claim(queue, at_once=1)  # and nothing need be, for it to end
    assert queue.job(job.id).state == "stopped"


def test_a_log_is_read_in_parts(queue: Queue, submit: Submit) -> None:
    job, mine = submit(), claimed(queue)
    lines = [Line(1, "stdout", "one"), Line(2, "stderr", ""), Line(3, "stdout", "zwölf\u2028\x1b[0m")]
    assert queue.report(mine, lines[:2]) == "go on"
    queue.report(mine, lines)  # again, as after a broken connection, and one more
    assert queue.log(job.id) == lines
    assert queue.log(job.id, after=1, limit=1) == lines[1:2]
    assert queue.log(job.id, after=3) == []
    assert queue.last_line(job.id) == 3
    queue.report(mine, [Line(4, "stdout", "a\0b")])
    assert queue.log(job.id, after=3) == [Line(4, "stdout", "a\\x00b")]


def test_no_such_job(queue: Queue) -> None:
    for ask in (queue.job, queue.log, queue.cancel):
        with pytest.raises(UnknownJob, match="no job 7"):
            ask(7)


@pytest.mark.parametrize("stored", [True, False])
def test_a_connection_that_breaks_in_a_commit_makes_no_second_job_and_loses_no_claim(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    """Whether or not the commit has reached the database."""

    def breaks_once(database: Database, work: Callable[[Any, Any], Any]) -> Any:
        with database.write() as connection:
            result = work(connection, None)
            if not stored:
                connection.rollback()
        with database.write() as connection:
            return work(connection, result)

    monkeypatch.setattr(Database, "writing", breaks_once)
    made = {queue.submit([START], by="ann").id for _ in range(2)}
    assert len(made) == len(queue.jobs()) == 2
    mine, job = claim(queue)
    assert job is not None
    assert (job.id, job.attempts) == (queue.jobs()[-1].id, 1)
    assert queue.report(mine) == "go on"

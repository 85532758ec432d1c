"""The bookkeeping of Dask's workers against a plain model of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpsearch.executors.dask.executor import Workers

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from("abc"), st.integers(1, 3)),
        st.tuples(st.just("leave"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("begin"), st.just(""), st.just(0)),
        st.tuples(st.just("alone"), st.just(""), st.just(0)),
        st.tuples(st.just("end"), st.just(""), st.integers(0, 5)),
    )
)


@given(STEPS)
def test_a_worker_never_has_more_than_its_threads_and_none_idles_unseen(steps: list[tuple[str, str, int]]) -> None:
    workers, threads, at, alone = Workers(), dict[str, int](), dict[str, str](), set[str]()
    emptied: str | None = None  # the worker that gets no more tasks until it has none
    for number, (what, worker, count) in enumerate(steps):
        if what == "join":
            workers.add(worker, count)
            threads.setdefault(worker, count)
        elif what == "leave":
            assert workers.remove(worker) == {task for task, where in at.items() if where == worker}
            threads.pop(worker, None)
            at = {task: where for task, where in at.items() if where != worker}
            emptied = None if emptied == worker else emptied
        elif what == "end" and at:
            task = list(at)[count % len(at)]
            workers.end(task, at.pop(task))
            workers.end(task, "gone")
        elif what == "alone":
            empty = [one for one in threads if one not in at.values()]
            if (found := workers.empty()) is not None:
                assert found in empty
                workers.begin_alone(str(number), found)
                at[str(number)] = found
                alone.add(str(number))
                emptied = None
            else:
                assert not empty
                shared = [one for one in threads if not any(at[task] == one for task in alone & set(at))]
                emptied = next((one for one in shared if workers.is_reserved(one)), None)
                assert (emptied is None) is (not shared)
        closed = {at[task] for task in alone & set(at)} | {emptied}
        room = {one for one, most in threads.items() if list(at.values()).count(one) < most} - closed
        found = workers.with_room()
        assert (found is None) is (not room)
        assert found is None or found in room
        if what == "begin" and found is not None:
            workers.begin(str(number), found)
            at[str(number)] = found
        assert all(list(at.values()).count(at[task]) == 1 for task in alone & set(at))
        assert workers.threads == sum(threads.values())
        assert set(workers) == set(threads)
        assert len(workers) == len(threads)

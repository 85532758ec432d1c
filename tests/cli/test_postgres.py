"""The commands on a PostgreSQL database: the same to the bit as on SQLite, by several runners, and while it is away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from bounded import until
from commands import HELD_OUT, START, Made
from faulty.process import Running
from optuna.trial import TrialState
from postgres import Server

from hpsearch.records import CURVES, HITS, Stage
from hpsearch.samplers import values
from hpsearch.store import Store, open_store


def told(store: Store, stage: Stage) -> list[Any]:
    """All that a store says of a stage but for times; NaN is compared by its name."""
    columns = {k: v for k, v in store.columns(stage).items() if k not in ("seconds", "started", "finished")}
    of = [repr(sorted(store.attributes(stage, key), key=lambda row: row[0])) for key in (CURVES, HITS)]
    return [replace(stage, study_id=0, imported={}), repr(columns), store.curves(stage).to_dict("list"), *of]


@pytest.mark.slow
def test_a_search_is_the_same_to_the_bit(made: Made, postgres_url: str) -> None:
    cli = made(study=HELD_OUT)
    shown = []
    for storage in ("here.db", postgres_url):
        confirm = "confirm --stage 1 --top 2 --repeats 2 --engine inline"
        for command in (START, "narrow --top 3", START, confirm, "evaluate --save net.npz"):
            cli.ok(f"{command} --storage {storage}")
        lines = [cli.ok(f"{line} --storage {storage}").splitlines() for line in ("best", "trials --top 3")]
        shown.append([[line.split()[:3] for line in some] for some in lines])
    assert shown[0] == shown[1]
    # Through a file into a search of another name, and a page of it all.
    for command in ("status", "export --out all.json", "import all.json --name copy", "report tiny --out page.html"):
        cli.ok(f"{command} --storage {postgres_url}")
    here, there = open_store("here.db"), open_store(postgres_url)
    pairs = zip(here.stages() + here.confirmations(), there.stages("tiny") + there.confirmations(), strict=True)
    assert [told(here, mine) == told(there, theirs) for mine, theirs in pairs] == [True] * 3
    copies = [replace(stage, search="tiny") for stage in there.stages("copy")]
    assert [told(there, copy)[1:] for copy in copies] == [told(there, stage)[1:] for stage in there.stages("tiny")]

    # Optuna reads what it would have written.
    (first, *_) = there.stages("tiny")
    study = optuna.load_study(study_name="tiny/stage-01", storage=postgres_url)
    sampled = [values(first.space, seed=first.seed, number=n) for n in range(8)]
    assert [trial.params for trial in study.trials] == sampled
    here.close()
    there.close()


@pytest.mark.slow
def test_runners_begin_at_once_on_an_empty_database_share_a_stage_and_outlive_the_server(
    tiny: Path, postgres: Server
) -> None:
    # Many enough for some to be left when the server is killed; each process trains in itself, without workers.
    many, url = 90, postgres.empty()
    arguments = ("start", "tiny.toml", "--engine", "inline", "--lanes", "2", "--trials", str(many), "--storage", url)
    running = Running(tiny.parent)
    starts = [running.start(*arguments) for _ in range(3)]
    until(lambda: all(f"{many} trials" in start.err.read_text() for start in starts), what="three that have begun")
    postgres.kill()
    postgres.start()
    assert [start.wait() for start in starts] == [0, 0, 0], [start.lines for start in starts]
    assert any("trying again for up to 60 s" in line for start in starts for line in start.lines)
    assert not any("Traceback" in line for start in starts for line in start.lines)
    study = optuna.load_study(study_name="tiny/stage-01", storage=url)
    trials = study.get_trials(deepcopy=False)
    assert [trial.number for trial in trials] == list(range(many))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert all(sorted(trial.intermediate_values) == [1, 2, 3] for trial in trials)
    storage: Any = study._storage
    storage._backend.engine.dispose()
    postgres.drop(url)

"""What the commands say of who ran the trials."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from importlib.metadata import version

from commands import Cli

from hpsearch.records import Completed
from hpsearch.reports.tables import run_by_line
from hpsearch.store import Owner, open_store

_VERSIONS = {"hpsearch": version("hpsearch"), "numpy": version("numpy")}


def test_trials_of_a_run_that_has_died_are_said_to_be_so(searched: Cli) -> None:
    dead = replace(Owner.current(), run="dead", pid=2**22 + 1)  # above the kernel's highest
    store = open_store("studies/hpsearch.db", write=True)
    (stage,) = store.stages()
    store.claim(stage, until=11, most=3, owner=dead)
    store.claim(stage, until=12, most=1, owner=Owner.current())
    store.close()
    said = "of those running 3 belong to a run that has died; the next start runs them again"
    assert said in searched("status").out
    (plain,) = json.loads(searched("status", "--format", "json").out)
    assert (plain["running"], plain["abandoned"]) == (4, 3)


def test_trials_for_programs_say_where_each_ran_and_with_what(searched: Cli) -> None:
    rows = json.loads(searched("trials", "--format", "json").out)
    host = Owner.current().host
    of_each = [{name: row[name] for name in ("ran_by", "hpsearch", "numpy", "begun")} for row in rows]
    assert of_each == [{"ran_by": host, **_VERSIONS, "begun": 1}] * 8
    first, *_ = csv.DictReader(searched("trials", "--top", "3", "--format", "csv").out.splitlines())
    assert (first["ran_by"], first["begun"]) == (host, "1")
    (stage,) = json.loads(searched("status", "--format", "json").out)
    assert stage["run_by"] == [{"host": host, **_VERSIONS, "trials": 8}]
    assert "run by" not in searched("status").out  # one machine, one version: not worth a line


def test_status_names_the_machines_where_there_are_several(searched: Cli) -> None:
    store = open_store("studies/hpsearch.db", write=True)
    (stage,) = store.stages()
    there = replace(Owner.current(), run="theirs", host="hostB")
    ids = {trial.number: trial.trial_id for trial in store.claim(stage, until=10, most=2, owner=there).trials}
    store.record(stage, [Completed(number, 0.5) for number in ids], ids, owner=there)
    store.close()
    ran = searched("status")
    assert f"run by: {Owner.current().host} 8, hostB 2\n" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_versions_are_named_where_they_differ() -> None:
    new = Owner("a", "one", "", 1, "", "0.3.0", "2.3.1")
    old = replace(new, run="b", host="two", hpsearch="", numpy="")
    assert run_by_line([{new: 60}, {new: 3, old: 37}]) == (
        "run by: one 63 (hpsearch 0.3.0, NumPy 2.3.1), two 37 (version not stored)"
    )
    many = [replace(new, run=str(n), host=f"host{n}") for n in range(7)]
    assert run_by_line([dict.fromkeys(many, 1)]) == "run by: host0 1, host1 1, host2 1, host3 1, host4 1 and 2 more"
    recent = run_by_line([{new: 60}, {replace(new, host="b"): 1}], recent=True)
    assert recent == f"run by (the last 10,000 of a stage): {new.host} 60, b 1"
    assert run_by_line([{new: 60}, {replace(new, run="c"): 1}]) is None

"""The public names, and one search from a script."""

from __future__ import annotations

import doctest
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import made_stages
import pytest
import tiny

import hpsearch
from hpsearch import Action, BadArgument, NotEnoughTrials, Search, UnknownSearch
from hpsearch.api import summaries
from hpsearch.records import Completed
from hpsearch.store import Owner, open_store


def test_every_public_name_is_there_and_loaded_when_it_is_used() -> None:
    assert set(hpsearch.__all__) <= set(dir(hpsearch))
    for name in hpsearch.__all__:
        assert getattr(hpsearch, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        hpsearch.nothing  # noqa: B018 - the access is what raises
    script = "import sys, hpsearch; print({'numpy', 'click', 'sqlalchemy', 'optuna'} & set(sys.modules))"
    script += "; import warnings; warnings.warn('IProgress not found. Please update jupyter')"  # as tqdm in a notebook
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_the_example_of_the_docstring_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    tiny.write(tmp_path / "studies", "mnist")
    (example,) = doctest.DocTestFinder(recurse=False).find(Search, "Search")
    assert doctest.DocTestRunner().run(example) == (0, 7)
    search = Search(storage="example.db")
    assert hpsearch.searches("example.db") == ("mnist",)
    first, second = search.status()
    assert (first.stage.number, first.counts.finished, second.stage.parent) == (1, 8, 1)
    best, confirmation = search.best_of()
    assert (best.score, confirmation) == (max(first.best or 0, second.best or 0), None)
    assert all(isinstance(action, Action) for action in search.checklist().next.actions)
    assert str(search.checklist()).splitlines()[-1] == str(search.checklist().advice[-1])
    assert search.compare(Search("mnist/stage-01", storage="example.db")).b.finished == 8
    assert search.plot("history").save() == Path("mnist-history.html")
    assert search.report(form="md").text.startswith("<!-- generator: hpsearch")
    assert search.export(Path("all.json"))[0].trials == 16
    copy, _ = hpsearch.import_trials("all.json", storage="copy.db", name="again")
    assert [stage.counts.finished for stage in copy.status()] == [8, 8]


def test_errors_are_worded_as_python(tmp_path: Path) -> None:
    with pytest.raises(hpsearch.BadStorage, match=r"`start\(\)` makes one"):
        Search(storage=tmp_path / "none.db").status()
    with pytest.raises(BadArgument, match="top=2: only complete trials have a score, and the state is fail"):
        Search(storage=tmp_path / "none.db").trials(top=2, state="fail")
    for error in (NotEnoughTrials, UnknownSearch):
        assert issubclass(error, hpsearch.HpsearchError)


def test_a_database_is_summed_up_search_by_search(tmp_path: Path) -> None:
    file = tmp_path / "all.db"
    with closing(open_store(str(file), create=True, write=True)) as store:
        made_stages.make(store, [0.5, 0.9, 0.7], trials=3)
        made_stages.make(store, [0.8, 0.6], trials=2, number=2)
        longer = replace(store.stages()[0], search="later", direction="minimize")
        made_stages.finish(
            store, store.create_stage(longer), 2, lambda trial: Completed(trial.number, 1.0 + trial.number)
        )
        waiting = store.create_stage(replace(longer, search="new"))
        store.claim(waiting, until=3, most=3, owner=Owner.current())
    new, later, made = summaries(file)  # the one that runs first, then those whose trials finished last
    assert (new.name, new.counts.running, new.best, new.finished) == ("new", 3, None, None)
    assert (later.name, later.counts.complete, later.best) == ("later", 2, 1.0)  # the lower the better
    assert (made.name, made.counts.finished, made.best, len(made.stages)) == ("made", 5, 0.9, 2)
    assert made.finished is not None
    assert made.metric == "validation_accuracy"

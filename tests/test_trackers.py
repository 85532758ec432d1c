"""Trials handed over to MLflow and W&B."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hpsearch import BadArgument, Float, MissingExtra, Search, UnknownSearch
from hpsearch.__main__ import main


def objective(trial: Any) -> dict[str, float]:
    for step in range(3):
        trial.report(trial.params["x"] / (step + 1), step)
    if trial.number == 1 and not os.environ.get("RETRIED"):
        raise ValueError("not this one")
    return {"score": trial.params["x"], "size": 7.0}


@pytest.fixture
def search(tmp_path: Path, empty_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Search:
    """A search of four trials, one of which failed."""
    monkeypatch.chdir(tmp_path)
    Path("search.db").write_bytes(empty_database)
    space, fixed = {"x": Float(0, 1)}, {"kind": "tree"}

    def local(trial: Any) -> dict[str, float]:
        return objective(trial)

    made = Search("boosting", local, space=space, fixed=fixed, direction="minimize", storage="search.db")
    made.start(4)
    return made


def test_every_trial_is_a_run_of_mlflow_once(
    search: Search, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri := Path("runs").absolute().as_uri())
    handed = search.export_to("mlflow")
    assert (handed.runs, handed.known, handed.project, handed.where) == (4, 0, "boosting", uri)
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("boosting").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert runs.keys() == {f"boosting/stage-01/{number}" for number in range(4)}
    trial, run = search.trial(2), runs["boosting/stage-01/2"]
    assert run.data.params == {"x": str(trial.params["x"]), "kind": "tree"}
    assert run.data.metrics == {"score": trial.score, "size": 7.0}
    curve = client.get_metric_history(run.info.run_id, "score")
    assert [point.value for point in sorted(curve, key=lambda point: point.step)] == [*trial.curve, trial.score]
    assert runs["boosting/stage-01/1"].info.status == "FAILED"
    assert "not this one" in runs["boosting/stage-01/1"].data.tags["hpsearch.reason"]
    # Again: only what is new, what an export that broke off had begun, and what was retried.
    client.update_run(run.info.run_id, "RUNNING")
    search.retry()
    monkeypatch.setenv("RETRIED", "1")
    search.start(5)
    assert main(["export", "--to", "mlflow", "--storage", "search.db"]) == 0
    assert f"3 runs of boosting made in {uri}, 2 were there already" in " ".join(capsys.readouterr().out.split())
    assert [run.info.status for run in client.search_runs([experiment])] == ["FINISHED"] * 5


def test_every_trial_is_a_run_of_wandb(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    handed = search.export_to("wandb", project="trees", stage=1)
    assert (handed.tracker, handed.project, handed.runs) == ("wandb", "trees", 4)
    folders = sorted(folder.name.rpartition("-boosting")[2] for folder in Path("wandb").glob("offline-run-*"))
    assert folders == ["-stage-01-0", "-stage-01-1", "-stage-01-2", "-stage-01-3"]


def test_what_cannot_be_handed_over(
    search: Search, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadArgument, match="to=neptune: no such tracker; known: mlflow, wandb"):
        search.export_to("neptune")
    with pytest.raises(UnknownSearch, match="no stage 3"):
        search.export_to("mlflow", stage=3)
    for library in ("mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
        with pytest.raises(MissingExtra, match=rf"{library} is not installed .*pip install 'hpsearch\[{library}\]'"):
            search.export_to(library)
    assert main(["export", "--project", "a", "--storage", "search.db"]) == 2
    assert main(["export", "--to", "mlflow", "--out", "a.csv", "--storage", "search.db"]) == 2
    assert "leave one out" in capsys.readouterr().err

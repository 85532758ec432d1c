"""Hand trials over to experiment trackers, MLflow and Weights & Biases, through their own libraries.

Each finished trial becomes a run. Where a run goes is the library's own matter: ``MLFLOW_TRACKING_URI``,
``WANDB_MODE`` and the like hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.errors import BadArgument, MissingExtra, OutputFailure, nearest
from hpsearch.records import METRICS, STD_ERROR, Stage
from hpsearch.store.trial_details import TrialDetails, read

if TYPE_CHECKING:
    from hpsearch.store import Store

Tracker = Literal["mlflow", "wandb"]
KEY = "hpsearch.trial"  # the tag of a run of MLflow that has a trial's name
_FINISHED = ("COMPLETE", "PRUNED", "FAIL")
_READ = 500  # trials at a time


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A search's trials in a tracker."""

    tracker: Tracker
    project: str  # the name of the experiment or project there
    runs: int  # made now
    known: int  # there already
    where: str  # as the tracker says it


@dataclass(frozen=True, slots=True)
class _Run:
    """A trial as trackers have it."""

    name: str  # ``boosting/stage-01/12``
    trial: TrialDetails
    points: Sequence[float]  # its metric by step, from 1; the last is its score
    metrics: Mapping[str, float]  # further ones
    facts: Mapping[str, str]  # its stage, number and state; the reason of a failure


def hand_over(store: Store, stages: Sequence[Stage], to: str, *, project: str | None = None) -> HandedOver:
    """Make a run of each finished trial of the stages that is not there yet; see `hpsearch.Search.export_to`.

    Raises:
        BadArgument: There is no such tracker.
        MissingExtra: Its library is not installed.
        OutputFailure: It does not take the runs.
    """
    trackers: Mapping[str, Callable[[Iterator[_Run], str], HandedOver]] = {"mlflow": _to_mlflow, "wandb": _to_wandb}
    if to not in trackers:
        raise BadArgument("to", to, f"no such tracker{nearest(to, trackers)}")
    runs = (run for stage in stages for run in _runs(store, stage))
    try:
        return trackers[to](runs, project or stages[0].search)
    except ImportError as error:
        raise MissingExtra(f"{to} is not installed ({error}); pip install 'hpsearch[{to}]'") from error


def _runs(store: Store, stage: Stage) -> Iterator[_Run]:
    for numbers in _chunks(store.columns(stage, states=_FINISHED)["number"], _READ):
        for trial in read(store, stage, numbers):
            points = list(trial.curve)
            if trial.score is not None and points[-1:] != [trial.score]:
                points.append(trial.score)
            more = trial.attributes.get(METRICS)
            metrics = {**more} if isinstance(more, Mapping) else {}
            metrics |= {name: trial.attributes[name] for name in (STD_ERROR,) if name in trial.attributes}
            facts = {"hpsearch.stage": stage.name, "hpsearch.state": trial.state}
            if trial.row["reason"]:
                facts["hpsearch.reason"] = str(trial.row["reason"])
            yield _Run(f"{stage.name}/{trial.number}", trial, points, metrics, facts)


_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
_METRICS, _PARAMS = 1000, 100  # in one request to MLflow


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _to_mlflow(runs: Iterator[_Run], project: str) -> HandedOver:
    import mlflow  # an extra

    made = known = 0
    try:
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name(project)
        place = client.create_experiment(project) if experiment is None else experiment.experiment_id
        there: dict[str, Any] = {}
        token: str | None = ""
        while token is not None:
            page = client.search_runs([place], max_results=1000, page_token=token or None)
            there |= {run.data.tags.get(KEY): run.info for run in page}
            token = page.token or None
        for run in runs:
            if (info := there.get(run.name)) is not None:
                if info.status == _STATUS[run.trial.state]:
                    known += 1
                    continue
                client.delete_run(info.run_id)  # an export that broke off has left it, or the trial was retried
            started, finished = (
                int(time.replace(tzinfo=UTC).timestamp() * 1000) if (time := run.trial.row[name]) is not None else None
                for name in ("started", "finished")
            )
            new = client.create_run(place, started, {KEY: run.name, **run.facts}, run.name).info.run_id
            points = [(run.trial.stage.metric, value, step) for step, value in enumerate(run.points, 1)]
            points += [(name, value, len(run.points)) for name, value in run.metrics.items()]
            metrics = [mlflow.entities.Metric(name, value, finished or 0, step) for name, value, step in points]
            for batch in _chunks(metrics, _METRICS):
                client.log_batch(new, metrics=batch)
            params = [mlflow.entities.Param(name, str(value)) for name, value in run.trial.resolved_params.items()]
            for batch in _chunks(params, _PARAMS):
                client.log_batch(new, params=batch)
            client.set_terminated(new, _STATUS[run.trial.state], finished)
            made += 1
    except mlflow.MlflowException as error:
        raise OutputFailure(f"MLflow: {' '.join(str(error).split())}") from error
    return HandedOver("mlflow", project, made, known, str(client.tracking_uri))


def _to_wandb(runs: Iterator[_Run], project: str) -> HandedOver:
    import wandb  # an extra

    made, where = 0, ""
    try:
        for run in runs:
            # The same run again is written over: an id is for ever.
            new = wandb.init(
                project=project,
                group=run.trial.stage.name,
                name=run.name,
                id=run.name.replace("/", "-"),
                resume="allow",
                reinit="create_new",
                config=run.trial.resolved_params,
                settings=wandb.Settings(console="off", silent=True),
            )
            for step, value in enumerate(run.points, 1):
                new.log({run.trial.stage.metric: value}, step=step)
            new.summary.update({**run.metrics, **run.facts})
            new.finish(exit_code=int(run.trial.state == "FAIL"))
            where = new.url or new.dir
            made += 1
    except wandb.Error as error:
        raise OutputFailure(f"W&B: {' '.join(str(error).split())}") from error
    return HandedOver("wandb", project, made, 0, where)

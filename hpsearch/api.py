"""The API: everything that can be done with a search, for scripts, notebooks, the command line and services."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadArgument, BadInput, StageConflict, nearest
from hpsearch.exchange import trackers
from hpsearch.files import make_folder
from hpsearch.objectives import kinds
from hpsearch.records import DEFAULT_STORAGE, Action, Argument, Direction, Sentence, Stage, stage_name
from hpsearch.reports import OF_ALL_STAGES, OF_ONE_STAGE, OF_SAMPLES, PlotKind, PlotRequest, file, tables
from hpsearch.search.baseline import Baseline, known_baseline, set_baseline
from hpsearch.search.best import REPEATS, TOP, BestTrial, Overview, best_trial, overview, ties_of
from hpsearch.search.definition import Constraint, Definition, define
from hpsearch.search.evaluation import Evaluated, Prepared, evaluate, evaluations, prepare
from hpsearch.search.limits import Run, limits_of, request_stop
from hpsearch.search.noise import error_of_first
from hpsearch.search.progress import View, Watcher
from hpsearch.search.refinement import TRIALS, refine_stage
from hpsearch.search.stage import (
    check_counts,
    check_seed,
    comparable,
    confirmation_of,
    is_confirmation,
    latest_with_trials,
    pick,
    resolve_search,
    resolve_stage,
    resolve_trial,
    stages_of,
    to_run_again,
    unscored,
)
from hpsearch.space import Value
from hpsearch.store import Counts, Owner, Store, open_store, store_for_import, trial_details
from hpsearch.store.claims import Totals
from hpsearch.store.engine import no_database_yet
from hpsearch.store.leases import Owned
from hpsearch.store.queries import Columns, frame, html
from hpsearch.store.trial_details import TrialDetails
from hpsearch.text import counted

SORTED_BY = ("number", "score", "started", "finished")  # columns of trials, beside the parameters

if TYPE_CHECKING:
    from types import ModuleType

    import pandas as pd
    import plotly.graph_objects as go

    from hpsearch.exchange.exporting import Exported
    from hpsearch.objectives.base import Fitted
    from hpsearch.reports.page import Page
    from hpsearch.search.checklist import Checklist
    from hpsearch.search.comparison import Comparison
    from hpsearch.search.confirmation import Confirmation
    from hpsearch.search.narrowing import NextStage
    from hpsearch.search.recommendation import Recommendation
    from hpsearch.search.runner import Summary
    from hpsearch.search.workflow import Listener
    from hpsearch.study_file import StudyFile


@dataclass(frozen=True, slots=True)
class StageStatus:
    """The state of a stage."""

    stage: Stage
    counts: Counts
    best: float | None  # its best score; None before there is one
    error: float | None  # one standard error of that score; None where it is not known
    finishers: Mapping[Owner, int]  # how many trials each runner finished
    abandoned: int  # running trials whose runner has died; the next start runs them again
    confirmation: Overview | None  # the state of its confirmation; None where there is none


@dataclass(frozen=True, slots=True)
class Trials:
    """Trials of a stage."""

    stage: Stage
    columns: Columns  # the trials by column (`hpsearch.store.Store.columns`)
    # whether each is statistically tied with the best; None: the best ones were not requested
    tied: tuple[bool | None, ...] | None
    # the scores after each epoch by the trial's number; None: not requested
    curves: Mapping[int, Sequence[float]] | None
    owned: Mapping[int, Owned]  # who runs or ran each, by its number

    def table(self, *, full: bool = True) -> Columns:
        """Return the trials by column, ``full`` for programs or shortened for people."""
        table = tables.trials_table(self.stage, self.columns, full=full, tied=self.tied)
        return table | tables.owned_columns(self.owned, self.columns["number"]) if full else table

    def frame(self) -> pd.DataFrame:
        """Return the trials as a pandas DataFrame, a row a trial."""
        return frame(self.table())

    def _repr_html_(self) -> str:
        return html(self.table(full=False))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model that was fitted with the chosen values, and its score on the test set."""

    prepared: Prepared  # the values, why these, and the data
    fitted: Fitted
    evaluated: Evaluated


@dataclass(frozen=True, slots=True)
class Retried:
    """Failed trials that wait to be run again."""

    stage: Stage
    numbers: tuple[int, ...]
    following: tuple[Action, ...]  # what runs them


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure of a search."""

    figure: go.Figure
    name: str  # what it shows: a search, or a stage
    kind: str

    def __str__(self) -> str:
        return str(plotting().describe(self.figure))

    def _ipython_display_(self) -> None:
        self.figure.show()  # IPython alone calls this: Plotly shows it as it does its own

    def html(self) -> str:
        """Return the figure as a page."""
        return str(plotting().page(self.figure))

    def save(self, path: Path | None = None) -> Path:
        """Write the figure to a file whose ending gives the format, by default ``NAME-KIND.html`` here."""
        path = path or Path(f"{self.name.replace('/', '-')}-{self.kind}.html")
        plotting().save(self.figure, path, scale=2.0 if path.suffix.lower() == ".png" else 1.0)
        return path


@dataclass(frozen=True, slots=True)
class Report:
    """A report of a search."""

    page: Page
    text: str  # the same as HTML or Markdown
    file_name: str  # a name for its file

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.text)}" width="100%" height="600"></iframe>'

    def save(self, path: Path | None = None, *, force: bool = False) -> Path:
        """Write the report to a file, by default ``SEARCH-report.html`` here; an earlier report is replaced.

        Args:
            path: The file.
            force: Overwrite a file that is no report.
        """
        path = path or Path(self.file_name)
        file.write(path, self.text, force=force)
        return path


class Runs(list[tuple[Stage, "Summary"]]):
    """The stages that ran, in order, and what each run did."""

    def __repr__(self) -> str:
        return "\n".join(summary.words(stage.name) for stage, summary in self)


class Search:
    """A search in a study database.

    Args:
        name: The search's name, the name of one of its stages (``mnist/stage-02``), or the path of its study file.
            None: the only search of the database; for `start` the default study file.
        objective: A function that is called with each trial and returns its score, or a dict with ``score``. It reads
            ``trial.params``, or suggests them itself, as an objective of Optuna does. None: the study file's. A search
            that has begun is reached by its name alone; what is given then must be as it was begun.
        space: The range of each parameter: `hpsearch.Float`, `Int` or `Categorical`, an Optuna distribution,
            ``loguniform``, ``uniform`` or ``randint`` of `scipy.stats`, a list of choices, or a dict as in a study
            file. None: what the objective suggests.
        direction: ``minimize`` or ``maximize``.
        metric: The score's name. None: ``score``.
        epochs: How many values a trial reports, if it reports any; pruning needs it.
        fixed: Values of parameters that are not sampled.
        constraints: What every trial's values meet: expressions, ``units * layers <= 1024``, and functions of a dict
            of the values, which return True or False.
        sampler: ``random``, ``sobol`` or ``halton``. None: ``random``.
        seed: Of everything random. None: 0.
        trial_timeout, retries, repeats, devices: As under ``[objective]`` in a study file.
        storage: SQLite file or SQLAlchemy URL. None: ``studies/hpsearch.db`` here.

    Every method opens the database, does its work and closes it, and raises a `hpsearch.HpsearchError` that says what
    was wrong with the request. For example, two stages of 8 trials::

        >>> from hpsearch import Search
        >>> search = Search("mnist", storage="example.db")
        >>> runs = search.start(8, engine="inline")
        >>> narrowed = search.narrow(top=5)
        >>> narrowed.stage.name
        'mnist/stage-02'
        >>> runs = search.start(8, engine="inline")
        >>> len(search.trials(top=3).frame())
        3
    """

    def __init__(
        self,
        name: str | None = None,
        objective: Callable[[Any], Any] | None = None,
        *,
        space: Mapping[str, Any] | None = None,
        direction: Direction | None = None,
        metric: str | None = None,
        epochs: int | None = None,
        fixed: Mapping[str, Value] | None = None,
        constraints: Sequence[Constraint] | Constraint = (),
        sampler: str | None = None,
        seed: int | None = None,
        trial_timeout: float | str | None = None,
        retries: int | None = None,
        repeats: int | None = None,
        devices: Sequence[int | str] | None = None,
        storage: str | Path | None = None,
    ) -> None:
        self.name = name
        self.storage = str(DEFAULT_STORAGE if storage is None else storage)
        self._default = storage is None
        of_function: dict[str, Any] = {
            "metric": metric,
            "epochs": epochs,
            "trial_timeout": trial_timeout,
            "retries": retries,
        }
        of_function |= {"repeats": repeats, "devices": devices}
        others: dict[str, Any] = {
            "space": space,
            "direction": direction,
            "fixed": fixed,
            "sampler": sampler,
            "seed": seed,
        }
        if objective is not None:
            self._definition: Definition | None = define(
                name, objective, constraints=constraints, options=of_function, **others
            )
            return
        self._definition = None
        for argument, value in (of_function | others | {"constraints": constraints or None}).items():
            if value is not None:
                raise BadArgument(argument, value, "it belongs to an objective", "give objective too, or a study file")

    def __repr__(self) -> str:
        return f"Search({self.name!r}, storage={self.storage!r})"

    def _repr_html_(self) -> str:
        """Return the state of its stages as a table, for notebooks."""
        try:
            rows = [
                {
                    "stage": of.stage.name,
                    "finished": of.counts.finished,
                    "failed": of.counts.failed,
                    f"best {of.stage.metric}": of.best,
                }
                for of in self.status()
            ]
        except BadInput:  # not begun yet
            return escape(repr(self))
        return html(tables.by_column(rows))

    def start(
        self,
        trials: int | None = None,
        *,
        stage: int | None = None,
        stages: int | None = None,
        top: int | None = None,
        expand: bool = False,
        seed: int | None = None,
        jobs: int | None = None,
        engine: str | None = None,
        scheduler: str | None = None,
        lanes: int | None = None,
        pruner: str | None = None,
        epochs: int | None = None,
        timeout: float | str | None = None,
        until: str | None = None,
        max_failures: int | None = None,
        data_dir: Path | None = None,
        on_trial: Callable[[TrialDetails], object] | None = None,
        listener: Listener | None = None,
    ) -> Runs:
        """Run a stage until it has the requested number of finished trials; those of earlier runs count.

        Args:
            trials: Finished trials that each stage is to have. None: the study file's count.
            stage: Number of the stage. None: the latest.
            stages: Run the whole workflow up to this many stages, narrowing in between. None: one stage.
            top: With ``stages``: best trials that narrowing uses. None: 5.
            expand: With ``stages``: widen a range whose edge the score still improves towards.
            seed: Seed of a new search. None: the study file's.
            jobs: Processes. None: one per core.
            engine: ``pool`` (processes), ``dask``, or ``inline``: no worker processes, one batch of trials at a time; a
                function that can be imported still runs in a child process. None: ``pool``; ``inline`` for a function
                that no other process can import: a lambda, a closure, or one that a notebook defines.
            scheduler: Address of a Dask scheduler, or its scheduler file.
            lanes: Trials that are evaluated together. None: what suits the objective.
            pruner: Rule that prunes unpromising trials of a new stage. None: the study file's.
            epochs: Epochs that trials of a new stage are trained for. None: the study file's, or the parent stage's.
            timeout: End the run after so long, in seconds or as ``10m`` or ``1.5h``: trials under way are given back.
                None: no limit.
            until: End the run once a trial of the stage has such a score: ``score >= 0.9``. None: no limit.
            max_failures: End the run after so many failed trials in a row. None: no limit.
            data_dir: Folder in which data sets are looked for first.
            on_trial: Is called in this process with each trial after it was recorded: its ``number``, ``state``,
                ``score``, ``params``, ``curve`` and ``attributes``. An exception in it is a note.
            listener: Is told of progress. None: a progress bar in a notebook; notes go to the log ``hpsearch``.

        Returns:
            The stages that ran, in order, and what each run did; ``ended_by`` says what ended the last.

        Raises:
            BadInput: The request cannot be carried out as given.
            EvaluationFailure: ``max_failures`` trials in a row have failed; everything finished is recorded.
            Interrupted: Ctrl-C or SIGTERM; everything finished is recorded, and the same call goes on from there.
        """
        study, number = resolve_stage(self.name, stage, keep_path=True)
        return self._run(
            listener,
            on_trial,
            make_folder=self._default,
            study=study,
            trials=trials,
            stage=number,
            stages=stages,
            top=top,
            expand=expand,
            seed=seed,
            engine=engine,
            jobs=jobs,
            scheduler=scheduler,
            lanes=lanes,
            pruner=pruner,
            epochs=epochs,
            limits=limits_of(timeout, until, max_failures),
            data_dir=data_dir,
        )

    def refine(
        self,
        trials: int = TRIALS,
        *,
        stage: int | None = None,
        sampler: str | None = None,
        batch: int | None = None,
        jobs: int | None = None,
        engine: str | None = None,
        scheduler: str | None = None,
        lanes: int | None = None,
        timeout: float | str | None = None,
        until: str | None = None,
        max_failures: int | None = None,
        data_dir: Path | None = None,
        on_trial: Callable[[TrialDetails], object] | None = None,
        listener: Listener | None = None,
    ) -> Runs:
        """Refine a stage: run trials in its ranges that a model of the scores proposes, in batches.

        The sampler learns from all trials of the search that lie in these ranges and whose scores compare. A
        refinement is a stage of its own; the same call, or `start`, goes on with it.

        Args:
            trials: Finished trials that the refinement is to have.
            stage: Number of the stage to refine, or of its refinement. None: the latest.
            sampler: ``surrogate``, by the search's own model of its scores; ``tpe`` or ``gp``, Optuna's tree-structured
                Parzen estimator or Gaussian process (needs PyTorch and SciPy). None: ``surrogate``, or that of the
                refinement.
            batch: Trials that are proposed together, once all before them have finished. None: 8, or likewise.
            jobs, engine, scheduler, lanes, timeout, until, max_failures, data_dir, on_trial, listener: As for `start`.

        Returns:
            The refinement, and what the run did.

        Raises:
            NotEnoughTrials: The stage has no trial with a score.
            MissingExtra: A package that the sampler needs is not installed.
            StageConflict: The refinement was begun with another sampler or batch.
            EvaluationFailure, Interrupted: As `start`.
        """
        check_counts(trials=trials)
        limits = limits_of(timeout, until, max_failures)
        name, number = resolve_stage(self.name, stage)
        with closing(open_store(self.storage, write=True, search=name)) as store:
            made = refine_stage(store, stages_of(store, name), number=number, sampler=sampler, batch=batch)
        study, _ = resolve_stage(self.name, keep_path=True)
        return self._run(
            listener,
            on_trial,
            study=study or made.search,
            trials=trials,
            stage=made.number,
            engine=engine,
            jobs=jobs,
            scheduler=scheduler,
            lanes=lanes,
            pruner="none",
            limits=limits,
            data_dir=data_dir,
        )

    def _run(
        self,
        listener: Listener | None,
        on_trial: Callable[[TrialDetails], object] | None,
        *,
        engine: str | None,
        jobs: int | None,
        **job: Any,
    ) -> Runs:
        """Run a job; its other fields are those of `hpsearch.search.workflow.Job`."""
        from hpsearch.search import listeners, workflow  # NumPy, and processes that are started

        listener = listeners.chosen(listener, on_trial)
        engine = self._engine(engine, jobs, listener)
        given = workflow.Job(storage=self.storage, given=self._study(), engine=engine, jobs=jobs, **job)
        return Runs(workflow.run(given, listener))

    def _study(self) -> StudyFile | None:
        """Return what takes the place of the study file, if the search is defined here."""
        if self._definition is None:
            return None
        if no_database_yet(self.storage):
            return self._definition.study([])
        with closing(open_store(self.storage)) as store:
            stages = store.stages(self.name)
            if not stages and store.has_study(self._definition.name):
                raise StageConflict(
                    f"{store.where} has an Optuna study {self.name} that was run without hpsearch; import_trials reads "
                    "it as a search, to be narrowed and continued; or give the search another name"
                )
            return self._definition.study(stages)

    def _engine(self, engine: str | None, jobs: int | None, listener: Listener) -> str:
        if self._definition is None or not self._definition.local:
            return engine or "pool"
        words = self._definition.words()
        if engine not in (None, "inline"):
            raise BadArgument("engine", engine, words, "define it in a module, or leave this out")
        if engine is None and jobs not in (None, 1):
            listener.note(f"jobs={jobs}: {words}; trials run one at a time")
        return "inline"

    def stop(self) -> tuple[Run, ...]:
        """Ask all runs of the search to stop, wherever they are; return those that hold trials.

        They see it within seconds, record everything finished and give back the trials that had begun; `start` goes on
        from there. Runs that begin later are not affected.

        Raises:
            UnknownSearch: No such search.
        """
        name = resolve_search(self.name)
        with closing(open_store(self.storage, write=True, search=name)) as store:
            return request_stop(store, stages_of(store, name)[0])

    def retry(self, *, stage: int | None = None, numbers: Sequence[int] = ()) -> Retried:
        """Give back failed trials of a stage: `start` runs them again with the same values.

        ``Search("mnist/confirm-02").retry()`` gives back those of a confirmation, for `confirm`.

        Args:
            stage: Number of the stage. None: the latest that has trials.
            numbers: Of these trials only. None: of all that have failed.

        Raises:
            BadArgument: One of these trials has not failed.
            StageConflict: The stage was run elsewhere.
        """
        name, number = resolve_stage(self.name, stage, confirmation=True)
        with closing(open_store(self.storage, write=True, search=name)) as store:
            stages = stages_of(store, name)
            chosen = latest_with_trials(store, stages) if number is None else pick(stages, number)
            if not kinds.trainable(chosen):
                raise StageConflict(f"{chosen.name} was run elsewhere, and hpsearch cannot run its trials")
            if is_confirmation(self.name):
                chosen = confirmation_of(store, chosen)
            again = store.retry(chosen, numbers)
            if not again:
                return Retried(chosen, (), ())
            return Retried(chosen, tuple(again), tuple(to_run_again(store, self.storage, [chosen])))

    def narrow(
        self,
        *,
        top: int | None = None,
        quantile: float | None = None,
        source: str = "trials",
        stage: int | None = None,
        expand: bool = False,
        rule: str = "surrogate",
        regardless: bool = False,
        branch: bool = False,
        dry_run: bool = False,
        epochs: int | None = None,
    ) -> NextStage:
        """Compute the next stage's ranges from the best trials, with the evidence for each.

        Args:
            top: How many of the best trials to use. None: 5.
            quantile: Or which fraction of them.
            source: The best by their scores (``trials``), or by their means in the confirmation (``confirm``).
            stage: Number of the stage to narrow. None: the latest that has trials.
            expand: Widen a range whose edge the score still improves towards.
            rule: ``surrogate``: ranges hold all values that may be as good as the best on average, by a surrogate over
                all trials. ``order-statistics``: only where the best trials lie.
            regardless: Narrow ranges without evidence too.
            branch: Narrow an earlier stage although a later one has trials.
            dry_run: Only show what would happen.
            epochs: Epochs that trials of the next stage are trained for. None: as many as this one's.

        Raises:
            NotEnoughTrials: Fewer trials have finished.
            StageConflict: A later stage has trials already.
        """
        from hpsearch.search import narrowing  # NumPy, as in `start`

        name, number = resolve_stage(self.name, stage)
        if rule not in narrowing.RULES:
            raise BadArgument("rule", rule, f"no such rule{nearest(rule, narrowing.RULES)}")
        if top is None and quantile is None and source == "trials":
            top = narrowing.DEFAULT_TOP
        with closing(open_store(self.storage, write=not dry_run, search=name)) as store:
            return narrowing.narrow_stage(
                store,
                stages_of(store, name),
                number=number,
                top=top,
                quantile=quantile,
                expand=expand,
                branch=branch,
                dry_run=dry_run,
                confirmed=source == "confirm",
                rule=rule,
                regardless=regardless,
                epochs=epochs,
            )

    def confirm(
        self,
        *,
        top: int = TOP,
        repeats: int = REPEATS,
        stage: int | None = None,
        jobs: int | None = None,
        engine: str | None = None,
        scheduler: str | None = None,
        lanes: int | None = None,
        data_dir: Path | None = None,
        on_trial: Callable[[TrialDetails], object] | None = None,
        listener: Listener | None = None,
    ) -> Confirmation:
        """Run a stage's best trials again with other seeds, and rank their values by the mean scores.

        Args:
            top: How many of the best trials.
            repeats: How often each is to have been run.
            stage: Number of the stage. None: the latest that has trials.
            jobs, engine, scheduler, lanes, data_dir, on_trial, listener: As for `start`.

        Raises:
            NotEnoughTrials: Fewer trials have finished.
            Interrupted: Ctrl-C or SIGTERM; everything finished is recorded, and the same call goes on from there.
        """
        from hpsearch.search import confirmation, listeners, workflow  # as in `start`

        name, number = resolve_stage(self.name, stage, confirmation=True)
        listener = listeners.chosen(listener, on_trial)
        job = workflow.ConfirmJob(
            storage=self.storage,
            search=name,
            given=self._study(),
            stage=number,
            top=top,
            repeats=repeats,
            engine=self._engine(engine, jobs, listener),
            jobs=jobs,
            scheduler=scheduler,
            lanes=lanes,
            data_dir=data_dir,
        )
        return confirmation.confirm(job, listener)

    def status(self, *, recent: int | None = None) -> tuple[StageStatus, ...]:
        """Return the state of every stage, by number; without a name those of all searches.

        Args:
            recent: Count who finished only the last so many trials of each stage. None: all.

        Raises:
            UnknownSearch: No such search, or none at all.
        """
        name = resolve_search(self.name)
        with closing(open_store(self.storage, search=name)) as store:
            stages = (stages_of(store, name) if name else store.stages()) or stages_of(store, name)
            confirmations = _confirmations(store, stages)
            return tuple(_status(store, stage, confirmations.get(stage.name), recent) for stage in stages)

    @contextmanager
    def watch(self, *, trials: int | None = None) -> Iterator[Callable[[], View]]:
        """Watch the search while others run it: a context that gives a function, which returns the current state.

        Args:
            trials: Finished trials that the stage is to have. None: the study file's count.
        """
        name = resolve_search(self.name)
        check_counts(trials=trials)
        with closing(open_store(self.storage, search=name)) as store:
            yield Watcher(store, name, until=trials).read

    def trials(
        self,
        *,
        stage: int | None = None,
        top: int | None = None,
        state: str | None = None,
        curves: bool | Callable[[int], bool] = False,
        owned: bool = True,
    ) -> Trials:
        """Return the trials of a stage.

        Args:
            stage: Number of the stage. None: the latest that has trials.
            top: Only the best ones, best first. None: all, by number.
            state: Only those in this state: ``complete``, ``pruned``, ``fail``, ``running`` or ``waiting``.
            curves: Read their learning curves too; or a function of the number of trials that says whether to.
            owned: Read who ran each.
        """
        if top is not None and state not in (None, "complete"):
            raise BadArgument(
                "top", top, f"only complete trials have a score, and the state is {state}", "leave one out"
            )
        name, number = resolve_stage(self.name, stage)
        with closing(open_store(self.storage, search=name)) as store:
            stages = stages_of(store, name)
            chosen = latest_with_trials(store, stages) if number is None else pick(stages, number)
            states = None if state is None else (state.upper(),)
            columns = store.columns(chosen, states=states, top=top, hits=top is not None)
            numbers = columns["number"]
            return Trials(
                chosen,
                columns,
                tied=None if top is None else ties_of(store, chosen, columns),
                curves=store.points(chosen, numbers)
                if (curves(len(numbers)) if callable(curves) else curves)
                else None,
                owned=store.owned(chosen, numbers) if owned else {},
            )

    def page(
        self, *, stage: int, state: str | None = None, sort: str = "number", offset: int = 0, limit: int = 100
    ) -> tuple[Trials, int]:
        """Return a part of the trials of a stage, and how many there are.

        Args:
            stage: Number of the stage.
            state: As for `trials`.
            sort: ``number``, ``score``, ``started``, ``finished``, or ``param:NAME``; with a ``-`` before it highest
                first. What has no value comes last.
            offset: So many are left out.
            limit: At most so many.
        """
        key, name = sort.removeprefix("-"), resolve_search(self.name)
        with closing(open_store(self.storage, search=name)) as store:
            chosen = pick(stages_of(store, name), stage)
            known = [*SORTED_BY, *(f"param:{parameter}" for parameter in chosen.space)]
            if key not in known:
                raise BadArgument("sort", sort, f"no such column{nearest(key, known)}")
            states = None if state is None else (state.upper(),)
            options: dict[str, Any] = {"sort": key, "descending": sort != key, "offset": offset, "limit": limit}
            columns, counts = store.page(chosen, states=states, **options), store.counts(chosen)
            total = counts.rows if state is None else getattr(counts, {"fail": "failed"}.get(state, state))
            return Trials(chosen, columns, None, None, store.owned(chosen, columns["number"])), total

    def trial(self, number: int, *, stage: int | None = None) -> TrialDetails:
        """Return one trial of a stage with everything that is kept of it, as the end of its output if it failed.

        Args:
            number: Its number.
            stage: Number of the stage. None: the latest that has trials.

        Raises:
            BadArgument: There is no trial of that number.
        """
        name, of = resolve_stage(self.name, stage)
        with closing(open_store(self.storage, search=name)) as store:
            stages = stages_of(store, name)
            chosen = latest_with_trials(store, stages) if of is None else pick(stages, of)
            if not (trials := trial_details.read(store, chosen, [number])):
                rows = store.counts(chosen).rows
                raise BadArgument("trial", number, f"{chosen.name} has {rows} trials, numbered from 0")
            return trials[0]

    @property
    def best(self) -> BestTrial:
        """Return the best trial of all stages: its ``score``, ``params``, ``stage``, ``trial`` and what ties with it.

        Raises:
            NotEnoughTrials: No trial has a score yet.
        """
        return self.best_of()[0]

    def best_of(self, *, stage: int | None = None) -> tuple[BestTrial, Overview | None]:
        """Return the best trial, its score's uncertainty and its ties; and the state of its stage's confirmation.

        Args:
            stage: Of this stage only. None: of all.

        Raises:
            NotEnoughTrials: No trial has a score yet.
        """
        name, number = resolve_stage(self.name, stage)
        with closing(open_store(self.storage, search=name)) as store:
            stages = stages_of(store, name)
            chosen = stages if number is None else [pick(stages, number)]
            best = best_trial(store, chosen)
            if best is None:
                raise unscored(store, stages[0].search, stages[0].search if number is None else chosen[0].name)
            return best, _confirmations(store, [best.of]).get(best.stage)

    def recommend(self, *, stage: int | None = None) -> Recommendation:
        """Return the values to use, by all trials and confirmations, and what training them again gives.

        Args:
            stage: A trial of this stage only. None: of any.

        Raises:
            NotEnoughTrials: No trial has a score yet.
        """
        from hpsearch.search.recommendation import recommend  # NumPy, as in `start`

        name, number = resolve_stage(self.name, stage)
        with closing(open_store(self.storage, search=name)) as store:
            stages = stages_of(store, name)
            among = stages if number is None else [pick(stages, number)]
            recommended = recommend(store, stages, among=among)
            if recommended is None:
                raise unscored(store, stages[0].search, stages[0].search if number is None else among[0].name)
            return recommended

    def checklist(self, *, top: int = 5) -> Checklist:
        """Return what was learned so far and what to do next, the most important first.

        Args:
            top: How many of the best trials to call the best; at least 2.
        """
        from hpsearch.search.checklist import checklist  # NumPy, as in `start`

        name = resolve_search(self.name)
        with closing(open_store(self.storage, search=name)) as store:
            return checklist(store, stages_of(store, name), top=top)

    def evaluate(
        self,
        *,
        stage: int | None = None,
        trial: int | None = None,
        by: str | None = None,
        epochs: int | None = None,
        seed: int | None = None,
        again: bool = False,
        data_dir: Path | None = None,
        check: Callable[[Prepared], object] | None = None,
        fit: Callable[[Prepared], Fitted] | None = None,
    ) -> Evaluation:
        """Train the chosen values on all but the test set, and score them on that, once.

        Args:
            stage: Of this stage only. None: of all.
            trial: With ``stage``: this trial's values. None: choose.
            by: Choose by the confirmation (``confirmed``) or by single scores (``best``). None: the confirmation's
                where it is complete.
            epochs: To train for. None: the study file's.
            seed: Of the training. None: the search's own.
            again: Evaluate although the search has been evaluated.
            data_dir: Folder in which data sets are looked for first.
            check: Called before the training; raises what stands against it.
            fit: Fits the model, and shows how it goes. None: quietly.

        Raises:
            EvaluatedAlready: The search has been evaluated, and ``again`` is not set.
            BadData: The study file keeps no test set.
        """
        name, number = resolve_stage(self.name, stage)
        check_counts(epochs=epochs)
        check_seed(seed)
        with closing(open_store(self.storage, write=True, search=name)) as store:
            prepared = prepare(
                store,
                stages_of(store, name),
                number=number,
                trial=trial,
                by=by,
                epochs=epochs,
                seed=seed,
                again=again,
                data_dir=data_dir,
            )
            if check is not None:
                check(prepared)
            fitted = prepared.fit() if fit is None else fit(prepared)
            return Evaluation(prepared, fitted, evaluate(store, prepared, fitted))

    def compare(self, other: Search | None = None) -> Comparison:
        """Compare this search, stage or trial (``mnist/stage-02/7``) with another one, here or in another database.

        Args:
            other: It is compared against this one, ``b`` against ``a``. None: this one against its baseline.

        Raises:
            NotEnoughTrials: One of them has no trial with a score.
            UnknownSearch: There is no baseline for it.
        """
        from hpsearch.search import comparison  # NumPy, as in `start`

        def entrant(search: Search, store: Store) -> comparison.Entrant:
            of, trial = resolve_trial(search.name)
            name, number = resolve_stage(of)
            whole = stages_of(store, name)
            stages = whole if number is None else [pick(whole, number)]
            called = stages[0].search if number is None else stages[0].name
            return comparison.Entrant(store, called if trial is None else str(search.name), stages, trial, whole)

        with closing(open_store(self.storage)) as store:
            if other is None:
                this = entrant(self, store)
                baseline = known_baseline(store, this.stages)
                return comparison.compare(
                    comparison.Entrant(store, baseline.name, [baseline.stage], baseline.trial), this
                )
            if other.storage == self.storage:
                return comparison.compare(entrant(self, store), entrant(other, store))
            with closing(open_store(other.storage)) as elsewhere:
                return comparison.compare(entrant(self, store), entrant(other, elsewhere))

    def set_baseline(self) -> Baseline:
        """Make a trial the baseline for its data and metric: ``Search("mnist/stage-02/7").set_baseline()``.

        Raises:
            BadInput: The name is not that of a trial with a score.
        """
        of, trial = resolve_trial(self.name)
        name, number = resolve_stage(of)
        if trial is None or number is None:
            raise BadInput(f"{self.name} is not a trial; name one as SEARCH/STAGE/TRIAL, such as mnist/stage-02/7")
        with closing(open_store(self.storage, write=True, search=name)) as store:
            return set_baseline(store, stages_of(store, name), number, trial)

    def plot(
        self,
        kind: str,
        *,
        stage: int | None = None,
        parameters: Sequence[str] = (),
        top: int | None = None,
        quantity: str | None = None,
        dark: bool = False,
        out: Path | None = None,
    ) -> Plot:
        """Plot a figure of the search.

        Args:
            kind: One of ``curves``, ``parameters``, ``pair``, ``parallel``, ``history``, ``importance``, ``lineage``,
                ``stages``, ``isolation`` and ``budget``.
            stage: Number of the stage. None: the latest that has trials, or all.
            parameters: Of ``parameters``, ``curves`` and ``isolation`` one parameter, of ``pair`` two.
            top: Best trials that are plotted (``curves``) or highlighted.
            quantity: Of ``curves``: which curve.
            dark: Light on dark.
            out: The file that it will be saved to, checked before the database is read. None: show it, or save later.
        """
        from hpsearch.reports import plots  # Plotly takes 0.3 s to load

        if kind not in list(PlotKind):
            raise BadArgument("kind", kind, f"no such figure{nearest(kind, map(str, PlotKind))}")
        request = PlotRequest(PlotKind(kind), tuple(parameters), top, quantity)
        name, number = resolve_stage(self.name, stage)
        if number is not None and request.kind in OF_ALL_STAGES:
            raise BadArgument("stage", number, f"{kind} plots all stages", "leave it out")
        if out is not None:
            plotting().check_path(out)
        with closing(open_store(self.storage, search=name)) as store:
            stages = stages_of(store, name)
            among = [of for of in stages if of.refinement is None] if request.kind in OF_SAMPLES else stages
            chosen = latest_with_trials(store, among) if number is None else pick(stages, number)
            figure = plots.plot(store, stages, request, stage=chosen, alone=number is not None)
        single = number is not None or request.kind in OF_ONE_STAGE
        return Plot(
            plotting().dark(figure) if dark else figure, chosen.name if single else chosen.search, str(request.kind)
        )

    def report(
        self,
        out: str | Path | None = None,
        *,
        stage: int | None = None,
        form: str | None = None,
        force: bool = False,
        word: Callable[[Action | Argument], str] = str,
    ) -> Report:
        """Write a report of the search, as a page or as Markdown.

        Args:
            out: The file. None: `Report.save` it later.
            stage: Only this stage and those that it was narrowed from. None: all.
            form: ``html`` or ``md``. None: by the file's ending, or HTML.
            force: Overwrite a file that is no report.
            word: Puts next steps into words. By default as Python code.

        Raises:
            MissingExtra: ``html`` needs Jinja2, and it is not installed.
        """
        from hpsearch.reports import page, report  # pandas and Plotly

        name, number = resolve_stage(self.name, stage)
        out = None if out is None else Path(out)
        form = file.form_of(out, form)
        if out is not None:
            file.check_out(out, force=force)
        if form == "html":
            page.check_html()
        with closing(open_store(self.storage, search=name)) as store:
            material = report.gather(store, name, stage=number)
        made = report.report(material, figures=form == "html", word=word)
        text = page.to_html(made) if form == "html" else page.to_markdown(made)
        written = Report(made, text, file.name_for(material.stages[0].stage.search, form))
        if out is not None:
            written.save(out, force=force)
        return written

    def export(
        self,
        out: Path,
        *,
        form: str | None = None,
        what: str = "all",
        stage: int | None = None,
        force: bool = False,
    ) -> tuple[Exported, tuple[str, ...]]:
        """Write trials and learning curves to files; return what was written, and what was left out.

        Args:
            out: The file.
            form: ``csv``, ``parquet`` or ``json``. None: by the file's ending.
            what: ``trials``, ``curves`` or ``all``.
            stage: Of this stage only. None: of all.
            force: Overwrite files that exist.
        """
        name, number = resolve_stage(self.name, stage)
        from hpsearch.exchange import exporting  # pandas takes 0.3 s to load

        exporting.target(out, form)
        with closing(open_store(self.storage, search=name)) as store:
            stages = stages_of(store, name)
            if number is not None:
                pick(stages, number)
            exported = exporting.export(store, stages, out, form=form, what=what, number=number, force=force)
            left_out = [confirmation.name for confirmation in store.confirmations(stages[0].search)]
            if count := len(evaluations(store, stages)):
                left_out.append(f"{counted(count, 'evaluation')} on the test set")
            return exported, tuple(left_out)

    def export_to(self, to: str, *, project: str | None = None, stage: int | None = None) -> trackers.HandedOver:
        """Make a run of every finished trial in an experiment tracker, through its own library and settings.

        A run has the trial's values, its curve, its score and further metrics, and is named ``boosting/stage-01/12``.
        In MLflow trials that are there already are left out; in W&B they are the same runs again.

        Args:
            to: ``mlflow`` (where ``MLFLOW_TRACKING_URI`` says), or ``wandb`` (as ``WANDB_MODE`` says).
            project: The experiment of MLflow, the project of W&B. None: the search's name.
            stage: Of this stage only. None: of all.

        Raises:
            MissingExtra: Its library is not installed.
            OutputFailure: The tracker does not take the runs.
        """
        name, number = resolve_stage(self.name, stage)
        with closing(open_store(self.storage, search=name)) as store:
            stages = stages_of(store, name)
            return trackers.hand_over(store, stages if number is None else [pick(stages, number)], to, project=project)


def plotting() -> ModuleType:
    """Return `hpsearch.reports.figures`."""
    from hpsearch.reports import figures  # Plotly takes 0.3 s to load

    return figures


def searches(storage: str | Path | None = None) -> tuple[str, ...]:
    """Return the names of all searches in a database, in alphabetical order.

    Args:
        storage: SQLite file or SQLAlchemy URL. None: ``studies/hpsearch.db`` here.
    """
    with closing(open_store(str(DEFAULT_STORAGE if storage is None else storage))) as store:
        return tuple(store.searches())


@dataclass(frozen=True, slots=True)
class SearchSummary:
    """A search in a line."""

    stages: tuple[Stage, ...]  # at least one, by number
    counts: Counts  # of the trials of all its stages
    best: float | None  # the best score of those stages whose scores compare with the latest one's
    finished: datetime | None  # when its last trial did (UTC)

    @property
    def name(self) -> str:
        """Its name."""
        return self.stages[0].search

    @property
    def metric(self) -> str:
        """The name of its scores."""
        return self.stages[0].metric


def summaries(storage: str | Path | None = None) -> tuple[SearchSummary, ...]:
    """Return all searches in a database, those whose trials finished last first.

    Args:
        storage: SQLite file or SQLAlchemy URL. None: ``studies/hpsearch.db`` here.
    """
    with closing(open_store(str(DEFAULT_STORAGE if storage is None else storage))) as store:
        stages, totals = store.stages(), store.totals()
    every = [_summary(tuple(of), totals) for _, of in groupby(stages, key=lambda stage: stage.search)]
    return tuple(sorted(every, key=lambda of: of.finished or datetime.max, reverse=True))


def _summary(stages: tuple[Stage, ...], totals: Mapping[int, Totals]) -> SearchSummary:
    known = {stage.study_id: totals[stage.study_id] for stage in stages if stage.study_id in totals}
    scored = [stage for stage in stages if stage.study_id in known and known[stage.study_id].ends is not None]
    ends = [known[stage.study_id].ends or () for stage in comparable(scored, scored[-1])] if scored else []
    best = min if stages[0].direction == "minimize" else max
    return SearchSummary(
        stages,
        Counts(*map(sum, zip(*(astuple(of.counts) for of in known.values()), strict=True))),
        best((score for of in ends for score in of), default=None),
        max((of.finished for of in known.values() if of.finished is not None), default=None),
    )


def import_trials(
    source: str,
    *,
    storage: str | Path | None = None,
    name: str | None = None,
    study_name: str | None = None,
    metric: str | None = None,
    direction: Direction | None = None,
    parameters: Sequence[str] = (),
    ranges: Sequence[str] = (),
) -> tuple[Search, Sequence[Sentence]]:
    """Read trials that were run elsewhere as a search of their own; return it and what is worth knowing of it.

    Args:
        source: An export, a table with a score, or an Optuna storage URL.
        storage: SQLite file or SQLAlchemy URL. None: ``studies/hpsearch.db`` here.
        name: Name of the search. None: its own.
        study_name: Which study of an Optuna storage.
        metric: Of a table: the column of the score.
        direction: Of a table: which scores are better.
        parameters: Of a table: the columns that are parameters.
        ranges: Of a table: ``lr=1e-6:1e-2:log`` or ``act=relu,tanh``.
    """
    from hpsearch.exchange import foreign, importing  # pandas takes 0.3 s to load

    read = importing.read(foreign.ImportRequest(source, name, study_name, metric, direction, parameters, ranges))
    if storage is None:
        make_folder(DEFAULT_STORAGE.parent)
    with store_for_import(str(DEFAULT_STORAGE if storage is None else storage)) as store:
        stages = importing.write(store, read)
    return Search(stages[0].search, storage=storage), read.notes


def best_trials(store: Store, stage: Stage, top: int) -> Trials:
    """Return a stage's best trials and which are statistically tied with the best."""
    columns = store.columns(stage, top=top, hits=True)
    return Trials(stage, columns, ties_of(store, stage, columns), None, {})


def _status(store: Store, stage: Stage, confirmation: Overview | None, recent: int | None) -> StageStatus:
    top = store.columns(stage, top=1)
    counts = store.counts(stage)
    abandoned = sum(n for owner, n in store.runners(stage).items() if owner.is_gone()) if counts.running else 0
    best, error = next(iter(top["score"]), None), error_of_first(store, stage, top)
    return StageStatus(stage, counts, best, error, store.finishers(stage, among=recent), abandoned, confirmation)


def _confirmations(store: Store, stages: Sequence[Stage]) -> dict[str, Overview]:
    """Return the state of the stages' confirmations, by the stages' names."""
    names, searches = {stage.name for stage in stages}, {stage.search for stage in stages}
    confirmations = store.confirmations(searches.pop() if len(searches) == 1 else None)
    known = {stage_name(of.search, of.number): of for of in confirmations}
    return {name: overview(store, of) for name, of in known.items() if name in names}

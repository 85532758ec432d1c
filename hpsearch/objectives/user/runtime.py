"""The runtimes of the user's kinds: no data of ours, no test set, no model to keep."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hpsearch.errors import BadArgument, BadData, BadInput, BadStudyFile, MissingExtra, nearest
from hpsearch.functions import NotFound, find_file, is_file
from hpsearch.objectives.base import Data, Estimate, Evaluation, Fitted, Objective
from hpsearch.objectives.network.runtime import held_out as test_examples
from hpsearch.objectives.network.runtime import load as split
from hpsearch.objectives.network.sections import NetworkSections
from hpsearch.objectives.user.command import CommandObjective, find_program
from hpsearch.objectives.user.function import LOCAL, FunctionObjective, LocalObjective
from hpsearch.objectives.user.placeholders import unused, variable
from hpsearch.objectives.user.repeats import Repeated
from hpsearch.objectives.user.trial import Study
from hpsearch.records import SECONDS, NewStage, Outcome, Paused, Trial
from hpsearch.samplers import sampler_of
from hpsearch.space import delivered_as, describe
from hpsearch.text import duration, reason

if TYPE_CHECKING:
    from hpsearch.objectives.user.sections import CommandSections, EstimatorSections, FunctionSections
    from hpsearch.records import Sentence
    from hpsearch.space import Space

_PROBE_S = 20.0  # a check runs one trial for at most so long


class NoData(NamedTuple):
    """The data of an objective whose own processes read them; see `hpsearch.objectives.base.Data`."""

    fingerprint: str = ""
    sizes: Mapping[str, int] = {}
    notes: Sequence[Sentence] = ()
    facts: Mapping[str, Any] = {}
    data_dir: Path | None = None
    test_examples: int = 0  # number of examples in the test part, which `evaluate` alone reads


class UserRuntime:
    """See `hpsearch.objectives.base.Runtime`. A subclass has `check` and `_objective`."""

    @abstractmethod
    def check(self, sections: Any, space: Space) -> None:
        """Check what the study file cannot know; raises a BadInput."""

    @abstractmethod
    def _objective(self, sections: Any, study: Study) -> Objective:
        """Return what evaluates a trial of a stage once."""

    def objective(self, sections: Any, data: Any, *, seed: int, space: Space, name: str = "") -> Objective:
        """Return the objective of a stage."""
        study = Study(name, sections.direction, seed, space, sections.fixed, self._facts(sections, data))
        once, repeats = self._objective(sections, study), sections.objective.repeats
        return once if repeats == 1 else Repeated(once, repeats)

    def _facts(self, sections: Any, data: Any) -> Mapping[str, Any]:
        """Return the study's ``user_attrs``."""
        return {}

    def load(self, sections: Any, *, data_dir: Path | None = None) -> Data:
        """Return that there are no data of ours."""
        return NoData()

    def estimate(self, sections: Any, data: Any, *, stage: NewStage, lanes: int) -> Estimate:
        """Time trial 0 of the stage, for some seconds at most."""
        trial = Trial(0, 0, sampler_of(stage).params(stage, 0))
        began, outcome = time.monotonic(), None
        evaluation = self.objective(sections, data, seed=stage.seed, space=stage.space).evaluate([trial])
        for items in evaluation:
            outcome = next((item for item in items if isinstance(item, Outcome | Paused)), None)
            if outcome is not None or time.monotonic() - began > _PROBE_S:
                break
        evaluation.close()  # type: ignore[attr-defined]  # it is a generator
        seconds = time.monotonic() - began
        if outcome is not None:  # without the start of its process
            seconds = outcome.attributes.get(SECONDS, seconds)
        reason = getattr(outcome, "reason", None)
        declared = {name: of for name, (of, _) in getattr(outcome, "suggested", {}).items() if name not in stage.space}
        words = f"about {duration(seconds)} in one process" if outcome else f"more than {duration(seconds)}"
        return Estimate(
            1,
            seconds,
            {"failure": reason},
            {
                "objective": f"{sections.direction} {sections.metric} of {self.words(sections)}",
                "a trial": words if reason is None else f"trial 0 failed: {reason}",
                **{f"  {name}": f"{describe(of)}, as trial 0 declares it" for name, of in declared.items()},
            },
        )

    @abstractmethod
    def words(self, sections: Any) -> str:
        """Return the objective in a few words."""

    def with_values(self, sections: Any, params: Mapping[str, Any], *, epochs: int | None = None) -> Any:
        """Return the sections with a trial's values among the fixed ones."""
        if epochs is not None:
            raise BadArgument("epochs", epochs, "only a network has epochs", "leave it out")
        return sections.model_copy(update={"fixed": {**sections.fixed, **params}})

    def complexity(self, values: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, float]:
        """Return nothing: of a user's model only its seconds are known."""
        return {}

    def held_out(self, *given: Any, **options: Any) -> Any:
        """Raise: there is no test set here."""
        raise BadData("hpsearch has no test set for an objective of your own; evaluate it in your code")

    fit = retrain = evaluate = held_out


class FunctionRuntime(UserRuntime):
    """The runtime of functions."""

    def check(self, sections: FunctionSections, space: Space) -> None:
        """Check that the file of the function is there; only importing it, which workers do, shows the rest.

        Raises:
            BadStudyFile: There is no such file, or the function was one of another process; or it can be called in this
                process alone, which cannot be ended.
        """
        function = sections.objective.function
        source, _, name = function.rpartition(":")
        if function in LOCAL:
            for key in ("trial_timeout", "devices"):
                if getattr(sections.objective, key):
                    raise BadStudyFile(f"{key}: {name} is called in this process; define it in a module of its own")
            return
        if source.startswith("<"):  # as `function.name_of` has it
            raise BadStudyFile(
                f"{function} was given from Python, and no other process can import it; go on in Python with "
                f"Search({source[1:-1]!r}, the same function), or define the function in a module"
            )
        try:
            if is_file(source):
                find_file(source, (sections.objective.folder, os.getcwd()))
        except NotFound as error:
            raise BadStudyFile(f"[objective] function = {sections.objective.function!r}: {error}") from error

    def _objective(self, sections: FunctionSections, study: Study) -> Objective:
        of = sections.objective
        if of.function in LOCAL:
            return LocalObjective(LOCAL[of.function], study)
        return FunctionObjective(
            function=of.function, folder=of.folder, study=study, seconds=of.seconds, devices=of.devices
        )

    def words(self, sections: FunctionSections) -> str:
        return sections.objective.function


class CommandRuntime(UserRuntime):
    """The runtime of commands."""

    def check(self, sections: CommandSections, space: Space) -> None:
        """Check that the program is there.

        Raises:
            BadStudyFile: It is not, or cannot be run.
        """
        try:
            find_program(sections.objective.command[0], sections.objective.folder)
        except NotFound as error:
            raise BadStudyFile(f"[objective] command: {error}") from error

    def _objective(self, sections: CommandSections, study: Study) -> Objective:
        of = sections.objective
        curve = of.score_pattern is not None and of.epochs is not None
        return CommandObjective(
            command=of.command,
            folder=of.folder,
            study=study,
            pattern=of.score_pattern,
            curve=curve,
            workdir=of.workdir,
            seconds=of.seconds,
            devices=of.devices,
        )

    def estimate(self, sections: CommandSections, data: Any, *, stage: NewStage, lanes: int) -> Estimate:
        """Time a trial, and say which parameters the command is not given."""
        estimate = super().estimate(sections, data, stage=stage, lanes=lanes)
        sampled = [delivered_as(name, parameter) for name, parameter in stage.space.items()]
        if not (names := unused(sampled, sections.objective.command)):
            return estimate
        read = ", ".join(map(variable, names))
        text = f"{', '.join(names)}: sampled, but not in the command, which can read {read}"
        return estimate._replace(words={**estimate.words, "unused": text}, facts={**estimate.facts, "unused": names})

    def words(self, sections: CommandSections) -> str:
        return " ".join(sections.objective.command)


def _estimators() -> Any:
    """Return the module of estimators, which needs scikit-learn."""
    try:
        from hpsearch.objectives.user import estimator  # scikit-learn is optional, and takes a second to load
    except ModuleNotFoundError as error:
        raise MissingExtra("estimators need scikit-learn; pip install 'hpsearch[sklearn]'") from error
    return estimator


class EstimatorRuntime(UserRuntime):
    """The runtime of estimators: a function of ours, in which a worker's child process loads the data and scores."""

    def check(self, sections: EstimatorSections, space: Space) -> None:
        """Check that the estimator can be made, and has these parameters.

        Raises:
            BadStudyFile: It cannot, or has not.
            MissingExtra: scikit-learn is not installed.
        """
        of, estimator = sections.objective, _estimators()
        try:
            made = estimator.made(of.estimator, of.folder)
            estimator.check_scorers(made, of.scoring)
        except Exception as error:  # of the user's function too
            text = error if isinstance(error, BadInput) else reason(error)
            raise BadStudyFile(f"[objective] estimator = {of.estimator!r}: {text}") from error
        known = made.get_params()
        for name in (*sections.fixed, *(delivered_as(name, parameter) for name, parameter in space.items())):
            if name not in known:
                raise BadStudyFile(f"{name!r} is not a parameter of {of.estimator}{nearest(name, known)}")

    def load(self, sections: EstimatorSections, *, data_dir: Path | None = None) -> NoData:
        """Load the examples for their facts alone."""
        loaded = split(NetworkSections(data=sections.data), data_dir=data_dir)
        return NoData(loaded.fingerprint, loaded.sizes, loaded.notes, loaded.facts, data_dir, loaded.test_examples)

    def held_out(self, sections: EstimatorSections, data: NoData) -> int:
        """Return the number of test examples, none of which is read."""
        return test_examples(sections, data)

    def fit(self, sections: EstimatorSections, data: NoData, *, seed: int, on_epoch: Any = None) -> Fitted:
        """Fit an estimator to the training and validation examples together."""
        fitted: Fitted = _estimators().fit(sections, data, seed)
        return fitted

    def evaluate(
        self, fitted: Any, sections: EstimatorSections, data: NoData, *, data_dir: Path | None = None
    ) -> Evaluation:
        """Read the test set and score an estimator on it."""
        evaluation: Evaluation = _estimators().evaluate(fitted.model, sections, data_dir)
        return evaluation

    def _facts(self, sections: EstimatorSections, data: NoData) -> Mapping[str, Any]:
        of, plain = sections.objective, sections.data.model_dump()
        return {
            "estimator": of.estimator,
            "folder": of.folder,
            "cv": of.cv,
            "scoring": of.scoring,
            "data": plain | {"path": plain["path"] and os.path.abspath(os.path.expanduser(plain["path"]))},
            "data_dir": data.data_dir,
            "fingerprint": data.fingerprint,
        }

    def _objective(self, sections: EstimatorSections, study: Study) -> Objective:
        of = sections.objective
        return FunctionObjective(
            function="hpsearch.objectives.user.estimator:score",
            folder="",
            study=study,
            seconds=of.seconds,
            devices=of.devices,
        )

    def words(self, sections: EstimatorSections) -> str:
        return f"{sections.objective.estimator}, {sections.objective.cv} folds"


RUNTIMES: Mapping[str, UserRuntime] = {
    "command": CommandRuntime(),
    "estimator": EstimatorRuntime(),
    "function": FunctionRuntime(),
}
"""By the name of the kind."""

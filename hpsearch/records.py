"""Frozen records that cross rooms: a stage, a trial, and what came of it; their names and seeds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime  # pydantic asks for it: the service documents jobs
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias

from hpsearch.errors import Argument as Argument  # beside Action
from hpsearch.errors import worded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.space import Parameter, Space, Value

# The environment variable of a worker with what processes of the user's code are to have in place of its own threads'
# variables, which are 1: JSON, null for a variable that is not to be there (`hpsearch.executors.base.child_threads`).
CHILD_THREADS = "HPSEARCH_CHILD_THREADS"
DEFAULT_STORAGE = Path("studies") / "hpsearch.db"  # the study database where none is named
DEFAULT_STUDY = "mnist"  # the study file where none is named

Direction: TypeAlias = Literal["maximize", "minimize"]
# Parameters by name, each with the range that a trial declared for it while it ran, and its value.
Suggested: TypeAlias = "Mapping[str, tuple[Parameter, Value]]"

# Attributes of trials:
VALIDATION_LOSS = "validation_loss"  # at the scored epoch; breaks ties of the score
REASON = "reason"  # why it failed
CURVES = "curves"  # the learning curves beyond the score's own (which are intermediate values)
HITS = "hits"  # the validation examples that were right at the scored epoch (`hpsearch.statistics.hits`)
# Of a stage's record of its import: its kind where an export of ours was read, and the key of the numbers of the trials
# that no runner of hpsearch's held, or whose values are not its sampler's.
EXPORT, OTHERS = "export of hpsearch", "others"
SECONDS = "seconds"  # its share of its batch's time, in seconds
# Those that a trial of a user's objective may have:
FOLDS = "folds"  # the scores on the folds of a cross-validation, whose mean the score may be
STD_ERROR = "std_error"  # the standard error of its score
METRICS = "metrics"  # other metrics by name
REPEATS = "repeats"  # the scores with different seeds, whose mean the score is
OUTPUT = "output"  # the end of the output of one that failed
DEVICE = "device"  # the device that one that failed had
CV_RESULTS = "cv_results"  # the columns of scikit-learn's ``cv_results_``, by name
ENDED = "ended"  # how one that failed ended: ``exception``, ``result`` (no score), ``exit``, or one of `NOT_ITS_FAULT`
NOT_ITS_FAULT = ("signal", "memory", "timeout")  # those of `ENDED` after which another attempt may succeed
# Those of a result: a trial that is run again loses them.
RESULT = (
    *(CURVES, HITS, REASON, SECONDS, VALIDATION_LOSS),
    *(FOLDS, STD_ERROR, METRICS, REPEATS, OUTPUT, CV_RESULTS, DEVICE, ENDED),
)


@dataclass(frozen=True, slots=True)
class Action:
    """A next step as data: the command line prints it as a command, a page shows it as a button."""

    kind: str  # the method of `hpsearch.Search`, or the command, that does it: ``"narrow"``, ``"db repair"``
    # its arguments by name, of which ``search`` and ``storage`` say where. None and False count as absent.
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """As Python code over a `hpsearch.Search`, which knows its name and storage: ``narrow(top=5, expand=True)``."""
        given = {
            name: value
            for name, value in self.arguments.items()
            if name not in ("search", "storage") and value is not None and value is not False
        }
        return f"{self.kind}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of advice or a note that refers to actions: ``Sentence("next: `{}`", (Action("start"),))``."""

    text: str = ""  # the sentence; ``{}`` stands for each mention
    mentions: tuple[Action | Argument, ...] = ()  # the actions and arguments that it refers to

    def worded(self, word: Callable[[Action | Argument], str] = str) -> str:
        """Return the sentence, its mentions worded by ``word``: as Python code unless the command line is meant."""
        return worded(self.text, self.mentions, word)

    def __str__(self) -> str:
        return self.worded()


JobState: TypeAlias = Literal["queued", "running", "done", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Job:
    """Actions that a service carries out one after another, in a process of their own."""

    id: int
    actions: tuple[Action, ...]
    search: str  # the search that all of them are about
    state: JobState
    by: str  # name of the user who handed it in
    created: datetime  # UTC, as all times
    started: datetime | None = None  # None before a process has it
    ended: datetime | None = None
    owner: str | None = None  # the machine and the process that have it now
    reason: str | None = None  # why it failed or was stopped
    attempts: int = 0  # how often a process has begun it, without those that gave it back
    position: int = 0  # number of actions that are done
    exit_code: int | None = None  # of the last action
    stopping: bool = False  # whether it was asked to stop


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a job's log."""

    id: int  # 1 for the first one
    stream: Literal["stdout", "stderr"]
    text: str  # without its newline


def stage_name(search: str, number: int) -> str:
    """Return the name of a stage's Optuna study: ``mnist/stage-01``."""
    return f"{search}/stage-{number:02d}"


def confirmation_name(search: str, number: int) -> str:
    """Return the name of the Optuna study that confirms a stage: ``mnist/confirm-01``."""
    return f"{search}/confirm-{number:02d}"


def stage_seed(search_seed: int, number: int) -> int:
    """Return the seed of a search's stage: the search's own for stage 1, another one for each later stage.

    Were it the same, trial N of every stage would lie at the same place of its range and start from the same
    weights, and the stages would not be independent samples.
    """
    return search_seed if number == 1 else draw_seed(search_seed, number, "stage")


def draw_seed(seed: int, number: int, name: str) -> int:
    """Return the seed of the draw of this name (a parameter's) in the trial with this number of a stage."""
    # 32 bits, as NumPy's RandomState takes no more. Hashing keeps neighbouring trials' streams unrelated.
    digest = hashlib.sha256(f"{seed}/{number}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def rank_key(direction: Direction, score: float, loss: float | None, number: int) -> tuple[float, float, int]:
    """Return the key that sorts trials, best first: score, then lower validation loss (none last), then lower number.

    `hpsearch.search.range_analysis.Finished.best_first` is the same over arrays.
    """
    return (
        -score if direction == "maximize" else score,
        math.inf if loss is None or math.isnan(loss) else loss,
        number,
    )


@dataclass(frozen=True, slots=True)
class NewStage:
    """One round of the workflow in fixed ranges: one Optuna study, which may be still to be made.

    Or, with a plan, the confirmation of such a stage: its best trials' values, trained again.
    """

    search: str  # name of the search, as in the study file
    number: int  # 1 for the first stage; of a confirmation that of the stage that it confirms, its parent
    direction: Direction  # whether a higher or a lower score is better
    seed: int  # of everything random in the stage's trials
    space: Space  # the ranges
    study_file: Mapping[str, Any]  # the whole resolved study file, as plain data
    parent: int | None = None  # number of the stage that this one was narrowed from, or None
    # the origin of the ranges: the narrowing's options and evidence; empty for stage 1
    rule: Mapping[str, Any] = field(default_factory=dict)
    trials_used: tuple[int, ...] = ()  # numbers of the parent's trials that the narrowing used, best first
    fingerprint: str = ""  # sha256 of the training and validation arrays, or empty before the first run
    # the number of examples for ``train`` and for ``validation``
    sizes: Mapping[str, int] = field(default_factory=dict)
    # how raw values become what trials are fitted to, as the kind says it; empty where it says nothing
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    # versions of hpsearch, NumPy and Optuna that made the stage
    versions: Mapping[str, str] = field(default_factory=dict)
    # the values of a confirmation's trials; None for a stage of the search, which samples them
    plan: ConfirmationPlan | None = None
    # the origin of a stage that was run elsewhere; empty for one of this database
    imported: Mapping[str, Any] = field(default_factory=dict)
    # the part of the space that its own trials have declared while they ran; it grows with them
    declared: Space = field(default_factory=dict)

    @property
    def ranges(self) -> Space:
        """Return the part of the space that was given when the stage was begun, from which its trials are sampled."""
        return {name: parameter for name, parameter in self.space.items() if name not in self.declared}

    def as_begun(self) -> Self:
        """Return the stage without the parameters that its trials have declared."""
        return replace(self, space=self.ranges, declared={}) if self.declared else self

    @property
    def defined_by_run(self) -> bool:
        """Return whether its trials declare their parameters while they run, as its study file gives no ranges."""
        return self.study_file.get("space") == {}

    @property
    def refinement(self) -> Mapping[str, Any] | None:
        """Return the ``sampler`` and the ``batch`` of a refinement (`hpsearch.search.refinement`); None of others."""
        refined: Mapping[str, Any] | None = self.rule.get("refine")
        return refined

    @property
    def name(self) -> str:
        """Return the name of the stage's Optuna study."""
        return (stage_name if self.plan is None else confirmation_name)(self.search, self.number)

    @property
    def pruning_rule(self) -> str:
        """Return the rule by which trials are pruned, or ``none``, as for a stage from before there was one."""
        section: Mapping[str, Any] = self.study_file.get("pruning", {})
        return str(section.get("rule", "none"))

    @property
    def metric(self) -> str:
        """Return the name of the score that ranks its trials."""
        objective: Mapping[str, Any] = self.study_file.get("objective", {})
        return str(objective.get("metric", "score"))


@dataclass(frozen=True, slots=True)
class Stage(NewStage):
    """A stage that is in the database."""

    study_id: int = field(kw_only=True)  # the study's key there


def ancestry(stages: Sequence[Stage], last: Stage) -> list[Stage]:
    """A stage and those that it was narrowed from, the first one first.

    Args:
        stages: The search's stages.
        last: One of them.
    """
    of_number = {stage.number: stage for stage in stages}
    line = [last]
    while line[0].parent is not None:
        parent = of_number.get(line[0].parent)
        if parent is None or parent in line:
            break  # the database was made by other means
        line.insert(0, parent)
    return line


class _Sent:
    """A record that goes to workers and back by the thousand: pickled by its fields, 1.6 us there and back for 3.5."""

    __slots__: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), tuple([getattr(self, name) for name in self.__slots__])


@dataclass(frozen=True, slots=True)
class Trial(_Sent):
    """A claimed trial: one sample of the parameters, to be evaluated."""

    trial_id: int  # the trial's key in the database
    number: int  # 0 for the stage's first trial
    params: Mapping[str, Value]  # the sampled values by parameter name
    # in a confirmation, which repeat of its values it is: trials of one repeat have the same seeds. None: its number
    # gives its seeds.
    repeat: int | None = None
    # which evaluation of this trial it is, of those with other seeds whose mean score it has; 0 for the first
    again: int = 0


@dataclass(frozen=True, slots=True)
class Report(_Sent):
    """One point of a running trial's learning curve."""

    number: int  # the trial's number
    step: int  # epoch, from 1
    value: float  # the score at that epoch


@dataclass(frozen=True, slots=True)
class Completed(_Sent):
    """A trial that ended with a score."""

    number: int  # the trial's number
    score: float  # the objective value; always finite
    intermediate: tuple[float, ...] = ()  # the score after each epoch, from epoch 1
    attributes: Mapping[str, Any] = field(default_factory=dict)  # what else is worth keeping, as JSON-able data
    suggested: Suggested = field(default_factory=dict)  # the parameters that it declared itself


@dataclass(frozen=True, slots=True)
class Failed(_Sent):
    """A trial that ended without a score: it diverged, or its evaluation broke."""

    number: int  # the trial's number
    reason: str  # why, in words for people
    intermediate: tuple[float, ...] = ()  # the score after each epoch before the failure, from epoch 1
    attributes: Mapping[str, Any] = field(default_factory=dict)  # what else is worth keeping, as JSON-able data
    suggested: Suggested = field(default_factory=dict)  # the parameters that it declared itself


def stopped_after(epoch: int) -> str:
    """Return why a pruned trial has no score, in words, like `Failed.reason` of a failed one."""
    return f"stopped after epoch {epoch}"


@dataclass(frozen=True, slots=True)
class Pruned(_Sent):
    """A trial that was pruned, because others were better by then."""

    number: int  # the trial's number
    epoch: int  # the last one that it was trained for
    # the score after each epoch, from epoch 1 to that one. The last stands for the trial's score.
    intermediate: tuple[float, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)  # what else is worth keeping, as JSON-able data
    suggested: Suggested = field(default_factory=dict)  # the parameters that it declared itself


Outcome: TypeAlias = Completed | Failed | Pruned


@dataclass(frozen=True, slots=True)
class Paused:
    """A trial that was trained up to an epoch, and may go on or be pruned there."""

    number: int  # the trial's number
    intermediate: tuple[float, ...]  # the score after each epoch so far, from epoch 1; at least one
    # what is worth keeping if it is stopped here, as JSON-able data
    attributes: Mapping[str, Any] = field(default_factory=dict)
    # what the objective needs to go on from here; it may be pickled, and only the objective looks inside. None where
    # the objective cannot: then the trial is evaluated from the start again.
    state: object | None = None
    suggested: Suggested = field(default_factory=dict)  # the parameters that it declared itself

    @property
    def epoch(self) -> int:
        """Return the last epoch that it was trained for."""
        return len(self.intermediate)

    def pruned(self) -> Pruned:
        """Return its outcome if it is pruned here."""
        return Pruned(self.number, self.epoch, self.intermediate, self.attributes, self.suggested)


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of a trial in the database at an epoch."""

    number: int  # the trial's number
    state: str  # Optuna's name of its state
    owned: bool  # whether it is running and a runner of hpsearch's holds it
    value: float | None  # its score after that epoch; None where that is not known, or not yet

    @property
    def finished(self) -> bool:
        """Return whether it will not be run again."""
        return self.state in ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True, slots=True, eq=False)
class PastTrials:
    """N trials that were run elsewhere, as an import brings them: the i-th of each list is trial number i."""

    # Optuna's names of their states, shape (N,). One that was running is no longer: it is ``WAITING``.
    states: Sequence[str]
    # their values, finite or infinite, None for none, shape (N,); every ``COMPLETE`` trial has one
    scores: Sequence[float | None]
    started: Sequence[datetime | None]  # when they began, UTC, None for not yet, shape (N,)
    finished: Sequence[datetime | None]  # when they ended, UTC, likewise
    params: Mapping[str, Sequence[Value | None]]  # their values by parameter name, None for none, each of shape (N,)
    # the learning curves: numbers, steps and scores, three arrays of shape (P,), by number and step
    points: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
    # (number, key, value) of what else is kept of them, in any order; read once
    attributes: Iterable[tuple[int, str, Any]] = ()

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True, slots=True)
class Setting:
    """The values of one trial, to be trained again."""

    trial: int  # the trial's number in its own stage
    params: Mapping[str, Value]  # its sampled values by parameter name
    score: float  # its score there


class Block(NamedTuple):
    """Consecutive trials: for each repeat from ``first`` to before ``stop``, one of each of some settings.

    All settings of a repeat come before the next repeat, so that wherever a run is stopped the settings have been
    trained equally often, but for one.
    """

    settings: tuple[int, ...]
    first: int
    stop: int

    @property
    def size(self) -> int:
        """Return the number of its trials."""
        return len(self.settings) * (self.stop - self.first)


@dataclass(frozen=True, slots=True)
class ConfirmationPlan:
    """The settings of a confirmation and its trials' places among them. It only ever grows.

    Trial numbers are given out in order and are final. Growth therefore appends blocks of settings and repeats; no
    block is changed or removed, so a number keeps its meaning for every process, whether it read the plan before or
    after it grew.
    """

    settings: tuple[Setting, ...] = ()  # in the order in which they were taken in
    # the trials, by number. Of each setting they hold the repeats 0, 1, ... without a gap.
    blocks: tuple[Block, ...] = ()

    @property
    def size(self) -> int:
        """Return the number of trials that have a place."""
        return sum(block.size for block in self.blocks)

    @property
    def size_requested(self) -> tuple[int, int]:
        """Return the number of settings, and the most repeats that any of them has a place for."""
        return len(self.settings), max(map(self.repeats, range(len(self.settings))), default=0)

    def place(self, number: int) -> tuple[int, int]:
        """Return the setting, by index, and the repeat of it that a trial is.

        Raises:
            IndexError: The number is beyond the last block.
        """
        left = number
        for block in self.blocks:
            if left < block.size:
                repeat, position = divmod(left, len(block.settings))
                return block.settings[position], block.first + repeat
            left -= block.size
        raise IndexError(f"trial {number} of {self.size}")

    def repeats(self, setting: int) -> int:
        """Return how many repeats of a setting, by index, have a place."""
        return max((block.stop for block in self.blocks if setting in block.settings), default=0)

    def grown(self, settings: Sequence[Setting], repeats: int) -> ConfirmationPlan:
        """Return a plan that has this many repeats of these settings, and all that this one has.

        Those that have fewer repeats than others are brought level first.

        Args:
            settings: The settings. One of a trial that is here already is the one that is here.
            repeats: How many of each there are to be.
        """
        known = {setting.trial for setting in self.settings}
        every = (*self.settings, *(setting for setting in settings if setting.trial not in known))
        wanted = {setting.trial for setting in settings}
        has = {index: self.repeats(index) for index, setting in enumerate(every) if setting.trial in wanted}
        levels = sorted({count for count in has.values() if count < repeats} | {repeats})
        added = [
            Block(tuple(index for index, count in has.items() if count <= first), first, stop)
            for first, stop in pairwise(levels)
        ]
        return ConfirmationPlan(every, (*self.blocks, *added))

    def end(self, trials: Collection[int], repeats: int) -> int:
        """Return the number behind the last of these trials' repeats below ``repeats``: by then all have a place.

        Args:
            trials: The settings, by their trials' numbers.
            repeats: How many of each.
        """
        wanted = {index for index, setting in enumerate(self.settings) if setting.trial in trials}
        end = behind = 0
        for block in self.blocks:
            mine = [position for position, index in enumerate(block.settings) if index in wanted]
            rows = min(block.stop, repeats) - block.first
            if mine and rows > 0:
                end = behind + (rows - 1) * len(block.settings) + mine[-1] + 1
            behind += block.size
        return end

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-able data."""
        settings = [{"trial": of.trial, "score": of.score, "params": dict(of.params)} for of in self.settings]
        return {"settings": settings, "blocks": [[list(block[0]), *block[1:]] for block in self.blocks]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ConfirmationPlan:
        """The inverse of `to_dict`."""
        settings = (Setting(row["trial"], row["params"], row["score"]) for row in plain.get("settings", ()))
        blocks = (Block(tuple(which), first, stop) for which, first, stop in plain.get("blocks", ()))
        return cls(tuple(settings), tuple(blocks))

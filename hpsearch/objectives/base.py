"""The two seams of an objective: `Objective`, which workers call, and `Kind`, which the rest of the program asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from hpsearch.records import NewStage, Outcome, Paused, Report, Sentence, Trial
    from hpsearch.space import Space


CurveSign: TypeAlias = Literal["overfitting", "unstable", "improving", "saturated", "unsteady"]
"""What learning curves may show: the validation loss rises, the training loss does, the score still improves at the
end, it has not improved for long, it moves from epoch to epoch."""


class UsedBy(NamedTuple):
    """The condition under which a parameter has an effect: another one, ``name``, has one of ``values``."""

    name: str
    values: tuple[str, ...]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether a trial with these values meets it; a trial without the other parameter does."""
        return self.name not in values or values[self.name] in self.values


class Hyperparameter(NamedTuple):
    """The natural type and bounds of a parameter's values."""

    # of its values; those of ``categorical`` are names; None: any, as the study file says it
    type: Literal["float", "int", "bool", "categorical"] | None = None
    low: float | None = None  # lower bound; None: unbounded
    high: float | None = None  # upper bound; None: unbounded
    open_low: bool = False  # whether ``low`` itself is excluded
    open_high: bool = False  # whether ``high`` itself is excluded
    structural: bool = False  # whether trials that differ in it cannot be evaluated in one batch
    used_by: UsedBy | None = None  # the condition under which it has an effect; None: always
    known: tuple[str, ...] = ()  # the names that a value may have; empty: not known here
    # raises a ValueError for a value that is none; instead of the other checks
    check: Callable[[str], object] | None = None

    def misfit(self, value: float) -> str | None:
        """Return why a number cannot be a value, such as ``-1 lies below 0, the least that it can be``, or None."""
        low, high = self.low, self.high
        if low is not None and self.open_low and value <= low:
            return f"{value!r} is not above {low:g}"
        if low is not None and value < low:
            return f"{value!r} lies below {low:g}, the least that it can be"
        if high is not None and self.open_high and value >= high:
            return f"{value!r} is not below {high:g}"
        if high is not None and value > high:
            return f"{value!r} lies above {high:g}, the most that it can be"
        return None


class HeldOut(NamedTuple):
    """A score on the test set."""

    metric: str  # its name
    score: float  # its value
    examples: int  # T, the number of test examples
    hits: int | None = None  # the number of those that a classifier got right; None for any other
    low: float | None = None  # lower end of the score's confidence interval; None without one
    high: float | None = None  # upper end
    level: float | None = None  # of that interval, such as 0.95


class Objective(Protocol):
    """Turns trials into outcomes. It is sent to worker processes, so it can be pickled and loads quickly."""

    @property
    def independent(self) -> bool:
        """Return whether trials gain nothing from being evaluated together; then a batch is about a second of work."""

    def lanes(self, trial: Trial | None = None) -> int:
        """Return how many trials of this one's structure are best evaluated together (None: the space's largest)."""

    def structures(self) -> int:
        """Return about how many structures the space holds; trials of different structure are evaluated apart."""

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """Return the trials by structure, in order of their numbers; each list may be evaluated together."""

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Evaluate trials of one structure, to the end or up to an epoch.

        A trial's outcome depends on its number and values alone, never on the trials beside it nor on pauses.

        Args:
            trials: The trials.
            until: The epoch to pause at, before the last one; None: none.
            paused: What an earlier call gave for each of the trials, all at one epoch; empty: begin at the start. An
                objective that cannot go on from there leaves `Paused.state` out and begins at the start again.

        Yields:
            Points of learning curves as they come, and for each trial exactly one outcome or, at ``until``, one
            pause. An objective that cannot pause at all gives its outcomes.
        """


class Data(Protocol):
    """The data that trials are fitted to and scored on."""

    @property
    def fingerprint(self) -> str:
        """Return their sha256; two stages with one fingerprint have the same data."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the number of examples by part: ``train``, ``validation``."""

    @property
    def notes(self) -> Sequence[Sentence]:
        """Return what was decided in reading them, for people."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return how raw values become what trials are fitted to, JSON-able; a stage keeps it."""


class Estimate(NamedTuple):
    """The cost of a stage."""

    lanes: int  # trials that are evaluated together
    seconds_per_trial: float  # of the most expensive trial, measured in one process
    # anything else that the kind says of it, JSON-able, by the name that it has in ``check --format json``
    facts: Mapping[str, Any]
    words: Mapping[str, str]  # the same for people, by heading; ``objective`` and ``a trial`` must be among them


class Fitted(Protocol):
    """A model with chosen values, fitted for an evaluation."""

    @property
    def seconds(self) -> float:
        """Return the time that fitting took."""


class Evaluation(Protocol):
    """The result of an evaluation on the test set."""

    @property
    def score(self) -> HeldOut:
        """Return the score on the test set."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return anything else that is worth showing, JSON-able, by name."""

    def table(self) -> Mapping[str, Sequence[Any]]:
        """Return the same for people, by column."""

    def figure(self, name: str, *, title: str) -> Any:
        """Return a Plotly figure by the name that the kind has for it, without a template."""


class Runtime(Protocol):
    """The part of a kind that needs its libraries and data: a module, loaded when trials are to run.

    ``sections`` is what the kind's model has read, ``data`` what `load` gave.
    """

    def check(self, sections: Any, space: Space) -> None:
        """Check every name that only the libraries know.

        Raises:
            BadInput: One of them is unknown.
        """

    def load(self, sections: Any, *, data_dir: Path | None = None) -> Data:
        """Load the data of a study file.

        Raises:
            BadData: They are unknown, damaged or too few.
        """

    def objective(self, sections: Any, data: Any, *, seed: int, space: Space, name: str = "") -> Objective:
        """Return the objective of a stage with this seed, these ranges, and this name in the database, if any."""

    def estimate(self, sections: Any, data: Any, *, stage: NewStage, lanes: int) -> Estimate:
        """Time one batch of a stage's most expensive trials, of at most ``lanes``."""

    def with_values(self, sections: Any, params: Mapping[str, Any], *, epochs: int | None = None) -> Any:
        """Return the sections with a trial's values in their places; ``epochs`` of another length if it is given.

        Raises:
            BadStudyFile: Values that do not go together.
        """

    def complexity(self, values: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, float]:
        """Return in numbers how complex a model with these values is, each by its name; empty where that is not known.

        Args:
            values: Of all parameters, sampled and fixed.
            facts: `Data.facts`, as a stage keeps them; those of an earlier version may lack some.
        """

    def held_out(self, sections: Any, data: Any) -> int:
        """Return the number of test examples, none of which is read.

        Raises:
            BadData: There are none; the message says why.
        """

    def fit(self, sections: Any, data: Any, *, seed: int, on_epoch: Callable[[Any], None] | None = None) -> Fitted:
        """Fit a model to the training and validation examples together; ``sections`` are from `with_values`."""

    def retrain(
        self, sections: Any, data: Any, *, seed: int, number: int, on_epoch: Callable[[Any], None] | None = None
    ) -> Fitted:
        """Train the model of a trial again, the same to the bit, from its number and its stage's seed.

        Only for kinds that `Kind.retrains` says.
        """

    def evaluate(self, fitted: Any, sections: Any, data: Any, *, data_dir: Path | None = None) -> Evaluation:
        """Read the test set and score a model on it. `hpsearch.search.evaluation` alone may call this, once."""


class Kind(Protocol):
    """Everything that only one kind of objective knows.

    Its module loads no library, for it answers quick commands. ``plain`` is a resolved study file as plain data, as
    a stage keeps it. Optional facts say None or nothing.
    """

    name: str  # the name under ``[objective]``
    preload: str  # the module that workers import before their first batch
    evaluates: bool  # whether it can score a model on a test set
    retrains: bool  # whether it can train a trial's own model again, the same to the bit
    suggests: bool  # whether trials may declare parameters themselves, so that ``[space]`` may be absent
    parameters: Mapping[str, Hyperparameter] | None
    """The parameters that may be sampled; None: any, and ``check`` of the sections may refuse some."""
    also_called: Mapping[str, str]  # names that people use for them elsewhere, in lower case
    curves: Mapping[str, str]  # the learning curves that a trial keeps beside its score's, and their meaning
    curve_bounds: Mapping[str, tuple[float, float] | None]
    """The quantities that ``train_`` and ``validation_`` curves are of, with the least and the most that each can be;
    the first is the one to plot. Empty: there are no such curves."""

    remedies: Mapping[CurveSign, str]  # what to do about a sign in the learning curves

    def sections(self) -> type[BaseModel]:
        """Return the pydantic model of its part of a study file, whose fields are top-level sections of it.

        It has the properties ``settings`` (the values of all parameters that are not sampled), ``metric``,
        ``direction`` and ``epochs`` (of a whole learning curve; None: trials have none, and cannot be pruned), and
        ``check(space)``, which raises a BadStudyFile where sections and ranges do not go together, and
        ``check_sent(space)``, which raises one for what a client that may not run code of its own may not send;
        ``sent`` has the keys of sections that it may, where these are not all. Its
        ``[objective]`` has the key ``kind``, or one of the kind's name, and keeps it, by which a stage is known as
        this kind's; the network alone leaves it out. Validation has the context ``folder``, that of the study file.
        """

    def runtime(self) -> Runtime:
        """Return what evaluates trials."""

    def kept(self, plain: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return it with the values that an earlier version, which wrote it, went by and had no keys for."""

    def settings(self, plain: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the values of all parameters that are not sampled; None where none of the kind's sections is kept."""

    def epochs(self, plain: Mapping[str, Any]) -> int | None:
        """Return the length of a whole learning curve; None: unknown, or trials have none."""

    def trained_epochs(self, plain: Mapping[str, Any]) -> int | None:
        """Return how many epochs a trial is trained for; None: it has none, or that is not known."""

    def with_epochs(self, plain: Mapping[str, Any], epochs: int) -> dict[str, Any]:
        """Return the study file with so many epochs a trial.

        Raises:
            BadArgument: How long a trial is trained is not among its keys.
        """

    def uses(self, name: str, values: Mapping[str, Any]) -> bool:
        """Return whether a parameter has an effect in a trial with these values, sampled and fixed."""

    def scored_at(self, plain: Mapping[str, Any]) -> Literal["last", "best"] | None:
        """Return which point of its learning curve is a trial's score; None: none is."""

    def examples(self, plain: Mapping[str, Any], sizes: Mapping[str, int]) -> int | None:
        """Return how many validation examples a score is the share of, of which trials keep the hits; None: it is none.

        Of any other score no noise is known until a confirmation repeats trials.
        """

    def held_out(self, record: Mapping[str, Any]) -> HeldOut | None:
        """Return the score of a stored evaluation; None where that broke off."""

    def held_out_record(self, score: HeldOut) -> dict[str, Any]:
        """Return a score on the test set as the database stores it; the inverse of `held_out`."""

    def template(self, search: str, data: Mapping[str, Any] | None = None) -> str:
        """Return a commented study file to begin from; with ``data``, these keys of ``[data]`` are set."""

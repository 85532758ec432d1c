"""The kinds of the user's own objectives: what the program knows of them without loading anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from hpsearch.errors import BadArgument, BadInput
from hpsearch.objectives.base import HeldOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from hpsearch.objectives.base import CurveSign, Hyperparameter, Runtime


class UserKind:
    """The base of all three; see `hpsearch.objectives.base.Kind`.

    Nothing is known of their parameters but the ranges, of their data but what the objective reads, and of a score's
    noise but what it returns.
    """

    name: str
    preload: str
    evaluates = False
    retrains = False
    suggests = False
    parameters: Mapping[str, Hyperparameter] | None = None
    also_called: Mapping[str, str] = {}
    curves: Mapping[str, str] = {}
    curve_bounds: Mapping[str, tuple[float, float] | None] = {}
    remedies: Mapping[CurveSign, str] = {
        "overfitting": "regularise more, add training data, or stop earlier",
        "unstable": "look for a bug in the training, or take smaller steps",
        "improving": "train longer, or take larger steps",
        "saturated": "train more trials in the same time",
        "unsteady": "take smaller steps towards the end, average the weights, or score on more examples",
    }

    def sections(self) -> type[BaseModel]:
        from hpsearch.objectives.user.sections import SECTIONS  # pydantic: quick commands do without

        return SECTIONS[self.name]

    def runtime(self) -> Runtime:
        from hpsearch.objectives.user.runtime import RUNTIMES  # NumPy: quick commands do without

        return RUNTIMES[self.name]

    def kept(self, plain: Mapping[str, Any]) -> Mapping[str, Any]:
        return plain

    def settings(self, plain: Mapping[str, Any]) -> dict[str, Any] | None:
        return dict(plain.get("fixed", {}))

    def epochs(self, plain: Mapping[str, Any]) -> int | None:
        epochs = plain.get("objective", {}).get("epochs")
        return epochs if isinstance(epochs, int) else None

    def trained_epochs(self, plain: Mapping[str, Any]) -> int | None:
        """Return the fixed parameter of that name, which the objective is given; None: it has none."""
        fixed = plain.get("fixed", {}).get("epochs")
        return fixed if type(fixed) is int else None

    def with_epochs(self, plain: Mapping[str, Any], epochs: int) -> dict[str, Any]:
        if type(plain.get("fixed", {}).get("epochs")) is not int:
            problem = "the objective has no fixed parameter epochs, which would say how long a trial is trained"
            raise BadArgument("epochs", epochs, problem, "add it to the fixed parameters and use it in the objective")
        changed = {**plain, "fixed": {**plain["fixed"], "epochs": epochs}}
        if self.epochs(plain) is not None:
            changed["objective"] = {**plain["objective"], "epochs": epochs}
        return changed

    def uses(self, name: str, values: Mapping[str, Any]) -> bool:
        return True

    def scored_at(self, plain: Mapping[str, Any]) -> Literal["last", "best"] | None:
        return None

    def examples(self, plain: Mapping[str, Any], sizes: Mapping[str, int]) -> int | None:
        return None

    def held_out(self, record: Mapping[str, Any]) -> HeldOut | None:
        return None

    def held_out_record(self, score: HeldOut) -> dict[str, Any]:
        return {}

    def template(self, search: str, data: Mapping[str, Any] | None = None) -> str:
        raise BadInput(f"there is no template of a study file for a {self.name}")


class CommandKind(UserKind):
    """A command that is run for each trial."""

    name = "command"
    preload = "hpsearch.objectives.user.command"


class FunctionKind(UserKind):
    """A Python function of a trial."""

    name = "function"
    preload = "hpsearch.objectives.user.function"
    suggests = True


class EstimatorKind(UserKind):
    """A scikit-learn estimator, scored by cross-validation."""

    name = "estimator"
    preload = "hpsearch.objectives.user.function"
    evaluates = True

    def held_out(self, record: Mapping[str, Any]) -> HeldOut | None:
        return HeldOut(**{name: record[name] for name in HeldOut._fields}) if "score" in record else None

    def held_out_record(self, score: HeldOut) -> dict[str, Any]:
        return score._asdict()

    def settings(self, plain: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return those of ``[fixed]``; None where it was fitted from Python, as no data are named."""
        return super().settings(plain) if "data" in plain else None

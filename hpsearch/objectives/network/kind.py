"""The network's answers to the questions of `hpsearch.objectives.base.Kind`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.objectives.base import HeldOut, Uncertainty
from hpsearch.objectives.network.hyperparameters import ALSO_CALLED, HYPERPARAMETERS, uses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from hpsearch.objectives.base import Runtime


class NetworkKind:
    """The built-in network; see `hpsearch.objectives.base.Kind`."""

    name = "network"
    preload = "hpsearch.objectives.network.objective"
    parameters = HYPERPARAMETERS
    also_called = ALSO_CALLED
    curves: Mapping[str, str] = {
        "train_loss": "mean loss over the training images while the weights moved",
        "train_accuracy": "share of the training images that were right then, 0 to 1",
        "validation_loss": "mean loss over the validation images after the epoch",
        "validation_accuracy": "share of the validation images that are right after it, 0 to 1",
    }
    curve_bounds: Mapping[str, tuple[float, float] | None] = {"accuracy": (0.0, 1.0), "loss": None}

    def sections(self) -> type[BaseModel]:
        from hpsearch.objectives.network.sections import NetworkSections  # pydantic: quick commands do without

        return NetworkSections

    def runtime(self) -> Runtime:
        from hpsearch.objectives.network import runtime  # NumPy: quick commands and reading a study file do without

        return runtime

    def settings(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        return {**plain.get("network", {}), **plain.get("training", {})}

    def epochs(self, plain: Mapping[str, Any]) -> int | None:
        epochs = self.settings(plain).get("epochs")
        return epochs if isinstance(epochs, int) else None

    def uses(self, name: str, values: Mapping[str, Any]) -> bool:
        return uses(name, values)

    def uncertainty(self, plain: Mapping[str, Any], sizes: Mapping[str, int]) -> Uncertainty:
        if plain.get("objective", {}).get("metric") != "validation_accuracy" or not sizes.get("validation"):
            return Uncertainty("unknown")
        return Uncertainty("hits", sizes["validation"])

    def held_out(self, record: Mapping[str, Any]) -> HeldOut | None:
        if "accuracy" not in record:
            return None
        low, high = record.get("interval") or (None, None)
        level = record.get("level")
        return HeldOut("accuracy", record["accuracy"], record["images"], record["hits"], low, high, level)

    def held_out_record(self, score: HeldOut) -> dict[str, Any]:
        return {
            "images": score.examples,
            "hits": score.hits,
            "accuracy": score.score,
            "interval": [score.low, score.high],
            "level": score.level,
        }

    def template(self, search: str) -> str:
        text = Path(__file__).with_name("template.toml").read_text(encoding="utf-8")
        return text.replace("{name}", search)

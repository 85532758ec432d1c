"""What all parts of the benchmark are told."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figures import Figure
from interleaving import Sample
from learning import Learned


@dataclass(frozen=True, slots=True)
class Setting:
    """How to measure.

    Args:
        folder: For temporary files.
        rounds: How many times each contender is measured.
        cores: Cores to use.
        quick: Whether a few trials do, to see that all of it runs; the figures then mean little.
        slow: Whether to measure what takes minutes a round, too.
    """

    folder: Path
    rounds: int
    cores: int
    quick: bool = False
    slow: bool = False

    def fresh_folder(self) -> Path:
        """An empty folder for one measurement."""
        return Path(tempfile.mkdtemp(dir=self.folder))


@dataclass(frozen=True, slots=True)
class Part:
    """What a part found.

    Args:
        name: As ``--only`` knows it.
        figures: The rows of the table.
        samples: Every measurement, by contender and round.
        learned: How well each contender learned, where it trains.
        facts: What else belongs in the JSON.
    """

    name: str
    figures: list[Figure]
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    learned: list[Learned] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

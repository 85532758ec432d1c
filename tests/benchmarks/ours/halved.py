"""Both stages of some seeds, without pruning and with: ``SEEDS STUDY``, such as ``0,1 book.toml``; prints JSON."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def main() -> None:
    seeds, study = sys.argv[1:]
    halving: Any = importlib.import_module("halving")
    pairs = halving.measure([int(seed) for seed in seeds.split(",")], study=study)
    print(
        json.dumps(
            [
                {
                    "seed": pair.seed,
                    "full_stage": pair.full.seconds,
                    "pruned_stage": pair.pruned.seconds,
                    "full_best": pair.full.best,
                    "pruned_best": pair.pruned.best,
                    "full": pair.full.reaches(pair.near),
                    "pruned": pair.pruned.reaches(pair.near),
                    "speedup": pair.speedup,
                }
                for pair in pairs
            ]
        )
    )


if __name__ == "__main__":
    main()

"""Python runs this at the start of every process that has this folder on its path, worker processes included.

It notes when the first network's forward pass begins: the monotonic clock, into the file that FIRST_STEP names.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

WATCHED = "hpsearch.nn.network"


class _Noting(MetaPathFinder):
    """Finds the watched module as usual, and wraps `Network.forward` once it has been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != WATCHED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            forward = module.Network.forward

            def first(*arguments: Any, **named: Any) -> Any:
                with open(os.environ["FIRST_STEP"], "a", encoding="ascii") as file:
                    file.write(f"{time.monotonic()}\n")
                module.Network.forward = forward
                return forward(*arguments, **named)

            module.Network.forward = first

        loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Noting())

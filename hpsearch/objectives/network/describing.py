"""The content of a saved network's file, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.nn import parameter_count
from hpsearch.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hpsearch.nn import Model


def plain(model: Model) -> dict[str, Any]:
    """Return all but the weights, as JSON-able data."""
    network = model.network
    return {
        "sizes": list(network.sizes),
        "activation": network.activation,
        "batch_norm": network.batch_norm,
        "dtype": network.dtype.name,
        "parameters": parameter_count(network.sizes, batch_norm=network.batch_norm),
        "preprocessing": None if model.preprocessing is None else model.preprocessing.plain(),
        "class_names": list(model.class_names),
        "about": dict(model.about),
        "versions": dict(model.versions),
    }


def headline(model: Model) -> str:
    """Return the architecture in a line."""
    network = model.network
    words = ["-".join(map(str, network.sizes)), network.activation, *(["batch norm"] if network.batch_norm else [])]
    count = parameter_count(network.sizes, batch_norm=network.batch_norm)
    return f"{', '.join(words)}, {network.dtype.name}, {counted(count, 'parameter')}"


def facts(model: Model) -> dict[str, str]:
    """Return its inputs, outputs and origin in words, by name."""
    found = {"inputs": _inputs(model), "classes": printable(", ".join(model.class_names))}
    # Scores and names first, then sections such as the settings.
    about = dict(sorted(model.about.items(), key=lambda item: isinstance(item[1], dict)))
    for name, value in _flattened(about):
        found[printable(name)] = printable(value)
    if model.versions:
        found["written by"] = printable(", ".join(f"{name} {version}" for name, version in model.versions.items()))
    return found


def _inputs(model: Model) -> str:
    asked = model.preprocessing
    if asked is None:
        return f"{model.network.sizes[0]}; the file does not say how raw values become these"
    shape = "x".join(map(str, asked.shape))
    divided = "" if asked.divisor == 1 else f", divided by {asked.divisor:g}"
    return printable(f"{shape} {asked.dtype} from {asked.low:g} to {asked.high:g}{divided}")


def _flattened(about: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested objects as ``settings.lr``; what is null is left out."""
    for name, value in about.items():
        match value:
            case None:
                continue
            case dict():
                yield from _flattened(value, f"{before}{name}.")
            case list():
                yield before + name, ", ".join(map(_shown, value))
            case _:
                yield before + name, _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)

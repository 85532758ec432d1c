"""Networks as files: arrays and text in NumPy's .npz, and nothing that runs when it is read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.network import Network
from hpsearch.whole_files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.nn.lanes import Floats

_FORMAT = 1


def save(network: Network, path: Path, *, lane: int = 0, about: Mapping[str, Any] | None = None) -> None:
    """Write one lane of a network to a file: its arrays by layer and name, its architecture, and what is known of it.

    Args:
        network: K lanes.
        path: ``NAME.npz``; written whole or not at all.
        lane: Which of them.
        about: Where the network comes from, as JSON-able data.

    Raises:
        BadInput: Another ending, no such lane, or the file cannot be written.
    """
    if path.suffix != ".npz":
        raise BadInput(f"cannot save to {path}: a network is saved as .npz")
    if not 0 <= lane < network.lanes:
        raise BadInput(f"lane = {lane}; the network has lanes 0 to {network.lanes - 1}")
    architecture = {
        "format": _FORMAT,
        "sizes": network.sizes,
        "activation": network.activation,
        "batch_norm": network.batch_norm,
        "dtype": network.dtype.name,
    }
    arrays = {name: values[lane] for name, values in _named(network).items()}
    with replacing(path) as neighbour, neighbour.open("wb") as stream:
        np.savez(
            stream,
            allow_pickle=False,
            architecture=np.array(json.dumps(architecture)),
            about=np.array(json.dumps(dict(about or {}))),
            **arrays,
        )


def load(path: Path) -> tuple[Network, dict[str, Any]]:
    """Read what `save` wrote.

    Args:
        path: The file.

    Returns:
        A network of one lane, without dropout (which matters in training alone), and what is known of it.

    Raises:
        BadInput: The file cannot be read, or is not a network.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        architecture = json.loads(str(arrays.pop("architecture")))
        about = json.loads(str(arrays.pop("about")))
        if architecture["format"] != _FORMAT:
            raise BadInput(
                f"{path} has format {architecture['format']}, this hpsearch reads {_FORMAT}; update hpsearch"
            )
        network = Network(
            architecture["sizes"],
            rngs=[np.random.default_rng(0)],
            activation=architecture["activation"],
            initializers="zeros",
            batch_norm=architecture["batch_norm"],
            dtype=architecture["dtype"],
        )
        _fill(network, arrays)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is not a saved network, or is damaged ({type(error).__name__}: {error})") from error
    return network, about


def _named(network: Network) -> dict[str, Floats]:
    """A network's arrays, (K, *shape), by names such as ``0.weight``; layers without arrays are not counted."""
    layers = [layer for layer in network.parameters if layer]
    return {f"{index}.{name}": values for index, layer in enumerate(layers) for name, values in layer.items()}


def _fill(network: Network, arrays: Mapping[str, Any]) -> None:
    wanted = {name: values[0] for name, values in _named(network).items()}
    if wanted.keys() != arrays.keys():
        raise ValueError(f"arrays {sorted(wanted.keys() ^ arrays.keys())} are missing or too many")
    for name, values in wanted.items():
        if values.shape != arrays[name].shape:
            raise ValueError(f"array {name} has shape {arrays[name].shape}, not {values.shape}")
        values[...] = arrays[name]

"""Networks as files: arrays and text in NumPy's .npz, and nothing that runs when it is read.

A file holds the arrays by layer and name (``0.weight``), and three texts in JSON: ``architecture``, ``preprocessing``
(with the names of the classes) and ``about``. A file of format 1 lacks the second.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch import __version__
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadInput, HpsearchError
from hpsearch.files import replacing
from hpsearch.nn import archive
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.archive import Damaged
from hpsearch.nn.cost import parameter_count
from hpsearch.nn.model import Model
from hpsearch.nn.network import Network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.nn.inputs import Inputs
    from hpsearch.nn.lanes import Floats

_FORMAT = 2
_TEXTS: tuple[str, ...] = "architecture", "preprocessing", "about"
_GREY_IMAGES = ("fashion-mnist", "mnist", "mnist-10k")
"""Data sets of 28x28 grey levels, by the names that files of format 1 give."""


def save(
    network: Network,
    path: Path,
    *,
    lane: int = 0,
    about: Mapping[str, Any] | None = None,
    inputs: Inputs | None = None,
    preprocessing: Preprocessing | None = None,
    class_names: Sequence[str] = (),
) -> None:
    """Write one lane of a network to a file, with what is needed to use it and what is known of it.

    Args:
        network: K lanes.
        path: ``NAME.npz``; written whole or not at all, the same bytes for the same network.
        lane: Which of them.
        about: Where the network comes from, as JSON-able data without NaN or infinity.
        inputs: Which inputs the network has, where some were left out in training: the file's has all of them.
        preprocessing: What turns raw values into its inputs (`hpsearch.data.Split.preprocessing`).
        class_names: The C label values, by class.

    Raises:
        BadInput: Another ending, no such lane, preprocessing or names of another size than the network's, numbers
            that are not finite, or the file cannot be written.
    """
    if path.suffix != ".npz":
        raise BadInput(f"cannot save to {path}: a network is saved as .npz")
    if not 0 <= lane < network.lanes:
        raise BadInput(f"lane = {lane}; the network has lanes 0 to {network.lanes - 1}")
    if inputs is not None:
        network = network.widened(inputs)
    _check_sizes(network.sizes, preprocessing, class_names)
    arrays = {name: values[lane] for name, values in _named(network).items()}
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise BadInput(f"cannot save to {path}: {name} holds numbers that are not finite; such a network is no use")
    texts = {
        "architecture": {
            "format": _FORMAT,
            "sizes": network.sizes,
            "activation": network.activation,
            "batch_norm": network.batch_norm,
            "dtype": network.dtype.name,
            "versions": {"hpsearch": __version__, "python": platform.python_version(), "numpy": np.__version__},
        },
        "preprocessing": {
            "class_names": list(class_names),
            "values": None if preprocessing is None else preprocessing.plain(),
        },
        "about": dict(about or {}),
    }
    plain = {name: np.array(json.dumps(content, allow_nan=False)) for name, content in texts.items()}
    with replacing(path) as neighbour:
        archive.write(neighbour, plain | arrays)


def load(path: Path) -> tuple[Network, dict[str, Any]]:
    """Read a network alone, and what is known of it; `load_model` reads all.

    Args:
        path: What `save` wrote.

    Raises:
        BadInput: As for `load_model`.
    """
    model = load_model(path)
    return model.network, dict(model.about)


def load_model(path: Path) -> Model:
    """Read what `save` wrote. Anybody's file may be read: nothing in it is run, and none of it is trusted.

    Args:
        path: The file.

    Returns:
        A network of one lane, without dropout (which matters in training alone), and all that the file says of it.

    Raises:
        BadInput: The file cannot be read, is no network or is damaged, or is of a newer format.
    """
    try:
        return _model(archive.read(path))
    except _Newer as error:
        raise BadInput(f"{path} has {error}; update hpsearch") from error
    except Damaged as error:
        raise BadInput(f"{path} is not a saved network, or is damaged ({error})") from error


class _Newer(Exception):
    """A format of the future."""


def _model(arrays: dict[str, NDArray[Any]]) -> Model:
    texts = {name: arrays.pop(name) for name in _TEXTS if name in arrays}
    architecture = _json(texts, "architecture")
    match architecture.get("format"):
        case bool() | float():  # 1.0 and true are equal to 1, and nobody wrote them
            raise Damaged("its format is no number")
        case 1:
            about = _json(texts, "about")
            preprocessing, names = _formerly(about), about.get("class_names", [])
            arrays.pop("allow_pickle", None)  # NumPy before 2.1 took savez's option for an array
        case 2:
            about, section = _json(texts, "about"), _json(texts, "preprocessing")
            preprocessing, names = _preprocessing(section.get("values")), section.get("class_names")
        case int(number) if number > _FORMAT:
            raise _Newer(f"format {number}, this hpsearch reads {_FORMAT}")
        case _:
            raise Damaged("it has no format")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Damaged("its class names are no texts")
    versions = architecture.get("versions", {})
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise Damaged("its versions are no texts")
    network = _network(architecture, arrays)
    try:
        _check_sizes(network.sizes, preprocessing, names)
    except BadInput as error:
        raise Damaged(str(error)) from error
    return Model(network, preprocessing, tuple(names or map(str, range(network.sizes[-1]))), about, versions)


def _json(texts: Mapping[str, NDArray[Any]], name: str) -> dict[str, Any]:
    """The object in one of the texts; numbers that JSON does not have are refused."""
    if name not in texts:
        raise Damaged(f"it has no {name}")
    try:
        found = json.loads(archive.text(texts[name]), parse_constant=_finite, parse_float=_finite)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair, which JSON allows, is no text
    except (ValueError, RecursionError) as error:
        raise Damaged(f"its {name} is no JSON") from error
    if not isinstance(found, dict):
        raise Damaged(f"its {name} is no JSON object")
    return found


def _finite(number: str) -> float:
    if not np.isfinite(value := float(number)):
        raise ValueError(number)
    return value


def _formerly(about: Mapping[str, Any]) -> Preprocessing | None:
    """The preprocessing of a file of format 1, which names its data and says no more."""
    data = about.get("data")
    if not isinstance(data, dict) or data.get("path") is not None:
        return None
    # Study files that name no data mean the shipped images.
    return Preprocessing((28, 28)) if data.get("name") in (None, *_GREY_IMAGES) else None


def _preprocessing(values: object) -> Preprocessing | None:
    match values:
        case None:
            return None
        case {
            "shape": [*shape],
            "dtype": str(dtype),
            "divisor": float(divisor),
            "low": float(low),
            "high": float(high),
        } if all(type(size) is int for size in shape):
            try:
                return Preprocessing(tuple(shape), dtype, divisor, low, high)
            except HpsearchError as error:
                raise Damaged(str(error)) from error
    raise Damaged("its preprocessing does not make sense")


def _check_sizes(sizes: Sequence[int], preprocessing: Preprocessing | None, class_names: Sequence[str]) -> None:
    if preprocessing is not None and preprocessing.inputs != sizes[0]:
        raise BadInput(f"examples of shape {preprocessing.shape} for a network of {sizes[0]} inputs")
    if class_names and len(class_names) != sizes[-1]:
        raise BadInput(f"{len(class_names)} class names for a network of {sizes[-1]} classes")


def _network(architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Network:
    match architecture:
        case {
            "sizes": [_, _, *_] as sizes,
            "activation": str(activation),
            "batch_norm": bool(batch_norm),
            "dtype": "float32" | "float64" as dtype,
        } if activation in ACTIVATIONS and all(type(size) is int and size > 0 for size in sizes):
            pass
        case _:
            raise Damaged("its architecture does not make sense")
    # Before anything of that size is made: the file must hold what its architecture asks for.
    there = sum(array.size for array in arrays.values())
    if parameter_count(sizes, batch_norm=batch_norm) > there:
        raise Damaged(f"layers of {_shown(sizes)} units need more than the {there} numbers that are there")
    network = Network(
        sizes,
        rngs=[np.random.default_rng(0)],
        activation=activation,
        initializers="zeros",
        batch_norm=batch_norm,
        dtype=dtype,
    )
    _fill(network, arrays)
    return network


def _shown(sizes: Sequence[int]) -> str:
    if len(sizes) > 10 or max(sizes) > 10**15:
        return f"{len(sizes)} sizes"
    return "-".join(map(str, sizes))


def _named(network: Network) -> dict[str, Floats]:
    """A network's arrays, (K, *shape), by names such as ``0.weight``; layers without arrays are not counted."""
    layers = [layer for layer in network.parameters if layer]
    return {f"{index}.{name}": values for index, layer in enumerate(layers) for name, values in layer.items()}


def _fill(network: Network, arrays: Mapping[str, NDArray[Any]]) -> None:
    wanted = {name: values[0] for name, values in _named(network).items()}
    if wanted.keys() != arrays.keys():
        odd = sorted(wanted.keys() ^ arrays.keys())
        raise Damaged(f"{len(odd)} arrays are missing or too many, {odd[0]!r} first")
    for name, values in wanted.items():
        given = arrays[name]
        if values.shape != given.shape or given.dtype.newbyteorder("=") != values.dtype:
            raise Damaged(f"{name} holds {given.dtype} of shape {given.shape}, not {values.dtype} of {values.shape}")
        if not np.isfinite(given).all() or (name.endswith(".variance") and given.min() < 0):
            raise Damaged(f"{name} holds numbers that no network has")
        values[...] = given

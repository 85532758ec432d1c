"""Networks as .npz files. Anybody's file may be read: a network comes out, or a refusal; nothing in it is run.

NumPy's archives are zip files of .npy members. What `save` writes is not compressed, and only that is read, so that no
member is larger in memory than it is in the file, and the file's own size bounds all of them.
"""

from __future__ import annotations

import io
import json
import math
import platform
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch import __version__
from hpsearch.data.columns import Raw
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadInput
from hpsearch.files import kind_of, replacing
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.lanes import Floats, parameter_count
from hpsearch.nn.network import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FORMAT = 3  # 2: hpsearch 0.2, whose preprocessing is one divisor


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One network and all that is needed to use it."""

    network: Network  # one lane, over all inputs, without dropout
    preprocessing: Preprocessing | None  # what turns raw values into its inputs; None where the file does not say
    class_names: tuple[str, ...]  # the C label values; without names, ``0`` to ``C - 1``
    about: Mapping[str, Any] = field(default_factory=dict)  # where it comes from, as JSON-able data
    versions: Mapping[str, str] = field(default_factory=dict)  # what wrote the file: hpsearch, Python, NumPy

    def takes(self) -> Preprocessing:
        """Return the preprocessing of raw values into the network's inputs.

        Raises:
            BadInput: The file does not say.
        """
        if self.preprocessing is None:
            raise BadInput("the network's file does not say how raw values become its inputs; train and save it again")
        return self.preprocessing

    def probabilities(self, raw: Raw) -> npt.NDArray[np.float64]:
        """Return the probability of each class, (N, C); each row sums to 1.

        Every example has a pass of its own: its result must not depend on the other examples of the batch, and in a
        product of many rows a row may be rounded by where it stands (OpenBLAS does so on processors without AVX-512).

        Args:
            raw: (N, ...) examples as they were before training: grey levels 0..255 where it was trained on those; a
                frame where it was trained on texts.

        Raises:
            BadInput: Examples of another size, a file without preprocessing, or sums that overflow.
        """
        takes = self.takes()
        if isinstance(raw, np.ndarray) and (raw.ndim < 2 or math.prod(raw.shape[1:]) != math.prod(takes.shape)):
            raise BadInput(f"examples of shape {raw.shape[1:]}; the network takes {takes.shape}")
        probabilities = np.empty((len(raw), self.network.sizes[-1]))
        with np.errstate(all="ignore"):
            x = takes.apply(raw).astype(self.network.dtype)
            for i in range(len(raw)):
                logits = self.network.infer(x[None, i : i + 1])[0, 0].astype(np.float64)  # (1, 1, D) -> (C,)
                exps = np.exp(logits - logits.max())
                probabilities[i] = exps / exps.sum()
        if not np.isfinite(probabilities).all():
            raise BadInput("the network gives no finite probabilities for these examples")
        return probabilities


def save(
    network: Network,
    path: Path,
    *,
    about: Mapping[str, Any] | None = None,
    preprocessing: Preprocessing | None = None,
    class_names: Sequence[str] = (),
) -> None:
    """Write a network of one lane to a file, with what is needed to use it and what is known of it.

    Args:
        network: One lane, over all inputs (`Network.widened`).
        path: ``NAME.npz``; written whole or not at all, the same bytes for the same network.
        about: Where the network comes from, as JSON-able data without NaN or infinity.
        preprocessing, class_names: As in `Model`.

    Raises:
        BadInput: One of these does not fit the network, numbers are not finite, or the file cannot be written.
    """
    if path.suffix != ".npz":
        raise BadInput(f"cannot save to {path}: a network is saved as .npz")
    if network.lanes != 1:
        raise BadInput(f"cannot save {network.lanes} lanes; keep one")
    _check_sizes(network.sizes, preprocessing, class_names)
    arrays = _named(network)
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
    with replacing(path) as neighbour, zipfile.ZipFile(neighbour, "w", zipfile.ZIP_STORED) as archive:
        for name, array in (plain | arrays).items():
            # A ZipInfo of a name alone has no time of day in it, as one that np.savez makes has.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load_model(path: Path) -> Model:
    """Read what `save` wrote. Anybody's file may be read: nothing in it is run, and none of it is trusted.

    It has one lane and no dropout, which matters in training alone. BadInput is raised for a file that cannot be read,
    is no network or is damaged, or is of another format.
    """
    kind_of(path, (".npz",), folder=False)
    try:
        with zipfile.ZipFile(path) as archive:
            return _model(_arrays(archive, path.stat().st_size))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile, NumPy's header parser and JSON raise some ten kinds for a damaged file
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInput(f"{path} is not a saved network, or is damaged ({why})") from error


def _arrays(archive: zipfile.ZipFile, size: int) -> dict[str, npt.NDArray[Any]]:
    """Return all arrays of an uncompressed .npz of ``size`` bytes by name, read-only."""
    members = archive.infolist()
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise BadInput(f"{member.filename!r} is compressed, which a saved network is not")
    # Members may overlap in a file that was made to deceive.
    if sum(member.file_size for member in members) > size:
        raise BadInput(f"its members have more bytes than its own {size}")
    return {member.filename.removesuffix(".npy"): _array(archive.read(member)) for member in members}


def _array(payload: bytes) -> npt.NDArray[Any]:
    stream = io.BytesIO(payload)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise BadInput("an array is of another version of the .npy format than 1.0")
    shape, by_column, dtype = np.lib.format.read_array_header_1_0(stream)
    # A view: nothing of the size that the header says is made.
    values: npt.NDArray[Any] = np.frombuffer(payload, dtype, offset=stream.tell())
    return values.reshape(shape, order="F" if by_column else "C")


def _model(arrays: dict[str, NDArray[Any]]) -> Model:
    architecture, section, about = (_json(arrays, name) for name in ("architecture", "preprocessing", "about"))
    if architecture.get("format") not in (2, _FORMAT):
        found = repr(architecture.get("format"))[:20]
        raise BadInput(f"it has format {found}, this hpsearch reads {_FORMAT}; use the hpsearch that wrote it")
    names, versions = section.get("class_names"), architecture.get("versions", {})
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput("its class names are no texts")
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise BadInput("its versions are no texts")
    values = section.get("values")
    preprocessing = None if values is None else Preprocessing.from_plain(values)
    network = _network(architecture, arrays)
    _check_sizes(network.sizes, preprocessing, names)
    return Model(network, preprocessing, tuple(names or map(str, range(network.sizes[-1]))), about, versions)


def _json(arrays: dict[str, NDArray[Any]], name: str) -> dict[str, Any]:
    """Take the object in one of the texts out of the arrays; numbers that JSON does not have are refused."""
    if name not in arrays:
        raise BadInput(f"it has no {name}")
    array = arrays.pop(name)
    # Decoded here, as NumPy makes texts of numbers that are no characters.
    text = array.astype(array.dtype.newbyteorder("<")).tobytes().decode("utf-32-le").rstrip("\0")
    content = json.loads(text, parse_constant=_finite, parse_float=_finite)
    json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair, which JSON allows, is no text
    if not isinstance(content, dict):
        raise BadInput(f"its {name} is no JSON object")
    return content


def _finite(number: str) -> float:
    if not np.isfinite(value := float(number)):
        raise BadInput(f"{number} is not finite")
    return value


def _check_sizes(sizes: Sequence[int], preprocessing: Preprocessing | None, class_names: Sequence[str]) -> None:
    if preprocessing is not None and preprocessing.inputs != sizes[0]:
        raise BadInput(f"examples of shape {preprocessing.shape} for a network of {sizes[0]} inputs")
    if sizes[-1] < 2:
        raise BadInput("a network of one class; two or more can be told apart")
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
            raise BadInput("its architecture does not make sense")
    # Before anything of that size is made: the file must hold what its architecture asks for.
    there = sum(array.size for array in arrays.values())
    if parameter_count(sizes, batch_norm=batch_norm) > there:
        raise BadInput(f"its layers need more than the {there} numbers that are there")
    network = Network(
        sizes,
        rngs=[np.random.default_rng(0)],
        activation=activation,
        initializers="zeros",
        batch_norm=batch_norm,
        dtype=dtype,
    )
    wanted = _named(network)
    if odd := sorted(wanted.keys() ^ arrays.keys()):
        raise BadInput(f"{len(odd)} arrays are missing or too many, {odd[0]!r} first")
    for name, values in wanted.items():
        given = arrays[name]
        if values.shape != given.shape or given.dtype.newbyteorder("=") != values.dtype:
            raise BadInput(f"{name} holds {given.dtype} of shape {given.shape}, not {values.dtype} of {values.shape}")
        if not np.isfinite(given).all() or (name.endswith(".variance") and given.min() < 0):
            raise BadInput(f"{name} holds numbers that no network has")
        values[...] = given
    return network


def _named(network: Network) -> dict[str, Floats]:
    """Return a network's arrays in its first lane by names such as ``0.weight``; only layers with arrays count."""
    layers = [layer for layer in network.parameters if layer]
    return {f"{index}.{name}": values[0] for index, layer in enumerate(layers) for name, values in layer.items()}

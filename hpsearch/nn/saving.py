"""Reading .npz files from anybody: arrays of numbers and texts come out, or a refusal; nothing is run or unpickled.

NumPy's archives are zip files of .npy members. What `hpsearch.nn.saving` writes is not compressed, and only that is
read, so that no member is larger in memory than it is in the file, and the file's own size bounds all of them.
"""

from __future__ import annotations

import io
import json
import math
import os
import platform
import stat
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch import __version__
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadInput, HpsearchError
from hpsearch.files import replacing
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.lanes import Floats, parameter_count
from hpsearch.nn.network import Network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.nn.inputs import Inputs
    from hpsearch.nn.lanes import Floats


_MOST_MEMBERS = 10_000
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Damaged(ValueError):
    """A file that is no archive of the kind that is read here; says why."""


def _write_archive(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write arrays as an uncompressed .npz; the same arrays give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # A ZipInfo of a name alone has no time of day in it, as one that np.savez makes has.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_archive(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return all arrays of an uncompressed .npz by name: floats, read-only, and texts and yes-or-no of no dimension."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise BadInput(f"cannot read {path}: it is {'a folder' if path.is_dir() else 'no file'}")
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            with zipfile.ZipFile(stream) as archive:
                return _members(archive, size)
    except OSError as error:
        if error.errno is None:
            raise Damaged(str(error)) from error
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except (BadInput, Damaged):
        raise
    # zipfile and NumPy's header parser raise some ten kinds of exception for a damaged file.
    except Exception as error:
        raise Damaged(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}") from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, npt.NDArray[Any]]:
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise Damaged(f"{len(members)} members; at most {_MOST_MEMBERS:,} are read")
    if len({member.filename for member in members}) < len(members):
        raise Damaged("two members have one name")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise Damaged(f"{member.filename!r} is compressed, which a saved network is not")
    # Members may overlap in a file that was made to deceive.
    if sum(member.file_size for member in members) > size:
        raise Damaged(f"its members have more bytes than its own {size}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns of headers by Python 2; Python warns of odd text in them
        return {_name(member): _array(archive.read(member), member.filename) for member in members}


def _name(member: zipfile.ZipInfo) -> str:
    name, dot, ending = member.filename.rpartition(".")
    if (dot, ending) != (".", "npy"):
        raise Damaged(f"{member.filename!r} is no array")
    return name


def _array(payload: bytes, name: str) -> npt.NDArray[Any]:
    stream = io.BytesIO(payload)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise Damaged(f"{name!r} has version {version} of the .npy format")
    shape, by_column, dtype = _HEADERS[version](stream)
    if dtype.kind not in "bfU" or (dtype.kind in "bU" and shape != ()):
        raise Damaged(f"{name!r} holds {dtype} of shape {shape}; a saved network holds floats and texts")
    rest = memoryview(payload)[stream.tell() :]
    # Before anything of that size is made.
    if min(shape, default=1) < 1 or math.prod(shape) * dtype.itemsize != len(rest):
        raise Damaged(f"{name!r} says {dtype} of shape {shape} and has {len(rest)} bytes")
    if by_column and len(shape) > 1:
        raise Damaged(f"{name!r} lies by columns")
    return np.frombuffer(rest, dtype).reshape(shape)


def _text(array: npt.NDArray[Any]) -> str:
    """Return the text in an array of no dimension."""
    if array.dtype.kind != "U":
        raise Damaged(f"{array.dtype} in place of text")
    order = "be" if array.dtype.str[0] == ">" else "le"
    try:
        return array.tobytes().decode(f"utf-32-{order}").rstrip("\0")
    except UnicodeDecodeError as error:
        raise Damaged("its text is no Unicode") from error


_PREPARED = 256
"""Examples that are made inputs at a time: what that allocates stays modest."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One network and all that is needed to use it."""

    network: Network  # one lane, over all inputs, without dropout
    preprocessing: Preprocessing | None  # what turns raw values into its inputs; None where an old file does not say
    class_names: tuple[str, ...]  # the C label values; without names, ``0`` to ``C - 1``
    about: Mapping[str, Any] = field(default_factory=dict)  # where it comes from, as JSON-able data
    versions: Mapping[str, str] = field(default_factory=dict)  # what wrote the file: hpsearch, Python, NumPy

    def takes(self) -> Preprocessing:
        """Return the preprocessing of raw values into the network's inputs.

        Raises:
            BadInput: An old file does not say.
        """
        if self.preprocessing is None:
            raise BadInput("the network's file does not say how raw values become its inputs; train and save it again")
        return self.preprocessing

    def probabilities(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the probability of each class, (N, C); each row sums to 1.

        Every example has a pass of its own: what is said of it should not hang on its company, and in a product of many
        rows a row may be rounded by where it stands (OpenBLAS does so on processors without AVX-512).

        Args:
            raw: (N, ...) examples as they were before training: grey levels 0..255 where it was trained on those.

        Raises:
            BadInput: Examples of another size, an old file without preprocessing, or sums that overflow.
        """
        takes = self.takes()
        if raw.ndim < 2 or math.prod(raw.shape[1:]) != takes.inputs:
            raise BadInput(f"examples of shape {raw.shape[1:]}; the network takes {takes.shape}")
        probabilities = np.empty((len(raw), self.network.sizes[-1]))
        x = np.empty((1, 1, self.network.sizes[0]), dtype=self.network.dtype)
        for start in range(0, len(raw), _PREPARED):
            inputs = takes.apply(raw[start : start + _PREPARED])
            for place, example in enumerate(inputs, start):
                x[0, 0] = example
                with np.errstate(all="ignore"):
                    probabilities[place] = _softmax(self.network.infer(x)[0])[0]  # (1, 1, D) -> (1, 1, C)
        if not np.isfinite(probabilities).all():
            raise BadInput("the network gives no finite probabilities for these examples")
        return probabilities


def _softmax(logits: Floats) -> npt.NDArray[np.float64]:
    exps: npt.NDArray[np.float64] = logits.astype(np.float64)
    exps -= exps.max(axis=1, keepdims=True)
    np.exp(exps, out=exps)
    exps /= exps.sum(axis=1, keepdims=True)
    return exps


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
        _write_archive(neighbour, plain | arrays)


def load(path: Path) -> tuple[Network, dict[str, Any]]:
    """Read a network alone, and what is known of it; see `load_model`."""
    model = load_model(path)
    return model.network, dict(model.about)


def load_model(path: Path) -> Model:
    """Read what `save` wrote. Anybody's file may be read: nothing in it is run, and none of it is trusted.

    Returns:
        A network of one lane, without dropout (which matters in training alone), and all that the file says of it.

    Raises:
        BadInput: The file cannot be read, is no network or is damaged, or is of a newer format.
    """
    try:
        return _model(_read_archive(path))
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
    """Return the object in one of the texts; numbers that JSON does not have are refused."""
    if name not in texts:
        raise Damaged(f"it has no {name}")
    try:
        content = json.loads(_text(texts[name]), parse_constant=_finite, parse_float=_finite)
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair, which JSON allows, is no text
    except (ValueError, RecursionError) as error:
        raise Damaged(f"its {name} is no JSON") from error
    if not isinstance(content, dict):
        raise Damaged(f"its {name} is no JSON object")
    return content


def _finite(number: str) -> float:
    if not np.isfinite(value := float(number)):
        raise ValueError(number)
    return value


def _formerly(about: Mapping[str, Any]) -> Preprocessing | None:
    """Return the preprocessing of a file of format 1, which names its data and says no more."""
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
    """Return a network's arrays, (K, *shape), by names such as ``0.weight``; layers without arrays are not counted."""
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

"""Networks as ONNX files, which other programs run: raw values go in, probabilities come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpsearch import __version__
from hpsearch.errors import BadInput, MissingExtra, OutputFailure
from hpsearch.files import replacing
from hpsearch.nn import Affine, BatchNorm, Dropout

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from hpsearch.data.preprocessing import Preprocessing
    from hpsearch.nn import Model

INPUT, OUTPUT = "pixels", "probabilities"
"""The names of the graph's input, (N, ...) raw values, and of its output, (N, C)."""

_OPSET = 17
_IR_VERSION = 8  # of 2022, as is the opset: runtimes refuse what is newer than they are
_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def export_onnx(model: Model, path: Path, *, raw: Literal["uint8", "float32"] | None = None) -> None:
    """Write a network as an ONNX file; preprocessing is part of the graph.

    Args:
        model: The network.
        path: ``NAME.onnx``; written whole or not at all.
        raw: The type of the raw values that go in; as trained, unless given: uint8 for grey levels, else float32.

    BadInput is raised for another ending, a network whose file does not say how raw values become inputs or that takes
    texts, and for raw bytes where it was not trained on grey levels.
    """
    if path.suffix != ".onnx":
        raise BadInput(f"cannot export to {path}: give a file that ends in .onnx")
    preprocessing = model.takes()
    grey = preprocessing.dtype == "uint8"
    if raw == "uint8" and not grey:
        raise BadInput(f"the network takes {preprocessing.dtype}, not grey levels; export it for float32")
    if preprocessing.table is not None and preprocessing.table.texts:
        raise BadInput(
            "the network takes columns of texts, and an ONNX file takes numbers alone; predict with hpsearch"
        )
    try:
        import onnx  # the extra [onnx]
    except ImportError as error:
        raise MissingExtra("an ONNX file needs onnx; pip install 'hpsearch[onnx]'") from error
    made = _made(onnx, model, preprocessing, raw or ("uint8" if grey else "float32"))
    try:
        onnx.checker.check_model(made, full_check=True)
    except Exception as error:  # its own exceptions derive from several built-in ones
        raise OutputFailure(f"the ONNX file of {path} would not be valid: {' '.join(str(error).split())}") from error
    with replacing(path) as neighbour:
        neighbour.write_bytes(made.SerializeToString(deterministic=True))


class _Graph:
    """Nodes and constants in the order in which they are added; ``onnx`` is the package."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Keep an array; returns its name."""
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def _preprocessed(graph: _Graph, takes: Preprocessing, raw: str, type_of: Callable[[npt.DTypeLike], int]) -> str:
    """Add the nodes from the raw values (N, D) float32 to the network's inputs; returns their name."""
    table, values, zero_one = takes.table, raw, ""
    if table is not None and table.left_out:
        values = graph.add("Gather", values, graph.constant("numbers", np.array(table.numbers)), axis=1)
    if table is not None and table.missing:
        fill = graph.constant("medians", np.array(table.fill, dtype=np.float32))
        values = graph.add("Where", graph.add("IsNaN", values), fill, values)
        absent = graph.add("Gather", raw, graph.constant("missing", np.array(table.missing)), axis=1)
        zero_one = graph.add("Cast", graph.add("IsNaN", absent), to=type_of(np.float32))
    if takes.method == "divide":
        values = graph.add("Div", values, graph.constant("divisor", np.array(takes.scale, dtype=np.float32)))
    elif takes.method != "none":  # in float64, as `Preprocessing.apply` does it
        values = graph.add("Cast", values, to=type_of(np.float64))
        values = graph.add("Sub", values, graph.constant("centre", np.array(takes.centre)))
        values = graph.add("Div", values, graph.constant("scale", np.array(takes.scale)))
        values = graph.add("Cast", values, to=type_of(np.float32))
    return graph.add("Concat", values, zero_one, axis=1) if zero_one else values


def _made(onnx: Any, model: Model, preprocessing: Preprocessing, raw: str) -> Any:
    helper, network, graph = onnx.helper, model.network, _Graph(onnx)

    def type_of(dtype: npt.DTypeLike) -> int:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    values = graph.add("Cast", INPUT, to=type_of(np.float32))
    values = graph.add("Flatten", values, axis=1)  # (N, ...) -> (N, D)
    values = _preprocessed(graph, preprocessing, values, type_of)
    if network.dtype != np.float32:
        values = graph.add("Cast", values, to=type_of(network.dtype))
    for i, layer in enumerate(network.layers):
        match layer:
            case Affine():  # (N, D) @ (D, H) + (1, H) -> (N, H)
                arrays = [graph.constant(f"{i}.weight", layer.weight[0]), graph.constant(f"{i}.bias", layer.bias[0])]
                values = graph.add("Gemm", values, *arrays)
            case BatchNorm():
                each = {"gamma": layer.gamma, "beta": layer.beta, "mean": layer.mean, "variance": layer.variance}
                arrays = [graph.constant(f"{i}.{name}", array[0, 0]) for name, array in each.items()]  # (H,)
                values = graph.add("BatchNormalization", values, *arrays, epsilon=layer.eps)
            case Dropout():  # matters in training alone
                continue
            case _:
                values = graph.add(_ACTIVATIONS[network.activation], values)
    graph.add("Softmax", values, output=OUTPUT, axis=1)
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "hpsearch",
            [helper.make_tensor_value_info(INPUT, type_of(raw), ["N", *preprocessing.shape])],
            [helper.make_tensor_value_info(OUTPUT, type_of(network.dtype), ["N", network.sizes[-1]])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="hpsearch",
        producer_version=__version__,
    )
    about = {
        "class_names": list(model.class_names),
        "preprocessing": preprocessing.plain(),
        "about": dict(model.about),
        "versions": dict(model.versions),
    }
    helper.set_model_props(made, {name: json.dumps(content) for name, content in about.items()})
    return made

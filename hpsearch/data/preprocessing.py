"""The step from raw values to a network's inputs: a record that training, predicting and exporting share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from hpsearch.data.columns import MOST_CATEGORIES, Raw, column_of, is_text, reasons, texts, to_numbers
from hpsearch.errors import BadData, BadInput
from hpsearch.records import Sentence
from hpsearch.text import counted, listed

T = TypeVar("T", str, int, float)
Numbers: TypeAlias = npt.NDArray[np.float64]

GREY_LEVELS = 255.0  # the brightest grey level of a byte
SCALES = {  # the methods of scaling: what they do to a value of a column
    "none": "as they are",
    "divide": "divided by one number",
    "standardize": "standardised, each column to mean 0 and standard deviation 1",
    "minmax": "scaled to 0 .. 1, each column by its least and greatest",
}
_MOST_DIMENSIONS = 8
_DIVISORS = 1e-30, 1e30  # bounds that float32 holds with room to spare
_IMAGE_COLUMNS = 64  # a table may hold images from this many columns on
_SPAN = 0.1  # columns within 0 .. 1 that all span so much of it have one size
_DARK = 128.0  # levels that stay below are not those of a byte


def is_picture(shape: Sequence[int]) -> bool:
    """Return whether examples of this shape can be shown: (H, W), or (H, W, 1) or (H, W, 3)."""
    return len(shape) in (2, 3) and (len(shape) == 2 or shape[2] in (1, 3)) and min(shape[:2]) > 1


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a table that are used, by their positions, and what stands for texts and missing values.

    The inputs are the numbers, the texts (a 0/1 column for each category, or its number where ``ordinal``) and a 0/1
    column for each of ``missing``, in this order. A category that was not there in training is all zeros.
    """

    names: tuple[str, ...]  # of all D columns; empty: they have none
    numbers: tuple[int, ...]  # positions of the columns of numbers
    fill: tuple[float, ...]  # (K,) the medians of the numbers, and of the ordinal texts
    texts: tuple[tuple[int, tuple[str, ...]], ...] = ()  # positions and categories of the columns of texts
    ordinal: bool = False
    missing: tuple[int, ...] = ()  # positions of the columns that had missing values
    left_out: tuple[tuple[int, str], ...] = ()  # positions of the columns that are not used, and why

    @property
    def used(self) -> tuple[int, ...]:
        """The positions of the columns that are used."""
        return (*self.numbers, *(position for position, _ in self.texts))

    @property
    def one_hot(self) -> int:
        """The number of 0/1 columns: a category's or of missing values."""
        return len(self.missing) + (0 if self.ordinal else sum(len(categories) for _, categories in self.texts))

    def name(self, position: int) -> str:
        """Return a column's name; the position of one that has none."""
        return self.names[position] if self.names else str(position)

    def pick(self, raw: Raw, positions: Sequence[int]) -> Raw:
        """Return these columns: of a frame by their names, of an array by their places; BadData if one is not there."""
        if isinstance(raw, np.ndarray):
            return _flat(raw)[:, list(positions)]
        if self.names:
            places = {str(column): i for i, column in enumerate(raw.columns)}
            absent = [name for name in map(self.name, positions) if name not in places]
            if absent:
                raise BadData(f"no column {absent[0]!r}; the network takes {listed([*map(self.name, self.used)], 20)}")
            positions = [places[self.name(position)] for position in positions]
        return raw.iloc[:, list(positions)]

    def check(self, shape: tuple[int, ...]) -> None:
        """Check that the table fits examples of this shape, and its parts one another; BadInput otherwise."""
        columns = [*self.used, *(position for position, _ in self.left_out)]
        ordinal = len(self.texts) if self.ordinal else 0
        if (
            len(columns) != math.prod(shape)
            or sorted(columns) != list(range(*shape))
            or len(self.names) not in (0, *shape)
            or len(self.fill) != len(self.numbers) + ordinal
            or not all(map(math.isfinite, self.fill))
            or not set(self.missing) <= set(self.used)
        ):
            raise BadInput(f"{len(columns)} columns that do not fit examples of shape {shape}, or one another")

    def cells(self, raw: Raw) -> tuple[Numbers, list[tuple[npt.NDArray[np.intp], list[str]]]]:
        """Return the numbers (N, K), NaN where one is missing, and the columns of texts (`columns.texts`)."""
        numbers = to_numbers(self.pick(raw, self.numbers), [self.name(position) for position in self.numbers])
        columns = self.pick(raw, [position for position, _ in self.texts])
        return numbers, [texts(column_of(columns, k)) for k in range(len(self.texts))]

    def encode(self, raw: Raw) -> tuple[Numbers, npt.NDArray[np.float32]]:
        """Return the numbers (N, K), medians in place of missing values, and the 0/1 columns (N, L)."""
        numbers, columns = self.cells(raw)
        zero_one: list[npt.NDArray[np.bool_]] = []
        for (codes_there, different), (_, categories) in zip(columns, self.texts, strict=True):
            code = {category: float(i) for i, category in enumerate(categories)}
            codes = np.array([*(code.get(text, np.nan) for text in different), np.nan])[codes_there]
            if self.ordinal:
                numbers = np.column_stack([numbers, codes])
            else:
                zero_one.append(codes[:, None] == np.arange(len(categories)))  # (N, 1) == (C,) -> (N, C)
        gaps = np.isnan(numbers)
        for position in self.missing:
            k = self.used.index(position)
            of_text = k - len(self.numbers)
            absent = gaps[:, k] if of_text < 0 else columns[of_text][0] < 0
            zero_one.append(absent[:, None])
        if gaps.any():
            numbers = np.where(gaps, np.array(self.fill), numbers)
        return numbers, np.hstack(zero_one).astype(np.float32) if zero_one else np.empty((len(raw), 0), np.float32)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Raw examples of one shape, made into rows of numbers, less ``centre`` and divided by ``scale``.

    Raises:
        BadInput: A shape without values, or numbers that make no sense.
    """

    shape: tuple[int, ...]  # of one raw example: ``(28, 28)`` for an image, ``(D,)`` for a row of a table
    dtype: str = "uint8"  # NumPy's name for the type of the raw values that were trained on, ``table`` for several
    low: float = 0.0  # the least raw number in training; 0 for bytes
    high: float = GREY_LEVELS  # the greatest; 255 for bytes
    method: str = "divide"  # one of `SCALES`
    centre: tuple[float, ...] = (0.0,)  # (1,) or (K,) one for each number
    scale: tuple[float, ...] = (GREY_LEVELS,)  # likewise
    table: Table | None = None  # the columns, where an example is a row of a table

    def __post_init__(self) -> None:
        if not 1 <= len(self.shape) <= _MOST_DIMENSIONS or min(self.shape) < 1:
            raise BadInput(f"examples of shape {self.shape}; give 1 to {_MOST_DIMENSIONS} sizes of at least 1")
        least, most = _DIVISORS
        numbers = math.prod(self.shape) if self.table is None else len(self.table.fill)
        finite = all(map(math.isfinite, (self.low, self.high, *self.centre))) and self.low <= self.high
        fits = self.method in SCALES and {len(self.centre), len(self.scale)} <= {1, numbers}
        if not finite or not fits or not all(least <= number <= most for number in self.scale):
            raise BadInput(
                f"examples of {numbers} numbers from {self.low} to {self.high}, {self.method} {self.scale[:3]}; give "
                f"finite numbers, and divisors from {least:g} to {most:g}"
            )
        if self.table is not None:
            self.table.check(self.shape)

    @classmethod
    def fit(
        cls,
        x: Raw,
        *,
        scale: str | float = "auto",
        text: str = "one-hot",
        names: Sequence[str] = (),
        left_out: Mapping[int, str] | None = None,
        constants: bool = False,
    ) -> Preprocessing:
        """Return the preprocessing of raw examples, by their values and not by their type.

        Args:
            x: (N, ...) raw training examples, at least one.
            scale: ``auto``, ``standardize``, ``minmax``, ``none`` or a number to divide by; ``type`` does as hpsearch
                0.2 did: bytes are divided by 255, and all other columns, whatever they hold, stay as they are.
            text: ``one-hot`` or ``ordinal``.
            names: Of the columns of a table.
            left_out: Positions of columns that are not used, and why.
            constants: Keep the columns that are constant in these examples.
        """
        shape = tuple(x.shape[1:])
        dtype = x.dtype.name if isinstance(x, np.ndarray) else "table"
        table = None
        if scale == "type":
            scale = GREY_LEVELS if dtype == "uint8" else "none"
        elif len(shape) == 1:
            table = _table(x, tuple(names), dict(left_out or {}), ordinal=text == "ordinal", constants=constants)
        numbers = table.encode(x)[0] if table is not None else _flat(x)
        low, high = (0.0, 0.0) if not numbers.size else (float(numbers.min()), float(numbers.max()))
        if dtype == "uint8":
            low, high = 0.0, GREY_LEVELS
        return cls(shape, dtype, low, high, *_scaling(numbers, scale, images=table is None), table)

    @property
    def inputs(self) -> int:
        """The number of inputs of a network over such examples."""
        return math.prod(self.shape) if self.table is None else len(self.table.fill) + self.table.one_hot

    @property
    def grey(self) -> bool:
        """True where raw values are grey levels 0 .. 255."""
        return self.method == "divide" and self.scale == (GREY_LEVELS,)

    def plain(self) -> dict[str, Any]:
        """Return all of it as JSON-able data, which `from_plain` reads."""
        return dataclasses.asdict(self) | {"low": float(self.low), "high": float(self.high)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Preprocessing:
        """Return the record that `plain` gave, here or in hpsearch 0.2 (with one ``divisor``); BadInput for no such."""
        try:
            table = plain.get("table")
            if "divisor" in plain:  # of hpsearch 0.2
                divisor = plain["divisor"]
                plain = {**plain, "centre": [0.0], "scale": [divisor], "method": "none" if divisor == 1 else "divide"}
            dtype, method = _all(str, [plain["dtype"], plain["method"]])
            low, high = _all(float, [plain["low"], plain["high"]])
            centre, scale = (_all(float, plain[key]) for key in ("centre", "scale"))
            if table is not None:
                numbers, missing = (_all(int, table[key]) for key in ("numbers", "missing"))
                texts = tuple((_all(int, [position])[0], _all(str, names)) for position, names in table["texts"])
                left_out = tuple((_all(int, [position])[0], _all(str, [why])[0]) for position, why in table["left_out"])
                fill, ordinal = _all(float, table["fill"]), table["ordinal"] is True
                table = Table(_all(str, table["names"]), numbers, fill, texts, ordinal, missing, left_out)
            return Preprocessing(_all(int, plain["shape"]), dtype, low, high, method, centre, scale, table)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise BadInput("its preprocessing does not make sense") from error

    def apply(self, raw: Raw) -> npt.NDArray[np.float32]:
        """Return the inputs of a network, (N, D) float32.

        Args:
            raw: (N, ...) numbers, D an example, or a frame with the columns.

        Raises:
            BadData: A column that is not there, or a text where numbers are needed.
        """
        if self.table is None:
            return self._scaled(_flat(raw))
        numbers, zero_one = self.table.encode(raw)
        scaled = self._scaled(numbers)
        return np.hstack([scaled, zero_one]) if zero_one.size else scaled

    def _scaled(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if self.method in ("standardize", "minmax"):
            rows = (rows - np.array(self.centre)) / np.array(self.scale)
        inputs: npt.NDArray[np.float32] = np.ascontiguousarray(rows, dtype=np.float32)
        return inputs / np.float32(self.scale[0]) if self.method == "divide" else inputs

    def sentences(self) -> tuple[Sentence, ...]:
        """Return what was decided, for people: the scaling, texts, missing values and columns left out."""
        return tuple(map(Sentence, self._words()))

    def _words(self) -> Iterator[str]:
        how = SCALES[self.method] if self.method != "divide" else f"divided by {self.scale[0]:g}"
        table = self.table
        numbers = len(table.fill) if table else math.prod(self.shape)
        if numbers:
            reach = "in bytes" if self.dtype == "uint8" and not self.grey else f"from {self.low:g} to {self.high:g}"
            yield f"{counted(numbers, 'number')} {reach}: {how}"
        if table is None:
            return
        if table.texts:
            columns = [f"{table.name(position)!r} ({len(categories)})" for position, categories in table.texts]
            yield f"texts, {'numbered' if table.ordinal else 'a 0/1 input for each'}: {listed(columns)}"
        if table.missing:
            columns = [repr(table.name(position)) for position in table.missing]
            yield f"missing values, a 0/1 input that says so (and a number's median): {listed(columns)}"
        yield from (f"left out, as {why}" for why in reasons(dict(table.left_out), table.names))


def _flat(x: Raw) -> npt.NDArray[Any]:
    """Return examples (N, ...) of numbers alone as rows (N, D)."""
    if isinstance(x, np.ndarray):
        return x.reshape(len(x), math.prod(x.shape[1:]))
    return to_numbers(x, list(map(str, x.columns)))


def _table(x: Raw, names: tuple[str, ...], left_out: dict[int, str], *, ordinal: bool, constants: bool) -> Table:
    """Return the columns of training examples (N, D); constants are left out unless they are kept or pixels."""
    names = names or (() if isinstance(x, np.ndarray) else tuple(map(str, x.columns)))
    used = [i for i in range(x.shape[1]) if i not in left_out]
    of_texts: dict[int, tuple[str, ...]] = {i: () for i in used if is_text(column_of(x, i))}
    numbers = [i for i in used if i not in of_texts]
    cells, columns = Table(names, tuple(numbers), (), tuple(of_texts.items())).cells(x)
    with_gaps = np.isnan(cells).any(axis=0)
    low, high = np.fmin.reduce(cells, axis=0), np.fmax.reduce(cells, axis=0)  # NaN where all are missing
    missing = {numbers[k] for k in np.flatnonzero(with_gaps)}
    constant = {numbers[k] for k in np.flatnonzero(~(low < high))}
    categories: dict[int, tuple[str, ...]] = {}
    for position, (codes, different) in zip(of_texts, columns, strict=True):
        categories[position] = tuple(sorted({different[code] for code in set(codes.tolist()) - {-1}}))
        absent = bool((codes < 0).any())
        if absent:
            missing.add(position)
        if len(categories[position]) + absent < 2:
            constant.add(position)
        elif len(categories[position]) > MOST_CATEGORIES and not ordinal:
            left_out[position] = f"it has more than {MOST_CATEGORIES} different texts, which text = 'ordinal' numbers"
    if len(constant) < len(used) and not constants and not _image_like(np.array([low, high])):
        left_out |= dict.fromkeys(constant, "it is constant in the training part")
    kept = tuple((position, texts) for position, texts in categories.items() if position not in left_out)
    rest = [k for k, position in enumerate(numbers) if position not in left_out]
    if not rest and not kept:
        raise BadData(f"no column is left to train on: {'; '.join(reasons(left_out, names))}")
    # By column, which lies in one piece in a transposed copy.
    by_column = zip(rest, cells.T[rest], strict=True)
    fill = [0.0 if np.isnan(low[k]) else float(np.median(row[~np.isnan(row)])) for k, row in by_column]
    fill += [float(len(texts) // 2) for _, texts in kept if ordinal]
    of_numbers = tuple(numbers[k] for k in rest)
    used_missing = tuple(sorted(missing - left_out.keys()))
    return Table(names, of_numbers, tuple(fill), kept, ordinal, used_missing, tuple(sorted(left_out.items())))


def _image_like(ranges: Numbers) -> bool:
    """Return whether columns share a range as pixels do, from their least and greatest values, (2, K).

    There are many of them, and of those that vary half reach half of what any reaches.
    """
    if ranges.size < 2 * _IMAGE_COLUMNS:
        return False
    low, high = ranges
    varying = high[high > low]
    return bool(varying.size and np.median(varying) >= varying.max() / 2)


def _scaling(
    numbers: npt.NDArray[Any], scale: str | float, *, images: bool
) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Return the method, the centre and the scale for training examples (N, K) without missing values."""
    if not numbers.size:  # texts alone
        return "none", (0.0,), (1.0,)
    low, high = numbers.min(axis=0).astype(np.float64), numbers.max(axis=0).astype(np.float64)
    if scale == "auto":
        scale = _auto(numbers, low, high, images=images or _image_like(np.array([low, high])))
    if not isinstance(scale, str):
        return "divide", (0.0,), (float(scale),)
    if scale == "none":
        return "none", (0.0,), (1.0,)
    centre, spread = low, high - low
    if scale == "standardize":
        rows = np.ascontiguousarray(numbers, dtype=np.float64)
        centre, spread = rows.mean(axis=0), rows.std(axis=0)
    spread[spread <= np.maximum(np.abs(centre) * 1e-13, _DIVISORS[0])] = 1.0  # constant, but for rounding
    return scale, tuple(centre.tolist()), tuple(spread.tolist())


def _auto(numbers: npt.NDArray[Any], low: Numbers, high: Numbers, *, images: bool) -> str | float:
    """Return the method for such numbers, or a number to divide by."""
    least, most = float(low.min()), float(high.max())
    whole = numbers.dtype.kind in "bui" or bool((numbers == np.floor(numbers)).all())
    if images and whole and least >= 0 and 1 < most <= GREY_LEVELS:
        return GREY_LEVELS if most >= _DARK else most
    spans = (high - low)[high > low]
    one_size = images or (least >= 0 and spans.size and spans.min() >= _SPAN)
    return "none" if one_size and least >= -1 and most <= 1 else "standardize"


def _all(kind: type[T], values: Iterable[object]) -> tuple[T, ...]:
    """Return values of exactly this type."""
    checked = tuple(value for value in values if type(value) is kind)
    if len(checked) != len(list(values)):
        raise TypeError
    return checked

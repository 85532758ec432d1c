"""Exports of other tools: by what they are recognised, and how their cells, states and directions are read."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from hpsearch.data.tables import csv_header, read_csv
from hpsearch.distributions import MAX_INT
from hpsearch.errors import BadInput, BadSpace
from hpsearch.exchange.layout import is_plain
from hpsearch.files import first_line, kind_of
from hpsearch.records import Direction
from hpsearch.space import Categorical, Float, Int, Parameter, Value

Columns: TypeAlias = Mapping[str, list[Any]]  # a table's cells by column: numbers, booleans, texts and None


class Tool(NamedTuple):
    """A tool's table of trials, known by the beginning of its hyperparameters' columns."""

    name: str
    prefix: str  # of the hyperparameters' columns
    score: str | None = None  # the column of the score; None: `--metric` names it
    direction: Direction | None = None  # of that score; None: by the metric's name, or asked for
    others: tuple[str, ...] = ()  # beginnings of the columns that are no score; then a column that is left is the score
    needs: frozenset[str] = frozenset()  # columns that it has besides


# The manual has this table. The first row of which a column begins with the prefix counts.
TOOLS = (
    Tool("hpsearch", "params_", "score", needs=frozenset({"stage", "trial", "metric"})),
    Tool("Optuna, trials_dataframe()", "params_", "value"),
    Tool("optuna-dashboard, CSV", "Param ", "Value", others=("Number", "State", "Param ", "UserAttribute ")),
    Tool("Ray Tune, get_dataframe()", "config/"),
    Tool("scikit-learn, cv_results_", "param_", "mean_test_score", "maximize"),
    Tool("Weights & Biases, config and summary", "config."),
    Tool("MLflow, search_runs()", "params."),
)
PLAIN = Tool("a table", "")
KERAS_TUNER, _HP = "Keras Tuner, folder", "hp."

# By lower-case word; any other is a failure, too.
STATES: Mapping[str, str] = {
    **dict.fromkeys(["complete", "completed", "finished", "succeeded", "success", "terminated", "done"], "COMPLETE"),
    **dict.fromkeys(["pruned", "early_stopped", "stopped"], "PRUNED"),
    **dict.fromkeys(["running", "paused", "idle", "waiting", "pending", "queued", "scheduled", "created"], "WAITING"),
    **dict.fromkeys(["fail", "failed", "error", "errored", "crashed", "killed", "invalid"], "FAIL"),
}
_STATE_COLUMNS = ("state", "status")  # in any case
# Words of metrics' names.
_BETTER: Mapping[Direction, str] = {
    "minimize": "loss|losses|errors?|err|rmse|mse|mae|mape|perplexity|ppl|nll|logloss|[a-z]*entropy|cost|regret"
    "|deviance|wer|cer|fid|latency|duration|time|seconds",
    "maximize": "acc[a-z]*|auc|auroc|f1|precision|recall|r2|map|iou|dice|bleu|rouge|rewards?|return|likelihood|kappa"
    "|mcc|ndcg|psnr|ssim",
}
_DIRECTIONS: Mapping[str, Direction] = {"min": "minimize", "max": "maximize"}
_ESCAPE = re.compile(r"\A'(?=[=+\-@\t\r']|\Z)")  # what keeps a spreadsheet from taking a text for a formula
_TWO_NAMES = re.compile(r"\A\('(.*)', '(.*)'\)\Z")
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")  # a number with a decimal comma
_MISSING = {"", "na", "n/a", "nan", "null", "none", "<na>"}  # texts of a missing number
_LONGEST = 1000  # characters of a choice that is a text in place of another value
_BOOLEANS = {"true": True, "false": False}


def recognise(columns: Iterable[str]) -> Tool:
    """Return the tool that wrote a table with these columns; `PLAIN` for none that is known."""
    for tool in TOOLS:
        if tool.needs <= set(columns) and any(name.startswith(tool.prefix) for name in columns):
            return tool
    return PLAIN


def better(metric: str) -> Direction | None:
    """Return the better scores by a metric's name: ``val_loss``, ``neg_mean_squared_error``; None: it does not say."""
    words = re.findall(r"[a-z]+\d?", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", metric).lower())
    known = [direction for direction, names in _BETTER.items() if any(re.fullmatch(names, word) for word in words)]
    if len(known) != 1:
        return None
    if "neg" in words or "negative" in words:
        return "maximize" if known == ["minimize"] else "minimize"
    return known[0]


def keras_tuner(folder: Path) -> tuple[Tool, Columns, dict[str, Parameter]] | None:
    """Return the trials in a folder of Keras Tuner's, or in the only such folder in it, and their ranges.

    It is None for any other folder.
    """
    oracles = [folder / "oracle.json"] if (folder / "oracle.json").exists() else list(folder.glob("*/oracle.json"))
    if len(oracles) != 1:
        return None
    rows: list[Mapping[str, Any]] = []
    ranges: dict[str, Parameter] = {}
    file = oracles[0]
    try:
        for file in sorted(file.parent.glob("trial_*/trial.json"), key=lambda file: (len(str(file)), file)):
            kind_of(file, (".json",), "a whole folder of Keras Tuner's", folder=False)
            trial = json.loads(file.read_text("utf-8"))
            if not is_plain(trial):
                raise ValueError("nested too deeply, or with a text that is no Unicode")
            metrics = {
                name: of["direction"]
                for name, of in trial["metrics"]["metrics"].items()
                if any(trial["score"] in observed["value"] for observed in of["observations"])
            }
            values = {f"{_HP}{name}": of for name, of in trial["hyperparameters"]["values"].items()}
            rows.append({"state": trial["status"], "score": trial["score"], "metrics": metrics, **values})
            for of in trial["hyperparameters"]["space"]:
                ranges[of["config"]["name"]] = _keras_range(of["class_name"], **of["config"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, BadSpace) as error:
        raise BadInput(f"{file} is no trial of Keras Tuner's: {first_line(error)}") from error
    # The objective has no name there: it is the metric that reaches every trial's score.
    scored = [row["metrics"] for row in rows if row["score"] is not None]
    names = [name for name in (scored[0] if scored else ()) if all(name in of for of in scored)]
    score = names[0] if len(names) == 1 else "score"
    direction = _DIRECTIONS.get(str(scored[0].get(score))) if scored else None
    keys = dict.fromkeys(key for row in rows for key in row if not key.startswith(f"{_HP}tuner/"))
    columns = {score if key == "score" else key: [row.get(key) for row in rows] for key in keys if key != "metrics"}
    return Tool(KERAS_TUNER, _HP, score, direction), columns, ranges


def _keras_range(kind: str, **config: Any) -> Parameter:
    if kind in ("Float", "Int"):
        low, high, log = config["min_value"], config["max_value"], config["sampling"] in ("log", "reverse_log")
        if kind == "Float":
            return Float(low, high, log)
        return Int(low, high, log, 1 if log or (high - low) % config["step"] else config["step"])
    choices = (False, True) if kind == "Boolean" else config.get("values") or (config["value"],)  # or a fixed value
    return Categorical(tuple(map(choice, choices)))


def state_column(columns: Columns) -> str | None:
    """Return the column of the trials' states; None where there is none."""
    for name, cells in columns.items():
        if name.lower() in _STATE_COLUMNS and any(_state(cell) in STATES for cell in set(map(str, cells))):
            return name
    return None


def _state(cell: object) -> str:
    return str(cell).rpartition(".")[2].strip().lower()  # ``TrialState.COMPLETE`` of old Optunas


def ended(cell: object) -> bool:
    """Return whether a cell of Ray Tune's column ``done`` says that its trial has ended."""
    return _state(cell) == "true"


def states(columns: Columns, tool: Tool) -> tuple[list[str], dict[int, str]]:
    """Return the trials' states, and the reasons of those that failed by the state that the tool gives them."""
    rows = len(next(iter(columns.values())))
    if (name := state_column(columns)) is not None:
        words = [_state(cell) for cell in columns[name]]
    elif tool.prefix == "config/" and any(map(ended, columns.get("done", ()))):
        # Of trials that are functions Ray says it of none; then it cannot be known.
        words = ["complete" if ended(cell) else "not done" for cell in columns["done"]]
    else:
        words = ["complete"] * rows
    known = [STATES.get(word, "FAIL") for word in words]
    if tool.prefix == "param_" and "n_resources" in columns:  # successive halving runs the better ones again
        resources = [value(cell) for cell in columns["n_resources"]]
        most = max((cell for cell in resources if isinstance(cell, int)), default=None)
        known = ["COMPLETE" if cell == most else "PRUNED" for cell in resources]
    reasons = {row: f"its state is {words[row]!r}"[:80] for row, state in enumerate(known) if state == "FAIL"}
    return known, reasons


def utc(time: Any) -> datetime | None:
    """Return a time in UTC, without its zone; one that has no zone is local, as Optuna's are. None for what is none."""
    try:
        time = datetime.fromisoformat(time) if isinstance(time, str) else time
        return time.astimezone(UTC).replace(tzinfo=None) if isinstance(time, datetime) else None
    except (ValueError, OverflowError, OSError):
        return None


def read_csv_columns(path: Path) -> Columns:
    """Read a CSV file's columns, as text; None for an empty cell."""
    # As text, for pandas would round some numbers and make whole ones with gaps floats.
    frame = read_csv(path, header=False, dtype=str).fillna("")
    top = [str(name) for name in frame.iloc[0]]
    if {"state", "params"} <= set(top) and len(frame) > 1:  # Optuna's with two levels of columns
        names = [f"{first}_{second}" if second else first for first, second in zip(top, frame.iloc[1], strict=True)]
        frame = frame[2:]
    else:
        names, frame = csv_header(path), frame[1:]
    commas = frame.attrs["decimal"] == ","

    def read(cell: str) -> str | None:
        if not cell.strip():
            return None
        return cell.replace(",", ".") if commas and _COMMA.fullmatch(cell.strip()) else _ESCAPE.sub("", cell)

    return unpacked({name: list(map(read, frame.iloc[:, i])) for i, name in enumerate(names)})


def unpacked(columns: Columns) -> Columns:
    """Return columns of which those that hold dictionaries (Weights & Biases' config, summary) are several.

    Of those with two names, which pandas writes to Parquet as a tuple's text, the names are joined.
    """
    columns = {
        _TWO_NAMES.sub(lambda two: "_".join(filter(None, two.groups())), name): columns[name] for name in columns
    }
    if not {"config", "summary"} <= columns.keys():
        return columns
    flat = dict(columns)
    for name in ("config", "summary"):
        rows = [_dictionary(cell) for cell in flat.pop(name)]
        keys = dict.fromkeys(str(key) for row in rows for key in row)
        flat |= {f"{name}.{key}": [row.get(key) for row in rows] for key in keys}
    return flat


def _dictionary(cell: Any) -> Mapping[str, Any]:
    try:
        plain = ast.literal_eval(cell) if isinstance(cell, str) else cell
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return plain if isinstance(plain, dict) else dict(plain) if isinstance(plain, list) else {}


def typed(cells: Sequence[Any]) -> tuple[list[Value | None], list[int]]:
    """Return a column's cells as one type (numbers, booleans or texts), and the rows of those that are none of it.

    Where nearly all are numbers a text is a bad cell; else numbers are texts, too.
    """
    values = [value(cell) for cell in cells]
    numbers = {
        row: float(of) for row, of in enumerate(values) if isinstance(of, int | float) and not isinstance(of, bool)
    }
    others = [row for row, other in enumerate(values) if type(other) in (str, bool)]
    if not numbers and all(isinstance(values[row], bool) for row in others):
        return values, []
    if len(others) > (max(1, len(numbers) // 10) if numbers else 0):
        return [None if cell is None or cell != cell else text(cell) for cell in cells], []
    bad = [row for row in others if str(cells[row]).strip().lower() not in _MISSING]
    bad += [row for row, number in numbers.items() if not math.isfinite(number)]
    known = {row: number for row, number in numbers.items() if math.isfinite(number)}
    # pandas makes whole numbers floats where some are missing.
    whole = all(type(values[row]) is int for row in known)
    if len(known) < len(cells):
        whole = all(number.is_integer() and abs(number) <= MAX_INT for number in known.values())
    return [(int(known[row]) if whole else known[row]) if row in known else None for row in range(len(cells))], bad


def value(cell: Any) -> Value | None:
    match cell:
        case None | bool():
            return cell
        case int():
            return cell if abs(cell) <= MAX_INT else float(cell) if abs(cell) < 2**64 else math.inf
        case float() | Decimal():
            return None if math.isnan(cell) else float(cell)
        case str() if _missing(cell):
            return None
        case str() if (word := cell.strip().lower()) in _BOOLEANS:
            return _BOOLEANS[word]
        case str():
            return _number(cell)
    return text(cell)


def _number(cell: str) -> Value:
    """Return a number, or the text that is none."""
    try:
        plain = cell.replace("_", "?")  # Python would read 1_2 as a number
        return float(plain) if not re.fullmatch(r"\s*[+-]?\d{1,4000}\s*", plain) else value(int(plain)) or 0
    except ValueError:
        return cell


def _missing(cell: Any) -> bool:
    return cell != cell or (isinstance(cell, str) and cell.strip().lower() in ("", "nan"))


def text(cell: Any) -> str:
    """Return the text of a cell that becomes a choice: a list, a number among texts."""
    return str(choice(cell))


def choice(plain: Any) -> Value:
    """Return a choice of another tool as one of ours: None, lists and huge numbers are their text."""
    match plain:
        case str():
            return plain.encode("utf-8", "backslashreplace").decode()  # it may have a lone surrogate
        case bool():
            return plain
        case int() if abs(plain) <= MAX_INT:
            return plain
        case float() if math.isfinite(plain):
            return plain
        case list() | tuple() | dict():
            return json.dumps(plain, default=str)[:_LONGEST]
    return str(plain)[:_LONGEST]

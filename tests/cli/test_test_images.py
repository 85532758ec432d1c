"""The test images are read by `hpsearch evaluate` alone: by looking at the source, by poison, and by other images.

A command that is new here says in `CALLS` how it is run.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import cared
import numpy as np
import pytest
from commands import HELD_OUT, Cli

import hpsearch
from hpsearch import data
from hpsearch.cli.app import COMMANDS
from hpsearch.data import splits
from hpsearch.service import server

N, TRAIN, VALIDATION, TEST = 220, 60, 40, 100
STUDY = HELD_OUT.replace('name = "mnist-10k"', 'path = "held.npz"').replace("tiny", "held")
CALLS: Mapping[str, list[str]] = {
    "init": ["init mine"],
    "docs": ["docs index"],
    "check": ["check held.toml"],
    "start": ["start held.toml --engine inline", "start held.toml --engine inline --trials 9 --format json"],
    "train": ["train held.toml --save net.npz", "train held.toml --format json"],
    "confirm": ["confirm --engine inline --top 2 --repeats 4 --format json"],
    "narrow": ["narrow --top 3 --expand", "narrow --from confirm --stage 1 --top 2"],
    "status": ["status", "status --format json"],
    "stop": ["stop --format json"],
    "retry": ["retry --format json"],
    "trials": ["trials --stage 1 --format json"],
    "best": ["best", "best --format json"],
    "recommend": ["recommend", "recommend --format json"],
    "checklist": ["checklist", "checklist --format json"],
    "predict": ["predict net.npz examples.npz --format json"],
    "model": ["model show net.npz"],
    "plot": ["plot parameters --out plot.html"],
    "report": ["report --out report.md"],
    "export": ["export --out export.csv"],
    "import": ["import export.csv --name other --storage other.db"],
    "refine": ["refine --stage 1 --trials 4 --batch 4 --engine inline --format json"],
    "baseline": ["baseline set held/stage-01/0"],
    "compare": ["compare held held/stage-01"],
    "data": ["data list", "data show held.npz"],
    "serve": ["serve --port 0"],
    "token": ["token create ada", "token list"],
    "db": ["db check", "db backup copy.db"],
    "delete": ["delete other --storage other.db --yes --no-backup"],
}
ORDER = ("init", "check", "start", "train", "confirm", "narrow", *CALLS)
"""Commands whose results others need come first."""
THE_ONE = "evaluate --format json"


def write(folder: Path, *, altered: bool) -> None:
    """A data set, its study file and examples; with ``altered``, the test images and their labels are others."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (N, 4, 5), dtype=np.uint8)
    y = np.arange(N, dtype=np.uint8) % 4
    x += (20 * y[:, None, None]).astype(np.uint8) // 2  # something to learn
    x[:, 0, 0] = np.arange(N)  # who is who
    if altered:
        # The rows behind train and validation, found by asking for the test part.
        dataset = data.Dataset("held", x, y.astype(np.int64), ("0", "1", "2", "3"), None, None, "made")
        rows = splits.test_part(dataset, train=TRAIN, validation=VALIDATION, test=TEST, seed=0)[0][:, 0] * 255
        rows = np.rint(rows).astype(int)
        assert len(set(rows)) == TEST
        x[rows], y[rows] = 255 - x[rows][:, ::-1], np.roll(y[rows], 1)
    np.savez(folder / "held.npz", x=x, y=y)
    (folder / "held.toml").write_text(STUDY)
    np.savez(folder / "examples.npz", x=rng.integers(0, 256, (5, 4, 5), dtype=np.uint8), y=np.arange(5) % 4)


@pytest.fixture
def run_all(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Runs every command there is but evaluate in a folder of its own."""
    monkeypatch.setattr(server, "serve", lambda *_, on_ready, **__: on_ready("http://nowhere"))

    def run(name: str, *, altered: bool = False) -> dict[str, str]:
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        write(folder, altered=altered)
        there = set(COMMANDS) - {"evaluate"}
        assert there <= CALLS.keys(), f"say in CALLS how these are run: {there - CALLS.keys()}"
        calls = [call for command in dict.fromkeys(ORDER) if command in there for call in CALLS[command]]
        return {call: cli.ok(call) for call in calls}

    return run


def same_for_all_times(text: str) -> str:
    """A command's output without the times and the secret in it, which are never the same."""
    text = re.sub(r"hps_[\w-]+", "SECRET", text)
    text = re.sub(r'"(store_)?seconds": [\d.e-]+', '"seconds": T', text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+\d\d:\d\d)?", "T", text)
    text = re.sub(r"^seconds .*", "seconds T", text, flags=re.M)
    return re.sub(r"[\d.]+ s\b", "T s", text)


@pytest.mark.slow
def test_no_command_but_evaluate_asks_for_the_test_part_and_no_other_output_changes_with_it(
    run_all: Callable[..., dict[str, str]], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(*_: object, **__: object) -> None:
        raise AssertionError("the test images were read")

    with monkeypatch.context() as patch:
        for module in (splits, data):
            patch.setattr(module, "test_part", poisoned)
        plain = run_all("plain")
        # In a copy, as a look that breaks off has been one.
        patch.chdir(shutil.copytree(tmp_path / "plain", tmp_path / "poisoned"))
        ran = cli(THE_ONE)
        assert ran.code == 1
        assert "the test images were read" in ran.err
    scored = cli(THE_ONE)
    altered = run_all("altered", altered=True)
    scored_altered = cli(THE_ONE)
    for call, out in plain.items():
        assert same_for_all_times(altered[call]) == same_for_all_times(out), call
    # Everything that was trained came out the same, in the database and to the networks' last bits.
    databases = [cared.trials(tmp_path / name / "studies" / "hpsearch.db") for name in ("plain", "altered")]
    assert databases[0] == databases[1]
    assert (tmp_path / "plain" / "net.npz").read_bytes() == (tmp_path / "altered" / "net.npz").read_bytes()
    assert (scored.code, scored_altered.code) == (0, 0)
    before, after = (re.search(r'"confusion": .*?"mistakes"', one.out, re.DOTALL) for one in (scored, scored_altered))
    assert before is not None
    assert after is not None
    assert before[0] != after[0]


def test_one_function_alone_hands_out_the_test_part() -> None:
    """`data.splits.test_part` is called by `load_test` alone, and that by the `evaluate` of two kinds."""
    package = Path(hpsearch.__file__).parent
    users: dict[str, set[str]] = {"test_part": set(), "load_test": set(), "x_test": set(), "labels_test": set()}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in users:
                users[name].add(path.relative_to(package).as_posix())
    # Where it is defined it is kept from pytest.
    assert users["test_part"] == {"data/splits.py", "objectives/network/runtime.py"}
    assert users["load_test"] == {"objectives/network/runtime.py", "objectives/user/estimator.py"}
    # A data set's own test part: read from files, cut by splits, and counted by `hpsearch data show`.
    own = {"data/datasets.py", "data/formats.py", "data/pictures.py", "data/splits.py", "cli/data.py"}
    assert users["x_test"] | users["labels_test"] <= own

"""Searches that a new user writes, ten lines each, word for word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCIKIT_LEARN = """
from hpsearch import Float, Int, Search
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

X, y = load_iris(return_X_y=True)

def objective(trial):
    return cross_val_score(DecisionTreeClassifier(**trial.params, random_state=0), X, y, cv=3).mean()

space = {"max_depth": Int(1, 8), "ccp_alpha": Float(1e-4, 1, log=True)}
search = Search("tree", objective, space=space, direction="maximize")
if __name__ == "__main__":
    search.start(12, engine="inline")
    search.narrow(top=4)
    search.start(12, engine="inline")
    print(f"{search.best.score > 0.9} {sorted(search.best.params)}")
"""

OPTUNA = """
import optuna

def objective(trial):
    kind = trial.suggest_categorical("kind", ["linear", "cubic"])
    x = trial.suggest_float("x", -10, 10) if kind == "linear" else trial.suggest_float("y", 0.1, 10, log=True)
    for step in range(3):
        trial.report(x**2 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return x**2
"""

CONTINUED = """
import optuna
from hpsearch import Search, import_trials
from train import objective

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(study_name="theirs", storage="sqlite:///theirs.db")
study.optimize(objective, n_trials=20)

import_trials("sqlite:///theirs.db", storage="theirs.db", study_name="theirs")
search = Search("theirs", objective, storage="theirs.db")
search.narrow(top=5)
search.start(8, engine="inline")
search.report("report.html")
print([state.counts.finished for state in search.status()], search.best.score <= study.best_value)
"""


def script(text: str) -> str:
    """Return what a script prints that is run here."""
    Path("script.py").write_text(text, encoding="utf-8")
    ran = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


def test_a_model_of_scikit_learn() -> None:
    pytest.importorskip("sklearn")
    assert script(SCIKIT_LEARN) == "True ['ccp_alpha', 'max_depth']\n"


def test_a_study_of_optuna_s_is_narrowed_continued_and_reported() -> None:
    Path("train.py").write_text(OPTUNA, encoding="utf-8")
    printed = script(CONTINUED)
    assert printed.startswith("[20, 8] ")
    assert "theirs/stage-02" in Path("report.html").read_text(encoding="utf-8")

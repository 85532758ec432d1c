"""From files as people have them to a narrowed stage in two commands, and the test accuracy beside scikit-learn's.

``python tests/benchmarks/real_files.py [--seeds 5] [--epochs 40] [--only NAME]`` prints what the first seed's commands
say and a table. Both sides train on the same rows of a file (train and validation) and score the same rows (test).
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from measuring import markdown
from PIL import Image
from sklearn import datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from hpsearch import data
from hpsearch.data.splits import test_part

TABLE = {"train": 0.6, "validation": 0.2, "test": 0.2, "stratify": True}
IMAGES = {"train": 800, "validation": 200, "test": 1000, "stratify": False}
STUDY = """name = "{name}"
[data]
{data}
seed = {seed}
[network]
hidden = "100"
[training]
optimizer = "adam"
batch_size = 32
epochs = {epochs}
[space]
lr = {{ low = 1e-4, high = 1e-1, log = true }}
weight_decay = {{ low = 1e-6, high = 1e-1, log = true }}
[trials]
count = 20
seed = {seed}
"""
# The file in [data], the sizes there, and the features for scikit-learn; None for pictures, which are taken as read.
Made: TypeAlias = tuple[dict[str, str], dict[str, Any], pd.DataFrame | None]


def iris() -> Made:
    """Kaggle's Iris.csv: a column Id in front, the species last."""
    d = datasets.load_iris(as_frame=True)
    d.data.assign(Species=d.target_names[d.target]).to_csv("Iris.csv", index_label="Id")
    return {"path": "Iris.csv"}, TABLE, d.data


def wine() -> Made:
    """UCI's wine.data: no header, the cultivar (1 to 3) in front, columns from 0.1 to 1,680."""
    d = datasets.load_wine(as_frame=True)
    pd.concat([d.target + 1, d.data], axis=1).to_csv("wine.data", index=False, header=False)
    return {"path": "wine.data"}, TABLE, d.data


def breast_cancer() -> Made:
    """Kaggle's data.csv: ids, then the diagnosis, and a comma at the end of each line, which makes an empty column."""
    d = datasets.load_breast_cancer(as_frame=True)
    ids = np.random.default_rng(0).permutation(10**6)[: len(d.data)]
    frame = pd.concat([pd.DataFrame({"id": ids, "diagnosis": d.target.map({0: "M", 1: "B"})}), d.data], axis=1)
    frame.assign(**{"Unnamed: 32": np.nan}).to_csv("data.csv", index=False)
    return {"path": "data.csv", "label": "diagnosis"}, TABLE, d.data


def titanic() -> Made:
    """A table like the Titanic's, made here: names, tickets, texts, missing ages and cabins."""
    n, rng = 891, np.random.default_rng(0)
    sex, pclass = rng.choice(["male", "female"], n, p=[0.65, 0.35]), rng.choice([1, 2, 3], n, p=[0.24, 0.21, 0.55])
    age = np.round(np.clip(rng.normal(30, 14, n), 1, 80))
    chance = 1 / (1 + np.exp(-(3 * (sex == "female") - 1.1 * (pclass - 2) - 0.03 * (age - 25) - 1.4)))
    used = {"Pclass": pclass, "Sex": sex, "Age": np.where(rng.random(n) < 0.2, np.nan, age)}
    used |= {"Fare": np.round(rng.gamma(1.5, 60, n) / pclass**2, 4), "Embarked": rng.choice(["S", "C", "Q"], n)}
    frame = pd.DataFrame({"PassengerId": np.arange(1, n + 1), "Survived": (rng.random(n) < chance).astype(int)} | used)
    frame.insert(3, "Name", [f"Passenger, Mr. No{i}" for i in rng.permutation(n)])
    frame["Cabin"] = np.where(rng.random(n) < 0.77, "", [f"C{i}" for i in rng.integers(1, 140, n)])
    frame.to_csv("titanic.csv", index=False)
    return {"path": "titanic.csv", "label": "Survived"}, TABLE, pd.DataFrame(used)


def diabetes() -> Made:
    """scikit-learn's diabetes table, whose target is continuous: refused."""
    d = datasets.load_diabetes(as_frame=True)
    d["frame"].to_csv("diabetes.csv", index=False)
    return {"path": "diabetes.csv"}, TABLE, d.data


def digits() -> Made:
    """scikit-learn's own digits.csv.gz: gzipped, no header, grey levels 0 to 16, the digit last."""
    d = datasets.load_digits(as_frame=True)
    d["frame"].to_csv("digits.csv.gz", index=False, header=False)
    return {"path": "digits.csv.gz"}, TABLE, d.data


def mnist_csv() -> Made:
    """Kaggle's train.csv: the label first, then pixel0 to pixel783 from 0 to 255."""
    d = data.load("mnist-10k")
    x = pd.DataFrame(np.reshape(d.x[:3000], (3000, -1)), columns=[f"pixel{i}" for i in range(784)])
    pd.concat([pd.Series(d.labels[:3000], name="label"), x], axis=1).to_csv("train.csv", index=False)
    return {"path": "train.csv"}, IMAGES, x


def fashion_mnist() -> Made:
    """Fashion-MNIST's own files, from where `hpsearch data fetch`, `HPSEARCH_DATA` or Debian's package has them."""
    return {"name": "fashion-mnist"}, IMAGES, None


def emnist() -> Made:
    """EMNIST's own file names, gzipped, labels from 1 and pictures transposed; the pictures are MNIST's."""
    d = data.load("mnist-10k")
    Path("emnist").mkdir()
    for part, rows in (("train", slice(0, 4000)), ("test", slice(4000, 5000))):
        for what, a in (("images-idx3", np.swapaxes(d.x[rows], 1, 2)), ("labels-idx1", d.labels[rows] + 1)):
            with gzip.open(f"emnist/emnist-letters-{part}-{what}-ubyte.gz", "wb") as file:
                file.write(bytes([0, 0, 8, a.ndim]) + np.array(a.shape, ">u4").tobytes() + a.astype("u1").tobytes())
    return {"path": "emnist"}, IMAGES, None


def mnist_png() -> Made:
    """A folder of PNGs for each class, in training/ and testing/."""
    d = data.load("mnist-10k")
    for i, picture in enumerate(d.x[:3000]):
        folder = Path("mnist_png", "training" if i < 2000 else "testing", str(d.labels[i]))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{i}.png")
    return {"path": "mnist_png"}, IMAGES, None


FILES = [iris, wine, breast_cancer, titanic, diabetes, digits, mnist_csv, fashion_mnist, emnist, mnist_png]


def hpsearch(*words: str, shown: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command, and print it with what it says where it is ``shown`` or fails."""
    ran = subprocess.run([sys.executable, "-m", "hpsearch", *words], capture_output=True, text=True, check=False)
    if shown or ran.returncode:
        print("$ hpsearch", *words, f"\n{ran.stdout}{ran.stderr}[exit {ran.returncode}]", flush=True)
    return ran


def theirs(read: data.Dataset, how: dict[str, Any], frame: pd.DataFrame | None, seed: int) -> float:
    """Return the test accuracy of scikit-learn's pipeline on the rows that `hpsearch evaluate` trains on and scores."""

    def numbered(x: Any) -> Any:
        return None if x is None else np.arange(len(x), dtype=np.float64)[:, None]

    def flat(pictures: Any) -> pd.DataFrame:
        return pd.DataFrame(pictures.reshape(len(pictures), -1))

    rows = replace(read, x=numbered(read.x), x_test=numbered(read.x_test), columns=(), left_out={}, kept=True)
    parts = data.split(rows, **how, scale="none")
    fitted = np.concatenate([parts.x_train, parts.x_validation])[:, 0].astype(int)
    at, labels = test_part(rows, **how, scale="none")
    x = flat(read.x) if frame is None else frame
    x_test = x if read.x_test is None else flat(read.x_test)
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    model = make_pipeline(columns, MLPClassifier(max_iter=500, random_state=seed))
    model.fit(x.iloc[fitted], read.labels[fitted])
    return float(model.score(x_test.iloc[at[:, 0].astype(int)], labels))


def compare(make: Callable[[], Made], seeds: int, epochs: int) -> tuple[str, ...]:
    """Return a row of the table; seed by seed one search, its narrowed stage, its evaluation, and scikit-learn."""
    source, how, frame = make()
    name, ours, peer = make.__name__, [], []
    for seed in range(seeds):
        section = "\n".join(f"{key} = {json.dumps(value)}" for key, value in (source | how).items())
        study = STUDY.format(name=name, data=section, seed=seed, epochs=epochs)
        Path("studies").mkdir(exist_ok=True)
        Path("studies", f"{name}.toml").write_text(study)
        for words in (["start", name, "--jobs", "1"], ["narrow", name]):
            if hpsearch(*words, shown=not seed).returncode:
                return name, "refused", "", "", ""
        ours.append(float(json.loads(hpsearch("evaluate", name, "--best", "--format", "json").stdout)["accuracy"]))
        Path("studies/hpsearch.db").unlink()
        given: dict[str, Any] = source | ({"path": Path(source["path"])} if "path" in source else {})
        peer.append(theirs(data.load(**given), how | {"seed": seed}, frame, seed))
    difference = np.subtract(ours, peer)
    columns = [f"{np.mean(scores):.3f} ({min(scores):.3f} .. {max(scores):.3f})" for scores in (ours, peer)]
    return name, *columns, f"{difference.mean():+.3f}", f"{difference.std(ddof=1) / len(difference) ** 0.5:.3f}"


def main() -> None:
    """Run them all, each in a folder of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--epochs", type=int, default=40, help="of each of hpsearch's trials")
    parser.add_argument("--only", action="append", help="a file's name; may be given more than once")
    options = parser.parse_args()
    rows = []
    for make in FILES:
        if not options.only or make.__name__ in options.only:
            with tempfile.TemporaryDirectory() as folder, chdir(folder):
                rows.append(compare(make, options.seeds, options.epochs))
                print(rows[-1], flush=True)
    print(markdown(["file", "hpsearch", "scikit-learn", "difference", "its standard error"], rows))


if __name__ == "__main__":
    main()

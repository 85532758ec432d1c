"""Study files of a server: the list, and what a client may send."""

from __future__ import annotations

import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hpsearch.errors import BadInput
from hpsearch.exchange.drafts import draft
from hpsearch.service import studies
from hpsearch.study_file import find, shipped

LR = {"low": 1e-3, "high": 1, "log": True}
DATA = {"name": "mnist-10k", "train": 80, "validation": 20}
STUDY: dict[str, Any] = {"data": DATA, "network": {"hidden": [8]}, "training": {"epochs": 2}, "space": {"lr": LR}}


def with_section(section: str, **values: Any) -> dict[str, Any]:
    return STUDY | {section: {**STUDY.get(section, {}), **values}}


def test_a_study_that_is_sent_becomes_a_file_that_can_be_started(tmp_path: Path) -> None:
    study = with_section("network", hidden=None, hidden_layers=2, hidden_units=8, activation="tanh")
    listed = studies.write_sent("mine", study, tmp_path / "studies")
    assert (listed.name, listed.search, listed.kind, listed.shipped) == ("mine", "mine", "network", False)
    assert (listed.trials, listed.epochs, listed.parameters, listed.problem) == (100, 2, ("lr",), None)
    path = studies.startable("mine", tmp_path / "studies")
    assert find(path) == studies.sent_study("mine", study)
    assert Path(path).stat().st_mode & 0o777 == 0o644


def test_the_list_has_the_folder_s_files_and_the_package_s(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("name = ")
    (tmp_path / "own.toml").write_text(draft("own", command="train {x}", direction="maximize", ranges=["x=0:1"]).text())
    listed = {of.name: of for of in studies.list_studies(tmp_path)}
    assert listed.keys() == {"broken", "own", *shipped()}
    assert listed["mnist"].shipped
    assert studies.startable("mnist", tmp_path) == "mnist"
    assert "not valid TOML" in str(listed["broken"].problem)
    assert listed["own"].kind == "command"


@pytest.mark.parametrize("name", ["", "..", "../mine", "/etc/passwd", "a/b", "a\nb", "a\x00b", "x" * 65, "é"])
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a name for a search"):
        studies.write_sent(name, STUDY, tmp_path)
    with pytest.raises(BadInput, match="is not a name for a search"):
        studies.startable(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_only_a_file_of_the_folder_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    studies.write_sent("mine", STUDY, tmp_path)
    with pytest.raises(BadInput, match=r"no study file 'mine\.toml' on the server"):
        studies.startable("mine.toml", tmp_path / "studies")


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (STUDY | {"objective": {"function": "os:system", "direction": "maximize"}}, "cannot be sent; put"),
        (STUDY | {"objective": {"command": ["rm", "-rf", "/"]}}, "cannot be sent; put"),
        (STUDY | {"objective": {"estimator": "sklearn.svm:SVC"}}, "cannot be sent; put"),
        (STUDY | {"objective": {"kind": "command"}}, "cannot be sent; put"),
        (STUDY | {"constraints": ["os:system"]}, "constraints cannot be sent"),
        (with_section("data", path="/etc/passwd", name=None), r"\[data\] path is about a file"),
        (with_section("data", resize=100_000), r"\[data\] resize is about a file"),
        (with_section("data", encoding="cp949"), r"\[data\] encoding is about a file"),
        (with_section("data", name=None), r"\[data\] name is missing"),
        (with_section("data", name="../mnist"), "no data set '../mnist'"),
        (with_section("trials", count=10_001), "10,001 trials; a study file that is sent may have 10,000"),
        (with_section("training", epochs=1_001), "1,001 epochs"),
        (with_section("network", hidden=[8] * 21), "21 hidden layers"),
        (with_section("network", hidden=[2_001]), "2,001 units in a layer"),
        (with_section("space", hidden={"choices": ["8", "8x21"]}), "21 hidden layers"),
        (
            with_section("network", hidden=None, hidden_layers=21, hidden_units=8),
            "21 hidden layers",
        ),
        (
            {
                **STUDY,
                "network": {"hidden_layers": 1},
                "space": {"lr": LR, "hidden_units": {"low": 8, "high": 2_001}},
            },
            "2,001 units in a layer",
        ),
        (
            {**STUDY, "network": {"hidden_units": 1}, "space": {"hidden_layers": {"choices": [1, 21]}}},
            "21 hidden layers",
        ),
        (with_section("training", optimizer="os.system"), "no optimizer 'os.system'"),
        (STUDY | {"name": "other"}, "leave it out"),
        (STUDY | {"unknown": 1}, "'unknown' is not a key"),
        (STUDY | {"space": {"lr": {"choices": [0.1 + i * 1e-9 for i in range(9_999)]}}}, "bytes; one that is sent"),
    ],
)
def test_what_may_not_be_sent(study: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=words):
        studies.write_sent("mine", study, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_data_set_that_is_not_there_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BadInput, match=r"does not have the data set mnist; there: data fetch\(name='mnist'\)"):
        studies.write_sent("mine", with_section("data", name="mnist"), tmp_path)


def test_no_file_is_ever_replaced(tmp_path: Path) -> None:
    assert studies.write_sent("mine", STUDY, tmp_path) == studies.write_sent("mine", STUDY, tmp_path)
    before = (tmp_path / "mine.toml").read_text()
    for name in ("mine", "mnist"):
        with pytest.raises(BadInput, match=f"there is another study file {name}"):
            studies.write_sent(name, with_section("training", epochs=3), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]
    assert (tmp_path / "mine.toml").read_text() == before


def test_what_is_sent_may_be_what_the_package_has(tmp_path: Path) -> None:
    plain = tomllib.loads(shipped()["mnist"].read_text())
    assert studies.write_sent("mnist", plain, tmp_path).shipped
    assert not list(tmp_path.iterdir())


def test_of_several_that_send_one_name_at_once_one_wins(tmp_path: Path) -> None:
    ready, won = threading.Barrier(4), []

    def send(epochs: int) -> None:
        ready.wait()
        try:
            studies.write_sent("mine", with_section("training", epochs=epochs), tmp_path)
        except BadInput:
            return
        won.append(epochs)

    threads = [threading.Thread(target=send, args=(epochs,)) for epochs in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [studies.read_study("mine", tmp_path).epochs] == won


def test_texts_cannot_leave_their_place_in_the_file(tmp_path: Path) -> None:
    hostile = {'"]\n[objective]\nfunction': "os:system"}
    text = studies.text_of("mine", {"space": hostile, "data": {"name": '"\n[objective]\nfunction = "x"\x7f\u2028'}})
    (tmp_path / "mine.toml").write_text(text)
    assert "function" not in [line.partition(" ")[0] for line in text.splitlines()]

"""Study files: what they resolve to, what is refused and why, where they are found, the template."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hpsearch.errors import BadArgument, BadSpace, BadStudyFile, OutputFailure
from hpsearch.objectives.kinds import DEFAULT
from hpsearch.objectives.network.kind import ALSO_CALLED, HYPERPARAMETERS, LR_SCHEDULES
from hpsearch.objectives.network.sections import Network, Training
from hpsearch.space import Categorical, Float, Int
from hpsearch.study_file import StudyFile, check_name, differences, find, parse, parse_parameter, read, write_study

LR = {"low": 1e-3, "high": 1.0, "log": True}
SPACE = {"lr": LR}
MOMENTUM, SHARE, EITHER = {"low": 0.5, "high": 0.99}, {"low": 0.1, "high": 1}, {"choices": [False, True]}
NORM, NESTEROV = {"batch_norm": True}, {"optimizer": "nesterov"}
TWO = "batch_norm needs mini-batches of at least 2"


def plain(**sections: Any) -> dict[str, Any]:
    """The least that a study file says, with these sections besides."""
    return {"name": "mine", "space": SPACE, **sections}


def one_line(call: Any, *arguments: Any, **options: Any) -> str:
    """The message with which something is refused."""
    with pytest.raises(BadStudyFile) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    assert caught.value.exit_code == 2
    return message


def test_the_default_is_the_books_experiment(tmp_path: Path) -> None:
    study = find(None, folder=tmp_path)
    data: dict[str, Any] = {
        "name": "mnist-10k",
        "path": None,
        "label": None,
        "train": 400,
        "validation": 100,
        "test": 1000,
    }
    data |= {"columns": [], "drop": [], "header": None, "encoding": None, "resize": None}
    data |= {"missing": "auto", "text": "one-hot", "scale": "auto"}
    network = {"hidden": [100] * 6, "hidden_layers": None, "hidden_units": None, "activation": "relu"}
    training = {"optimizer": "sgd", "lr": 0.01, "weight_decay": 0.0, "momentum": 0.9, "rho": 0.99, "beta1": 0.9}
    schedule = {"lr_schedule": "constant", "lr_decay": 0.5, "lr_decay_epochs": 10.0, "warmup_epochs": 0.0}
    pruning = {"rule": "none", "reduction_factor": None, "min_epochs": None, "cohort": None, "startup_trials": 5}
    assert study.to_dict() == {
        "name": "mnist",
        "data": data | {"seed": 0, "stratify": False},
        "network": network
        | {"initializer": "he", "init_std": 0.01, "init_value": 0.1, "batch_norm": False, "dropout": 0.0},
        "training": training
        | schedule
        | {"beta2": 0.999, "eps": None, "batch_size": 100, "epochs": 50, "evaluate_train": False},
        "space": {
            "lr": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
            "weight_decay": {"type": "float", "low": 1e-8, "high": 1e-4, "log": True},
        },
        "trials": {"count": 100, "seed": 0, "sampler": "random"},
        "objective": {"metric": "validation_accuracy", "at": "last"},
        "pruning": pruning,
    }
    assert study.direction == "maximize"


sizes = st.integers(1, 10**6) | st.floats(0.01, 0.99)
files = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
        "space": st.fixed_dictionaries(
            {"lr": st.sampled_from([SPACE["lr"], {"low": 0.1, "high": 1}, {"choices": [0.1, 1.0]}])},
            optional={
                "batch_size": st.sampled_from([{"low": 1, "high": 9, "step": 2}, {"choices": [10, 20]}]),
                "activation": st.just({"choices": ["relu", "tanh"]}),
                "weight_decay": st.just({"low": 0, "high": 0.5, "limit": [0, 1]}),
                "dropout": st.sampled_from([{"low": 0, "high": 0.5}, {"choices": [0, 0.25]}]),
                "batch_norm": st.sampled_from([{"choices": [False]}, {"type": "categorical", "choices": [False]}]),
                "initializer": st.just({"choices": ["he", "normal"]}),
            },
        ),
    },
    optional={
        "data": st.fixed_dictionaries(
            {},
            optional={"name": st.text(), "train": sizes, "validation": sizes, "test": sizes | st.just(0)}
            | {"seed": st.integers(0, 2**63 - 1), "stratify": st.booleans()},
        ),
        "network": st.sampled_from(
            [
                {},
                {"hidden": "100x6"},
                {"hidden": [5]},
                {"hidden": []},
                {"hidden_layers": 0, "hidden_units": 7, "activation": "tanh"},
                {"init_std": 1, "init_value": -2, "dropout": 0},
            ]
        ),
        "training": st.fixed_dictionaries(
            {},
            optional={"lr": st.floats(1e-9, 10), "weight_decay": st.integers(0, 3), "epochs": st.integers(1, 99)}
            | {"momentum": st.floats(0, 0.999), "eps": st.integers(1, 3), "evaluate_train": st.booleans()}
            | {"lr_schedule": st.sampled_from(LR_SCHEDULES), "lr_decay": st.just(1), "warmup_epochs": st.just(0)},
        ),
        "trials": st.fixed_dictionaries(
            {}, optional={"count": st.integers(1, 2**63 - 1), "seed": st.integers(0, 2**63 - 1)}
        ),
        "objective": st.sampled_from([{}, {"at": "best"}, {"metric": "validation_loss"}]),
        "pruning": st.sampled_from([{}, {"rule": "median", "cohort": 2}, {"min_epochs": 99, "reduction_factor": 3}]),
    },
)


@given(drawn=files)
def test_what_is_resolved_reads_as_the_same_file(drawn: dict[str, Any]) -> None:
    study = parse(drawn, source="drawn")
    resolved = study.to_dict()
    again = parse(resolved, source="resolved")
    assert again == study
    assert again.to_dict() == resolved
    assert repr(again.space) == repr(study.space)
    assert list(differences(resolved, again.to_dict())) == []
    for section, keys in drawn.items():  # and nothing that was given is lost
        if section not in ("name", "space", "network"):
            assert resolved[section] | keys == resolved[section]


def test_a_file_may_name_its_kind_of_objective_which_is_not_kept() -> None:
    named = parse(plain(objective={"kind": "network"}), source="")
    assert named == parse(plain(), source="")
    assert "kind" not in named.to_dict()["objective"]


def test_types_come_from_the_hyperparameter() -> None:
    study = parse(
        plain(
            space={
                "lr": {"low": 1, "high": 2},
                "batch_size": {"low": 1, "high": 2},
                "hidden": {"choices": ["50", "100x2"]},
            }
        ),
        source="a test",
    )
    assert list(study.space) == ["lr", "batch_size", "hidden"]
    assert [type(parameter) for parameter in study.space.values()] == [Float, Int, Categorical]
    assert parse(plain(network={"hidden": "64x2-10"}), source="a test").sections.network.hidden == (64, 64, 10)
    assert parse(plain(objective={"metric": "validation_loss"}), source="").direction == "minimize"


def test_another_rule_of_pruning() -> None:
    study = parse(plain(pruning={"cohort": 7, "min_epochs": 30}), source="")
    assert study.with_pruning("none") == study
    with pytest.raises(BadArgument, match=r"pruner=median: pruning\.min_epochs = 30 is more than half"):
        study.with_pruning("median")
    median = parse(plain(pruning={"cohort": 7}), source="").with_pruning("median")
    assert (median.pruning.rule, median.pruning.cohort) == ("median", 7)
    # A stage may have been begun with --pruner, which is no change of its file.
    assert list(differences(median.to_dict(), median.with_pruning("halving").to_dict())) == []
    assert list(differences(study.to_dict(), median.to_dict())) == ["pruning.min_epochs: 30 -> None"]


def test_differences() -> None:
    old = parse(plain(), source="").to_dict()
    changed = plain(
        trials={"count": 7, "seed": 1}, training={"epochs": 10}, space={"batch_size": {"low": 1, "high": 2}}
    )
    new = parse(changed, source="").to_dict()
    assert set(differences(old, new)) == {
        "trials.seed: 0 -> 1",
        "training.epochs: 50 -> 10",
        "space.lr: 0.001 .. 1 (log) -> none",
        "space.batch_size: none -> 1 .. 2",
    }
    assert list(differences(old, parse(plain(trials={"count": 7}), source="").to_dict())) == []
    # Resolved before there were such keys: they had their defaults, whatever has been written since.
    older = {**old, "training": {"epochs": 50, "lr": 0.01}, "network": {"activation": "relu"}}
    assert list(differences(older, old)) == []
    newer = parse(plain(training={"momentum": 0.5}, network={"batch_norm": True}), source="").to_dict()
    assert set(differences(older, newer)) == {"training.momentum: 0.9 -> 0.5", "network.batch_norm: False -> True"}
    assert list(differences(old, {**old, "name": "other"})) == ["name: 'mine' -> 'other'"]
    assert list(differences({"name": "mine"}, {"name": "mine", "data": {}, "pruning": {}})) == []


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"pruning": {"rule": "hyperband"}}, "pruning.rule = 'hyperband'; known: halving, median, none"),
        ({"pruning": {"reduction_factor": 1}}, "pruning.reduction_factor: input should be greater than or equal to 2"),
        (
            {"pruning": {"rule": "halving", "min_epochs": 26}},
            "pruning.min_epochs = 26 is more than half of the 50 epochs, so that no trial could be pruned; give at "
            "most 25, or leave it out",
        ),
        ({"netwrok": {}}, "'netwrok' is not a key of the file; did you mean 'network'?"),
        ({"training": {"learning_rate": 4}}, "'learning_rate' is not a key of [training]; did you mean 'lr'?"),
        ({"network": {"lr": 0.5}}, "'lr' is not a key of [network]; lr stands in [training]"),
        ({"space": {"wd": {}}}, "'wd' is not a hyperparameter; did you mean 'weight_decay'?"),
        ({"space": {"lr": {"low": 1.0, "high": 0.5}}}, "[space] lr: low = 1.0 is not below high = 0.5"),
        ({"space": {"constraints": ["lr < 1"]}}, "[space] constraints = ['lr < 1']: put it above the first [section]"),
        (
            {"trials": {"constraints": ["lr < 1"]}},
            "not a key of [trials]; constraints stands above the first [section]",
        ),
        ({"space": {"lr": 0.1}}, "[space] lr = 0.1; write { low = ..., high = ..., log = true }"),
        ({"space": {"lr": {"low": -1.0, "high": 0.5}}}, "[space] lr: -1.0 lies below 0"),
        ({"space": {"lr": {"choices": ["a", "b"]}}}, "[space] lr: choice 'a' is not a number"),
        ({"space": {"batch_size": {"choices": [10, 2.5]}}}, "2.5 is not a whole number"),
        ({"space": {"batch_size": {"type": "float", "low": 1, "high": 5}}}, "leave type out or make it 'int'"),
        ({"space": {"activation": {"low": 1, "high": 5}}}, "[space] activation: a range of numbers"),
        ({"space": {"activation": {"choices": [1, 2]}}}, "choice 1 is not a string"),
        ({"space": {"hidden": {"choices": ["50", "a"]}}}, "[space] hidden: 'a' is not a list of layer sizes"),
        ({"space": {}}, "[space] is empty"),
        ({"data": {"train": 0}}, "data.train: give a count (1 or more) or a fraction (between 0 and 1) (given: 0)"),
        ({"data": {"test": -1}}, "data.test"),
        ({"data": {"seed": -1}}, "data.seed"),
        ({"data": {"name": "a", "path": "b"}}, "data: both name and path are given; give one"),
        ({"network": {"hidden": "axb"}}, "network.hidden: 'axb' is not a list of layer sizes"),
        ({"network": {"hidden": [100.0]}}, "network.hidden"),
        ({"network": {"hidden": [5], "hidden_units": 5}}, "the hidden layers are given twice"),
        ({"network": {"hidden": [5]}, "space": {"hidden_units": {"low": 1, "high": 5}}}, "given twice"),
        ({"space": {"hidden_units": {"low": 1, "high": 5}}}, "hidden_layers is missing"),
        ({"training": {"lr": 0}}, "training.lr: input should be greater than 0 (given: 0)"),
        ({"training": {"lr": "0.1"}}, "training.lr: input should be a valid number"),
        ({"training": {"lr": float("nan")}}, "training.lr"),
        ({"training": {"epochs": 0}}, "training.epochs: input should be greater than or equal to 1"),
        ({"trials": {"seed": 2**63}}, "trials.seed"),
        (
            {"objective": {"metric": "validation_acc"}},
            "objective.metric = 'validation_acc'; did you mean 'validation_accu",
        ),
        ({"objective": {"at": "x" * 900}}, "objective.at"),
        ({"objective": {"kind": "netwrok"}}, "objective.kind = 'netwrok'; did you mean 'network'?"),
        (
            {"space": {"momentum": {"low": 0.5, "high": 1.0}, "optimizer": {"choices": ["momentum"]}}},
            "1.0 is not below 1",
        ),
        ({"space": {"dropout": {"low": 0.0, "high": 0.5, "limit": [0, 1]}}}, "dropout: 1 is not below 1"),
        ({"space": {"lr_decay": {"low": 0.5, "high": 1.5}}}, "lr_decay: 1.5 lies above 1, the most that it can be"),
        ({"space": {"batch_norm": {"choices": [True, "no"]}}}, "batch_norm: choice 'no' is neither true nor false"),
        ({"space": {"batch_norm": {"low": 0, "high": 1}}}, "a range of numbers; give choices = [true, false]"),
        ({"space": {"batch_norm": True}}, "[space] batch_norm = True; write { choices = [true, false] }"),
        ({"space": {"optimizer": "adam"}}, "[space] optimizer = 'adam'; write { choices = [...] }"),
        ({"space": {"lr_schedule": {"choices": ["step", "cosin"]}}}, "no lr_schedule 'cosin'; did you mean 'cosine'?"),
        ({"training": {"lr_schedule": "cosin"}}, "training.lr_schedule: no lr_schedule 'cosin'; did you mean"),
        ({"training": {"eps": 0}}, "training.eps: input should be greater than 0 (given: 0)"),
        (
            {"space": {"momentum": MOMENTUM}},
            "[space] momentum has no effect: only optimizer = momentum or nesterov uses it, "
            "and this search has sgd; leave momentum out or change optimizer",
        ),
        (
            {"space": {"momentum": MOMENTUM, "optimizer": {"choices": ["sgd", "adam"]}}, "training": NESTEROV},
            "and this search has sgd or adam;",
        ),
        ({"space": {"init_std": LR}}, "init_std has no effect"),
        ({"space": {"lr_decay": SHARE}, "training": {"lr_schedule": "cosine"}}, "lr_decay has no effect"),
        ({"network": NORM, "training": {"batch_size": 1}}, f"[training] batch_size = 1, and {TWO}"),
        ({"space": {"batch_size": {"low": 1, "high": 9}}, "network": NORM}, f"[space] batch_size may be 1, and {TWO}"),
        ({"space": {"batch_norm": EITHER, "batch_size": {"choices": [10, 1]}}}, "[space] batch_size may be 1, and"),
        ({"space": {"batch_norm": EITHER}, "training": {"batch_size": 1}}, "[training] batch_size = 1, and"),
    ],
)
def test_refused(sections: dict[str, Any], says: str) -> None:
    message = one_line(parse, plain(**sections), source="studies/mine.toml")
    assert says in message
    assert message.startswith("studies/mine.toml: ")


@pytest.mark.parametrize("name", ["", "a\nb", "a\n", "x" * 65, "a/b", "../a", ".hidden", "-a", "a b", "größe", "a\0b"])
def test_names_that_are_none(name: str, tmp_path: Path) -> None:
    for message in (
        one_line(check_name, name),
        one_line(parse, plain(name=name), source="f"),
        one_line(write_study, name, folder=tmp_path),
    ):
        assert f"({len(name)} characters) is not a name for a search" in message
    assert list(tmp_path.iterdir()) == []
    for good in ("a", "0", "x" * 64, "a.b_c-D", "a..b"):
        assert check_name(good) == good


def test_reading(tmp_path: Path) -> None:
    assert "name is missing; space is missing" in one_line(parse, {}, source="f")
    file = tmp_path / "my.toml"
    assert f"cannot read {file}: No such file" in one_line(read, file)
    assert f"cannot read {tmp_path}: Is a directory" in one_line(read, tmp_path)
    file.write_bytes(b'name = "\xff\xfe"\n')
    assert one_line(read, file) == f"{file} is not a text file in UTF-8"
    file.write_text('name = "a"\n[space\nlr = 3\n')
    message = one_line(read, file)
    assert message.startswith(f"{file} is not valid TOML: ")
    assert re.search(r"at line 2, column \d+", message)
    file.write_text("")
    assert f"{file}: name is missing" in one_line(read, file)
    file.write_text('name = "a"\n[space]\nlr = { low = 0.1, high = 1979-05-27 }\n')
    assert "is not a finite number" in one_line(read, file)


def test_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    text = 'name = "{}"\n[space]\nlr = {{ low = 0.1, high = 1.0 }}\n'
    (folder / "mine.toml").write_text(text.format("by-name"))
    (tmp_path / "other.toml").write_text(text.format("by-path"))
    monkeypatch.chdir(tmp_path)
    assert find("mine", folder=folder).name == "by-name"
    assert find("mine").name == "by-name"  # studies/ is where names are looked up
    assert find("other.toml", folder=folder).name == find("./other.toml").name == "by-path"
    assert find("mnist", folder=folder) == find(None, folder=tmp_path / "no folder")
    message = one_line(find, "mnie", folder=folder)
    assert (
        f"no study file {folder / 'mnie.toml'}; did you mean 'mine'? known: batch-norm, initialisation, mine, mnist, "
        in message
    )
    assert "`init(name='mnie')`" in message
    assert "No such file" in one_line(find, "no.toml")
    for name in ("data", "mnist"):
        (tmp_path / name).mkdir()
    assert "is no study file" in one_line(find, "data")
    assert find("mnist").name == "mnist"
    assert "is no study file" in one_line(find, "studies/")
    assert "is not a name" in one_line(find, "")
    (folder / "mnist.toml").write_text(text.format("my-own"))  # before the shipped one
    assert find(None, folder=folder).name == "my-own"
    (folder / "bad.toml").write_text("?")
    assert str(folder / "bad.toml") in one_line(find, "bad", folder=folder)


NUMBERS = sorted(name for name, kind in HYPERPARAMETERS.items() if kind.type in ("float", "int"))


def accepted(call: Callable[..., object], *arguments: object) -> bool:
    try:
        call(*arguments)
    except (BadStudyFile, ValidationError):
        return False
    return True


@given(name=st.sampled_from(NUMBERS), value=st.sampled_from([-1, 0, 1, 2, -1e-9, 1e-9, 0.5, 1 - 1e-9, 1 + 1e-9, 1e300]))
def test_a_value_may_be_drawn_if_and_only_if_it_may_be_set(name: str, value: float) -> None:
    section = Network if name in Network.model_fields else Training
    drawn = accepted(parse_parameter, name, {"choices": [value]}, DEFAULT)
    if (name, value) != ("lr", 0):  # a range may begin there; a trial at 0 learns nothing
        assert accepted(section.model_validate, {name: value}) == drawn
    whole = HYPERPARAMETERS[name].type == "float" or isinstance(value, int)
    assert drawn == (whole and HYPERPARAMETERS[name].misfit(value) is None)


def test_every_hyperparameter_can_be_set_too() -> None:
    assert set(HYPERPARAMETERS) < set(Network.model_fields) | set(Training.model_fields)


def test_other_names_mean_something_that_can_be_set() -> None:
    for name, meant in ALSO_CALLED.items():
        assert f"did you mean {meant!r}" in one_line(parse, plain(space={name: {}}), source="f")


@pytest.mark.parametrize(
    "sections",
    [
        {"space": {"momentum": MOMENTUM}, "training": NESTEROV},
        {"space": {"momentum": MOMENTUM, "optimizer": {"choices": ["sgd", "momentum"]}}},
        {"space": {"init_std": LR}, "network": {"initializer": "normal"}},
        {"space": {"lr_decay": SHARE}, "training": {"lr_schedule": "step"}},
        {"space": {"batch_size": {"low": 2, "high": 9}}, "network": NORM, "training": {"batch_size": 1}},
        {"space": {"batch_norm": {"choices": [False]}}, "network": NORM, "training": {"batch_size": 1}},
        {"training": {"batch_size": 1}},
        {"network": NORM},
    ],
)
def test_accepted(sections: dict[str, Any]) -> None:
    assert isinstance(parse(plain(**sections), source="f"), StudyFile)


def test_the_template_is_a_study_file(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    path = write_study("mine", folder=folder)
    assert path == folder / "mine.toml"
    assert read(path).name == "mine"
    # What it shows commented out works too, in place of what is set.
    path.write_text(_uncommented(path.read_text()))
    shown = read(path)
    assert set(shown.space) == {"lr", "weight_decay", "batch_size", "optimizer", "momentum", "dropout", "batch_norm"}
    assert shown.sections.network.hidden_units == 100
    assert shown.sections.training.lr_schedule == "step"
    assert shown.pruning.rule == "none"
    for section in (shown.sections.network, shown.sections.training, shown.pruning):
        assert set(type(section).model_fields) <= section.model_fields_set | {"hidden"}


def _uncommented(text: str) -> str:
    """The last of each key's lines in a section, comments included, but for keys that exclude another one."""
    lines: dict[tuple[str, str], str] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line
            lines[section, ""] = line
        elif match := re.match(r"(?:# )?(\w+) = ", line):
            lines[section, match[1]] = line.removeprefix("# ")
    for instead in (("[data]", "name"), ("[network]", "hidden"), ("[space]", "hidden")):
        del lines[instead]
    return "\n".join(lines.values())


def test_init_overwrites_only_when_told_and_then_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for force in (False, True):
        assert "cannot write" in one_line(write_study, "mine", folder=tmp_path / "no" / "folder", force=force)
    assert list(tmp_path.iterdir()) == []
    path = write_study("mine", folder=tmp_path)
    path.write_text("my own work")
    assert one_line(write_study, "mine", folder=tmp_path) == f"{path} exists; use force to overwrite it"
    assert path.read_text() == "my own work"

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(OutputFailure, match=r"cannot write .*: No space left on device"):
            write_study("mine", folder=tmp_path, force=True)
    assert path.read_text() == "my own work"
    assert list(tmp_path.iterdir()) == [path]
    assert write_study("mine", folder=tmp_path, force=True) == path
    assert read(path).name == "mine"
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "link.toml").symlink_to(tmp_path / "later.toml")
    assert "link.toml exists" in one_line(write_study, "link", folder=tmp_path)


WD = {"by": "optimizer", "sgd": {"low": 1e-5, "high": 1e-2, "log": True}, "adam": {"low": 1e-6, "high": 1e-3}}
OWN: dict[str, Any] = {
    "name": "mine",
    "objective": {"function": "train:objective", "direction": "maximize"},
    "space": {"optimizer": {"choices": ["sgd", "adam"]}, "wd": WD},
}


def own(*, space: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    """A study file of a user's function, with these parameters and sections besides."""
    return {**OWN, "space": OWN["space"] | (space or {}), **sections}


def test_conditions_and_ranges_per_value_are_spelled_out() -> None:
    momentum = {"low": 0.5, "high": 0.99, "when": {"optimizer": "sgd", "layers": [2, 3]}}
    space = {"momentum": momentum, "layers": {"type": "int", "low": 1, "high": 3}}
    study = parse(own(space=space, constraints=["wd * layers < 0.1 or depth == 3"], fixed={"depth": 3}), source="")
    assert dict(study.space) == {
        "optimizer": Categorical(("sgd", "adam")),
        "wd[sgd]": Float(1e-5, 1e-2, log=True, when={"optimizer": ("sgd",)}),
        "wd[adam]": Float(1e-6, 1e-3, when={"optimizer": ("adam",)}),
        "momentum": Float(0.5, 0.99, when={"optimizer": ("sgd",), "layers": (2, 3)}),
        "layers": Int(1, 3),
    }
    assert study.only_where("momentum") == ", only where optimizer is sgd and layers is 2 or 3"
    assert study.only_where("layers") == ""
    resolved = study.to_dict()
    assert parse(resolved, source="resolved") == study
    assert list(differences(resolved, study.to_dict())) == []
    changed = {**resolved, "constraints": ["layers < 3"]}
    assert next(iter(differences(resolved, changed))).startswith("constraints: ")
    assert "constraints" not in parse(OWN, source="").to_dict()


def test_a_condition_on_what_is_fixed_is_decided_when_the_file_is_read() -> None:
    given = own(
        space={"m": {"low": 0.0, "high": 1, "when": {"mode": ["a"], "optimizer": ["sgd"]}}}, fixed={"mode": "a"}
    )
    assert parse(given, source="").space["m"] == Float(0, 1, when={"optimizer": ("sgd",)})
    alone = own(space={"m": {"low": 0.0, "high": 1, "when": {"mode": ["a"]}}}, fixed={"mode": "a"})
    assert parse(alone, source="").space["m"] == Float(0, 1)


def test_ranges_per_value_of_a_number_and_of_a_boolean() -> None:
    by_number = {"by": "n", "1": {"low": 0.0, "high": 1.0}, "2": {"low": 1, "high": 2}, "when": {"optimizer": ["sgd"]}}
    space = {"n": {"low": 1, "high": 2}, "x": by_number}
    space |= {"b": {"choices": [False, True]}, "y": {"by": "b", "true": {"choices": ["p", "q"]}}}
    study = parse(own(space=space), source="")
    assert isinstance(study.space["x[1]"], Float)
    assert study.space["x[2]"] == Int(1, 2, when={"optimizer": ("sgd",), "n": (2,)})
    assert study.space["y[true]"] == Categorical(("p", "q"), when={"b": (True,)})


def test_a_role_is_kept_and_the_default_is_not_written() -> None:
    study = parse(plain(space=SPACE | {"optimizer": {"choices": ["sgd", "adam"], "role": "scientific"}}), source="")
    resolved = study.to_dict()
    assert resolved["space"]["optimizer"]["role"] == "scientific"
    assert "role" not in resolved["space"]["lr"]
    assert parse(resolved, source="resolved") == study
    nuisance = parse(plain(space=SPACE | {"optimizer": {"choices": ["sgd", "adam"], "role": "nuisance"}}), source="")
    assert "role" not in nuisance.to_dict()["space"]["optimizer"]
    assert len(list(differences(resolved, nuisance.to_dict()))) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"space": {"x": LR | {"role": "scientifc"}}}, "[space] x: role = 'scientifc'; did you mean 'scientific'?"),
        ({"space": {"x": LR | {"role": "scientific"}}}, "of a range; give the values to compare as choices"),
        ({"space": {"n": {"choices": [1], "role": "scientific"}}}, "there is one value; give two or more to compare"),
        (
            {"space": {name: {"choices": [*range(9)], "role": "scientific"} for name in "abcdefghi"}},
            "[space] role = 'scientific': 387,420,489 combinations to compare; give at most 100",
        ),
        (
            {"space": {"n": {"choices": [1, 2], "role": "scientific", "when": {"optimizer": "sgd"}}}},
            "[space] n: role = 'scientific', and a condition; leave out the condition",
        ),
        ({"space": {"m": {"low": 0, "high": 1, "when": {"optimiser": ["sgd"]}}}}, "did you mean 'optimizer'?"),
        ({"space": {"m": {"low": 0, "high": 1, "when": {"optimizer": ["sdg"]}}}}, "optimizer is one of {sgd, adam}"),
        (
            {
                "space": {
                    "a": {"choices": [1, 2], "when": {"b": [1]}},
                    "b": {"choices": [1, 2], "when": {"a": [1]}},
                }
            },
            "[space] the conditions form a cycle: ",
        ),
        ({"space": {"x": {"by": "optimiser", "sgd": LR}}}, "[space] x: by = 'optimiser' is not sampled; did you mean"),
        ({"space": {"x": {"by": "optimizer", "sdg": LR}}}, "'sdg' is not a value of optimizer; did you mean 'sgd'?"),
        ({"space": {"x": {"by": "optimizer"}}}, "without ranges; give one for each value of optimizer"),
        ({"space": {"x": {"by": "y", "1": LR}, "y": LR}}, "by = 'y', which is a float; give y choices"),
        ({"space": {"x": {"by": "optimizer", "sgd": {"low": 1}}}}, "[space] x[sgd]: 'high' is missing"),
        ({"space": {"x": {"by": "mode", "a": LR}}, "fixed": {"mode": "a"}}, "which is in [fixed]; give x one range"),
        ({"fixed": {"wd": 1e-4}}, "wd is both in [fixed] and in [space]"),
        (
            {"space": {"m": {"low": 0, "high": 1, "when": {"mode": ["b"]}}}, "fixed": {"mode": "a"}},
            "[space] m has no effect: only mode = b uses it, and [fixed] mode = a; leave m out or change mode",
        ),
        ({"constraints": ["units < 3"]}, "'units' is not a parameter of this search"),
        ({"constraints": "wd < 3"}, "constraints: input should be a valid list"),
        ({"trials": {"sampler": "sobel"}}, "trials.sampler = 'sobel'; did you mean 'sobol'?"),
    ],
)
def test_spaces_that_are_refused(changes: dict[str, Any], says: str) -> None:
    assert says in one_line(parse, own(**changes), source="f")


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"constraints": ["x < 3"]}, "constraints needs [space]: what suggest calls declare is sampled one by one"),
        ({"trials": {"sampler": "sobol"}}, "trials.sampler needs [space]: "),
    ],
)
def test_what_a_function_that_declares_its_space_cannot_have(sections: dict[str, Any], says: str) -> None:
    bare = {name: section for name, section in OWN.items() if name != "space"}
    assert parse(bare, source="").space == {}
    assert says in one_line(parse, bare | sections, source="f")


def test_the_network_knows_its_conditions_itself() -> None:
    for key in ({"when": {"optimizer": ["sgd"]}}, {"by": "optimizer"}):
        assert "this kind of objective knows itself" in one_line(parse, plain(space={"lr": LR | key}), source="f")
    limited = parse(
        plain(
            space={"hidden_layers": {"low": 1, "high": 4}, "hidden_units": {"low": 8, "high": 64}} | SPACE,
            constraints=["hidden_layers * hidden_units <= 128"],
        ),
        source="",
    )
    limited.check_names()
    with pytest.raises(BadSpace, match="of 1,000 draws 0 meet the constraints"):
        parse(plain(constraints=["lr > 2"]), source="").check_names()

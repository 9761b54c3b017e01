"""The contract of every study, in any folder; one more folder is one more study."""

from __future__ import annotations

import dataclasses
import inspect
import io
import json
import re
import runpy
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import memorywall as mw
from memorywall import studies as room
from memorywall.app.cli import main
from memorywall.core.errors import InvalidInputError, UnknownNameError, UnsupportedError
from memorywall.core.records import from_record, recording_of, to_record
from memorywall.core.study import Option, Study
from memorywall.studies import find_study, studies

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parent.parent.parent
STUDIES = list(studies())
NAMES = [study.name for study in STUDIES]
SLOW = {"memory"}  # eight models are traced, twice a step
EACH = [
    pytest.param(study, id=study.name, marks=pytest.mark.slow if study.name in SLOW else ())
    for study in STUDIES
]
OPTIONS = [(study, option) for study in STUDIES for option in study.options]

_WORDS = {
    "count": "2", "counts": "1,2", "length": "64", "lengths": "64,128", "number": "1.5",
    "shares": "0.5", "quantity": "5 us", "name": "bf16", "names": "h100-sxm",
}  # fmt: skip


@lru_cache(maxsize=16)
def answer_of(name: str) -> Any:
    study = find_study(name)
    return study.ask(**study.brief)


def on_the_command(option: Option) -> list[str]:
    """Return an option as it is given on the command."""
    if option.argument:
        return ["gpt2"]
    if option.kind == "flag":
        return [option.flag]
    if option.names == "backend":
        return [option.flag, "cpu"]
    if option.unit == "Hz":
        return [option.flag, "2 GHz"]
    return [option.flag, option.choices[0] if option.choices else _WORDS[option.kind]]


def test_every_folder_is_a_study() -> None:
    folders = [path.parent for path in Path(room.__path__[0]).glob("*/__init__.py")]
    assert sorted(folder.name.replace("_", "-") for folder in folders) == NAMES


@pytest.mark.parametrize("study", STUDIES, ids=NAMES)
def test_it_says_what_it_asks(study: Study[Any], capsys: Captured) -> None:
    assert study.question.endswith("?")
    assert len(study.question) <= 62  # one line of the listing
    assert recording_of(study.result).name == f"memorywall.study.{study.name}"
    assert dataclasses.is_dataclass(study.result)
    assert main(["study", "--help"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert f"{study.name} {study.question}" in listed
    assert main(["study", study.name, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert study.question in shown
    for option in study.options:
        assert option.flag in shown
    for example in study.examples:
        assert f"memorywall study {study.name} {example}".rstrip() in shown


@pytest.mark.parametrize("study", STUDIES, ids=NAMES)
def test_its_options_are_the_words_of_its_run(study: Study[Any]) -> None:
    words = set(inspect.signature(study.run).parameters) - {"watch"}
    assert {option.name for option in study.options if not option.text} == words
    shown = set(inspect.signature(study.show).parameters)
    assert {option.name for option in study.options if option.text} <= shown


@pytest.mark.parametrize("study", EACH)
def test_its_text_fits_80_columns(study: Study[Any]) -> None:
    shown = [option.name for option in study.options if option.text]
    for words in ({}, dict.fromkeys(shown, True)):
        file = io.StringIO()
        page = Console(file=file, width=80, highlight=False, markup=False, emoji=False)
        study.show(answer_of(study.name), page, **words)
        lines = file.getvalue().splitlines()
        assert lines
        assert max(map(len, lines)) <= 80
        assert not any("…" in line for line in lines)  # nothing is cut


@pytest.mark.parametrize("study", EACH)
def test_its_record_is_read_back(study: Study[Any]) -> None:
    answer = answer_of(study.name)
    assert isinstance(answer, study.result)
    record = json.loads(json.dumps(to_record(answer), allow_nan=False))
    assert record == answer.to_dict()
    assert to_record(from_record(study.result, record)) == record
    name, version = record["schema"].split("/")
    with pytest.raises(UnsupportedError, match=f"of version {int(version) + 1} of {name}"):
        from_record(study.result, {**record, "schema": f"{name}/{int(version) + 1}"})
    with pytest.raises(InvalidInputError, match="must have the schema"):
        from_record(study.result, {**record, "schema": "memorywall.study.else/1"})


@pytest.mark.parametrize("study", EACH)
def test_its_figures_are_drawn(study: Study[Any]) -> None:
    from matplotlib.figure import Figure

    for draw in study.figures.values():
        assert isinstance(draw(answer_of(study.name)), Figure)


@pytest.mark.parametrize(
    ("study", "option"),
    [(study, option) for study, option in OPTIONS if option.requires],
    ids=lambda one: one.name,
)
def test_an_option_without_effect_is_refused(
    study: Study[Any], option: Option, capsys: Captured
) -> None:
    assert main(["study", study.name, *on_the_command(option)]) == 2
    required = study.option(option.requires).flag
    assert f"{option.flag} requires {required}" in capsys.readouterr().err
    with pytest.raises(InvalidInputError, match=f"{option.flag} requires {required}"):
        mw.study(study.name, **{option.name: 1})


@pytest.mark.parametrize(
    ("study", "option", "other"),
    [(study, option, other) for study, option in OPTIONS for other in option.conflicts],
    ids=lambda one: one if isinstance(one, str) else one.name,
)
def test_options_that_conflict_are_refused(
    study: Study[Any], option: Option, other: str, capsys: Captured
) -> None:
    beside = study.option(other)
    words = [*on_the_command(option), *on_the_command(beside)]
    for one in (option, beside):
        words += on_the_command(study.option(one.requires)) if one.requires else []
    assert main(["study", study.name, *words]) == 2
    assert f"{option.flag} conflicts with {beside.flag}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("study", "option"),
    [(study, option) for study, option in OPTIONS if option.text],
    ids=lambda one: one.name,
)
def test_what_decides_the_text_is_refused_beside_json(
    study: Study[Any], option: Option, capsys: Captured
) -> None:
    assert main(["study", study.name, "--json", *on_the_command(option)]) == 2
    assert f"{option.flag} conflicts with --json" in capsys.readouterr().err
    with pytest.raises(UnknownNameError, match=f"'{option.name}' is not known"):
        mw.study(study.name, **{option.name: True})


def test_unknown_studies_and_options() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean wall"):
        mw.study("wal")
    with pytest.raises(UnknownNameError, match="Did you mean hits"):
        mw.study("wall", hit=[0.8])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study of docs/howto/extend.md, as a folder that is not there otherwise."""
    page = (ROOT / "docs" / "howto" / "extend.md").read_text(encoding="utf-8")
    named = r"^`src/memorywall/studies/balanced_batch/__init__.py`:\n\n```py\n(.*?)^```"
    (source,) = re.findall(named, page, re.MULTILINE | re.DOTALL)
    place = tmp_path / "balanced_batch"
    place.mkdir()
    (place / "__init__.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
    # So that it is imported again, and removed afterwards.
    monkeypatch.setitem(sys.modules, "memorywall.studies.balanced_batch", None)
    monkeypatch.delitem(sys.modules, "memorywall.studies.balanced_batch")
    return place


@pytest.mark.usefixtures("folder")
def test_a_new_folder_is_a_new_study(capsys: Captured) -> None:
    assert main(["study", "--help"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "balanced-batch At which batch does decode leave the memory roof?" in listed
    assert main(["study", "balanced-batch", "gpt2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["schema"] == "memorywall.study.balanced-batch/1"
    # GPT-2's cache grows with the batch: at 512 positions its attention never leaves the roof.
    assert record["models"] == [{"model": "gpt2", "batch": None}]
    assert mw.study("balanced-batch", models=["gpt2"]).to_dict() == record
    new = find_study("balanced-batch")
    test_it_says_what_it_asks(new, capsys)
    test_its_options_are_the_words_of_its_run(new)
    test_its_text_fits_80_columns(new)
    test_its_record_is_read_back(new)
    pages = runpy.run_path(str(ROOT / "tools" / "reference.py"))
    assert "## balanced-batch" in pages["_studies_page"]()
    assert "## memorywall study balanced-batch" in pages["_command_page"]()

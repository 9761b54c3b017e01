"""The glossary check: old idiom is found where people read, and the repository has none."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def words() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "words.py"))


def test_the_repository_has_no_old_idiom(words: dict[str, Any]) -> None:
    assert [str(hit) for path in words["files"]() for hit in words["hits"](path)] == []


def test_python_is_checked_where_people_read(words: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""What is counted here.\n\nIt has a table of its\nown.\n"""\n'
        "told = so_many = 1  # a comment that runs\n"
        "# over two lines, so\n"
        "# many\n"
        "def test_what_nobody_asked(): ...\n"
        'MESSAGE = f"It {told} is "\n'
        '"said"\n'
    )
    # Names in code (line 6) are not text; the phrases of lines 4, 7 and 9 run over a line break.
    assert [(hit.line, " ".join(hit.found.split())) for hit in words["hits"](path)] == [
        (1, "What"), (3, "of its own"), (7, "so many"), (9, "nobody"),
    ]  # fmt: skip


def test_plain_files_are_checked_whole(words: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# Title\n\nIt is computed\nanew. What does it cost? There is no cost.\n")
    (hit,) = words["hits"](path)  # a question may begin with What
    assert (hit.line, hit.found, hit.instead) == (4, "anew", "again")


@pytest.mark.parametrize(
    ("subject", "plain"),
    [
        ("Move tracing into capture, interpret and fold", True),
        ("Keys of sparse models that bear on nothing", False),
        ("What is no input is said, with how to give one", False),
        ("Merge main into words", True),
    ],
)
def test_commit_subjects_begin_with_a_verb(
    words: dict[str, Any], subject: str, plain: bool
) -> None:
    assert words["subjects_without_verb"]([subject]) == ([] if plain else [subject])

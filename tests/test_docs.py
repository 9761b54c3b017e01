"""The examples of the README and the docs, run as they stand."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

from memorywall.app.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python(page: Path) -> None:
    text = "\n".join(blocks(page, "python"))
    if ">>>" in text:
        test = doctest.DocTestParser().get_doctest(text, {}, str(page), str(page), 0)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        assert runner.run(test).failed == 0
    else:
        exec(compile(text, str(page), "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_console(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(page, "console"):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            words = shlex.split(command, comments=True)
            if words[0] != "memorywall":
                continue
            assert main(words[1:]) == 0
            out = capsys.readouterr().out
            assert doctest.OutputChecker().check_output(expected, out, doctest.ELLIPSIS), out

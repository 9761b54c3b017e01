"""docs/howto/extend.md, run: every file and entry of the page, and every example of it.

The additions are written into a copy of the package, which replaces the package itself in separate
processes. Phase, family and study are tried once more as another package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "howto" / "extend.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(
    r"^`src/memorywall/([\w/.-]+)`:\n\n```(?:py|json)\n(.*?)^```", re.MULTILINE | re.DOTALL
)
ENTRY = re.compile(
    r"^`src/memorywall/([\w/.]+)`, at the end of `(\w+)`:\n\n```py\n(.*?)^```",
    re.MULTILINE | re.DOTALL,
)
FILES = dict(FILE.findall(PAGE))
SECTIONS = {
    part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
}
EXAMPLES = [
    (command, expected)
    for language, block in BLOCK.findall(PAGE)
    if language == "text"
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]
SETUP = "import memorywall as mw"


def blocks(section: str, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(SECTIONS[section]) if name == language]


@dataclass(frozen=True)
class Installed:
    """A memorywall with additions: the folders that Python finds it in."""

    paths: tuple[Path, ...]

    def run(self, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """Run Python with these folders before all others."""
        path = os.pathsep.join(str(folder) for folder in self.paths)
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=cwd,
            env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"},
        )  # fmt: skip

    def python(self, program: str) -> str:
        run = self.run("-c", program)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def memorywall(self, *words: str) -> str:
        run = self.run("-m", "memorywall", *words)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def refusal(self, *words: str) -> str:
        run = self.run("-m", "memorywall", *words)
        assert (run.returncode, run.stdout) == (2, "")
        return run.stderr

    def examples(self, text: str) -> None:
        """Run the examples of a page as doctest does; the process reports each that fails."""
        program = (
            "import doctest, sys\n"
            "test = doctest.DocTestParser().get_doctest(sys.argv[1], {}, 'page', 'page', 0)\n"
            "runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)\n"
            "result = runner.run(test)\n"
            "sys.exit(result.failed or not result.attempted)\n"
        )
        run = self.run("-c", program, text)
        assert run.returncode == 0, run.stdout + run.stderr

    def battery(self, file: str, cases: str) -> int:
        """Run the tests of a file whose names match, and return how many passed."""
        words = ("-q", "-p", "no:cacheprovider", file, "-k", cases)
        run = self.run("-m", "pytest", *words)
        assert run.returncode == 0, run.stdout + run.stderr
        found = re.search(r"(\d+) passed", run.stdout)
        assert found is not None
        return int(found[1])


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A copy of the package with all that the page adds."""
    source = tmp_path_factory.mktemp("extended")
    package = source / "memorywall"
    shutil.copytree(ROOT / "src" / "memorywall", package, ignore=shutil.ignore_patterns("*.pyc"))
    for name, text in FILES.items():
        place = package / name
        assert not place.exists()
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="utf-8")
    for name, table, entry in ENTRY.findall(PAGE):
        place = package / name
        place.write_text(with_entry(place.read_text("utf-8"), table, entry), encoding="utf-8")
    imports = blocks("A new parameter", "py")[1]
    place = package / "core" / "parameters.py"
    before, future, rest = place.read_text("utf-8").partition("annotations\n")
    place.write_text(before + future + imports + rest, encoding="utf-8")
    return Installed((source, ROOT))


def with_entry(source: str, table: str, entry: str) -> str:
    """Return a file with one more entry at the end of a table."""
    start = re.search(rf"^{table}\b.*[({{]$", source, re.MULTILINE)
    assert start is not None
    end = re.compile(r"^ {4}\)$|^\)", re.MULTILINE).search(source, start.end())
    assert end is not None
    return source[: end.start()] + entry + source[end.start() :]


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package as it is, and another one whose entry points are those of the page."""
    folder = tmp_path_factory.mktemp("beside")
    points = tomllib.loads(blocks("In another package", "toml")[0])["project"]["entry-points"]
    lines = []
    for group, entries in points.items():
        lines.append(f"[{group}]")
        for name, target in entries.items():
            lines.append(f"{name} = {target}")
            package, _, module = target.partition(":")[0].partition(".")
            (folder / package).mkdir(exist_ok=True)
            (text,) = (FILES[key] for key in FILES if module in re.split(r"[/.]", key))
            (folder / package / f"{module}.py").write_text(text, encoding="utf-8")
    metadata = folder / "serving_phases-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: serving-phases\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return Installed((folder, ROOT / "src", ROOT))

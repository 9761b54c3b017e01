"""Check the words of memorywall: run by ``make lint``.

    python tools/words.py            report old idiom, with the plain form, and fail on a hit
    python tools/words.py --history  report commit subjects without an imperative verb

The table ``IDIOMS`` is the glossary. ``tools/reference.py`` prints it on the page
docs/reference/words.md. Python files are checked in docstrings, other strings, comments and the
names of tests; all other files are checked whole, with phrases that run over a line break.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIRST_COMMIT = "5f3f360"  # subjects up to this commit predate the rule
PYTHON = ("src", "tests", "tools", "benchmarks", "examples")
PLAIN = ("README.md", "Makefile", "changes/*.md", "docs/**/*.md", "results/*.md")
# Files that quote the old idiom.
LEFT_OUT = ("tools/words.py", "tests/tools/test_words.py", "docs/reference/words.md")


@dataclass(frozen=True)
class Idiom:
    """One phrase of the old idiom.

    Attributes:
        name: the phrase, as the glossary prints it.
        pattern: a regular expression without regard to case; a space matches any white space.
        instead: the plain form, as a hint.
    """

    name: str
    pattern: str
    instead: str

    @property
    def compiled(self) -> re.Pattern[str]:
        """The expression, with each space as any white space."""
        return re.compile(self.pattern.replace(" ", r"\s+"), re.IGNORECASE)


IDIOMS = (
    Idiom("said to be, said to hold", r"\bsaid to\b", "the output reports X; nominal"),
    Idiom("is said", r"\b(is|are|was|were|be|been) said\b", "is reported, is stated"),
    Idiom("what there is", r"\bwhat there is\b", "name the thing"),
    Idiom("bears on", r"\b(bears?|bore|bearing) (up)?on\b", "applies to, affects"),
    Idiom("heeds", r"\bheed(s|ed|ing)?\b", "supports, reads"),
    Idiom("told", r"\btold\b", "reported, passed, distinguished"),
    Idiom("tells whether", r"\btells?\b", "Return whether; reports, shows"),
    Idiom("so many", r"\bso many\b", "N, the number of, this many"),
    Idiom("anew", r"\banew\b", "again"),
    Idiom("no family reads", r"\bno family (reads?|knows?)\b", "without a built-in family"),
    Idiom("in words", r"\bin words\b", "as text"),
    Idiom("one's own", r"\bone's own\b", "custom, separate"),
    Idiom(
        "of its own, on its own",
        r"\b(of|on) (its|their|your|our|my) own\b",
        "custom, separate, its, alone",
    ),
    Idiom("likewise", r"\blikewise\b", "also, in the same way"),
    Idiom(
        "What ... as a subject",
        r"(?:\A|[.;:!] |\n\n\s*)(?-i:What) (?![^.?]*\?)(?!it does not do yet)",
        "name the thing: The tensors that ...",
    ),
    Idiom("nobody", r"(?<!~)\bnobody\b", "no user, not given; use the passive"),
    Idiom("but for", r"\bbut for\b", "except, except for"),
    Idiom("to come", r"\b(year|years|device|devices|one|that may) to come\b", "future"),
    Idiom(
        "is no ...",
        r"(?<!there\s)\b(is|are|was|were) no (?!longer|more|larger|wider|less)",
        "is not a",
    ),
    Idiom("whatever", r"\bwhatever\b", "any, every, regardless of"),
    Idiom("kin", r"\bkin\b", "similar"),
    Idiom("goes by", r"\bgo(es)? by\b", "follows, uses"),
    Idiom("stands for", r"\bstands? (for|beside|where|there|in|at)\b", "is, represents, replaces"),
    Idiom("looks at an image", r"\blook(s|ed|ing)? at\b", "processes, reads, attends to"),
    Idiom("mend", r"\bmend(s|ed|ing)?\b", "fix"),
    Idiom("turned away", r"\bturned away\b|\bto be had\b", "refused; available"),
)


@dataclass(frozen=True)
class Hit:
    """One phrase of the old idiom: where it is, and the plain form."""

    path: Path
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        place = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{place}:{self.line}: '{' '.join(self.found.split())}': write {self.instead}"


def main() -> int:
    """Print every hit, and return 1 if there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--history", action="store_true", help="check the commit subjects instead")
    if parser.parse_args().history:
        found = subjects_without_verb(subjects())
        print(*found, f"{len(found)} commit subjects without an imperative verb", sep="\n")
    else:
        found = [str(hit) for path in files() for hit in hits(path)]
        print(*found, f"{len(found)} phrases of the old idiom", sep="\n")
    return 1 if found else 0


def files(root: Path = ROOT) -> list[Path]:
    """Return every file that is checked, except those that quote the old idiom."""
    python = (path for folder in PYTHON for path in (root / folder).rglob("*.py"))
    plain = (path for pattern in PLAIN for path in root.glob(pattern))
    left_out = {root / name for name in LEFT_OUT}
    return sorted(path for path in {*python, *plain} if path not in left_out)


def hits(path: Path) -> list[Hit]:
    """Return the old idiom in one file, by line."""
    text = path.read_text(encoding="utf-8")
    passages = python_passages(text) if path.suffix == ".py" else [(1, text)]
    found = []
    for first, passage in passages:
        for idiom in IDIOMS:
            for match in idiom.compiled.finditer(passage):
                start = match.end() - len(match[0].lstrip(".;:! \n"))
                line = first + passage.count("\n", 0, start)
                found.append(Hit(path, line, match[0].strip(".;:! \n"), idiom.instead))
    return sorted(found, key=lambda hit: hit.line)


def python_passages(source: str) -> list[tuple[int, str]]:
    """Return what people read in a Python file: strings, runs of comments and names of tests.

    Args:
        source: the text of the file.

    Returns:
        The first line and the text of each passage, by line. A string that is written in several
        parts is one passage; lines of comments that follow each other are one as well.
    """
    tree = ast.parse(source)
    inner = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    found = list(_comments(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            found.append((node.lineno, node.value))
        elif isinstance(node, ast.JoinedStr):
            parts = (str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
            found.append((node.lineno, "".join(parts)))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.startswith("test"):
            found.append((node.lineno, node.name.replace("_", " ")))
    return sorted(found)


def _comments(source: str) -> Iterator[tuple[int, str]]:
    first, last, lines = 0, 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1 and lines:
            yield first, "\n".join(lines)
            lines = []
        if not lines:
            first = token.start[0]
        last = token.start[0]
        lines.append(token.string.lstrip("#: "))
    if lines:
        yield first, "\n".join(lines)


def glossary() -> list[tuple[str, str]]:
    """Return the phrases and their plain forms, for the reference page."""
    return [(idiom.name, idiom.instead) for idiom in IDIOMS]


def subjects(since: str = FIRST_COMMIT) -> list[str]:
    """Return the subjects of all commits after one, without merges, the newest first."""
    command = ["git", "log", "--no-merges", "--format=%s", f"{since}..HEAD"]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
    return run.stdout.splitlines()


def subjects_without_verb(lines: list[str]) -> list[str]:
    """Return the subjects whose first word is not a verb of the list ``VERBS``."""
    return [line for line in lines if line.partition(" ")[0] not in VERBS]


_VERBS = """
    Accept Add Adopt Align Allow Answer Apply Ask Attach Avoid Bound Build Bump Cache Carry Check
    Choose Clarify Collapse Compare Compute Connect Convert Correct Count Cover Cut Declare Default
    Define Delete Derive Describe Disable Distinguish Document Draw Drop Enable Expand Explain
    Export Express Extend Extract Fill Fix Fold Follow Format Generalise Generate Give Group Guard
    Handle Head Hide Hold
    Ignore Implement Import Improve Infer Inline Install Interpolate Introduce Join Keep Label Lay
    Limit Link List Load Log Look Lower Make Mark Match Measure Memoise Merge Move Name Normalise
    Order Parse Pass Pin Place Plan Plot Port Predict Price Print Propagate Prove Publish Put
    Raise Read Recompute Record Reduce Refer Refuse Reject Release Remove Rename Reorder Replace
    Replay Report Require Reset Resolve Restore Restrict Return Reuse Revert Rewrite Round Run Say
    Select Separate Serve Set Settle Share Shorten Show Simplify Skip Sort Speed Split Standardise
    State Stop Store Streamline Sum Support Switch Take Test Tighten Time Trace Translate Try
    Tune Turn Type Unify Update Upgrade Use Validate Verify Warn Widen Wrap Write
"""
VERBS = frozenset(_VERBS.split())

if __name__ == "__main__":
    sys.exit(main())

"""docs/howto/extend.md, run: every file and entry of the page, and every example of it.

The additions are written into a copy of the package, which separate processes import in its place.
Phase, family and study are tried once more as another package.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
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
    inside = " " * (8 if end[0].startswith(" ") else 4)
    added = textwrap.indent(entry.rstrip(), inside) + ",\n"
    return source[: end.start()] + added + source[end.start() :]


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


# The page.


def test_every_block_of_code_on_the_page_is_run() -> None:
    assert list(FILES) == [
        "phases/resume.py", "families/pebble.py", "catalog/configs/pebble-160k.json",
        "studies/balanced_batch/__init__.py",
    ]  # fmt: skip
    assert [table for _, table, _ in ENTRY.findall(PAGE)] == ["ANALYSIS", "PARAMETERS"]
    languages = [language for language, _ in BLOCK.findall(PAGE)]
    # Three files of Python, two entries, the imports of one of them, and a test file.
    assert languages.count("py") == 3 + 2 + 1 + 1
    assert set(languages) == {"py", "json", "toml", "text", "pycon"}
    assert len(EXAMPLES) == 7
    assert len(SECTIONS) == 6


@pytest.mark.parametrize(("command", "expected"), EXAMPLES, ids=[one for one, _ in EXAMPLES])
def test_the_commands_of_the_page(extended: Installed, command: str, expected: str) -> None:
    program, *words = shlex.split(command)
    assert program == "memorywall"
    out = extended.memorywall(*words)
    assert doctest.OutputChecker().check_output(expected, out, doctest.ELLIPSIS), out
    assert max(map(len, out.splitlines())) <= 80


def test_the_python_of_the_page(extended: Installed) -> None:
    assert extended.python("import memorywall; print(memorywall.__file__)").startswith(
        str(extended.paths[0])
    )
    extended.examples("\n".join(text for name, text in BLOCK.findall(PAGE) if name == "pycon"))


# The tables of what appears.


def test_what_appears_in_help(extended: Installed) -> None:
    shown = " ".join(extended.memorywall("analyze", "--help").split())
    assert "decode|denoise|encode|generate|prefill|resume|serve|train" in shown
    assert (
        "--cache-limit N[k|M] Positions that the KV cache keeps; older ones are dropped "
        "(StreamingLLM). [requires a KV cache] [default: all]"
    ) in shown
    listed = " ".join(extended.memorywall("study", "--help").split())
    assert "balanced-batch At which batch does decode leave the memory roof?" in listed
    shown = " ".join(extended.memorywall("study", "balanced-batch", "--help").split())
    assert "memorywall study balanced-batch mistral-7b-v0.1 --seq 128" in shown
    assert "[default: 512]" in shown
    assert "example/pebble-160k" in extended.memorywall("models")


def test_what_the_shell_completes(extended: Installed) -> None:
    program = """if True:
        from click.shell_completion import ShellComplete
        from memorywall.app.cli import app
        shell = ShellComplete(app, {}, "memorywall", "_MEMORYWALL_COMPLETE")
        for words, start in (
            (["analyze", "gpt2", "--phase"], "decode,res"), (["analyze"], "pebb"),
            (["analyze", "gpt2"], "--cache-l"), (["study"], "bal"),
        ):
            found = shell.get_completions(words, start)
            print(*(item.value for item in found if item.type == "plain"))  # no files
    """
    assert extended.python(program).splitlines() == [
        "decode,resume", "pebble-160k", "--cache-limit", "balanced-batch",
    ]  # fmt: skip


def test_what_appears_in_the_reference(extended: Installed) -> None:
    program = """if True:
        import json, runpy
        print(json.dumps(runpy.run_path("tools/reference.py")["pages"]()))
    """
    pages = json.loads(extended.python(program))
    parameters = pages["parameters.md"].splitlines()
    assert "| `resume` | Decode steps for new_tokens tokens on a cache of seq_len positions. |" in (
        parameters
    )
    rows = {line.split("`")[1]: line for line in parameters if line.startswith("| [`")}
    assert rows["new_tokens"].endswith("| generate, resume |")
    assert rows["causal"].count("resume")  # of a model that attends within chunks
    assert "resume" not in rows["image_size"]
    assert rows["cache_limit"] == (
        "| [`cache_limit`](#cache_limit) | `--cache-limit` | whole number of positions | all | "
        "a KV cache | decode |"
    )
    assert "## cache_limit" in parameters
    assert "| `kv_cache_per_sequence` | byte | Keys and values of one sequence. |  |" in (
        pages["quantities.md"].splitlines()
    )
    assert "## balanced-batch" in pages["studies.md"].splitlines()
    assert "## memorywall study balanced-batch" in pages["command.md"].splitlines()
    assert "--cache-limit" in pages["command.md"]
    assert (
        "| example/pebble-160k | `pebble` | `PebbleForCausalLM` | 162,496 | 512 B |"
        in (
            pages["models.md"]  # keys and values of 2 layers, 64 elements of 2 bytes each
        )
    )


def test_what_a_quantity_is_part_of(extended: Installed) -> None:
    # Llama-3.1-8B keeps 2 x 32 x 8 x 128 x 2 B = 131,072 B for each position.
    program = """if True:
        import inspect
        import memorywall as mw
        from memorywall.core.quantities import Value
        words = {"on": "h100-sxm", "seq_len": [1024, 2048]}
        grid = mw.analyze("llama-3.1-8b", batch_size=4, **words)
        name = "kv_cache_per_sequence"
        print([point[name] for point in grid.points()])
        print(grid.to_frame()[name].tolist(), getattr(grid, name).tolist())
        print(inspect.getdoc(getattr(mw.Analysis, name)))
        one = mw.analyze("llama-3.1-8b", on="h100-sxm", seq_len=1024)
        print("<td>kv_cache_per_sequence</td><td>134 MB</td><td>counted</td>" in one._repr_html_())
        print("kv cache per sequence" in mw.analyze("gpt2", on="h100-sxm").__str__())
    """
    sizes = "[134217728.0, 268435456.0]"
    assert extended.python(program).splitlines() == [
        sizes, f"{sizes} {sizes}", "Keys and values of one sequence.", "True", "False",
    ]  # fmt: skip
    record = json.loads(extended.memorywall("analyze", "gpt2", "--on", "h100-sxm", "--json"))
    # GPT-2: 2 x 12 layers x 768 x 2 B at each of 2048 positions.
    assert record["kv_cache_per_sequence"] == 2 * 12 * 768 * 2 * 2048
    assert "kv cache per sequence" not in extended.memorywall(
        "analyze", "bert-base-uncased", "--on", "h100-sxm"
    )


def test_where_a_parameter_is_refused(extended: Installed) -> None:
    for words, said in (
        (["bert-base-uncased"], "cache_limit requires a KV cache, which bert-base-uncased does"),
        (["gpt2", "--phase", "prefill"], "cache_limit has no effect on gpt2 in phase prefill"),
        (["gpt2", "--phase", "resume"], "cache_limit has no effect on gpt2 in phase resume"),
    ):
        command = ("analyze", *words, "--on", "h100-sxm", "--cache-limit", "4096")
        assert said in extended.refusal(*command)
    program = """if True:
        import memorywall as mw
        from dataclasses import replace
        from memorywall.core.parameters import Adjustments
        for value in (0, 1.5, [1, 2], "1,2", "many"):
            try:
                mw.analyze("gpt2", on="h100-sxm", cache_limit=value)
            except mw.MemoryWallError as error:
                print(error.message.partition(" must be")[0])
        asked = mw.analyze("gpt2", on="h100-sxm", cache_limit="1k").scenario
        assert asked == replace(
            mw.analyze("gpt2", on="h100-sxm").scenario,
            adjustments=Adjustments((("cache_limit", 1024),)),
        )
        llama = mw.analyze_scenario(replace(asked, model=mw.model("llama-3.1-8b")))
        assert llama.to_dict() == mw.analyze(
            "llama-3.1-8b", on="h100-sxm", cache_limit=1024
        ).to_dict()
        assert llama.seq_len == 1024
        grid = mw.analyze("gpt2", on="h100-sxm", seq_len=[512, 2048], cache_limit=1024)
        assert grid.seq_len.tolist() == [512, 1024]
    """
    assert extended.python(program).splitlines() == ["cache_limit"] * 5


def test_the_contracts_of_the_additions(extended: Installed) -> None:
    # The tests of the repository, on the package with its additions.
    family = extended.battery("tests/families/test_contract.py", "pebble")
    study = extended.battery("tests/studies/test_contract.py", "balanced-batch")
    assert family >= 14
    assert study >= 5


@pytest.mark.slow
def test_the_table_of_parameters_with_one_more(extended: Installed) -> None:
    # Each parameter in each phase, with the phase and the parameter of the page among them.
    cases = "not agree and not honoured or agree and (gpt2 or mamba) or honoured and (gpt2 or bert)"
    assert extended.battery("tests/answer/test_settle.py", cases) > 10
    assert extended.battery("tests/core/test_quantities.py", "test") > 10


# In another package.


def test_another_package_adds_a_phase_a_family_and_a_study(beside: Installed) -> None:
    path = beside.python("import memorywall; print(memorywall.__file__)").strip()
    assert Path(path) == ROOT / "src" / "memorywall" / "__init__.py"
    for section in ("A new phase", "A new family", "A new study"):
        beside.examples("\n".join((">>> import memorywall as mw", *blocks(section, "pycon"))))
    assert "resume" in beside.memorywall("analyze", "--help")
    assert "balanced-batch" in beside.memorywall("study", "--help")
    record = json.loads(beside.memorywall("study", "balanced-batch", "llama-3.1-70b", "--json"))
    assert record["schema"] == "memorywall.study.balanced-batch/1"
    # The step of the page; test_the_python_of_the_page compares such a batch with its neighbour.
    assert record["models"] == [{"model": "meta-llama/Llama-3.1-70B", "batch": 314}]


def test_a_config_of_another_package_by_its_path(beside: Installed, tmp_path: Path) -> None:
    config = json.loads(FILES["catalog/configs/pebble-160k.json"])["config"]
    place = tmp_path / "config.json"
    place.write_text(json.dumps(config), encoding="utf-8")
    command = ("analyze", str(place), "--on", "h100-sxm", "--phase", "resume", "--json")
    record = json.loads(beside.memorywall(*command))
    assert (record["parameters"], record["phase"], record["new_tokens"]) == (162_496, "resume", 128)


def test_the_contract_of_a_family_in_another_package(beside: Installed) -> None:
    file = beside.paths[0] / "test_pebble.py"
    file.write_text(blocks("In another package", "py")[0], encoding="utf-8")
    words = ("-c", str(ROOT / "pyproject.toml"), "-q", "-p", "no:cacheprovider", str(file))
    run = beside.run("-m", "pytest", *words, "-k", "not published")
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.search(r"(\d+) passed", run.stdout)
    assert found is not None
    assert int(found[1]) >= 14

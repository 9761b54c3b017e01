"""How the command ends: output that cannot be written, interruptions, text that steers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import memorywall.app.cli.hardware as listing
from memorywall.app.cli import main
from memorywall.core.errors import visible
from memorywall.report.json_records import to_json

Captured = pytest.CaptureFixture[str]
ASK = ["analyze", "gpt2", "--on", "h100-sxm"]
HOSTILE = "\x1b[31mred\x1b[0m \u202eback\x07"
COMMAND = [sys.executable, "-m", "memorywall"]


@pytest.mark.parametrize("words", [ASK, [*ASK, "--json"], ["hardware"], ["--help"]])
def test_output_that_cannot_be_written(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 2
    said = "memorywall: standard output cannot be written: No space left on device.\n"
    assert ended.stderr == said


@pytest.mark.parametrize("words", [["--help"], ["trace", "--help"], ["study", "--help"]])
def test_help_without_docstrings(words: list[str]) -> None:
    shown = [
        subprocess.run(
            [sys.executable, *flags, "-m", "memorywall", *words],
            capture_output=True, text=True, check=True,
        ).stdout
        for flags in ([], ["-OO"])
    ]  # fmt: skip
    assert shown[0] == shown[1]
    assert shown[0].count("\n") > 5


def test_closed_output() -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *COMMAND, *ASK],
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("memorywall: standard output is closed.")


def test_a_reader_that_leaves() -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", '"$@" | head -1', "sh", *COMMAND, "hardware"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.stdout.count("\n") == 1


def test_an_interruption(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "show_devices", interrupted)
    assert main(["hardware"]) == 130
    assert capsys.readouterr().err.strip() == "memorywall: interrupted"


def test_an_interruption_of_a_measurement(tmp_path: Path) -> None:
    place = {**os.environ, "MEMORYWALL_DATA": str(tmp_path)}
    words = [*COMMAND, "measure", "--brief"]
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=place
    ) as running:
        time.sleep(1.5)  # it takes ten seconds and more
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=20)[1]
    assert running.returncode == 130
    assert "Traceback" not in said


def test_texts_do_not_steer_a_terminal(capsys: Captured, tmp_path: Path) -> None:
    place = tmp_path / f"{HOSTILE}.toml"
    assert main(["hardware", "m1", "--toml"]) == 0
    place.write_text(capsys.readouterr().out, encoding="utf-8")
    config = tmp_path / f"{HOSTILE}.json"
    config.write_text('{"model_type": "\\u001b[2J\\u202e"}', encoding="utf-8")
    for words, code in (
        (["analyze", "gpt2", "--on", str(place)], 0),
        (["analyze", "gpt2", "--on", str(place), "--json"], 0),
        (["hardware", str(place)], 0),
        (["hardware", str(place), "--json"], 0),
        (["analyze", str(config), "--on", "m1"], 2),
        (["analyze", HOSTILE, "--on", "m1"], 2),
        (["analyze", "gpt2", "--on", HOSTILE], 2),
        ([HOSTILE], 2),
        (["analyze", "gpt2", "--phase", HOSTILE, "--on", "m1"], 2),
    ):
        assert main(words) == code, words
        out, err = capsys.readouterr()
        for text in (out, err):
            assert not set(text) & set("\x1b\u202e\x07"), words


def test_visible_text() -> None:
    assert visible("a b\nc\tü 字") == "a b\nc\tü 字"
    assert visible("\x1b[31m\u202e\x9b\u2066") == "?[31m???"
    # JSON keeps them as escapes, so that the record is read back as it was.
    text = to_json({"name": HOSTILE + "字\x9b"})
    assert json.loads(text) == {"name": HOSTILE + "字\x9b"}
    assert "字" in text
    assert "\\u202e" in text
    assert "\\u009b" in text


@pytest.fixture
def silent() -> Iterator[int]:
    """A port of this machine that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def hub_says(port: int, tmp_path: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    place = {
        **os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "0",
    }  # fmt: skip
    begun = time.monotonic()
    ended = subprocess.run(
        [*COMMAND, "analyze", "some/model", "--on", "m1"],
        capture_output=True, text=True, check=False, env=place,
    )  # fmt: skip
    return time.monotonic() - begun, ended


def test_a_hub_that_is_not_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    seconds, ended = hub_says(port, tmp_path)  # closed again: connections are refused
    assert ended.returncode == 2
    assert "the hub cannot be reached" in ended.stderr
    assert "Retrying" not in ended.stderr
    assert seconds < 5  # one request: half a second on a quiet machine, 23 with retries


@pytest.mark.slow
def test_a_hub_that_does_not_answer(tmp_path: Path, silent: int) -> None:
    seconds, ended = hub_says(silent, tmp_path)
    assert ended.returncode == 2
    assert "the hub cannot be reached" in ended.stderr
    assert 1.5 <= seconds < 6  # twice 1.5 s of patience, and the start


def test_places_are_checked_before_the_work(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "a file"
    wrong.touch()
    monkeypatch.setenv("MEMORYWALL_DATA", str(wrong / "folder"))
    monkeypatch.setattr("memorywall.answer.measure.measure_machine", None)  # would fail if called
    monkeypatch.setattr("memorywall.answer.measure.measure_briefly", None)
    monkeypatch.setattr("memorywall.answer.profile.profile", None)
    monkeypatch.setattr("memorywall.core.study.Study.ask", None)
    figure = str(wrong / "a.svg")
    for words, said in (
        (["measure", "--quick"], "cannot be written: Not a directory"),
        (["measure", "--brief"], "cannot be written: Not a directory"),
        (["profile", "gpt2", "--figure", figure], "cannot be written"),
        (["profile", "gpt2", "--figure", "a.jpg"], "cannot draw a '.jpg'"),
        (["study", "memory", "--figure", "a.jpg"], "cannot draw a '.jpg'"),
        (["study", "wall", "--figure", figure], "cannot be written"),
    ):
        assert main(words) == 2, words
        assert said in capsys.readouterr().err

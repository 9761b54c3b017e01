"""The command ``trends``: records, custom series, figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import memorywall as mw
from memorywall.app.cli import main
from memorywall.studies.trends.figure import PAPER_FIGURES

Captured = pytest.CaptureFixture[str]


def test_json_is_the_librarys(capsys: Captured) -> None:
    assert main(["trends", "bandwidth", "ridge", "--from", "2017", "--dtype", "fp8", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    growths = mw.fit_trends(["bandwidth", "ridge"], since=2017, dtype="fp8")
    assert [fit["series"] for fit in record["fits"]] == ["bandwidth", "ridge-fp8"]
    for fit, growth in zip(record["fits"], growths, strict=True):
        assert fit["per_2_years"] == growth.per_2_years.middle
        assert fit["low"] < fit["per_2_years"] < fit["high"]
        assert fit["n"] == len(growth.series.points) == len(fit["without"])
        assert fit["predicted"]["year"] == 2030
        assert fit["first"] >= "2017"


def test_a_person_reads_the_verdict_first(capsys: Captured) -> None:
    assert main(["trends"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Every two years peak fp16 grew 2.16x (1.84 to 2.53)")
    text = "\n".join(lines)
    for word in (
        "80 %",
        "without",
        "growth changed",
        "devices-to-hold",
        "dram-latency",
        "Epoch AI",
    ):
        assert word in text


def test_a_series_of_ones_own(capsys: Captured, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("date,value,name\n2000,1,a\n2002-01-01,2,b\n2004,4,c\n2006,8,d\n")
    assert main(["trends", str(mine), "--json"]) == 0
    (fit,) = json.loads(capsys.readouterr().out)["fits"]
    assert (fit["series"], fit["n"]) == ("mine", 4)
    assert fit["per_2_years"] == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date,value\n2000,1\n2001,2\n", "2 points; a trend with an error requires three"),
        ("date,value\n2000,1\n2000,2\n2000,3\n", "all points are of one date"),
        ("date,value\n2000,1\n2001,0\n2002,3\n", "is 0, which has no logarithm"),
        ("date,value\n2000,1\n2001,-5\n2002,3\n", "is -5, which has no logarithm"),
        ("date,value\n2000,1\n2001,\n2002,3\n", "of 2001-01-01 is missing"),
        ("date,value\n2000,1\n2001,x\n", "row 3 must be a date such as"),
        ("when,value\n2000,1\n", "no rows with the columns"),
        ("", "no rows with the columns"),
    ],
)
def test_a_file_that_is_not_a_series_says_why(
    capsys: Captured, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert main(["trends", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_figures(capsys: Captured, tmp_path: Path) -> None:
    modern = tmp_path / "modern.svg"
    assert main(["trends", "bandwidth", "capacity", "--figure", str(modern)]) == 0
    assert "Drawn:" in capsys.readouterr().out
    text = modern.read_text()
    for word in ("memory bandwidth", "byte/s", "x every 2 years", "80 % of new points"):
        assert word in text
    said = {
        "fig1": ("R10000", "NVLink 4.0", "64,313x / 20 yrs (3.03x / 2 yrs)", "over the first"),
        "fig2a": ("GPT-3", "A100-80 (80GB)", "413x / 2 yrs", "parameters, billions"),
        "fig2b": ("AlexNet", "755x / 2 yrs", "Moore", "PFLOP"),
        "fig4": ("BERT Large", "optimizer states", "memory, GB", "memory of a GPU"),
    }
    for name in PAPER_FIGURES:
        path = tmp_path / f"{name}.svg"
        assert main(["trends", "paper-dram", "--draw", name, "--figure", str(path)]) == 0
        drawn = path.read_text()
        for word in said[name]:
            assert word in drawn


def test_without_the_extra(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.regression", None)
    assert main(["trends", "bandwidth"]) == 2
    err = capsys.readouterr().err
    assert "requires statsmodels, which is not installed" in err
    assert "memorywall[trends]" in err


def test_a_forecast_on_the_command(capsys: Captured) -> None:
    assert main(["analyze", "llama-3.1-8b", "--on", "forecast:2030", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["latency_low_s"] < record["latency_s"] < record["latency_high_s"]
    assert main(["hardware", "forecast:2030"]) == 0
    assert "80 % of devices between" in capsys.readouterr().out
    assert main(["hardware", "forecast:2030", "--toml"]) == 2
    assert "has no file" in capsys.readouterr().err


def test_statistics_are_imported_when_they_are_used() -> None:
    import subprocess

    code = (
        "import sys, memorywall as mw; mw.analyze('gpt2', on='h100-sxm'); "
        "print([m for m in ('scipy', 'statsmodels', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"

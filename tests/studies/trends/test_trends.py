"""The study of trends: printed, recomputed and refitted, and how lines fared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memorywall.app.cli import main
from memorywall.studies.trends import computation as study
from memorywall.trends.coverage import within

Captured = pytest.CaptureFixture[str]
KEYS = ("series", "source", "n", "per_2_years", "low", "high", "published")


def test_json_puts_them_side_by_side(capsys: Captured) -> None:
    assert main(["study", "trends", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    fits = record["fits"]
    assert all(key in fit for fit in fits for key in KEYS)
    for series in ("flops", "dram", "interconnect", "transformer-size", "training-compute"):
        sources = [fit["source"] for fit in fits if fit["series"] == series]
        assert sources == ["paper", "paper continued", "today", "blog"]
    printed = {
        (fit["series"], fit["source"]): (fit["published"], fit["published_20"], fit["per_2_years"])
        for fit in fits
        if fit["published"] is not None
    }
    assert len(printed) == 12
    assert printed["flops", "paper"] == (3.0, 60_000, pytest.approx(3.0257, rel=5e-5))
    assert printed["training-compute", "blog"] == (15, None, pytest.approx(14.787, rel=5e-5))
    assert len(record["coverage"]) >= 20
    assert any("one lane" in text for text in record["peculiar"])


def test_refits_reach_today() -> None:
    for row in study.compare():
        last = max(point.date.year for point in row.growth.series.points)
        assert (last >= 2025) == (row.source in ("today", "paper continued"))


def test_what_is_off_has_its_reason() -> None:
    rows = study.tested()
    assert {row.until for row in rows} == {2018, 2020, 2022}
    for row in rows:
        assert set(row.covered) == {0.8, 0.95}
        assert bool(row.reason) == (not within(row))
        assert row.reason != "none found"


def test_text_and_figures(capsys: Captured, tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    assert main(["study", "trends", "--figures", str(folder)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("All 12 printed rates follow from the points that were drawn")
    for word in ("3.0257", "1.5915", "1.4151", "413.13", "1.863", "755.04", "240.93", "14.787",
                 "64,313", "GB divided by 6", "Out of sample", "a break"):  # fmt: skip
        assert word in out
    names = {path.name for path in folder.iterdir()}
    assert names == {"fig1.svg", "fig2a.svg", "fig2b.svg", "fig4.svg", "today.svg"}

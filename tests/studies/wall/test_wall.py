"""The argument of 1995: by hand, and with measured latencies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorywall.app.cli import main
from memorywall.core.errors import InvalidInputError
from memorywall.studies.wall import computation as wall

Captured = pytest.CaptureFixture[str]


def test_eighty_percent_is_bound_beyond_five_cycles() -> None:
    # The paper: 80 % in the cache, 20 % from DRAM: wholly bound where 0.2 x t > 1.
    assert wall.bound_beyond(0.8) == pytest.approx(5)
    assert wall.hit_needed(5) == pytest.approx(0.8)
    assert wall.hit_needed(0.5) == 0  # faster than a cycle: never


def test_average_access_by_hand() -> None:
    # 0.9 x 4 + 0.1 x 400 = 43.6 cycles.
    assert wall.average_access(0.9, 4, 400) == pytest.approx(43.6)
    # EPYC 7742: 122 ns at 3.4 GHz are 414.8 cycles.
    (machine,) = (m for m in wall.machines() if m.name == "AMD EPYC 7742")
    assert machine.dram_cycles == pytest.approx(414.8)


def test_what_1995_foresaw() -> None:
    # 4 cycles x (1.80 / 1.07)^5 = 53.9 in 2000: 0.99 + 0.539 = 1.53; then 8.25 and 98.8.
    for year, printed in wall.NOTE_PRINTED.items():
        assert wall.projected(year)[1] == pytest.approx(printed, rel=0.007)
    # (5 - 0.99) / 0.01 = 401 cycles: ln(100.25) / ln(1.6822) = 8.86 years.
    assert wall.year_of_wall() == pytest.approx(1995 + 8.86, abs=0.01)


@given(cache=st.floats(0.5, 4.9), dram=st.floats(6, 1000))
def test_the_hit_rate_of_the_wall_is_where_an_access_takes_five_cycles(
    cache: float, dram: float
) -> None:
    hit = wall.hit_of_wall(cache, dram)
    assert wall.average_access(hit, cache, dram) == pytest.approx(5)


def test_where_there_is_no_such_hit_rate() -> None:
    assert wall.hit_of_wall(1, 4) == 0  # DRAM within the pace
    assert wall.hit_of_wall(6, 400) == 1  # the cache alone is slower
    for hit in (1.0, -0.1):
        with pytest.raises(InvalidInputError, match="hit rate"):
            wall.bound_beyond(hit)


def test_command(capsys: Captured, tmp_path: Path) -> None:
    figure = tmp_path / "wall.svg"
    words = ["--dram-latency", "100 ns", "--clock", "3GHz", "--hit", "0.8", "--figure", str(figure)]
    assert main(["study", "wall", *words, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    mine = record["machines"][-1]
    assert mine["dram_cycles"] == pytest.approx(300)
    assert mine["average_access_cycles"] == {"0.8": pytest.approx(0.8 * 4 + 0.2 * 300)}
    assert mine["hit_needed"] == pytest.approx(1 - 1 / 300)
    assert [fit["series"] for fit in record["fits"]][:2] == ["dram-latency", "dram-pin"]
    drawn = figure.read_text()
    for word in ("average access, cycles", "share of accesses that miss", "AMD EPYC 7742"):
        assert word in drawn
    assert main(["study", "wall"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "wholly bound by DRAM once a fetch takes more than 5 cycles" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dram-latency", "100ns"], "--dram-latency requires --clock"),
        (["--hit", "1"], "hit rate"),
        (["--dram-latency", "-1 ns", "--clock", "3 GHz"], "--dram-latency must be a positive"),
        (["--dram-latency", "100", "--clock", "3 GHz"], "a positive quantity in s"),
        (["--hit", "high"], "--hit must be a number, got 'high'"),
        (["--cache-cycles", "5"], "--cache-cycles requires --dram-latency"),
    ],
)
def test_bad_words(capsys: Captured, words: list[str], said: str) -> None:
    assert main(["study", "wall", *words]) == 2
    assert said in capsys.readouterr().err

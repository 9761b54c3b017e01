"""The paper's case study: every printed number, the slip, the figure."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from memorywall.app.cli import main
from memorywall.core.comparison import AGREES, EXPLAINED, UNDEFINED, WITHIN, half_unit, judge
from memorywall.studies.paper import computation as paper

CELLS = paper.compare()

# The misprints of the survey, and two of its roundings.
EXCEPTIONS = {
    ("Table 3", "BERT-Base", 128, "MHA (act-to-act)", "GMOPs"),
    ("Table 10", "BERT-Base with 4 heads", 128, "Total", "GMOPs"),
    ("Table 11", "GPT-2", 128, "MHA (act-to-act)", "GFLOPs"),
    ("Table 11", "GPT-2", 512, "MHA (act-to-act)", "FLOP/B"),
    ("Figs 4-6", "BERT-Base", 2048, "Total", "GMOPs"),
}


def test_all_189_numbers_are_compared() -> None:
    # 45 rows of Tables 3, 10 and 11 and 18 points of Figs 4-6, three numbers each.
    assert len(CELLS) == (45 + 18) * 3 == 189
    # BERT-Large is in the figures only, six lengths of three numbers.
    assert sum(cell.ours_as_configured is not None for cell in CELLS) == 18
    assert len({(c.table, c.model, c.seq_len, c.operator, c.quantity) for c in CELLS}) == 189


def test_every_number_agrees_or_has_its_reason() -> None:
    outside = set()
    for cell in CELLS:
        near = abs(cell.ours - float(cell.published)) <= half_unit(cell.published) * (1 + 1e-9)
        if near or abs(cell.deviation) <= 0.015:
            assert cell.verdict in (AGREES, WITHIN)
        elif cell.operator == "Other":
            assert cell.verdict == UNDEFINED
        else:
            assert cell.verdict == EXPLAINED
            assert cell.reason
            outside.add((cell.table, cell.model, cell.seq_len, cell.operator, cell.quantity))
    assert outside == EXCEPTIONS


def test_first_principles_by_hand() -> None:
    # BERT-Base, N 12, d 768, h 12, f 3072, at l = 512, a byte an element; biases 9 d + f a layer
    # are read with the projections, which the survey leaves out.
    n, d, h, f, length = 12, 768, 12, 3072, 512
    work = paper.works("BERT-Base", length)
    projections, scores, ffn = (
        work[name] for name in ("MHA (projections)", "MHA (act-to-act)", "FFN (projections)")
    )
    assert projections.flops == 8 * n * d * d * length
    assert projections.moved_bytes == 4 * n * (d * d + 2 * d * length + d)
    assert scores.flops == 4 * n * d * length**2
    assert scores.moved_bytes == 2 * n * (2 * length * d + h * length**2)
    assert ffn.flops == 4 * n * d * f * length
    assert ffn.moved_bytes == 2 * n * (d * f + length * (d + f)) + n * (d + f)
    # Softmax reads and writes every score, GELU every inner element, two norms every element with
    # their gain and bias, two additions read two and write one.
    per_token = 2 * 4 * d + 2 * 2 * d + 2 * 3 * d
    assert work["Other"].moved_bytes == n * (2 * h * length**2 + per_token * length + 4 * d)


def test_the_slip_of_bert_large() -> None:
    # One of its two feed-forward products 768 in place of 1024 wide: 2 x 24 x 4096 x 256 x l less.
    slip, configured = (
        paper.works("BERT-Large", 128, slip=slip)["Total"] for slip in (True, False)
    )
    assert configured.flops - slip.flops == 2 * 24 * 4096 * 256 * 128
    assert float(slip.flops) / 1e9 == pytest.approx(73, abs=0.5)  # as printed
    assert float(configured.flops) / 1e9 == pytest.approx(79.12, rel=0.001)


def test_latency_keeps_the_papers_order() -> None:
    curves = {c.model: c for c in paper.curves() if c.quantity == "latency"}
    assert curves["BERT-Base"].ours[0] == 1
    for first, second, third in zip(
        *(curves[model].ours for model in ("BERT-Base", "BERT-Large", "GPT-2")), strict=True
    ):
        assert first < second < third
    # The survey measured within half and twice of what a data sheet alone predicts.
    for curve in curves.values():
        ratios = [p / o for p, o in zip(curve.published, curve.ours, strict=True)]
        assert all(0.5 < ratio < 2 for ratio in ratios)


def test_roofs() -> None:
    xeon, h100 = paper.roofs([1, 64], ["xeon-gold-6242", "h100-sxm"])
    assert xeon.dtype == "fp32"
    assert xeon.waiting[0] > 0.99 > xeon.waiting[1]
    assert xeon.leaves_at is not None
    assert 1 < xeon.leaves_at <= 64
    # A token's cache costs 2 x 12 x 768 x 2 bytes x S / 3.35e12 s on an H100, its products
    # 2 x 123.5e6 / 989e12 s: beyond S = 23 the cache takes longer however large the batch.
    assert h100.leaves_at is None
    assert 10 < h100.longest_leaving < 23


def test_judging() -> None:
    assert half_unit("7.25") == 0.005
    assert half_unit("2") == 0.5
    assert judge("7.25", 7.2549, 0) == AGREES
    assert judge("7.25", 7.3, 0.01) == WITHIN
    assert judge("7.25", 7.4, 0.01) == "differs"


def test_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    paths = [tmp_path / f"figure{suffix}" for suffix in (".svg", ".png", ".pdf")]
    figures = [word for path in paths for word in ("--figure", str(path))]
    assert main(["study", "paper", "--json", "--batch", "1,4", *figures]) == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["cells"]) == 189
    assert set(record["cells"][0]) == {
        "table", "model", "seq_len", "operator", "quantity", "printed", "published", "ours",
        "deviation", "verdict", "reason", "ours_as_configured",
    }  # fmt: skip
    assert Counter(cell["verdict"] for cell in record["cells"])[EXPLAINED] == len(EXCEPTIONS)
    assert [batch["batch_size"] for batch in record["batch"]] == [[1, 4]] * 10
    heads = [path.read_bytes()[:5] for path in paths]
    assert heads == [b"<?xml", b"\x89PNG\r", b"%PDF-"]
    svg = paths[0].read_text()
    for label in ("GFLOP", "GB moved", "FLOP per byte", "times BERT-Base at 128", "tokens"):
        assert label in svg
    assert not list(tmp_path.glob(".*"))  # nothing half-written is left


def test_text_and_a_figure_that_cannot_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", "paper", "--full", "--figure", "study-paper.svg"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Of 189 printed counts")
    assert "Drawn:" in out
    assert (tmp_path / "study-paper.svg").exists()
    assert main(["study", "paper", "--figure", "figure.gif"]) == 2
    assert "cannot draw a '.gif'" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["study", "paper", "--figure", "file/figure.svg"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_five_lines_and_no_file_unasked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", "paper"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6  # five of the study, and how to see the rest
    assert lines[0].startswith("Of 189 printed counts")
    undefined = sum(cell.verdict == UNDEFINED for cell in CELLS)
    assert lines[1].startswith(f"{len(EXCEPTIONS)} are exceptions with a reason, {undefined} are")
    # The figure's first points: FLOPs alike, 37 and 45 times the latency of BERT-Base.
    assert "1.0 times the FLOPs" in lines[2]
    assert lines[3].startswith("37 times the time by a data sheet, 45 times on the survey's Xeon")
    assert all(len(line) <= 77 for line in lines)  # the demo indents them by three
    assert list(tmp_path.iterdir()) == []

"""Collectives between real processes, on buffers of next to nothing; no time is asserted."""

from __future__ import annotations

from memorywall.bench import ranks


def test_bytes_that_a_rank_must_send() -> None:
    # Of 4 ranks and 100 bytes: a ring all-reduce sends 2 x 100 x 3/4, the others 100 x 3/4; there
    # and back is twice 100.
    assert ranks.sent_bytes("all_reduce", 100, 4) == 150
    assert ranks.sent_bytes("all_gather", 100, 4) == 75
    assert ranks.sent_bytes("all_to_all", 100, 4) == 75
    assert ranks.sent_bytes("point_to_point", 100, 4) == 200


def test_two_processes_run_every_collective() -> None:
    plan = [{**case, "nbytes": 1024, "budget_s": 0.0} for case in ranks.collectives(quick=True)]
    found = [answer for _, answer in ranks.answers(plan[::3], 2, "cpu")]
    assert [a["measurement"]["function"] for a in found] == list(ranks.FUNCTIONS)
    for answer in found:
        measurement = answer["measurement"]
        assert len(measurement["seconds"]) >= 3
        sent = ranks.sent_bytes(measurement["function"], 1024, 2)
        assert measurement["moved_bytes"] == sent


def test_ranks_that_fail_are_told() -> None:
    plan = [{"case": "collective", "function": "no such", "nbytes": 8, "budget_s": 0.0}]
    found = [answer for _, answer in ranks.answers(plan, 2, "cpu")]
    assert found == [{"error": "the 2 processes did not finish"}]

"""Records: every kind of field there and back, by version; what is spoilt is refused, bounded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorywall.core import records
from memorywall.core.errors import InvalidInputError, MemoryWallError, UnsupportedError
from memorywall.core.numbers import Array
from memorywall.core.records import from_record, load_record, recorded, to_record


class Ends(NamedTuple):
    first: int
    last: int | None


_FROM_ONE = Ends(1, None)


@recorded(names={"nbytes": "bytes"}, derived=("double",))
@dataclass(frozen=True)
class Part:
    nbytes: int
    ends: Ends = _FROM_ONE

    @property
    def double(self) -> int:
        return 2 * self.nbytes


@recorded(
    "memorywall.test/3",
    derived={"heaviest": "heavy.nbytes"},
    rest="details",
    upgrades={
        0: lambda values: {"kind": "a", **values},
        1: lambda values: {**values, "parts": values["pieces"]},
        2: lambda values: {k: v for k, v in values.items() if k != "pieces"},
    },
)
@dataclass(frozen=True)
class Whole:
    kind: Literal["a", "b"]
    parts: tuple[Part, ...]
    share: float = 0.5
    day: date | None = None
    by_size: Mapping[float, str] = field(default_factory=dict)
    pairs: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    names: Sequence[str] = ()
    flag: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def heavy(self) -> Part:
        return max(self.parts, key=lambda part: part.nbytes)


@dataclass(frozen=True, eq=False)
class Arrays:
    numbers: Array
    flags: Array


WHOLE = Whole(
    "b", (Part(3, Ends(1, 9)), Part(5)), math.pi, date(2024, 3, 18), {0.8: "few", 2.0: "two"},
    {"x": (1, 2.5)}, ("n", "m"), True, {"free": [1, None, {"deep": "x"}]},
)  # fmt: skip


def test_there() -> None:
    assert to_record(WHOLE) == {
        "schema": "memorywall.test/3",
        "kind": "b",
        "parts": [
            {"bytes": 3, "ends": [1, 9], "double": 6},
            {"bytes": 5, "ends": [1, None], "double": 10},
        ],
        "share": math.pi,
        "day": "2024-03-18",
        "by_size": {"0.8": "few", "2": "two"},
        "pairs": {"x": [1, 2.5]},
        "names": ["n", "m"],
        "flag": True,
        "free": [1, None, {"deep": "x"}],
        "heaviest": 5,
    }


def test_and_back(tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    path.write_text(json.dumps(to_record(WHOLE)))
    assert load_record(Whole, path) == WHOLE


@given(
    st.lists(st.builds(Part, st.integers(), st.builds(Ends, st.integers(), st.none())), min_size=1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.dictionaries(st.text(), st.tuples(st.integers(), st.floats(-1e300, 1e300))),
)
def test_any_values_come_back(
    parts: list[Part], share: float, pairs: dict[str, tuple[int, float]]
) -> None:
    whole = Whole("a", tuple(parts), share, pairs=pairs)
    assert from_record(Whole, json.loads(json.dumps(to_record(whole)))) == whole


def test_arrays_and_numbers_that_are_not_finite() -> None:
    record = to_record(Arrays(np.array([1.5, np.nan, np.inf]), np.array([True, False])))
    assert record == {"numbers": [1.5, None, None], "flags": [True, False]}
    again = from_record(Arrays, record)
    assert again.numbers[0] == 1.5
    assert np.isnan(again.numbers[1:]).all()
    assert again.flags.dtype == bool
    assert from_record(Whole, {**to_record(WHOLE), "share": 2}).share == 2.0


@pytest.mark.parametrize("version", [1, 2])
def test_earlier_versions_are_read(version: int) -> None:
    old = {"schema": f"memorywall.test/{version}", "kind": "b", "pieces": [{"bytes": 3}]}
    if version == 2:
        old["parts"] = old["pieces"]
    assert from_record(Whole, old) == Whole("b", (Part(3),))


def test_a_record_of_before_versions_is_read() -> None:
    assert from_record(Whole, {"pieces": [{"bytes": 3}]}) == Whole("a", (Part(3),))


def test_later_and_other_versions_are_refused() -> None:
    record = to_record(WHOLE)
    with pytest.raises(UnsupportedError, match=r"version 4 of memorywall.test; .* up to 3") as e:
        from_record(Whole, {**record, "schema": "memorywall.test/4"})
    assert "pip install --upgrade memorywall" in e.value.hint
    for schema in (
        "memorywall.other/3",
        "memorywall.test",
        "memorywall.test/x",
        3,
        ["a"],
        "/" * 500,
    ):
        with pytest.raises(InvalidInputError, match=r"must have the schema 'memorywall.test'"):
            from_record(Whole, {**record, "schema": schema})


@recorded("memorywall.gone/2")
@dataclass(frozen=True)
class Gone:
    a: int


def test_a_version_without_an_upgrade_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no longer read"):
        from_record(Gone, {"schema": "memorywall.gone/1", "a": 1})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "c"}, r"record.kind must be one of a, b, got 'c'"),
        ({"parts": {}}, r"record.parts must be a list, got \{\}"),
        ({"parts": [{}]}, r"record.parts\[0\] requires 'bytes', which is missing"),
        ({"parts": [{"bytes": 1.5}]}, r"record.parts\[0\].bytes must be a whole number, got 1.5"),
        ({"parts": [{"bytes": True}]}, "must be a whole number, got True"),
        ({"parts": [{"bytes": 1, "end": []}]}, r"record.parts\[0\] has no key 'end'"),
        ({"parts": [{"bytes": 1, "ends": [1]}]}, r"ends must be a list of 2, got \[1\]"),
        ({"share": "much"}, "record.share must be a number, got 'much'"),
        ({"share": 10**400}, "must be a number within 1e308"),
        ({"day": "yesterday"}, "record.day must be a date such as 2024-03-18, got 'yesterday'"),
        ({"by_size": {"large": "x"}}, "must be a number as key, got 'large'"),
        ({"by_size": []}, "record.by_size must be an object"),
        ({"names": "n"}, "record.names must be a list, got 'n'"),
        ({"flag": 1}, "record.flag must be true or false, got 1"),
    ],
)
def test_what_is_spoilt_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        from_record(Whole, {**to_record(WHOLE), **change})


@pytest.mark.parametrize("values", [None, [], "record", 3, {"schema": "memorywall.test/1"}])
def test_no_record_at_all(values: object) -> None:
    with pytest.raises(InvalidInputError):
        from_record(Whole, values)


def test_size_and_depth_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidInputError, match="at most 32 levels deep"):
        from_record(Whole, {**to_record(WHOLE), "free": deep})
    path = tmp_path / "deep.json"
    path.write_text("[" * 200_000)
    with pytest.raises(InvalidInputError, match="must be JSON"):
        load_record(Whole, path)
    monkeypatch.setattr(records, "_MOST_VALUES", 100)
    with pytest.raises(InvalidInputError, match="at most 100 values"):
        from_record(Whole, {**to_record(WHOLE), "free": [0] * 1000})
    monkeypatch.setattr(records, "_MOST_BYTES", 1024)
    path.write_text(" " * 2000)
    with pytest.raises(InvalidInputError, match="must be at most 1 KiB"):
        load_record(Whole, path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_nothing_but_its_own_error_comes_of_any_json(values: Any) -> None:
    for candidate in (values, {**to_record(WHOLE), "parts": values}, {"schema": values}):
        try:
            from_record(Whole, candidate)
        except MemoryWallError as error:
            assert error.message  # noqa: PT017 - a MemoryWallError or no error


@recorded("memorywall.shown/1", hidden=("live",))
@dataclass(frozen=True)
class Shown:
    live: object
    name: str


def test_what_leaves_a_field_out_is_written_only() -> None:
    assert to_record(Shown(object(), "x")) == {"schema": "memorywall.shown/1", "name": "x"}
    with pytest.raises(UnsupportedError, match="leaves out live"):
        from_record(Shown, {"schema": "memorywall.shown/1", "name": "x"})
    with pytest.raises(TypeError, match="object has no record"):
        to_record(Whole("a", (), details={"x": object()}))

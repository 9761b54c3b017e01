"""Every model of the catalogue: its template against the program lowered at the same point."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.catalog.configs import config_names
from memorywall.core.results import Cost, OpCost
from memorywall.cost.footprint import footprint
from memorywall.cost.roofline import price, price_ops
from memorywall.cost.template import Point
from tests.cost.template.passes import Kind, kinds_of

NAMES = list(config_names())
GENERATIVE = [name for name in NAMES if mw.model(name).traits.causal]
COMPRESSED = {name for name in NAMES if "compress_ratios" in mw.model(name).config}
DEVICES = [mw.hardware(name) for name in ("h100-sxm", "a100-sxm-80gb")]


def some_point(kind: Kind, draw: random.Random) -> Point:
    """Return a point: of small numbers windows are not full, of large ones they are."""
    length = draw.randint(1, draw.choice([40, 3_000, 33_333]))
    return kind.point(draw.randint(1, 256), length, draw.randint(1, 1_500), draw.randint(1, 3))


@pytest.mark.sampled(every=10)
@pytest.mark.parametrize("name", NAMES)
def test_scalars_are_equal_to_the_last_digit(name: str) -> None:
    draw = random.Random(name)
    for kind in kinds_of(name):
        template = kind.template(some_point(kind, draw))
        for device in DEVICES:
            point = some_point(kind, draw)
            program = kind.lower(point)
            # As text, which also distinguishes an integer from an equal float.
            assert repr(template.price(point, device)) == repr(price(program, device))
            assert repr(template.footprint(point, device)) == repr(footprint(program, device))
            found, expected = template.price_ops(point, device), price_ops(program, device)
            assert repr(counted(name, found)) == repr(counted(name, expected))


def counted(name: str, ops: list[OpCost]) -> list[OpCost]:
    """Return operators to compare: a compressor runs at some lengths only, and a template counts it
    at all of them, with no work at the others."""
    return [replace(op, count=0) for op in ops] if name in COMPRESSED else ops


def added_up(kind: Kind, point: Point, steps: int, device: mw.Hardware) -> list[list[OpCost]]:
    """Return the costs by operator of every step by itself."""
    lengths = range(int(point.length), int(point.length) + steps)
    return [price_ops(kind.lower(point._replace(length=length)), device) for length in lengths]


@pytest.mark.sampled(every=10)
@pytest.mark.parametrize("name", GENERATIVE)
def test_a_run_is_the_sum_of_its_steps(name: str) -> None:
    draw = random.Random(name)
    for kind in kinds_of(name)[len(kinds_of(name)) // 2 :]:  # the decode steps
        point, steps = some_point(kind, draw), draw.choice([1, 2, 3, 19])
        device = draw.choice(DEVICES)
        template = kind.template(point)
        whole = template.price_run(point, steps, device)
        parts = [
            price(kind.lower(point._replace(length=point.length + step)), device)
            for step in range(steps)
        ]
        expected = sum(parts, Cost())
        assert whole.flops == expected.flops
        if isinstance(expected.moved_bytes, int):  # all but the bytes of experts
            assert repr(whole.moved_bytes) == repr(expected.moved_bytes)
        for field in fields(Cost):
            found = getattr(whole, field.name)
            assert found == pytest.approx(getattr(expected, field.name), rel=1e-12), field.name
        by_step = [counted(name, ops) for ops in added_up(kind, point, steps, device)]
        run = counted(name, template.price_run_ops(point, steps, device))
        for ops in zip(run, *by_step, strict=True):
            assert_same_op(ops[0], ops[1:])


def assert_same_op(found: OpCost, parts: tuple[OpCost, ...]) -> None:
    total = parts[0]
    for part in parts[1:]:
        total += part
    assert (found.name, found.kind, found.count) == (total.name, total.kind, total.count)
    assert list(found.traffic) == list(total.traffic)
    for field in fields(Cost):
        expected = getattr(total.cost, field.name)
        assert getattr(found.cost, field.name) == pytest.approx(expected, rel=1e-12), field.name
    for role, moved in total.traffic.items():
        assert found.traffic[role] == pytest.approx(moved, rel=1e-15)
        least = 1e-12 * float(total.latency_s)
        assert found.waits[role] == pytest.approx(total.waits[role], rel=1e-12, abs=least)


def questions(kind: Kind, draw: np.random.Generator) -> list[tuple[Point, mw.Hardware]]:
    """Return points and devices of some shapes: unrelated, an outer grid, and arrays of rates."""
    device = DEVICES[0]

    def lengths(most: int, *shape: int) -> Any:
        return draw.integers(1, most, shape).astype(np.float64)

    rates = device.replace(bandwidth=draw.uniform(1e12, 8e12, 7))
    grid = kind.point(lengths(600, 3, 1), lengths(9_000, 40), 99)
    return [
        (kind.point(lengths(600, 6), lengths(20_000, 6), lengths(900, 6)), device),
        (grid, device),
        (kind.point(lengths(600, 5, 1, 1), lengths(9_000, 4, 1), 99), rates),
        (grid, device.replace(peaks={"bf16": draw.uniform(1e14, 1e15, (3, 40))}, capacity=9e10)),
        (kind.point(7, lengths(2_000, 70), 99), device.replace(capacity=np.full(70, 1e11))),
    ]


@pytest.mark.sampled(every=10)
@pytest.mark.parametrize("name", NAMES)
def test_arrays_are_those_of_the_program(name: str) -> None:
    draw = np.random.default_rng(NAMES.index(name))
    for kind in kinds_of(name)[::5]:  # formats and conventions in turn
        for point, device in questions(kind, draw):
            template, program = kind.template(point), kind.lower(point)
            shapes = [np.shape(number) for number in point]
            shape = np.broadcast_shapes(*shapes, *device.shapes)
            found, expected = template.price_many(point, device), price(program, device)
            assert_same(found, expected, shape, rel=1e-14)
            assert np.array_equal(found.bound_code, np.broadcast_to(expected.bound_code, shape))
            held, wanted = template.footprint_many(point, device), footprint(program, device)
            assert_same(held, wanted, shape, rel=0)


def assert_same(found: Any, expected: Any, shape: tuple[int, ...], rel: float) -> None:
    for field in fields(expected):
        number, wanted = getattr(found, field.name), getattr(expected, field.name)
        if np.shape(number) != shape:  # what no program changes
            assert np.shape(number) == ()
            assert number == wanted
            continue
        wanted = np.broadcast_to(wanted, shape)
        assert np.all(np.abs(number - wanted) <= rel * np.abs(wanted)), field.name


@pytest.mark.sampled(every=10)
@pytest.mark.parametrize("name", GENERATIVE)
def test_runs_of_arrays_are_those_of_their_points(name: str) -> None:
    draw = np.random.default_rng(NAMES.index(name))
    kinds = kinds_of(name)
    for kind in kinds[len(kinds) // 2 :: 2]:
        point, device = questions(kind, draw)[0]
        device = device.replace(bandwidth=draw.uniform(1e12, 8e12, 6))
        steps = int(draw.choice([1, 2, 50]))
        template = kind.template(point)
        whole = template.price_run_many(point, steps, device)
        by_op = template.price_run_ops(point, steps, device)
        for index in range(6):
            one = Point(*(int(np.broadcast_to(number, 6)[index]) for number in point))
            alone = device.replace(bandwidth=float(np.asarray(device.bandwidth)[index]))
            expected = template.price_run(one, steps, alone)
            for field in fields(Cost):
                number = np.broadcast_to(getattr(whole, field.name), 6)[index]
                assert number == pytest.approx(getattr(expected, field.name), rel=1e-12)
            seconds = sum(np.broadcast_to(op.latency_s, 6)[index] for op in by_op)
            assert seconds == pytest.approx(expected.latency_s, rel=1e-12)

"""The prediction of phase ``serve``: a serving engine with its batch, its memory and its queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

from memorywall.answer.evaluate import price_passes, resident, template_of_pass
from memorywall.catalog.engine_tables import engine_table
from memorywall.catalog.reserves import reserve_of
from memorywall.core.calibration import Estimate, Prediction
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.kernels import Table
from memorywall.core.phase import Pass
from memorywall.core.question import Question
from memorywall.core.results import Cost, OpCost, SplitCost, of_overhead
from memorywall.core.served import Ranged, Served
from memorywall.cost.calls import calls_of
from memorywall.cost.queueing import queue
from memorywall.cost.serving import StepWork, tpot_s, ttft_s, work_of
from memorywall.cost.sharding import calls_of_rank
from memorywall.cost.template import Point

_ROUNDS = 60
_P95 = 1.645  # standard deviations of a normal distribution


def serve(question: Question) -> Served:
    """Return the times of a serving engine.

    Raises:
        InvalidInputError: arrays, more requests a second than the devices can serve, or a layout
            that conflicts with the model.
        UnsupportedError: not one request's cache fits beside the weights.
    """
    if question.shape:
        raise InvalidInputError(
            "phase serve requires plain numbers, got arrays.", "Ask for one point at a time."
        )
    most = _most_in_flight(question)
    if most < 1:
        raise UnsupportedError(
            f"{question.model.name} requires more memory for its weights and one request than "
            f"{question.layout.devices} x {question.hardware.name} has.",
            "Divide it among more devices, or choose a narrower format: tensor=, weights=.",
        )
    places = min(float(question.batch_size), most)
    engine = _Engine(question)
    if question.request_rate is None:
        return _closed(question, engine, places, most)
    return _open(question, engine, places, most, question.request_rate)


def predict_serving(question: Question, served: Served) -> Prediction:
    """Return the time of one request, and of its first token and the others, as a prediction."""
    made = question.new_tokens or 1
    times = [served.ttft_s] if made == 1 else [served.ttft_s, served.tpot_s.map(made - 1)]
    parts = tuple(_estimate(question, index, time) for index, time in enumerate(times))
    return Prediction(parts[0] if len(parts) == 1 else parts[0] + parts[1], parts)


def _estimate(question: Question, index: int, time: Ranged) -> Estimate:
    """Return the estimate of a pass: as at the roofs, and beyond them the engine's time."""

    def split() -> Cost:
        roofs = price_passes(question, question.hardware)[index]
        return roofs + of_overhead(max(0.0, time.value - float(roofs.latency_s)))

    ends = time.low / time.value, time.high / time.value
    name = "first token" if index == 0 else "steps"
    return Estimate({name: time.value}, ends, SplitCost(time.value, split))


def engine_row(question: Question, served: Served, at_roofs: Sequence[OpCost]) -> OpCost:
    """Return the time of an engine beyond the roofs: launches, scheduling, other requests."""
    whole = predict_serving(question, served).whole.seconds
    beyond = max(0.0, float(whole) - sum(float(op.latency_s) for op in at_roofs))
    return OpCost("engine", "engine", question.new_tokens or 1, of_overhead(beyond), {}, {})


class _Engine:
    """The times of a step and of a first token at any number of requests in flight."""

    def __init__(self, question: Question) -> None:
        self.question, self.name = question, question.counting.engine
        self.step_table = engine_table("tpot", self.name)
        self.first_table = engine_table("ttft", self.name)
        self.constants = {**self.step_table.constants, **self.first_table.constants}
        prefill, step = question.passes[0], question.passes[-1]
        self._prompt = self._work(prefill, 1, int(question.seq_len))
        middle = int(question.seq_len) + (question.new_tokens or 1) // 2
        self._last, self._middle = step, middle

    def _work(self, one: Pass, rows: int, length: int) -> StepWork:
        question = self.question
        template, point = template_of_pass(question, one)
        calls = calls_of_rank(calls_of(template.program), question.layout)
        at: Point = point._replace(batch=rows, length=length)
        return work_of(calls, at, question.hardware, question.layout.devices)

    def tpot(self, in_flight: float) -> float:
        """Return the seconds of an output token."""
        local = in_flight / self.question.layout.attention_data
        step = self._work(self._last, max(1, round(in_flight)), self._middle)
        return tpot_s(step, self._prompt, local, self.question.new_tokens or 1, self.constants)

    def ttft(self, in_flight: float, tpot: float) -> float:
        """Return the seconds to a first token, without a queue."""
        local = max(1.0, in_flight / self.question.layout.attention_data)
        return ttft_s(self._prompt, local, tpot, self.constants)

    def service(self, in_flight: float) -> tuple[float, float, float]:
        """Return the seconds of a token, of a first token, and of a whole request."""
        tpot = self.tpot(in_flight)
        ttft = self.ttft(in_flight, tpot)
        return tpot, ttft, ttft + ((self.question.new_tokens or 1) - 1) * tpot


def _closed(question: Question, engine: _Engine, places: float, most: float) -> Served:
    """Return the times where a request follows each that ends: as many are always there."""
    tpot, ttft, service = engine.service(places)
    rate = places / service
    # Those that do not fit wait for a place: Little's law.
    waiting = (float(question.batch_size) - places) / rate
    return _served(question, engine, (tpot, ttft, waiting), rate, (places, most))


def _open(
    question: Question, engine: _Engine, places: float, most: float, arrivals: float
) -> Served:
    """Return the times under Poisson arrivals: in flight are rate x service, by Little's law."""
    in_flight = 1.0
    for _ in range(_ROUNDS):
        service = engine.service(in_flight)[2]
        in_flight = 0.5 * in_flight + 0.5 * min(arrivals * service, places)
    tpot, ttft, service = engine.service(in_flight)
    found = queue(arrivals, service, places)
    if found is None:
        limit = places / engine.service(places)[2]
        raise InvalidInputError(
            f"request_rate must be below the {limit:.3g} requests/s that {places:g} requests in "
            f"flight leave room for, got {arrivals:g}.",
            "Allow more requests in flight, or more devices: concurrency=, devices=.",
        )
    served = _served(question, engine, (tpot, ttft, found.mean_s), arrivals, (in_flight, most))
    crowd = min(in_flight + _P95 * sqrt(in_flight), places)
    # One request in twenty meets a batch that is fuller than usual by this.
    slower, later, _ = engine.service(crowd)
    return replace(
        served,
        tpot_p50_s=_ranged(tpot, engine.step_table),
        tpot_p95_s=_ranged(slower, engine.step_table),
        ttft_p50_s=_ranged(ttft + found.quantile_s(0.5), engine.first_table),
        ttft_p95_s=_ranged(later + found.quantile_s(0.95), engine.first_table),
    )


def _served(
    question: Question,
    engine: _Engine,
    times: tuple[float, float, float],
    rate: float,
    batch: tuple[float, float],
) -> Served:
    tpot, ttft, waiting = times
    step = _ranged(tpot, engine.step_table)
    requests = _rate(rate, step, fixed=question.request_rate is not None)
    made = question.new_tokens or 1
    return Served(
        ttft_s=_ranged(ttft + waiting, engine.first_table),
        tpot_s=step,
        waiting_s=waiting,
        in_flight=batch[0],
        most_in_flight=batch[1],
        requests_per_s=requests,
        tokens_per_s_per_device=requests.map(made / question.layout.devices),
    )


def _rate(rate: float, step: Ranged, *, fixed: bool) -> Ranged:
    """Return requests a second: that of the arrivals, or as certain as the time of a step."""
    if fixed:
        return Ranged(rate, rate, rate)
    return Ranged(rate, rate * step.value / step.high, rate * step.value / step.low)


def _ranged(seconds: float, table: Table) -> Ranged:
    return Ranged(seconds, seconds * table.low, seconds * table.high)


def _most_in_flight(question: Question) -> float:
    """Return the requests whose cache fits beside the weights and an engine's runtime."""
    one = resident(replace(question, batch_size=1))
    if one.capacity is None:
        return float("inf")
    kept = reserve_of(question.hardware.device_class)
    room = kept.utilisation * one.capacity - kept.runtime - one.weights - one.activations
    each = one.kv_cache + one.state
    return float(room / each) if each else float("inf")

"""Times of a serving engine: from a question to first tokens, output tokens and their waiting.

Where a finished request is replaced at once, the requests in flight are as many as were asked for,
or as many as the KV cache holds; the others wait. Where requests arrive by themselves, as many are
in flight as arrive while one is served (Little's law), and they wait for a place in the batch, and
for the prompts before theirs (``cost/queue.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial, reduce
from math import sqrt
from operator import add

from memorywall.answer.evaluate import evaluate_ops, footprint_of_pass, template_of_pass
from memorywall.catalog.engine_tables import engine_table
from memorywall.catalog.reserves import reserve_of
from memorywall.core.calibration import Estimate, Prediction
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.phase import Load, Pass
from memorywall.core.quantities import Provenance
from memorywall.core.question import Question
from memorywall.core.results import Cost, Footprint, OpCost, SplitCost
from memorywall.core.serving import Serving
from memorywall.cost.calls import Call, calls_of
from memorywall.cost.queue import mean_wait_s, wait_s
from memorywall.cost.serving import StepWork, launches_s, pass_s, sums_s, tpot_s, ttft_s, work_of
from memorywall.cost.template import Template

# Positions of prompts that engines take in one pass.
CHUNK = 8192
# Systems of the runs that the constants were fitted to.
_MEASURED = frozenset(
    ("a100-sxm-80gb", "h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "gb200", "gb300")
)
_ROUNDS = 60
_MEDIAN, _LATE = 0.5, 0.95
_LATE_DEVIATIONS = 1.645  # of a normal distribution, below which 95 % are


class Server:
    """The engine of a question at any number of requests in flight.

    Args:
        question: of the phase ``serve``.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        assert question.load is not None
        self.load: Load = question.load
        self.input_len, self.output_len = int(question.seq_len), question.new_tokens or 1
        self.tables = tables_of(question)
        self.constants = {**self.tables[0].constants, **self.tables[1].constants}
        self._steps: dict[int, StepWork] = {}
        self.prompt = self._work(Pass(self.input_len, emits=1), question.layout.attention_data)

    def step(self, flight: int) -> StepWork:
        """Return the work of a decode step of requests half way through their answers."""
        if flight not in self._steps:
            length = self.input_len + self.output_len // 2
            self._steps[flight] = self._work(
                Pass(length, step=True, stacks="decoder", emits=1), flight
            )
        return self._steps[flight]

    def _work(self, one: Pass, batch: int) -> StepWork:
        template, point = template_of_pass(self.question, one)
        at = point._replace(batch=batch, length=one.positions)
        return work_of(_calls(template), at, self.question.hardware, self.question.layout.devices)

    def local(self, flight: float) -> float:
        """Return the requests that one device attends to."""
        return flight / self.question.layout.attention_data

    def tpot(self, flight: int) -> float:
        """Return the time of an output token with requests in flight."""
        step = self.step(flight)
        return tpot_s(step, self.prompt, self.local(flight), self.output_len, self.constants)

    def ttft(self, flight: int, *, burst: bool) -> float:
        """Return the time to a first token, with the wait for prompts that came at once or not."""
        local = self.local(flight) if burst else 1.0
        return ttft_s(self.prompt, local, self.tpot(flight), self.constants)

    def request(self, flight: int, *, burst: bool) -> float:
        """Return the time of a request in the batch."""
        return self.ttft(flight, burst=burst) + (self.output_len - 1) * self.tpot(flight)


@lru_cache(maxsize=256)
def _calls(template: Template) -> list[Call]:
    return calls_of(template.program)


def tables_of(question: Question) -> tuple[Table, Table]:
    """Return the constants of a question's engine: of output tokens and of first tokens."""
    assert question.load is not None
    seen = provenance_of_serving(question) == "calibrated"
    kinds = ("tpot", "ttft") if seen else ("tpot_unseen", "ttft_unseen")
    tpot, ttft = (engine_table(kind, question.load.engine) for kind in kinds)
    return tpot, ttft


def provenance_of_serving(question: Question) -> Provenance:
    """Return whether runs on the device are among those that the constants were fitted to."""
    return "calibrated" if question.hardware.name in _MEASURED else "class default"


def serve(question: Question) -> Serving:
    """Return the times of a question's engine.

    Raises:
        InvalidInputError: more requests arrive than can be served, or the device's numbers are
            arrays.
        UnsupportedError: the device is a forecast, or was measured.
    """
    _refuse_other_devices(question.hardware)
    server = Server(question)
    held = requests_that_fit(question)
    most = server.load.concurrency if held is None else min(server.load.concurrency, held)
    most = max(1, most)
    if server.load.request_rate is None:
        return _closed(server, most, held)
    return _open(server, most, held, server.load.request_rate)


def _refuse_other_devices(hardware: Hardware) -> None:
    if hardware.kind in ("measured", "forecast"):
        raise UnsupportedError(
            f"phase serve requires a device by its data sheet, and {hardware.name} is "
            f"{'measured' if hardware.kind == 'measured' else 'a forecast'}.",
            "Use phase 'generate', or a device of the catalogue.",
        )
    if hardware.shapes:
        raise InvalidInputError(
            f"phase serve requires a device with one number each, and {hardware.name} has arrays.",
            "Ask about its devices one by one.",
        )


def _closed(server: Server, flight: int, held: int | None) -> Serving:
    tpot = server.tpot(flight)
    alone = server.ttft(flight, burst=True)
    served = server.request(flight, burst=True)
    per_s = flight / served
    waiting = max(0, server.load.concurrency - flight) / per_s
    return Serving(
        flight, held, per_s, alone + waiting, tpot, waiting,
        None, None, None, None, flight * server.output_len / served,
    )  # fmt: skip


def _open(server: Server, most: int, held: int | None, rate: float) -> Serving:
    """Return the times where requests arrive at a rate, as many in flight as Little's law says."""
    capacity = most / server.request(most, burst=False)
    prompt_s = pass_s(server.prompt, server.constants) / server.question.layout.attention_data
    capacity = min(capacity, 1 / prompt_s)
    if rate >= capacity:
        raise InvalidInputError(
            f"request_rate must be below the {capacity:.3g} requests/s that {most:,} requests in "
            f"flight are served with, got {rate:g}: the queue would grow without end.",
            "Give more devices or a lower request_rate.",
        )
    flight = _in_flight(server, most, rate)
    tpot = server.tpot(flight)
    served = server.request(flight, burst=False)
    busy, reading = min(rate * served / most, 0.999), rate * prompt_s
    for_place, for_prompts = mean_wait_s(busy, served, most), mean_wait_s(reading, prompt_s)
    alone = server.ttft(flight, burst=False)
    late = min(most, max(flight, round(flight + _LATE_DEVIATIONS * sqrt(flight))))
    firsts = [
        alone
        + wait_s(busy ** (sqrt(2 * (most + 1)) - 1), for_place, share)
        + wait_s(reading, for_prompts, share)
        for share in (_MEDIAN, _LATE)
    ]
    waiting = for_place + for_prompts
    return Serving(
        flight, held, rate, alone + waiting, tpot, waiting,
        firsts[0], firsts[1], tpot, server.tpot(late), rate * server.output_len,
    )  # fmt: skip


def _in_flight(server: Server, most: int, rate: float) -> int:
    """Return the mean number of requests in flight: the least that serves as many as arrive."""
    low, high = 1, most
    for _ in range(_ROUNDS):
        if low >= high:
            break
        middle = (low + high) // 2
        if middle / server.request(middle, burst=False) >= rate:
            high = middle
        else:
            low = middle + 1
    return high


def requests_that_fit(question: Question) -> int | None:
    """Return how many whole requests the memory holds, over all devices; None if not known.

    Beside weights, the activations of a chunk of a prompt, and what an engine keeps.
    """
    capacity = question.hardware.usable
    if capacity is None:
        return None
    reserve = reserve_of(question.hardware.device_class)
    groups = question.layout.attention_data
    one, two = (_at_the_end(question, each * groups) for each in (1, 2))
    each = float(two.kv_cache + two.state - one.kv_cache - one.state)
    fixed = float(one.weights) + _chunk_bytes(question) + reserve.runtime
    room = reserve.utilisation * float(capacity) - fixed
    return max(0, int(room // each)) * groups if each > 0 else None


def serving_footprint(question: Question, found: Serving) -> Footprint:
    """Return the memory of one device: of the requests in flight whole, and a chunk of a prompt."""
    whole = _at_the_end(question, found.in_flight)
    return replace(whole, activations=max(float(whole.activations), _chunk_bytes(question)))


def _at_the_end(question: Question, flight: int) -> Footprint:
    """Return the footprint of the last step of requests in flight."""
    last = int(question.seq_len) + (question.new_tokens or 1)
    asked = replace(question, batch_size=flight)
    return footprint_of_pass(asked, Pass(last, step=True, stacks="decoder", emits=1))


def _chunk_bytes(question: Question) -> float:
    length = min(int(question.seq_len), CHUNK)
    asked = replace(question, batch_size=question.layout.attention_data, seq_len=length)
    return float(footprint_of_pass(asked, Pass(length, emits=1), in_engine=True).activations)


def predict_serving(
    question: Question, found: Serving, at_roofs: Sequence[OpCost] | None = None
) -> Prediction:
    """Return the predicted times of a request: to its first token, and of the others."""
    steps = (question.new_tokens or 1) - 1
    parts = [found.ttft_s, found.tpot_s * steps][: 2 if steps else 1]
    whole = sum(parts)
    tables = tables_of(question)[::-1]

    def split(seconds: float) -> Cost:
        ops = serving_ops(question, found, at_roofs)
        total = reduce(add, (op.cost for op in ops))
        return total.map(lambda number: number * (seconds / whole))

    estimates = [
        Estimate(
            {name: seconds}, (table.low, table.high),
            SplitCost(seconds, partial(split, seconds)),
        )
        for name, seconds, table in zip(("first", "steps"), parts, tables, strict=False)
    ]  # fmt: skip
    return Prediction(reduce(add, estimates), tuple(estimates))


def serving_ops(
    question: Question, found: Serving, at_roofs: Sequence[OpCost] | None
) -> list[OpCost]:
    """Return every operator with its part of the time of a request.

    Launches, scheduling and waiting are the host's; collectives have the time of sums over devices;
    other operators share the rest as they do at the roofs.
    """
    ops = list(evaluate_ops(question) if at_roofs is None else at_roofs)
    server = Server(question)
    step, constants = server.step(found.in_flight), server.constants
    whole = found.ttft_s + found.tpot_s * ((question.new_tokens or 1) - 1)
    alone = pass_s(step, constants)
    host = constants["step_s"] + constants["sequence_s"] * server.local(found.in_flight)
    share = (host + launches_s(step, constants)) / (alone + host)
    network = sums_s(step, constants) / (alone + host)
    waited = min(found.waiting_s / whole, 1.0)
    spent = whole * (1 - waited)
    own = sum(float(op.latency_s) for op in ops) or 1.0
    many = sum(op.count for op in ops if op.kind == "collective") or 1
    priced = []
    for op in ops:
        if op.kind == "collective":
            seconds = spent * network * op.count / many
            times = Cost(latency_s=seconds, network_s=seconds, network_bound_s=seconds)
            priced.append(replace(op, cost=op.cost.predicted(times), waits={}))
            continue
        factor = spent * (1 - share - network) / own
        times = Cost(
            latency_s=op.latency_s * factor, waiting_s=op.cost.waiting_s * factor,
        )  # fmt: skip
        waits = {role: seconds * factor for role, seconds in op.waits.items()}
        priced.append(replace(op, cost=op.cost.predicted(times), waits=waits))
    idle = spent * share + whole * waited
    overhead = Cost(latency_s=idle, overhead_s=idle, overhead_bound_s=idle)
    return [*priced, OpCost("host", "host", question.new_tokens or 1, overhead, {}, {})]

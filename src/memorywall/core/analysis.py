"""The answer to one scenario; its numbers are scalars or arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from html import escape
from math import prod
from operator import add
from typing import TYPE_CHECKING, Any, Literal

from memorywall.core.calibration import Estimate, Prediction
from memorywall.core.errors import MissingDependencyError, UnknownNameError
from memorywall.core.fit import Fit
from memorywall.core.numbers import Array, Number, is_array, is_true, plain
from memorywall.core.phase import Pass
from memorywall.core.quantities import (
    CEILINGS,
    GROUPS,
    Provenance,
    Quantity,
    Value,
    as_plain,
    record_of,
)
from memorywall.core.question import Question
from memorywall.core.results import Cost, Footprint, OpCost, bound_words, capacity_code
from memorywall.core.scenario import Scenario
from memorywall.core.serving import Serving

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = "memorywall.analysis/3"
# A page of a notebook; a grid may have millions of points.
_MOST_ROWS = 64
_BOUNDS: dict[str, Literal["", "at least", "at most"]] = {
    "none": "", "time": "at least", "part": "", "rate": "at most",
}  # fmt: skip
_ARRIVING = ("requests_per_s", "tokens_per_s", "tokens_per_s_per_device")
_SUMMARY = ("batch_size", "seq_len", "latency_s", "bound", "binding")


@dataclass(frozen=True, eq=False)
class Analysis:
    """The cost of a model on a device.

    Times are seconds, sizes bytes, rates per second. If the question holds arrays, every number is
    an array of their common shape and ``bound`` one of strings; the numbers of ``ops`` have the
    shapes that broadcast to it.

    ``quantity("latency_s")`` gives a number with its interval and its provenance;
    ``provenance("latency_s")`` that alone. Times are predictions by a calibration of the device or
    of its class, with ``bound_s``, the bound at its ceilings, beside them; with ``ceilings="spec"``
    they are that bound. ``print`` it for a sentence, ``to_dict()`` for a record, ``to_frame()`` for
    a row a point; ``docs/reference/quantities.md`` lists all quantities with their units.

    Attributes:
        scenario: the question as asked.
        question: the same with every parameter decided.
        passes: its forward passes.
        footprint: bytes that must be resident.
        time_provenance: where the times come from.
        serving: how an engine serves; None in other phases.
    """

    scenario: Scenario
    question: Question
    passes: tuple[Pass, ...]
    footprint: Footprint
    time_provenance: Provenance
    price: Callable[[], tuple[Cost, ...]]
    price_ops: Callable[[], Sequence[OpCost]]
    predict: Callable[[], Prediction | None]
    predict_ops: Callable[[Sequence[OpCost]], Sequence[OpCost]]
    note: Callable[[], tuple[str, ...]]
    describe: Callable[[Analysis], str]
    judge: Callable[[], Fit | None]
    serving: Serving | None = None

    def __repr__(self) -> str:
        latency = plain(self.latency_s) if not self.question.shape else f"{self.question.shape}"
        return f"<Analysis of {self.model} on {self.hardware}: {self.phase}, latency_s {latency}>"

    def __str__(self) -> str:
        return self.describe(self)

    @cached_property
    def costs(self) -> tuple[Cost, ...]:
        """The cost of each pass at the device's ceilings, over all of its executions."""
        return self.price()

    @property
    def roofs(self) -> Cost:
        """FLOPs, bytes and times of the whole at the device's ceilings."""
        return self.costs[0] if len(self.costs) == 1 else self._sum

    @cached_property
    def _sum(self) -> Cost:
        return reduce(add, self.costs)

    @property
    def cost(self) -> Cost:
        """FLOPs, bytes and times of the whole; the times are those of ``latency_s``."""
        return self._predicted if self.is_predicted else self.roofs

    @cached_property
    def _predicted(self) -> Cost:
        calibrated = self._calibrated
        return self.roofs if calibrated is None else self.roofs.predicted(calibrated.whole.cost)

    @cached_property
    def _prediction(self) -> Prediction | None:
        return self.predict()

    @property
    def _calibrated(self) -> Prediction | None:
        """The prediction by a calibration; a forecast's times are those at its roofs."""
        return self._prediction if self.is_predicted else None

    @property
    def is_predicted(self) -> bool:
        """Whether times are predictions by a calibration, and not bounds at the ceilings."""
        return self.time_provenance in ("calibrated", "class default")

    def _pass_s(self, index: int) -> Number:
        """Return the seconds of one pass, predicted where the whole is."""
        if self._calibrated is None:
            return self.costs[index].latency_s
        return self._calibrated.by_pass[index].cost.latency_s

    @cached_property
    def in_use(self) -> Fit | None:
        """How the footprint fits the device in use; None where its capacity is not known."""
        return self.judge()

    @property
    def fit(self) -> str | Array:
        """Whether it fits in use: ``yes``, ``tight`` or ``no``; ``unknown`` without a capacity.

        ``tight``: it fits without the prefill that filled the cache and without the memory that an
        engine keeps beside the model.
        """
        return "unknown" if self.in_use is None else self.in_use.answer

    @property
    def in_use_bytes(self) -> Number | None:
        """Bytes with the prefill that filled the cache, and with an engine's runtime."""
        return None if self.in_use is None else self._on_grid(self.in_use.in_use)

    @property
    def budget_bytes(self) -> Number | None:
        """Bytes of the memory that an engine takes."""
        return None if self.in_use is None else self._on_grid(self.in_use.budget)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Caveats on the numbers, the gravest first."""
        return self.note()

    @property
    def model(self) -> str:
        """The model's name."""
        return self.question.model.name

    @property
    def parameters(self) -> int:
        """Weights of the model's class."""
        return self.question.model.parameters

    @property
    def active_parameters(self) -> int:
        """Weights that a single token uses, without tables of which it reads a row."""
        return self.question.model.active_parameters

    @property
    def hardware(self) -> str:
        """The device's name."""
        return self.question.hardware.name

    @property
    def phase(self) -> str:
        """The name of the phase."""
        return self.question.phase.name

    @property
    def batch_size(self) -> Number:
        """Sequences."""
        return self._on_grid(self.question.batch_size)

    @property
    def seq_len(self) -> Number:
        """Positions of each sequence."""
        return self._on_grid(self.question.seq_len)

    @property
    def source_len(self) -> Number | None:
        """Positions of each source of an encoder; None without such an encoder."""
        source_len = self.question.source_len
        return None if source_len is None else self._on_grid(source_len)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of every image in pixels; None without images."""
        return self.question.image_size

    @property
    def images(self) -> Number | None:
        """Images of each sequence; None without text, or without images in a pass."""
        images = self.question.images
        return None if images is None else self._on_grid(images)

    @property
    def image_positions(self) -> int | None:
        """Positions that one image takes in a text; None without images in a pass."""
        seen, size = self.question.model.traits.images, self.question.image_size
        return None if seen is None or size is None else int(seen.tokens(*size))

    @property
    def new_tokens(self) -> Number:
        """Tokens generated per sequence: one for a pass, 0 if no text is generated."""
        return sum(one.emits * one.count for one in self.passes)

    @property
    def steps(self) -> int | None:
        """Denoising steps; None for other models."""
        return self.question.steps

    @property
    def step_s(self) -> Number | None:
        """The time of one denoising step; None where nothing is denoised."""
        return None if self.steps is None else self.latency_s / self.steps

    @property
    def guidance(self) -> str | None:
        """Whether each denoising step runs with the prompt and without it: ``on`` or ``off``."""
        return self.question.guidance

    @property
    def flops(self) -> Number:
        """All FLOPs; a fused multiply-add is two."""
        return self.cost.flops

    @property
    def moved_bytes(self) -> Number:
        """Bytes moved to and from the main memory."""
        return self.cost.moved_bytes

    @property
    def arithmetic_intensity(self) -> Number:
        """FLOP per byte moved."""
        return self.flops / self.moved_bytes

    @property
    def ridge_point(self) -> Number:
        """FLOP per byte at which the device's two roofs meet, for this arithmetic."""
        return self._on_grid(self.question.hardware.ridge_point(self.question.arithmetic))

    @property
    def latency_s(self) -> Number:
        """The predicted time; with ceilings spec, that at the roofs.

        Of a forecast it is that too.
        """
        return self._times.latency_s

    @property
    def _times(self) -> Cost:
        """The predicted times, without the work; at the ceilings where nothing is predicted."""
        calibrated = self._calibrated
        return self.roofs if calibrated is None else calibrated.whole.cost

    @property
    def latency_low_s(self) -> Number | None:
        """Lower end of the nominal 80 % interval of measured or forecast values."""
        return self.quantity("latency_s").low

    @property
    def latency_high_s(self) -> Number | None:
        """Upper end of the nominal 80 % interval of measured or forecast values."""
        return self.quantity("latency_s").high

    @property
    def bound_s(self) -> Number:
        """The least time at the ceilings: operators take the longer of arithmetic and traffic."""
        return self.roofs.latency_s

    @property
    def overlapped_s(self) -> Number:
        """The time if all operators of a pass overlapped: a lower bound."""
        return self.roofs.overlapped_s

    @property
    def serial_s(self) -> Number:
        """The time if arithmetic and traffic never overlapped: an upper bound at these ceilings."""
        return self.roofs.serial_s

    @property
    def compute_s(self) -> Number:
        """The time of all arithmetic by itself."""
        return self.cost.compute_s

    @property
    def memory_s(self) -> Number:
        """The time of all traffic by itself."""
        return self.cost.memory_s

    @property
    def network_s(self) -> Number:
        """The time of all collectives by itself."""
        return self._on_grid(self.cost.network_s)

    @property
    def overhead_s(self) -> Number:
        """The time of the framework and of launches."""
        return self._on_grid(self.cost.overhead_s)

    @property
    def compute_bound_s(self) -> Number:
        """The part of the time that arithmetic binds."""
        return self.cost.compute_bound_s

    @property
    def memory_bound_s(self) -> Number:
        """The part of the time that traffic binds."""
        return self.cost.memory_bound_s

    @property
    def network_bound_s(self) -> Number:
        """The part of the time that collectives bind."""
        return self._on_grid(self.cost.network_bound_s)

    @property
    def overhead_bound_s(self) -> Number:
        """The part of the time that overhead binds."""
        return self._on_grid(self.cost.overhead_bound_s)

    @cached_property
    def bound(self) -> str | Array:
        """The resource that binds most of the time.

        ``compute_bound``, ``memory_bound``, ``network_bound`` or ``overhead_bound``, whether the
        footprint fits or not.
        """
        return bound_words(self.cost.bound_code)

    @cached_property
    def binding(self) -> str | Array:
        """``capacity_bound`` where the footprint does not fit, else ``bound``."""
        return bound_words(capacity_code(self.fits, self.cost.bound_code))

    @property
    def devices(self) -> int:
        """Devices that the model is divided among; FLOPs, bytes and memory are of one of them."""
        return self.question.layout.devices

    @property
    def tokens_per_s_per_device(self) -> Number | None:
        """Tokens per second, over the devices.

        None where the unit is another.
        """
        found = self.tokens_per_s
        return None if found is None else found / self.devices

    @property
    def requests_per_s(self) -> Number | None:
        """Requests that an engine serves per second.

        None in other phases.
        """
        return None if self.serving is None else self.serving.requests_per_s

    @property
    def rates(self) -> dict[str, Number]:
        """Units per second by their name, ``tokens``, ``images`` or ``samples``, the main first."""
        if self.serving is not None:
            return {"tokens": self.serving.tokens_per_s}
        found = self.question.phase.rates(self.question)
        return {rate.unit: rate.count / self.latency_s for rate in found}

    @property
    def tokens_per_s(self) -> Number | None:
        """Tokens of all sequences per second.

        Read by a prefill, an encoder or to train, else made. A prefill of an encoder-decoder reads
        the source and the first tokens of its decoder. None where the unit is another.
        """
        return self.rates.get("tokens")

    @property
    def images_per_s(self) -> Number | None:
        """Images per second.

        Generated, or encoded by towers alone; None for other models.
        """
        return self.rates.get("images")

    @property
    def samples_per_s(self) -> Number | None:
        """Samples of a traced module per second.

        For inputs other than tokens; else None.
        """
        return self.rates.get("samples")

    @property
    def ttft_s(self) -> Number | None:
        """Time to the first token.

        Of a pass over a prompt; None where there is none.
        """
        first = self.passes[0]
        return self._pass_s(0) if first.emits and not first.step else None

    @property
    def tpot_s(self) -> Number | None:
        """Mean time of a decode step.

        None where there is none.
        """
        steps = self._step_passes
        if not steps:
            return None
        seconds: Number = sum((self._pass_s(i) for i in steps), 0.0)
        return seconds / sum(self.passes[i].count for i in steps)

    @property
    def _step_passes(self) -> list[int]:
        return [i for i, one in enumerate(self.passes) if one.step]

    @property
    def prediction(self) -> Estimate | None:
        """The time by this device's calibration or forecast, with an interval; None without.

        Of a forecast the seconds are the roofline's, with the interval of the devices that may
        come.
        """
        return None if self._prediction is None else self._prediction.whole

    @property
    def mfu(self) -> Number:
        """Share of the device's peak FLOP/s that is attained."""
        return self.flops / (self.latency_s * self.question.hardware.peak(self.question.arithmetic))

    @property
    def mbu(self) -> Number:
        """Share of the device's peak bandwidth that is attained."""
        return self.moved_bytes / (self.latency_s * self.question.hardware.bandwidth)

    @property
    def fits(self) -> bool | Array:
        """Whether the footprint is within the device's memory."""
        return self.footprint.fits

    @cached_property
    def time_shares(self) -> dict[str, Number]:
        """Shares of the time, by arithmetic, by role of the memory that is moved, and by overhead.

        ``arithmetic``: operators that are compute-bound. By role of memory: operators that are
        memory-bound, each split by the bytes that it moves. ``network`` and ``overhead``: where
        there is any.
        """
        shares: dict[str, Number] = {"arithmetic": 0.0}
        for op in self.ops:
            spent = {"arithmetic": op.cost.compute_bound_s, **op.waits}
            spent |= {"network": op.cost.network_bound_s, "overhead": op.cost.overhead_bound_s}
            for what, seconds in spent.items():
                if what in op.waits or what == "arithmetic" or not is_true(seconds == 0):
                    shares[what] = shares.get(what, 0.0) + seconds / self.latency_s
        return shares

    @cached_property
    def ops(self) -> Sequence[OpCost]:
        """Every operator's cost, over all of its executions, in order of execution."""
        at_roofs = self.price_ops()
        found = self.predict_ops(at_roofs) if self.is_predicted else at_roofs
        return tuple(found) if isinstance(found, list) else found

    def provenance(self, name: str) -> Provenance:
        """Return where a quantity comes from.

        ``counted`` is exact, from shapes; ``data sheet``, ``measured``, ``forecast`` and
        ``hypothetical`` are the device's ceilings; ``calibrated`` is a prediction by measurements
        of the device, ``class default`` one by measurements of its class.

        Raises:
            UnknownNameError: no such quantity.
        """
        origin = _declared(name).origin
        if origin == "shapes":
            return "counted"
        return self.time_provenance if origin == "time" else self.ceilings_provenance

    @property
    def ceilings_provenance(self) -> Provenance:
        """Where the device's ceilings come from."""
        return CEILINGS[self.question.hardware.kind]

    def quantity(self, name: str) -> Value:
        """Return a quantity with its interval, provenance, and whether it is a bound.

        Args:
            name: an attribute that ``docs/reference/quantities.md`` lists; a part of the footprint
                is ``footprint.weights``.

        Raises:
            UnknownNameError: no such quantity.
        """
        declared = _declared(name)
        value = declared.read(self.footprint if name.startswith("footprint.") else self)
        low = high = None
        estimate = self._estimate_of(name) if declared.scaling != "none" else None
        load = self.question.load
        if load is not None and load.request_rate is not None and name in _ARRIVING:
            estimate = None  # as many are served as arrive
        if estimate is not None and value is not None:
            low, high = value * estimate.low, value * estimate.high
            if declared.scaling == "rate":
                low, high = value / estimate.high, value / estimate.low
        at_roofs = not self.is_predicted and value is not None
        bound = _BOUNDS[declared.scaling] if at_roofs else ""
        return Value(declared, value, low, high, self.provenance(name), bound)

    def _estimate_of(self, name: str) -> Estimate | None:
        """Return the estimate whose interval a time has: that of its pass, or of the whole."""
        if self._prediction is None or not (
            self.is_predicted or self.time_provenance == "forecast"
        ):
            return None
        if name.startswith("ttft"):
            return self._prediction.by_pass[0]
        if name.startswith("tpot") and self._step_passes:
            return self._prediction.by_pass[self._step_passes[0]]
        return self._prediction.whole

    @property
    def conventions(self) -> dict[str, Any]:
        """How everything was counted, as text."""
        question, counting = self.question, self.question.counting
        formats = question.formats
        weights = formats.weights.name if formats.storage is None else formats.storage.name
        return {
            "weights": weights,
            "activations": formats.activations.name,
            "kv_cache": formats.kv_cache.name,
            "arithmetic": question.hardware.arithmetic(question.arithmetic),
            "traffic": counting.traffic,
            "causal": counting.causal,
            "logits": counting.logits,
            "cache_page": counting.cache_page,
            **dict(question.adjustments.given),
            **self._conventions_of_the_architecture(),
            "flops_per_multiply_add": 2,
            "parameters_of": question.model.architecture.class_name,
            "ceilings": "calibrated" if self.is_predicted else question.hardware.kind,
            **({"layout": question.layout.words} if self.devices > 1 else {}),
        }

    def _conventions_of_the_architecture(self) -> dict[str, str]:
        """Return the conventions that apply to some architectures only."""
        traits, counting = self.question.model.traits, self.question.counting
        found: dict[str, str] = {}
        if traits.experts:
            found["routing"] = counting.routing
        if self.guidance is not None:
            found["guidance"] = self.guidance
        if traits.latent:
            found["mla"] = counting.mla
        if traits.state is not None:
            found["state"] = self.question.formats.state.name
        return found

    def _on_grid(self, number: Number) -> Number:
        """Broadcast a number of the question to the shape of the answers."""
        shape = self.question.shape
        if not shape:
            return number
        import numpy as np  # noqa: PLC0415 - answers of scalars need no NumPy

        return np.broadcast_to(number, shape)

    def by_class(self) -> list[OpCost]:
        """Return the costs summed by kind of operator, in order of appearance."""
        classes: dict[str, OpCost] = {}
        for op in self.ops:
            part = replace(op, name=op.kind)
            classes[op.kind] = classes[op.kind] + part if op.kind in classes else part
        return list(classes.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a record of plain values, with the version of its schema.

        A question with arrays gives ``points``, one flat record each in the order of the flattened
        grid, beside conventions and notes; ask for a single point for its operators.
        """
        about = {"conventions": self.conventions, "notes": list(self.notes)}
        if self.question.shape:
            return {"schema": SCHEMA, "points": self.points(), **about}
        return {
            "schema": SCHEMA,
            **record_of("analysis", self),
            "footprint": self._footprint_record(),
            "ops": [op.to_dict() for op in self.ops],
            "time_shares": as_plain(self.time_shares),
            **about,
        }

    def _footprint_record(self) -> dict[str, Any]:
        record = record_of("footprint", self.footprint)
        if self.question.model.traits.state is None:
            del record["state"]
        return record

    def points(self) -> list[dict[str, Any]]:
        """Return one flat record a point: every quantity, ``footprint_*`` and ``share_*``."""
        columns = {q.name: _whole(q, q.read(self)) for q in GROUPS["analysis"] if q.holds(self)}
        footprint = self.footprint
        for part in self._footprint_record():
            columns[f"footprint_{part}"] = _declared(f"footprint.{part}").read(footprint)
        columns |= {f"share_{what}": share for what, share in self.time_shares.items()}
        shape = self.question.shape
        import numpy as np  # noqa: PLC0415 - answers of scalars need no NumPy

        size = prod(shape)
        spread = {
            name: np.broadcast_to(value, shape).ravel().tolist()
            if is_array(value)
            else [as_plain(value)] * size
            for name, value in columns.items()
        }
        return [
            dict(zip(spread, point, strict=True)) for point in zip(*spread.values(), strict=True)
        ]

    def to_frame(self) -> DataFrame:
        """Return a pandas data frame, one row a point, its columns the keys of ``points()``.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            from pandas import DataFrame  # noqa: PLC0415 - an extra
        except ImportError:
            raise MissingDependencyError("pandas", "notebooks", "a data frame") from None
        return DataFrame(self.points())

    def _repr_html_(self) -> str:
        """Return the answer as a notebook shows it: the sentence, then a table."""
        said = "".join(f"<p>{escape(line)}</p>" for line in str(self).splitlines())
        if self.question.shape:
            return said + self._points_html()
        rows = []
        for quantity in GROUPS["analysis"]:
            if not quantity.holds(self) or quantity.read(self) is None:
                continue
            value = self.quantity(quantity.name)
            cells = (quantity.name, str(value), value.provenance, quantity.meaning)
            rows.append(_html_row(cells, "td"))
        return said + _html_table(("quantity", "value", "from", "meaning"), rows)

    def _points_html(self) -> str:
        points = self.points()
        names = [name for name in _SUMMARY if name in points[0]]
        rows = [
            _html_row([_declared(name).text(point[name]) for name in names], "td")
            for point in points[:_MOST_ROWS]
        ]
        left = len(points) - len(rows)
        rest = f"<p>{left:,} points more: to_frame()</p>" if left else ""
        return _html_table(names, rows) + rest


# A quantity that the registry computes is an attribute as all others are, with its entry alone.
for _quantity in GROUPS["analysis"]:
    if _quantity.compute is not None:
        setattr(Analysis, _quantity.name, property(_quantity.compute, doc=_quantity.meaning))


def _declared(name: str) -> Quantity:
    """Return a quantity of an answer by its name, or of its footprint by ``footprint.NAME``.

    Raises:
        UnknownNameError: no such quantity.
    """
    known = {quantity.name: quantity for quantity in GROUPS["analysis"]}
    known |= {f"footprint.{quantity.name}": quantity for quantity in GROUPS["footprint"]}
    if name not in known:
        raise UnknownNameError("quantity", name, known)
    return known[name]


def _whole(quantity: Quantity, value: Any) -> Any:
    """Return the whole numbers of an array of counts, as integers."""
    is_count = quantity.format == "whole" and is_array(value)
    return value.astype("int64") if is_count else value


def _html_table(titles: Sequence[str], rows: Sequence[str]) -> str:
    return f"<table>{_html_row(titles, 'th')}{''.join(rows)}</table>"


def _html_row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

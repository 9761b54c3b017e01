"""From a scenario to a question: every default, and every refusal, in one place."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any, TypeAlias

from memorywall.core.errors import InvalidInputError, UnsupportedError, join_words, shown
from memorywall.core.formats import TWINS, Format, find_format
from memorywall.core.hardware import Hardware
from memorywall.core.layout import AskedLayout, Layout
from memorywall.core.model import Model
from memorywall.core.numbers import Number, plain
from memorywall.core.parameters import PARAMETERS, Parameter
from memorywall.core.phase import Lengths, Phase
from memorywall.core.question import Counting, Formats, Question
from memorywall.core.recipes import Recipe, find_weights
from memorywall.core.scenario import Scenario
from memorywall.core.storage import Storage
from memorywall.core.traits import TracedPass
from memorywall.core.workload import Conventions, Workload
from memorywall.phases import all_phases, find_phase, usual_phase

# The parameters beside device and phase, and the values of a scenario in the same order.
_WORDS = tuple(
    p for p in PARAMETERS.values() if p.kind not in ("device", "phase") and p.part != "adjustments"
)
_ASKED = attrgetter(*(f"{parameter.part}.{parameter.name}" for parameter in _WORDS))


# The parameters of a trace that are not as it ran.
_OF_TRACES = ("traffic", "ceilings", "launch")

# A phase, the formats and the counting of a question.
_Frame: TypeAlias = tuple[Phase, Formats, Counting]


def settle(scenario: Scenario) -> Question:
    """Return the question that a scenario asks, every word of it decided.

    Raises:
        UnknownNameError: no such phase.
        InvalidInputError: a parameter without effect on this model in this phase, or lengths that
            conflict.
        UnsupportedError: the model does not have the phase, or its weights cannot be counted.
    """
    model, asked = scenario.model, scenario.workload
    if model.traits.traced_pass is not None:
        return _settle_traced(scenario, model.traits.traced_pass)
    phase, formats, counting = _frame(scenario)
    lengths = phase.lengths(model, asked)
    question = Question(
        model,
        scenario.hardware,
        phase,
        _batch_size(lengths, asked),
        lengths.seq_len,
        lengths.source_len,
        lengths.image_size,
        lengths.images,
        lengths.new_tokens,
        lengths.steps,
        lengths.guidance,
        formats,
        counting,
        scenario.adjustments,
        _layout(scenario),
        lengths.load,
    )
    for name, value in scenario.adjustments.given:
        question = PARAMETERS[name].adjust(question, value)
    return question


def _batch_size(lengths: Lengths, asked: Workload) -> Number:
    if lengths.batch_size is not None:
        return lengths.batch_size
    return 1 if asked.batch_size is None else asked.batch_size


def _layout(scenario: Scenario) -> Layout:
    """Return the layout of a question.

    Raises:
        UnsupportedError: the model's operators are those of a trace, whose axes have no names.
    """
    if scenario.layout is _NO_LAYOUT or scenario.layout.is_empty:
        return _ONE_DEVICE
    layout = scenario.layout.settled()
    if layout.devices > 1 and scenario.hardware.kind == "measured":
        raise UnsupportedError(
            f"{scenario.hardware.name} was measured alone, without what moves between devices; got "
            f"{layout.words}.",
            "Ask about one device, or about one of the catalogue.",
        )
    if layout.devices > 1 and scenario.model.traits.traced:
        raise UnsupportedError(
            f"{scenario.model.name} is traced as transformers runs it, and cannot be divided among "
            f"devices; got {layout.words}.",
            "Ask about one device.",
        )
    return layout


_ONE_DEVICE = Layout()
_NO_LAYOUT = AskedLayout()

# Frames of the last questions, by the model's identity: a sweep asks the same with other numbers.
_FRAMES: OrderedDict[tuple[object, ...], tuple[Model, _Frame]] = OrderedDict()
_MOST_FRAMES = 1024


def _frame(scenario: Scenario) -> _Frame:
    """Return what does not depend on lengths, and refuse parameters without effect.

    Of the device it depends on the arithmetic that it has.
    """
    model, asked = scenario.model, scenario.workload
    given = tuple([value is not None for value in _ASKED(scenario)])
    precision, conventions, adjustments = (
        scenario.precision, scenario.conventions, scenario.adjustments,
    )  # fmt: skip
    key = (
        id(model), asked.phase, given, precision, conventions, adjustments,
        tuple(scenario.hardware.peaks),
    )  # fmt: skip
    known = _FRAMES.get(key)
    if known is not None and known[0] is model:
        return known[1]
    if model.traits.unread:
        raise UnsupportedError(
            f"{model.name}: {model.traits.unread}",
            "Its weights are counted: memorywall models --explain FILE.gguf. "
            "For the rest pass its config.json, or the config of a model of the same kind.",
        )
    storage = model.storage if scenario.precision.weights is None else None
    if storage is not None and storage.reason:
        raise UnsupportedError(
            f"{model.name}: {storage.reason}.",
            "Name the format of the weights, such as --weights int8.",
        )
    phase = _settle_phase(model, asked.phase)
    _refuse_without_effect(scenario, phase)
    _refuse_launch_at_roofs(conventions)
    frame = phase, _formats(scenario), _counting(scenario.conventions)
    _FRAMES[key] = (model, frame)
    if len(_FRAMES) > _MOST_FRAMES:
        _FRAMES.popitem(last=False)
    return frame


def applicable(model: Model, phase: str | None, words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words that have an effect on a model in a phase, to ask many models alike."""
    if model.traits.traced_pass is not None:
        return {name: value for name, value in words.items() if name in _OF_TRACES}
    settled = _settle_phase(model, phase)
    return {
        name: value
        for name, value in words.items()
        if _applies(PARAMETERS[name], settled, model)
        and name not in model.traits.fixed_words
        and _has(model, PARAMETERS[name])
    }


def _applies(parameter: Parameter, phase: Phase, model: Model) -> bool:
    """Return whether a phase of a model has a use for a parameter."""
    return parameter.name in phase.words(model.traits) or phase.name in parameter.phases


def _has(model: Model, parameter: Parameter) -> bool:
    return parameter.requires is None or parameter.requires.holds(model.traits)


def _settle_phase(model: Model, asked: str | None) -> Phase:
    phase = find_phase(usual_phase(model.traits) if asked is None else asked)
    name = phase.resolve(model)
    return phase if name == phase.name else find_phase(name)


def _formats(scenario: Scenario) -> Formats:
    """Return the formats of a question, and the arithmetic of its linear layers."""
    model, precision, hardware = scenario.model, scenario.precision, scenario.hardware
    usual = _usual_dtype(model, hardware)
    activations = find_format(precision.activations or usual)
    state = model.traits.state
    prescribed = None if state is None else state.dtype
    weights, storage = _weights(model, precision.weights, usual)
    linear = ""
    if precision.activations is None:
        kinds = (weights.products,) if storage is None else storage.products
        linear = next((kind for kind in kinds if kind in hardware.peaks), "")
    if storage is not None and storage.arithmetics:
        storage = storage.on(hardware.peaks)
    return Formats(
        weights,
        activations,
        _cache_format(model, precision.kv_cache, usual),
        find_format(precision.state or prescribed or activations.name),
        storage,
        linear,
    )


def _weights(model: Model, asked: str | None, usual: str) -> tuple[Format, Storage | None]:
    """Return the format of the weights, of those not in the storage if there is one."""
    if asked is None and model.storage is not None:
        return model.storage.rest, model.storage
    found = find_weights(asked or usual)
    if isinstance(found, Format):
        return found, None
    if model.traits.traced:
        return _one_format(model, found), None
    from memorywall.frontends.recipe_storage import recipe_storage  # noqa: PLC0415 - few ask for one

    storage = recipe_storage(found, model, find_format(usual))
    return storage.rest, storage


def _one_format(model: Model, recipe: Recipe) -> Format:
    """Return the format of all weights of a traced class, whose weights have no kinds.

    Raises:
        UnsupportedError: the recipe is a mixture.
    """
    if recipe.base.name == recipe.name.casefold():
        return recipe.base
    raise UnsupportedError(
        f"weights must be one format for {model.architecture.class_name}, which is traced as "
        f"transformers runs it, got the mixture {recipe.name}.",
        f"Name its main format, such as {recipe.base.name} or int4.",
    )


def _usual_dtype(model: Model, hardware: Hardware) -> str:
    """Return the format of a model where none is named: its own, or the twin that a device runs.

    Engines load bf16 models in fp16 on devices without bf16 arithmetic.
    """
    twin = TWINS.get(model.dtype, model.dtype)
    return twin if model.dtype not in hardware.peaks and twin in hardware.peaks else model.dtype


def _cache_format(model: Model, asked: str | None, usual: str) -> Format:
    """Return the format of the cache: as asked, else as the checkpoint states, else the usual."""
    stated = None if model.storage is None else model.storage.kv_cache
    return find_format(asked or usual) if asked or stated is None else stated


def _counting(asked: Conventions) -> Counting:
    return Counting(
        asked.traffic or "fused",
        asked.causal or "half",
        asked.logits or "last",
        asked.routing or "uniform",
        asked.mla or "auto",
        asked.cache_page or 0,
        asked.ceilings or "calibrated",
        asked.launch or "graph",
    )


def _asked_words(scenario: Scenario) -> Iterator[tuple[Parameter, Any]]:
    """Yield the parameters that were given, with their values, except the phase."""
    values = _ASKED(scenario)
    for parameter, value in zip(_WORDS, values, strict=True):
        if value is not None:
            yield parameter, value
    for name, value in scenario.adjustments.given:
        yield PARAMETERS[name], value


def _refuse_without_effect(scenario: Scenario, phase: Phase) -> None:
    """Refuse the first parameter that would change nothing.

    Raises:
        InvalidInputError: the model lacks what it requires, or the phase does not use it.
    """
    model = scenario.model
    for parameter, value in _asked_words(scenario):
        fixed = parameter.name in model.traits.fixed_words
        if _applies(parameter, phase, model) and not fixed and _has(model, parameter):
            continue
        given = shown(plain(value))
        if fixed:
            raise UnsupportedError(
                f"{parameter.name} conflicts with {model.architecture.class_name}, which is traced "
                f"as transformers runs it; got {given}.",
                f"Leave {parameter.name} out.",
            )
        if parameter.requires is not None and not _has(model, parameter):
            raise InvalidInputError(
                f"{parameter.name} requires {parameter.requires.words}, "
                f"{_missing(model, parameter)}; got {given}.",
                f"Leave {parameter.name} out.",
            )
        raise InvalidInputError(
            f"{parameter.name} has no effect on {model.name} in phase {phase.name}; got {given}.",
            _phases_with(parameter, model),
        )


def _refuse_launch_at_roofs(conventions: Conventions) -> None:
    """Refuse a way of launching where no time of launches is counted.

    Raises:
        InvalidInputError: both ``launch`` and ``ceilings="spec"`` were given.
    """
    if conventions.launch is not None and conventions.ceilings == "spec":
        raise InvalidInputError(
            "launch conflicts with ceilings spec, which counts no launches; "
            f"got {conventions.launch}.",
            "Leave launch out, or ask for ceilings calibrated.",
        )


def _missing(model: Model, parameter: Parameter) -> str:
    """Return why a model does not have what a parameter requires."""
    if parameter.name in ("image_size", "images") and model.traits.images_left_out:
        return f"and the image towers of {model.name} are not traced"
    if parameter.name in ("image_size", "images") and model.text_part:
        return f"and the catalogue holds the text part of {model.name} only"
    return f"which {model.name} does not have"


def _phases_with(parameter: Parameter, model: Model) -> str:
    """Return the next step: the phases in which a parameter has an effect on a model."""
    names = []
    for phase in all_phases():
        try:
            runs = phase.resolve(model) == phase.name
        except UnsupportedError:
            continue
        if runs and _applies(parameter, phase, model):
            names.append(phase.name)
    offer = f", or ask for phase {join_words(names, 'or')}" if names else ""
    return f"Leave {parameter.name} out{offer}."


def _settle_traced(scenario: Scenario, traced: TracedPass) -> Question:
    """Settle a question about a traced module: it has one pass, counted as it ran.

    Raises:
        InvalidInputError: a parameter other than the trace's own value.
    """
    model = scenario.model
    own = {"batch_size": traced.batch_size, "seq_len": traced.seq_len, "causal": traced.causal}
    own["weights"] = own["kv_cache"] = own["activations"] = model.dtype
    asked = [(parameter.name, value) for parameter, value in _asked_words(scenario)]
    if scenario.workload.phase is not None:
        find_phase(scenario.workload.phase)
        own["phase"] = traced.phase
        asked.append(("phase", scenario.workload.phase))
    for name, value in asked:
        if name not in _OF_TRACES and (name not in own or plain(value) != own[name]):
            raise InvalidInputError(
                f"{name} conflicts with the trace of {model.name}, which has one pass as it ran"
                f"{_traced_value(own, name)}; got {shown(plain(value))}.",
                "Trace the module with other inputs, phase or dtype.",
            )
    stored, arithmetic = find_format(model.dtype), find_format(traced.arithmetic)
    conventions = scenario.conventions
    _refuse_launch_at_roofs(conventions)
    return Question(
        model,
        scenario.hardware,
        find_phase(traced.phase),
        traced.batch_size,
        traced.seq_len,
        None,
        None,
        None,
        None,
        None,
        None,
        Formats(stored, arithmetic, stored, arithmetic),
        Counting(
            conventions.traffic or "fused",
            traced.causal,
            "all",
            ceilings=conventions.ceilings or "calibrated",
            launch=conventions.launch or "graph",
        ),
    )


def _traced_value(own: dict[str, Any], name: str) -> str:
    return f" ({name} {own[name]})" if name in own else ""

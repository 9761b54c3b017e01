"""Write the generated reference pages: devices, models, the command, the data of trends.

    python tools/reference.py [--check]

With ``--check`` nothing is written, and the exit code is 1 if a page is out of date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from inspect import cleandoc
from pathlib import Path

import click

import memorywall as mw
from memorywall.answer.settle import applicable
from memorywall.app.cli import app
from memorywall.catalog.configs import entries
from memorywall.catalog.devices import devices
from memorywall.catalog.trends import Dataset, datasets, excluded, read
from memorywall.core.errors import UnsupportedError
from memorywall.core.files import write_text
from memorywall.core.formats import FORMATS, Format
from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.core.parameters import PARAMETERS, Parameter
from memorywall.core.phase import Phase
from memorywall.core.quantities import GROUPS
from memorywall.core.recipes import RECIPES, format_names
from memorywall.core.records import recording_of
from memorywall.frontends.config import model_type_of
from memorywall.phases import all_phases, phase_names
from memorywall.report.device_tables import SUMMARY_TITLES, quantities, split_note, summary
from memorywall.studies import studies
from memorywall.studies.cases.text import miss, row, sources, verdict

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
_HEAD = "<!-- Written by tools/reference.py; do not edit. -->\n\n"


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = parser.parse_args().check
    stale = [name for name, text in pages().items() if _read(name) != text]
    if not check:
        for name in stale:
            write_text(FOLDER / name, pages()[name])
    for name in stale:
        print(f"{'out of date' if check else 'written'}: {FOLDER / name}")
    return int(check and bool(stale))


def pages() -> dict[str, str]:
    """Return every generated page by its file name."""
    return {
        "hardware.md": _HEAD + _hardware_page(),
        "models.md": _HEAD + _models_page(),
        "command.md": _HEAD + _command_page(),
        "parameters.md": _HEAD + _parameters_page(),
        "datasets.md": _HEAD + _datasets_page(),
        "studies.md": _HEAD + _studies_page(),
        "quantities.md": _HEAD + _quantities_page(),
        "formats.md": _HEAD + _formats_page(),
        "cases.md": _HEAD + _cases_page(),
    }


def _read(name: str) -> str:
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _hardware_page() -> str:
    known = list(devices())
    lines = [
        "# Devices",
        "",
        f"{len(known)} devices. Peaks are dense, of matrix units if the device has them; a fused",
        "multiply-add is two operations, and integer operations count as FLOPs. Bandwidths of",
        "links are one way. A capacity is the label, in GB of 10^9 byte; usable is the total that",
        "the driver reports, or by a rule of the device's class, which its source then states.",
        "Numbers marked CC BY are from Epoch AI's dataset on machine learning hardware.",
        "",
        f"| {' | '.join(SUMMARY_TITLES)} |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for device in known:
        name, *rest = summary(device)
        lines.append(f"| {' | '.join((f'[{name}](#{name})', *rest))} |")
    for device in known:
        lines += ["", *_device_section(device)]
    return "\n".join(lines) + "\n"


def _device_section(device: Hardware) -> list[str]:
    found = [(row, split_note(device.sources[row[2]])) for row in quantities(device)]
    sources = list(dict.fromkeys(source for _, (source, _) in found))
    lines = [f"## {device.name}", "", f"{device.title}; {device.released}.", ""]
    if device.aliases:
        lines += [f"Also: {', '.join(f'`{alias}`' for alias in device.aliases)}.", ""]
    lines += ["| quantity | value | source | note |", "| --- | ---: | --- | --- |"]
    for (title, value, _), (source, note) in found:
        lines.append(f"| {title} | {value} | {sources.index(source) + 1} | {note} |")
    lines.append("")
    lines += [f"{number}. {source}" for number, source in enumerate(sources, start=1)]
    if device.notes:
        lines += ["", *(f"- {note}" for note in device.notes)]
    return lines


def _studies_page() -> str:
    lines = [
        "# Studies",
        "",
        'Each is a command, `memorywall study NAME`, and a call, `mw.study("NAME")`, that returns',
        "the result below; its record, `to_dict()` or `--json`, has the schema beside it. How to",
        "add one: [Extend memorywall](../howto/extend.md).",
    ]
    for study in studies():
        schema = recording_of(study.result).schema
        lines += [
            "",
            f"## {study.name}",
            "",
            study.question,
            "",
            cleandoc(study.about),
            "",
            f"Result: `{study.result.__module__}.{study.result.__name__}`, `{schema}`.",
        ]
        if study.figures:
            lines += ["", f"Figures: {', '.join(study.figures)}."]
        if study.options:
            lines += ["", "| option | keyword | sets | default | requires |"]
            lines += ["| --- | --- | --- | --- | --- |"]
        for option in study.options:
            required = f"`{study.option(option.requires).flag}`" if option.requires else ""
            keyword = "" if option.text else f"`{option.name}`"
            lines.append(
                f"| `{option.flag}` | {keyword} | {option.help} | {option.default} | {required} |"
            )
    return "\n".join(lines) + "\n"


def _cases_page() -> str:
    cases = mw.study("cases")
    listed = sources(cases)
    lines = [
        "# Public measurements, beside ours",
        "",
        f"{verdict(cases)} The same on a page: `memorywall study cases`.",
        "",
        "Each was asked as in its row. Counts (sizes of files, caches, states) must be equal;",
        "rates and times at a data sheet are bounds, of which the run reached the share under",
        "*of it*; peaks of memory are bounds as well: engines add their own. `!` marks a miss.",
        "",
        "| model | on | asked | quantity | reported | ours | of it | engine | source |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | --- | ---: |",
    ]
    for one in cases.cases:
        case = one.case
        on, asked, _, ours, of_it, source = row(one, listed)
        cells = (case.model, on, asked, case.quantity, case.text, ours, of_it, case.engine, source)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(miss(one).replace("! ", "- ", 1) for one in cases.misses()), ""]
    lines += [f"{number}. {source}" for number, source in enumerate(listed, start=1)]
    return "\n".join(lines) + "\n"


def _models_page() -> str:
    lines = [
        "# Models",
        "",
        "Published configs that work without a hub; the part after the slash suffices. Any other",
        "config of the same `model_type`s works by its path or its hub id. Parameters are computed",
        "from the shapes, for the class in the table. A name without owner may leave out hyphens,",
        "maker, tuning and release, if one model alone fits. The list at the end has other hub ids",
        "that are answered, such as tuned and quantised models.",
        "",
        "| model | model_type | class | parameters | cache per token, 16 bit | config |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    for entry in sorted(entries(), key=lambda entry: entry.id.casefold()):
        model = mw.model(entry.id)
        cache = ""
        if model.causal:
            source = model.traits.source
            source_len = 1 if source is not None and source.fixed is None else None
            one, two = (
                mw.analyze(
                    model,
                    on="h100-sxm",
                    seq_len=length,
                    source_len=source_len,
                    kv_cache="bf16" if model.traits.caches else None,
                ).footprint.kv_cache
                for length in (1, 2)
            )
            cache = f"{two - one:,} B"
        cells = (
            entry.id,
            f"`{model_type_of(entry.config)}`",
            f"`{model.architecture.class_name}`",
            f"{model.parameters:,}",
            cache,
            f"[config.json]({entry.source})",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Other hub ids, and the keys in which their configs differ:", ""]
    lines += ["| hub id | config of | keys that differ |", "| --- | --- | --- |"]
    for entry in entries():
        others: dict[str, dict[str, object]] = {name: {} for name in entry.aliases}
        others |= entry.variants
        for name, keys in others.items():
            differing = ", ".join(f"`{key}`" for key in keys)
            lines.append(f"| {name} | {entry.id} | {differing} |")
    return "\n".join(lines) + "\n"


def _datasets_page() -> str:
    lines = [
        "# Data of trends",
        "",
        "The data of `memorywall trends`, `study trends` and `study wall`. Every file is",
        "in the package, in `catalog/trends/`. Data of Epoch AI are used under CC BY 4.0; columns",
        "were removed, and columns marked as ours were added.",
        "",
        "| file | rows | used | as of | licence |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    for name, entry in datasets().items():
        lines.append(
            f"| [{name}](#{name}) | {entry.rows} | {entry.rows - len(excluded(name))} | "
            f"{entry.date} | {entry.licence} |"
        )
    for entry in datasets().values():
        lines += ["", *_dataset_section(entry)]
    return "\n".join(lines) + "\n"


def _dataset_section(entry: Dataset) -> list[str]:
    lines = [f"## {entry.name}", "", f"{entry.title}: {entry.rows} rows, as of {entry.date}.", ""]
    lines += [f"- Source: {entry.source}", f"- Licence: {entry.licence}"]
    lines.append(f"- Columns: {', '.join(f'`{column}`' for column in read(entry.name)[0])}")
    lines += [f"- {note}" for note in entry.notes]
    left_out = excluded(entry.name)
    if left_out:
        lines += ["", f"{len(left_out)} rows are in no series:", ""]
        lines += ["| row | why |", "| --- | --- |"]
        lines += [f"| {name} | {reason} |" for name, reason in left_out]
    return lines


def _quantities_page() -> str:
    lines = ["# Quantities", "", *_QUANTITIES_INTRODUCTION.strip().splitlines()]
    for group, declared in GROUPS.items():
        lines += ["", f"## {_GROUP_TITLES[group]}", ""]
        lines += ["| name | unit | meaning | follows from |", "| --- | --- | --- | --- |"]
        for each in declared:
            origin = {"shapes": "", "ceilings": "ceilings", "time": "times"}[each.origin]
            lines.append(f"| `{each.name}` | {each.unit} | {each.meaning} | {origin} |")
    return "\n".join(lines).replace("``", "`") + "\n"


_QUANTITIES_INTRODUCTION = """
The contents of answers, records and tables, by result. `Analysis` has an attribute of each name in
the first table: a number, or a NumPy array for a question with arrays. `to_dict()` has a key of
that name, and `to_frame()` a column.

- `answer.quantity(name)` is the value with `low`, `high` and `provenance`, and `bound`: times at a
  device's ceilings are `at least`, rates `at most`. Parts of the footprint are `footprint.weights`
  and so on.
- `answer.provenance(name)` is `counted` for what follows from shapes; `data sheet`, `measured`,
  `forecast` or `hypothetical` for what follows from a device's ceilings; times, and what follows
  from them, are `calibrated` on a machine that was measured.
- `bound` is the resource that binds most of the time, whether the footprint fits or not; `binding`
  is `capacity_bound` where it does not fit, and else the same.
- A record of a question with arrays holds `points`, one flat record each, where parts of the
  footprint are `footprint_*` and shares of the time `share_*`. `mw.read_analysis_record` reads
  records of both versions.
"""
_GROUP_TITLES = {
    "analysis": "An answer: `Analysis`",
    "footprint": "Memory: `Analysis.footprint`",
    "operator": "An operator: `Analysis.ops`",
    "model": "A model",
    "stored": "The files of a model",
    "device": "A device: `Hardware`",
    "memory": "A memory level",
    "link": "An interconnect",
}


def _parameters_page() -> str:
    lines = [
        "# Parameters of a question",
        "",
        "Each is a keyword of `memorywall.analyze`, an option of `memorywall analyze` and, except",
        "the device, a field of `Workload`, `Precision` or `Conventions`. A parameter without",
        "effect on a model in a phase is refused, in the library and in the command. How to add",
        "one: [Extend memorywall](../howto/extend.md).",
        "",
        "Whole numbers may be text. Of lengths `k` is 1024 and `M` is 1024 k: `128k` is 131072. A",
        "comma separates the numbers of a list, and a repeated option adds to it. A text that is",
        "just as well one number with thousands separators is refused: `2,048` and `10,000`, where",
        "a later group begins with 0, and `32,768`, a multiple of 1024. `128,512` is a list.",
        "Quantities have units: `80 GiB`, `3.35 TB/s`. In the library lists are arrays that",
        "broadcast; in the command each is an axis of a grid, and several phases or devices are",
        "answers one after the other, in `--json` a list of records.",
        "",
        "| parameter | flags | values | default | requires | phases |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    models = [mw.model(name) for name in mw.model_names()]
    for parameter in PARAMETERS.values():
        cells = (
            f"[`{parameter.name}`](#{parameter.name})",
            ", ".join(f"`{flag}`" for flag in parameter.flags),
            _values(parameter),
            parameter.default or "required",
            "" if parameter.requires is None else parameter.requires.words,
            _phases_of(parameter, models),
        )
        lines.append(f"| {' | '.join(cells)} |")
    for parameter in PARAMETERS.values():
        lines += ["", f"## {parameter.name}", "", parameter.help]
        if parameter.aliases:
            aliases = ", ".join(f"`{alias}`" for alias in parameter.aliases)
            lines += ["", f"Also named {aliases}."]
        if parameter.kind == "phase":
            lines += ["", "| phase | work |", "| --- | --- |"]
            lines += [f"| `{phase.name}` | {phase.help} |" for phase in all_phases()]
    lines += ["", "## Number formats", "", "The names are in [formats](formats.md), case ignored."]
    return "\n".join(lines) + "\n"


def _formats_page() -> str:
    """Return the table of formats, and of recipes."""
    lines = [
        "# Number formats",
        "",
        "Names for `weights`, `activations`, `kv_cache` and `state`, case ignored. Bits of a",
        "weight include its share of the scales of full blocks; a row has whole blocks of ggml.",
        "The arithmetic is that of linear layers whose weights have the format, on devices with a",
        "peak for it; *weight-only* is in the format of the activations. If `activations` is",
        "given, arithmetic is in that format.",
        "",
        "| name | bits a weight | block | for | arithmetic of its products |",
        "| --- | --- | --- | --- | --- |",
    ]
    words = ("weights", "activations", "kv_cache", "state")
    for name, entry in FORMATS.items():
        uses = ", ".join(f"`{word}`" for word in words if name in format_names(word))
        cells = (
            f"`{name}`",
            f"{entry.bits_per_element:.6g}",
            _block(entry),
            uses,
            _products(entry),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "`int4-g64` is a format in groups of another size, `fp8_block-1x128` in other blocks.",
        "torch's names, such as `bfloat16` and `float8_e4m3fn`, and GGUF's `F16` are read too.",
        "",
        "## Recipes of weights",
        "",
        "A recipe gives each weight the format that a tool chooses for it. llama.cpp's depend on",
        "the model: the kind of weight, the layer, the number of query heads for a head of keys,",
        "the experts. Norms, biases and routers are fp32; rows that blocks do not divide fall back",
        "to smaller blocks. IQ types are made with an importance matrix, all others without one.",
        "",
        "| name | tool | most weights |",
        "| --- | --- | --- |",
    ]
    for name, recipe in RECIPES.items():
        lines.append(f"| `{name}` | {recipe.tool} | `{recipe.base.name}` |")
    lines += [
        "| `exl2-4.65bpw`, `exl3-3bpw`, ... | exllama | the mean number of bits; the head has 6 |",
        "",
        "`Q3_K`, `Q4_K` and `Q5_K` are short for the `_M` type. `Q2_K_L`, `Q3_K_XL`, `Q4_K_L`,",
        "`Q5_K_L` and `Q6_K_L` have embeddings and head in Q8_0, as some published files do.",
    ]
    return "\n".join(lines) + "\n"


def _block(entry: Format) -> str:
    """Return the block of a format as text."""
    if entry.block:
        return f"{entry.block_bytes} B for {entry.block}"
    if entry.group:
        return f"a scale of {entry.scale_bits} bits for {entry.group}"
    runs = [f"{one.bits} bits for {one.run}" for one in entry.beside if one.run]
    blocks = [
        f"{one.bits} bits for {one.rows} x {one.columns}"
        for one in entry.beside
        if not one.run and one.rows
    ]
    return ", ".join(runs + blocks)


def _products(entry: Format) -> str:
    """Return the arithmetic of linear layers with weights of a format."""
    if entry.products:
        return entry.products
    return "weight-only" if entry.bits < 16 else "that of the activations"


def _values(parameter: Parameter) -> str:
    """Return what a parameter may be: its words, or its kind with its unit."""
    if parameter.choices:
        return ", ".join(f"`{word}`" for word in parameter.choices)
    if parameter.kind == "phase":
        return ", ".join(f"`{name}`" for name in phase_names())
    if parameter.kind == "format":
        return "a [number format](#number-formats)"
    of_unit = f" of {parameter.unit}" if parameter.unit else ""
    several = ", or several" if parameter.listed else ""
    kinds = {"length": "whole number", "count": "whole number", "pixels": "height and width"}
    return f"{kinds.get(parameter.kind, parameter.kind)}{of_unit}{several}"


def _phases_of(parameter: Parameter, models: Sequence[Model]) -> str:
    """Return the phases in which some model of the catalogue takes a parameter."""
    if parameter.part == "hardware" or parameter.kind == "phase":
        return "all"
    probe = {parameter.name: None}
    found = [
        phase.name
        for phase in all_phases()
        if any(
            phase.name == _resolved(phase, model) and applicable(model, phase.name, probe)
            for model in models
        )
    ]
    return ", ".join(found)


def _resolved(phase: Phase, model: Model) -> str:
    """Return the phase that a model runs in a phase's place; "" where it has neither."""
    try:
        return phase.resolve(model)
    except UnsupportedError:
        return ""


_COMPLETION = (
    "Names of models and devices, phases, formats and choices complete in a shell, those of a list",
    "after each comma. Put one line into the shell's start-up file:",
    "",
    "```sh",
    'eval "$(_MEMORYWALL_COMPLETE=bash_source memorywall)"            # ~/.bashrc',
    'eval "$(_MEMORYWALL_COMPLETE=zsh_source memorywall)"             # ~/.zshrc',
    "_MEMORYWALL_COMPLETE=fish_source memorywall | source              # config.fish",
    "```",
)


def _command_page() -> str:
    lines = ["# The command", "", *_COMPLETION, ""]
    for words, command in _commands(app, ("memorywall",)):
        context = click.Context(
            command, info_name=" ".join(words), max_content_width=90,
            help_option_names=["-h", "--help"],
        )  # fmt: skip
        lines += [f"## {' '.join(words)}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines)


def _commands(
    command: click.Command, words: tuple[str, ...]
) -> list[tuple[tuple[str, ...], click.Command]]:
    """Return a command and its subcommands, each with the words that call it."""
    found = [(words, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                found += _commands(below, (*words, name))
    return found


if __name__ == "__main__":
    sys.exit(main())

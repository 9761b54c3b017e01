"""Real headers spoilt at random: an answer or an error that names the file; quick, and small."""

from __future__ import annotations

import json
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import memorywall as mw
from memorywall.frontends.gguf import read_gguf
from memorywall.frontends.shards import read_safetensors
from tests.counting import python_calls
from tests.frontends.files import GGUF_METADATA, LLAMA, gguf, gguf_tensors, plain, save

ROUNDS = 400
MOST_BYTES = 100 << 20
INTERESTING = [0, 1, 7, 8, 9, 255, 2**16, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)


def number(data: bytearray, chance: random.Random) -> None:
    """Write a number that programs stumble over, somewhere."""
    at = chance.randrange(max(1, len(data) - 8))
    data[at : at + 8] = struct.pack("<Q", chance.choice(INTERESTING))


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def double(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    part = data[start : start + chance.randint(1, 200)]
    data[start:start] = part * chance.randint(1, 3)


def drop(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randint(1, 40)]


def digits(data: bytearray, chance: random.Random) -> None:
    """Change a digit: shapes, offsets and lengths that lie."""
    places = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    for _ in range(chance.randint(1, 3)):
        if places:
            data[chance.choice(places)] = chance.choice(b'0123456789-.eE[]{}",')


MUTATIONS = (flip, number, cut, double, drop, digits)


def spoil(header: bytes, rest: bytes, seed: int) -> bytes:
    """Spoil the header of a file once or twice; what follows it stays, most of the time."""
    chance = random.Random(seed)
    data = bytearray(header)
    for _ in range(chance.randint(1, 2)):
        if data:
            chance.choice(MUTATIONS)(data, chance)
    return bytes(data) + (rest if chance.random() < 0.8 else b"")


def survives(path: Path, read: Callable[[Path], object], files: list[bytes]) -> int:
    """Read every file; return how many were refused, each with its name and a next step."""
    said: list[tuple[str, str]] = []
    tracemalloc.start()
    try:
        for data in files:
            path.write_bytes(data)
            try:
                read(path)
            except mw.MemoryWallError as error:
                said.append((error.message, error.hint))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES
    for message, hint in said:
        assert path.name in message
        assert hint
        assert len(message) < 8000
    return len(said)


def test_safetensors(tmp_path: Path) -> None:
    save(tmp_path, LLAMA, plain())
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    end = 8 + struct.unpack("<Q", whole[:8])[0]
    # The header's own length right most of the time, so that what is spoilt is its text.
    files = []
    for seed in range(ROUNDS):
        text = spoil(whole[8:end], b"", seed) if seed % 4 else whole[8:end]
        length = whole[:8] if seed % 5 == 0 else struct.pack("<Q", len(text))
        files.append(spoil(length, b"", seed) + text if seed % 4 == 0 else length + text)
    files = [data + whole[end:] for data in files]
    assert survives(path, read_safetensors, files) > ROUNDS // 2
    assert survives(path, mw.model, files[:50]) > 25


def test_gguf(tmp_path: Path) -> None:
    tensors = gguf_tensors()
    whole = gguf(GGUF_METADATA, tensors)
    header = len(gguf(GGUF_METADATA, [])) + 60 * len(tensors)
    files = [spoil(whole[:header], whole[header:], seed) for seed in range(ROUNDS)]
    assert survives(tmp_path / "a.gguf", read_gguf, files) > ROUNDS // 2
    assert survives(tmp_path / "a.gguf", mw.model, files[:100]) > 50


def texts(count: int) -> bytes:
    return struct.pack("<IQ", 8, count) + struct.pack("<Q", 0) * count


def metadata(*values: tuple[int, bytes]) -> bytes:
    keys = [
        struct.pack("<Q5sI", 5, b"%05d" % n, kind) + data for n, (kind, data) in enumerate(values)
    ]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys)


# As much as the bounds let through.
LARGEST = {
    "many texts": metadata((9, texts(900_000))),
    "many numbers": metadata(*[(9, struct.pack("<IQ", 4, 1000) + bytes(4000))] * 990),
    "long texts": metadata(*[(8, struct.pack("<Q", 512) + b"x" * 512)] * 19_000),
    "a long array": metadata((9, struct.pack("<IQ", 0, 10**7) + bytes(10**7))),
    "nests": metadata((9, struct.pack("<IQ", 9, 300_000) + struct.pack("<IQ", 4, 0) * 300_000)),
}


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_ggufs_are_read_in_little_memory(tmp_path: Path, name: str) -> None:
    assert survives(tmp_path / "a.gguf", read_gguf, [LARGEST[name]]) == 0


def test_a_file_that_is_mostly_holes(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    text = struct.pack("<Q", 2**20)
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sI", 1, b"k", 9))
        file.write(struct.pack("<IQ", 8, 10**6) + text)
        for n in range(1, 300):
            file.seek(n * (2**20 + 8) + 49)
            file.write(text)
        file.truncate(2**40)
    # 300 texts are read, each by some calls of functions, and not the 10**6 that the header claims.
    with (
        python_calls() as calls,
        pytest.raises(mw.MemoryWallError, match="the header is longer than any model's"),
    ):
        read_gguf(path)
    assert calls.count < 100_000


JSON_BOMBS = {
    "numbers": b'{"a": [' + b",".join(b"%d" % (n + 300) for n in range(499_990)) + b"]}",
    "texts": b'{"a": [' + b",".join(b'"%x"' % n for n in range(499_990)) + b"]}",
    "objects": b'{"a": [' + b",".join([b"{}"] * 249_000) + b"]}",
    "lists": b'{"a": [' + b",".join([b"[]"] * 249_000) + b"]}",
    "keys": b"{" + b",".join(b'"%x":{}' % n for n in range(99_000)) + b"}",
    "one text": b'{"a": "' + b"x" * (16_000_000) + b'"}',
    "not Latin": '{"a": "\U0001f600'.encode() + b"x" * (16_000_000) + b'"}',
}


@pytest.mark.parametrize("name", JSON_BOMBS)
def test_the_longest_texts_are_read_in_little_memory(tmp_path: Path, name: str) -> None:
    text = JSON_BOMBS[name]
    path = tmp_path / "a.safetensors"
    assert survives(path, read_safetensors, [struct.pack("<Q", len(text)) + text]) == 1
    folder = save(tmp_path / "model", LLAMA, {})
    path = folder / "model.safetensors.index.json"
    assert survives(path, lambda _: mw.model(folder), [text]) == 1


def test_deep_configs_beside_files(tmp_path: Path) -> None:
    folder = save(tmp_path, LLAMA, plain())
    deep: object = 1
    for _ in range(300):
        deep = {"a": deep}
    for settings, is_fault in (
        (deep, False),
        ({"quant_method": "gptq", "x": deep}, False),
        ({"quant_method": deep}, True),
    ):
        config = {**LLAMA, "quantization_config": settings, "rope_parameters": deep}
        text = json.dumps(config).encode()
        assert survives(folder / "config.json", lambda _: mw.model(folder), [text]) == is_fault

"""Headers of safetensors: files, shards, folders, a server that sends ranges; and spoilt ones."""

from __future__ import annotations

import http.server
import json
import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.frontends._source import LocalSource, RemoteSource
from memorywall.frontends.safetensors import BITS, MOST_TENSORS, parse_object, read_header
from memorywall.frontends.shards import read_hub, read_safetensors
from tests.frontends.files import LLAMA, plain, save

Captured = pytest.CaptureFixture[str]


def test_a_file_a_folder_and_shards_hold_the_same(tmp_path: Path) -> None:
    arrays = plain()
    single = save(tmp_path / "single", LLAMA, arrays)
    names = sorted(arrays)
    shards = save(
        tmp_path / "shards", LLAMA, *({n: arrays[n] for n in names[i::3]} for i in range(3))
    )
    models = [
        mw.model(path)
        for path in (
            single,
            single / "model.safetensors",
            str(single / "model.safetensors"),
            shards,
        )
    ]
    # 2 x 98 304 weights of embedding and head, 5 x 256 of norms, 2 x 589 824 of layers, 2 B each.
    nbytes = 2 * (2 * 98_304 + 5 * 256 + 2 * 589_824)
    for model, files in zip(models, (1, 1, 1, 3), strict=True):
        assert model.stored is not None
        assert model.stored.bytes_by_format == (("F16", nbytes),)
        assert (model.stored.files, model.stored.tensors) == (files, len(arrays))
        assert model.stored.elements == model.parameters
        assert model.storage is None  # as the config says
    assert models[0].name == "single"
    assert mw.model(single / "config.json").stored is None  # no file of weights was asked for
    tensors, _ = read_safetensors(shards / "model.safetensors.index.json")
    read = {tensor.name: (tensor.shape, tensor.nbytes) for tensor in tensors}
    assert read == {name: (array.shape, array.nbytes) for name, array in arrays.items()}


def test_every_dtype_that_the_library_writes(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    dtypes = [
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
        torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2,
    ]  # fmt: skip
    arrays = {str(dtype): torch.zeros(3, 5, dtype=dtype) for dtype in dtypes}
    save_file(arrays, tmp_path / "a.safetensors")
    for tensor in read_header(LocalSource(tmp_path / "a.safetensors")):
        assert tensor.nbytes == 15 * arrays[tensor.name].element_size()
        assert BITS[tensor.format] == 8 * arrays[tensor.name].element_size()


def entry(shape: object = (2,), at: object = (0, 8), dtype: object = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": at}


def spoilt(header: object, data: int = 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


SPOILT = {
    "empty": (b"", "0 bytes hold no header"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "pointer of Git LFS"),
    "long": (struct.pack("<Q", 2**63) + bytes(99), "a header of 9223372036854775808 bytes"),
    "past the end": (struct.pack("<Q", 100) + bytes(50), "a header of 100 bytes in a file of 58"),
    "not JSON": (spoilt(b"{]"), "not valid JSON"),
    "not UTF-8": (spoilt(b'{"\xff": 1}'), "not valid JSON"),
    "a list": (spoilt([]), "must be an object"),
    "deep": (spoilt(b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}"), "nested too deeply"),
    "deeper": (spoilt(b"[" * 300_000), "more parts than any model's"),
    "a tensor twice": (spoilt(b'{"a": 1, "a": 2}'), "the key 'a' occurs twice"),
    "no object": (spoilt({"a": 3}), "the dtype None is not known"),
    "dtype": (spoilt({"a": entry(dtype="F31")}), "'F31' is not known"),
    "shape": (spoilt({"a": entry(shape="x")}), "the shape must be"),
    "axis": (spoilt({"a": entry(shape=[-1])}), "the shape must be"),
    "truth": (spoilt({"a": entry(shape=[True])}), "the shape must be"),
    "axes": (spoilt({"a": entry(shape=[1] * 9)}), "the shape must be"),
    "huge": (spoilt({"a": entry(shape=[2**63])}), "the shape must be"),
    "product": (spoilt({"a": entry(shape=[2**62] * 8)}), "does not take 8 bytes"),
    "offsets": (spoilt({"a": entry(at=[0, 8, 9])}), "'data_offsets' must be"),
    "backwards": (spoilt({"a": entry(at=[8, 0])}), "does not take -8 bytes"),
    "size": (spoilt({"a": entry(at=[0, 7])}), "does not take 7 bytes"),
    "out of range": (spoilt({"a": entry(at=[8, 16])}), "leaves a gap"),
    "overlap": (spoilt({"a": entry(), "b": entry(at=[4, 12])}, 12), "overlaps the one before"),
    "truncated": (spoilt({"a": entry()}, 7), "its tensors end at byte 8 of 7"),
    "trailing": (spoilt({"a": entry()}, 9), "its tensors end at byte 8 of 9"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_headers(tmp_path: Path, name: str) -> None:
    data, said = SPOILT[name]
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(mw.MemoryWallError) as error:
        read_safetensors(path)
    assert said in error.value.message
    assert "a.safetensors" in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({}, "'weight_map' must name the tensors' files"),
        ({"weight_map": {"a": "../b.safetensors"}}, "files of the same folder"),
        ({"weight_map": {"a": "/etc/passwd"}}, "files of the same folder"),
        ({"weight_map": {"a": 3}}, "files of the same folder"),
        ({"weight_map": {"a": "b.safetensors"}}, "b.safetensors: there is no such file"),
    ],
)
def test_spoilt_indexes(tmp_path: Path, index: object, said: str) -> None:
    folder = save(tmp_path, LLAMA, {"a": np.zeros(1)}, {"b": np.zeros(1)})
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(mw.MemoryWallError) as error:
        mw.model(folder)
    assert said in error.value.message


def test_one_tensor_in_two_files(tmp_path: Path) -> None:
    folder = save(tmp_path, LLAMA, {"a": np.zeros(1)}, {"a": np.zeros(1)})
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(mw.MemoryWallError, match="'a' is in two files"):
        mw.model(folder)


def test_the_longest_headers_are_bounded() -> None:
    entries = b",".join(b'"%d":1' % n for n in range(6 * MOST_TENSORS))
    with pytest.raises(mw.MemoryWallError, match="more parts than any model's"):
        parse_object(b"{" + entries + b"}", "here")


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Answers requests for ranges, as the hub's servers do; ``asked`` holds what was sent."""

    folder = Path()
    asked: tuple[list[int], ...] = ([],)
    is_willing = True

    def do_GET(self) -> None:
        data = (self.folder / self.path.lstrip("/")).read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert found
        part = data[int(found[1]) : int(found[2]) + 1] if self.is_willing else data
        self.asked[0].append(len(part))
        self.send_response(206 if self.is_willing else 200)
        if self.is_willing:
            self.send_header("Content-Range", f"bytes {found[1]}-{found[2]}/{len(data)}")
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    handler = getattr(request, "param", Ranges)
    Ranges.folder, Ranges.asked, Ranges.is_willing = tmp_path, ([],), True
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_only_ranges_are_fetched(server: str, tmp_path: Path) -> None:
    arrays = plain()
    names = sorted(arrays)
    save(tmp_path, LLAMA, *({n: arrays[n] for n in names[i::2]} for i in range(2)))

    def opened(name: str) -> RemoteSource | None:
        return RemoteSource(f"{server}/{name}", name) if (tmp_path / name).exists() else None

    tensors, files = read_hub(opened, "someone/toy")
    assert files == 2
    assert {t.name: t.nbytes for t in tensors} == {n: a.nbytes for n, a in arrays.items()}
    assert sum(Ranges.asked[0]) < 10_000  # of 2.8 MB


def test_a_server_without_ranges_is_left_alone(server: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(9))
    Ranges.is_willing = False
    with pytest.raises(mw.MemoryWallError, match="must support range requests"):
        RemoteSource(f"{server}/model.safetensors", "model.safetensors")


class Hub(Ranges):
    """Answers for files as the hub does: their size first, and 404 for what it has not."""

    def do_HEAD(self) -> None:
        self.path = self.path.removeprefix("/someone/toy/resolve/main")
        path = self.folder / self.path.lstrip("/")
        self.send_response(200 if path.exists() else 404)
        self.send_header("Content-Length", str(path.stat().st_size if path.exists() else 0))
        self.send_header("ETag", '"x"')
        self.end_headers()

    def do_GET(self) -> None:
        self.path = self.path.removeprefix("/someone/toy/resolve/main")
        super().do_GET()


@pytest.mark.parametrize("server", [Hub], indirect=True)
def test_what_the_hub_stores(server: str, tmp_path: Path) -> None:
    arrays = plain()
    names = sorted(arrays)
    save(tmp_path, LLAMA, *({n: arrays[n] for n in names[i::2]} for i in range(2)))
    run = subprocess.run(
        [sys.executable, "-c",
         "from memorywall.frontends.hub import stored_on_hub; print(stored_on_hub('someone/toy'))"],
        capture_output=True, text=True, check=False, env={**os.environ, "HF_ENDPOINT": server},
    )  # fmt: skip
    nbytes = sum(array.nbytes for array in arrays.values())
    assert f"bytes_by_format=(('F16', {nbytes}),)" in run.stdout, run.stderr
    assert sum(Ranges.asked[0]) < 10_000


def test_addresses_of_other_kinds_and_servers_that_are_not_there() -> None:
    with pytest.raises(mw.MemoryWallError, match="must be an http or https URL"):
        RemoteSource("file:///etc/passwd", "a")
    with pytest.raises(mw.MemoryWallError, match="could not be fetched"):
        RemoteSource("http://127.0.0.1:9/a", "a")

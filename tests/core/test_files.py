"""A file is the old one or the new one: through real kills and a disk that really refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

WRITER = """
import json, sys
from pathlib import Path
from memorywall.core.files import write_text
path = Path(sys.argv[1])
round = 0
while True:
    round += 1
    write_text(path, json.dumps([round] * 50_000))
"""


@pytest.mark.parametrize("delay_s", [0.01, 0.05, 0.1, 0.15])
def test_killed_at_any_moment_it_leaves_a_whole_file(tmp_path: Path, delay_s: float) -> None:
    path = tmp_path / "record.json"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    try:
        while not path.exists():
            assert writer.poll() is None
            time.sleep(0.005)
        time.sleep(delay_s)
    finally:
        writer.kill()
        writer.wait()
    kept = json.loads(path.read_text())
    assert len(kept) == 50_000
    assert len(set(kept)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is a Unix one")
def test_a_disk_that_takes_no_more_leaves_the_old_file(tmp_path: Path) -> None:
    # The kernel itself refuses what goes past 64 KiB, as a full disk would; the measured device is
    # the command's largest file but one.
    path = tmp_path / "hardware" / "here-1.toml"
    path.parent.mkdir()
    path.write_text("old")
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "from memorywall.catalog.measured import save_here\n"
        "from memorywall.core.hardware import Hardware, Memory\n"
        "notes = tuple('x' * 1000 for _ in range(100))\n"
        "device = Hardware('here', {'fp32': 1.0}, (Memory('DRAM', None, 1.0),), notes=notes)\n"
        "from memorywall.core.errors import MemoryWallError\n"
        "try:\n"
        "    save_here(device, 1)\n"
        "except MemoryWallError as error:\n"
        "    sys.exit(f'{error.message} {error.hint}')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"MEMORYWALL_DATA": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "cannot be written: File too large" in run.stderr
    assert "Free disk space or set another folder" in run.stderr
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["here-1.toml"]

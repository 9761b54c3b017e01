"""Collectives between processes: one process per rank, over gloo on CPUs and NCCL on GPUs.

Rates are bus bandwidth, as nccl-tests defines it: the bytes that the busiest rank must send, so
that rates compare over operators and numbers of ranks. For n ranks and a buffer of S bytes (the
larger of a rank's input and output) that is 2 S (n-1)/n for an all-reduce, S (n-1)/n for an
all-gather and an all-to-all, and 2 S from one rank to another and back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from memorywall.bench.pipe import Answer, Case, Order, hear, read_order, say, write_order
from memorywall.bench.runner import pinned
from memorywall.bench.timing import Measurement

FUNCTIONS = ("all_reduce", "all_gather", "all_to_all", "point_to_point")
_PATIENCE_S = 120


def collectives(*, quick: bool) -> list[Case]:
    """Return the cases: every collective over sizes from a token's to a layer's."""
    sizes = (1 << 12, 1 << 20, 1 << 26) if quick else tuple(1 << bits for bits in range(10, 28, 2))
    return [
        Case("collective", 0.2 if quick else 0.5, {"function": f, "nbytes": size})
        for f in FUNCTIONS
        for size in sizes
    ]


def sent_bytes(function: str, nbytes: int, ranks: int) -> float:
    """Return the least bytes that a rank sends."""
    share = nbytes * (ranks - 1) / ranks
    return {
        "all_reduce": 2 * share,
        "all_gather": share,
        "all_to_all": share,
        "point_to_point": 2.0 * nbytes,
    }[function]


def answers(plan: list[Case], ranks: int, device: str) -> Iterator[tuple[Case, Answer]]:
    """Yield every case with the first rank's answer; ranks that fail fail what is left."""
    done = 0
    for answer in _run(plan, ranks, device):
        yield plan[done], answer
        done += 1
    for case in plan[done:]:
        yield case, Answer(error=f"the {ranks} processes did not finish")


def _run(plan: list[Case], ranks: int, device: str) -> Iterator[Answer]:
    order = Order(device, tuple(plan), ranks=ranks)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        # Each process has one core, so that ranks do not compete.
        environment = {**os.environ, **pinned(1), "OMP_PROC_BIND": "false", "MEETING": folder}
        workers = [stack.enter_context(_start(rank, environment)) for rank in range(ranks)]
        for worker in workers:
            stack.callback(worker.kill)
        for worker in workers:
            assert worker.stdin is not None
            write_order(order, worker.stdin)
        assert workers[0].stdout is not None
        yield from (line for line in hear(workers[0].stdout) if isinstance(line, Answer))


def _start(rank: int, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start one rank; only the answers of the first are read."""
    return subprocess.Popen(
        [sys.executable, "-m", "memorywall.bench.ranks", str(rank)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, text=True, env=environment,
    )  # fmt: skip


def main() -> None:
    """Run one rank: connect to the others and run every case; the first rank answers."""
    import datetime as dt  # noqa: PLC0415 - only in a rank

    import torch  # noqa: PLC0415 - the ranks alone import it
    import torch.distributed as group  # noqa: PLC0415

    rank, order = int(sys.argv[1]), read_order(sys.stdin)
    on_gpu = order.device != "cpu"
    torch.set_num_threads(1)
    if on_gpu:
        torch.cuda.set_device(rank)
    group.init_process_group(
        "nccl" if on_gpu else "gloo", init_method=f"file://{os.environ['MEETING']}/meeting",
        rank=rank, world_size=order.ranks, timeout=dt.timedelta(seconds=_PATIENCE_S),
    )  # fmt: skip
    device = torch.device("cuda", rank) if on_gpu else torch.device("cpu")
    for case in order.cases:
        answer = _answer(case, rank, order.ranks, device)
        if rank == 0:
            say(answer)
    group.destroy_process_group()


def _answer(case: Case, rank: int, ranks: int, device: Any) -> Answer:
    """Time one case; every rank makes the same number of calls, which the first one chooses."""
    import torch  # noqa: PLC0415

    function, nbytes = case.parameters["function"], case.parameters["nbytes"]
    call = _call(function, nbytes, rank, ranks, device)
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    try:
        seconds = _time_together(call, case.budget_s, synchronize)
    except RuntimeError as error:
        return Answer(error=str(error).splitlines()[0][:200])
    return Answer(
        Measurement(
            "collective", tuple(seconds), moved_bytes=sent_bytes(function, nbytes, ranks),
            parameters={"function": function, "nbytes": nbytes, "ranks": ranks},
        )
    )  # fmt: skip


def _time_together(
    call: Callable[[], object], budget_s: float, synchronize: Callable[[], object]
) -> list[float]:
    """Return the seconds of the calls that fit the budget, each started together."""
    import time  # noqa: PLC0415

    import torch  # noqa: PLC0415
    import torch.distributed as group  # noqa: PLC0415

    def once() -> float:
        group.barrier()
        start = time.perf_counter()
        call()
        synchronize()
        return time.perf_counter() - start

    once()
    count = torch.tensor([max(3, min(50, int(budget_s / max(once(), 1e-5))))])
    if group.get_backend() == "nccl":
        count = count.cuda()
    group.broadcast(count, 0)
    return [once() for _ in range(int(count.item()))]


def _call(function: str, nbytes: int, rank: int, ranks: int, device: Any) -> Callable[[], object]:
    """Return one call of a collective on buffers of ``nbytes`` in fp32."""
    import torch  # noqa: PLC0415
    import torch.distributed as group  # noqa: PLC0415

    count = nbytes // 4 // ranks * ranks
    whole, part = (torch.zeros(n, device=device) for n in (count, count // ranks))

    def point_to_point() -> None:  # both ways, so that the first rank sees the end of both
        if rank == 0:
            group.send(whole, 1)
            group.recv(whole, 1)
        elif rank == 1:
            group.recv(whole, 0)
            group.send(whole, 0)

    calls: dict[str, Callable[[], object]] = {
        "all_reduce": lambda: group.all_reduce(whole),
        "all_gather": lambda: group.all_gather_into_tensor(whole, part),
        "all_to_all": lambda: group.all_to_all_single(torch.empty_like(whole), whole),
        "point_to_point": point_to_point,
    }
    return calls[function]


if __name__ == "__main__":
    main()

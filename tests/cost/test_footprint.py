"""Liveness, on programs made by hand."""

from __future__ import annotations

from memorywall.core.axes import unnamed
from memorywall.core.formats import FORMATS
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.cost.footprint import peak_activations


def tensor(name: str, nbytes: int) -> Tensor:
    return Tensor(name, unnamed(nbytes), FORMATS["int8"])


def op(name: str, reads: list[Tensor], writes: list[Tensor]) -> Op:
    return Op(name, Elementwise((Space(1, ()),), "add"), tuple(reads), tuple(writes), "int8")


def test_what_every_repetition_reads_stays_alive() -> None:
    # An encoder's output (100) is read first by a decoder's layer, which then makes a wide tensor
    # (50) from its input (10): in all but the last repetition all three are alive together.
    encoded, x, wide = tensor("encoded", 100), tensor("x", 10), tensor("wide", 50)
    encoder = Block("encoder", (op("encode", [], [encoded, x]),))
    layer = (
        op("cross", [encoded, x], [x]),
        op("expand", [x], [wide]),
        op("contract", [wide], [x]),
    )
    assert peak_activations(Program((encoder, Block("decoder", layer, repeat=3)))) == 160
    # Once only, the encoder's output is dead when the wide tensor is made.
    assert peak_activations(Program((encoder, Block("decoder", layer)))) == 110


def test_a_chain_holds_two_at_a_time() -> None:
    a, b, c = tensor("a", 1), tensor("b", 20), tensor("c", 300)
    chain = Block("chain", (op("1", [], [a]), op("2", [a], [b]), op("3", [b], [c])))
    assert peak_activations(Program((chain,))) == 320

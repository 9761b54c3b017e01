"""Encoder-decoders: counts known from elsewhere, or derived by hand in the comment above them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memorywall as mw
from tests.toys import MARIAN_TOY, T5_TOY, WHISPER_TOY, ask

INT8: dict[str, Any] = {
    "traffic": "unfused", "weights": "int8", "activations": "int8", "kv_cache": "int8",
}  # fmt: skip


def test_the_big_transformer() -> None:
    # "Attention Is All You Need", Table 3: 213 million, with about 37,000 words that encoder,
    # decoder and head share. A layer's attention is 4 x 1024^2, twice in the decoder, and its
    # feed-forward 2 x 1024 x 4096; 6 layers each. Biases: 4 x 1024 an attention, 4096 + 1024 a
    # feed-forward. Norms: two or three a layer, of 2 x 1024. The paper computes its positions;
    # Marian keeps two tables of them. The rest is 0.6 % above the paper's rounded count.
    config = {
        "model_type": "marian", "vocab_size": 37_000, "d_model": 1024,
        "max_position_embeddings": 512, "activation_function": "relu",
        "encoder_layers": 6, "encoder_attention_heads": 16, "encoder_ffn_dim": 4096,
        "decoder_layers": 6, "decoder_attention_heads": 16, "decoder_ffn_dim": 4096,
    }  # fmt: skip
    attention, mlp, norm = 4 * 1024**2 + 4 * 1024, 2 * 1024 * 4096 + 4096 + 1024, 2 * 1024
    layers = 6 * (attention + mlp + 2 * norm) + 6 * (2 * attention + mlp + 3 * norm)
    tables = 2 * 512 * 1024
    parameters = mw.model(config).parameters
    assert parameters == 37_000 * 1024 + layers + tables == 215_293_952
    assert parameters - tables == pytest.approx(213e6, rel=0.007)


def test_t5_large() -> None:
    # 32128 x 1024 shared words; 24 layers each: attention 4 x 1024^2, twice in the decoder, and
    # 2 x 1024 x 4096; gains of 1024, two or three a layer and one on top; 32 x 16 distances each.
    encoder = 24 * (4 * 1024**2 + 2 * 1024 * 4096 + 2 * 1024) + 1024 + 32 * 16
    decoder = 24 * (8 * 1024**2 + 2 * 1024 * 4096 + 3 * 1024) + 1024 + 32 * 16
    assert mw.model("t5-large").parameters == 32_128 * 1024 + encoder + decoder == 737_668_096


def test_whisper_large_v3() -> None:
    # D 1280, F 5120, 32 layers each. Attention: 4 D^2 and 3 D biases, since keys have none; a
    # feed-forward 2 D F + F + D; a norm 2 D. Convolutions: 128 x 3 x D + D and D x 3 x D + D.
    # Positions 1500 and 448, words 51866 that the head shares.
    d, f = 1280, 5120
    attention, mlp, norm = 4 * d * d + 3 * d, 2 * d * f + f + d, 2 * d
    encoder = 32 * (attention + mlp + 2 * norm) + norm + 1500 * d + (128 + d) * 3 * d + 2 * d
    decoder = 32 * (2 * attention + mlp + 3 * norm) + norm + (448 + 51_866) * d
    assert mw.model("whisper-large-v3").parameters == encoder + decoder == 1_543_490_560


def test_whisper_convolutions() -> None:
    # 3000 frames of 80 bins, then 1500 positions; three frames under the kernel: 2 x out x 3 x in.
    answer = mw.analyze("whisper-tiny", on="h100-sxm", phase="encode")
    assert [op.flops for op in answer.ops if op.kind == "conv"] == [
        2 * 3000 * 384 * 3 * 80,
        2 * 1500 * 384 * 3 * 384,
    ]


def test_caches_of_a_source_and_of_a_text() -> None:
    # T5-large: 24 layers of 16 heads of 64, keys and values of two bytes: 98,304 a position, of the
    # source and of the text alike; the source's does not grow.
    words: dict[str, Any] = {"on": "h100-sxm", "batch_size": 3, "source_len": 100}
    for seq_len in (1, 40):
        decode = mw.analyze("t5-large", phase="decode", seq_len=seq_len, **words)
        assert decode.footprint.kv_cache == 3 * (100 + seq_len) * 98_304
    # The source's is read whole in every step: half of it by Q K^T, half by P V.
    steps = {op.name: op.traffic for op in decode.ops if op.kind == "attention"}
    read = [traffic["kv_cache"] for name, traffic in steps.items() if "cross" in name]
    assert read == [3 * 100 * 98_304 // 2] * 2


def test_marian_toy_decode_by_hand() -> None:
    # Two sequences of one token at three positions, five of a source; one byte an element.
    answer = mw.analyze(
        MARIAN_TOY,
        on="h100-sxm",
        phase="decode",
        batch_size=2,
        seq_len=3,
        source_len=5,
        ceilings="spec",
        **INT8,
    )
    work = {op.name: (op.flops, op.moved_bytes) for op in answer.ops if op.count}
    own, cross = "decoder.layers.attention", "decoder.layers.cross_attention"
    projection = (2 * 2 * 16, 8 + 16 + 4 + 8)
    norm, add = (7 * 8, 8 + 8 + 8), (8, 3 * 8)
    assert work == {
        # Two words and one position of four; a scale and an addition an element.
        "decoder.embeddings.words": (2 * 8, 8 + 4 + 8),
        f"{own}.q_proj": projection,
        f"{own}.k_proj": projection,
        f"{own}.v_proj": projection,
        # Four heads of two in all; three pairs each.
        f"{own}.scores": (12 * 4, 8 + 24 + 12),
        f"{own}.softmax": (12 * 6, 12 + 12),
        f"{own}.context": (12 * 4, 12 + 24 + 8),
        f"{own}.o_proj": projection,
        f"{own}_add": add,
        f"{own}_norm": norm,
        # Five pairs each, and no keys or values to project.
        f"{cross}.q_proj": projection,
        f"{cross}.scores": (20 * 4, 8 + 40 + 20),
        f"{cross}.softmax": (20 * 6, 20 + 20),
        f"{cross}.context": (20 * 4, 20 + 40 + 8),
        f"{cross}.o_proj": projection,
        f"{cross}_add": add,
        f"{cross}_norm": norm,
        "decoder.layers.mlp.up_proj": (2 * 2 * 24, 8 + 24 + 6 + 12),
        "decoder.layers.mlp.activation": (4 * 12, 12 + 12),
        "decoder.layers.mlp.down_proj": (2 * 2 * 24, 12 + 24 + 4 + 8),
        "decoder.layers.mlp_add": add,
        "decoder.layers.mlp_norm": norm,
        "head.lm_head": (2 * 2 * 36, 8 + 36 + 18),
    }
    # Keys and values of four, of three and five positions; and every weight, the encoder's too.
    assert answer.footprint.kv_cache == 2 * 2 * (3 + 5) * 4
    assert answer.footprint.weights == answer.parameters
    skipped = [op for op in answer.ops if not op.count]
    assert all(op.flops == op.moved_bytes == 0 for op in skipped)
    assert {op.name.split(".")[0] for op in skipped} == {"encoder", "decoder"}


def test_t5_toy_bias_by_hand() -> None:
    # Prefill of three tokens after a source of five, int8. Each half reads its 32 x 2 table and
    # writes two heads of all pairs; every softmax of the half's own reads them beside its scores.
    answer = mw.analyze(
        T5_TOY, on="h100-sxm", phase="prefill", seq_len=3, source_len=5, causal="full", **INT8
    )
    work = {op.name: (op.flops, op.moved_bytes) for op in answer.ops}
    assert work["encoder.embeddings.distances"] == (0, 64 + 2 * 25)
    assert work["decoder.embeddings.distances"] == (0, 64 + 2 * 9)
    # Two layers in the encoder, three in the decoder, two heads.
    assert work["encoder.layers.attention.softmax"] == (2 * 6 * 50, 2 * 3 * 50)
    assert work["decoder.layers.attention.softmax"] == (3 * 6 * 18, 3 * 3 * 18)
    assert work["decoder.layers.cross_attention.softmax"] == (3 * 6 * 30, 3 * 2 * 30)


def test_lengths_that_are_left_out() -> None:
    def lengths(model: Any, phase: str, **words: Any) -> tuple[Any, Any]:
        answer = mw.analyze(model, on="h100-sxm", phase=phase, **words)
        return answer.seq_len, answer.source_len

    assert lengths("t5-small", "decode") == (512, 512)
    assert lengths("t5-small", "decode", seq_len=7) == (7, 7)
    assert lengths("t5-small", "decode", source_len=7) == (512, 7)
    assert lengths("t5-small", "encode", source_len=7) == (7, 7)
    assert lengths("t5-small", "encode", seq_len=7) == (7, 7)
    assert lengths("t5-small", "generate") == (0, 512)
    assert lengths("blenderbot-400M-distill", "prefill") == (128, 128)
    assert lengths("whisper-tiny", "prefill") == (448, 1500)
    assert lengths("whisper-tiny", "generate") == (0, 1500)
    assert lengths("whisper-tiny", "encode") == (1500, 1500)
    assert lengths("gpt2", "decode") == (2048, None)


def test_positions_past_what_it_was_made_for() -> None:
    said = [
        mw.analyze("opus-mt-en-de", on="h100-sxm", seq_len=7, source_len=source).notes
        for source in (512, 513)
    ]
    assert not any("past the 512" in note for note in said[0])
    assert "513 positions are past the 512 that the model was made for." in said[1]
    assert not any("past" in note for note in mw.analyze("whisper-tiny", on="h100-sxm").notes)


@pytest.mark.parametrize("phase", ["prefill", "decode", "generate"])
def test_sources_may_be_arrays(phase: str) -> None:
    words: dict[str, Any] = {"new_tokens": 9} if phase == "generate" else {}
    question = {"model": T5_TOY, "phase": phase, **words}
    lengths, sources = (3, 8), (1, 30, 200)
    grid = ask(question, seq_len=np.array(lengths)[:, None], source_len=np.array(sources))
    for i, seq_len in enumerate(lengths):
        for j, source_len in enumerate(sources):
            point = ask(question, seq_len=seq_len, source_len=source_len)
            for name in ("source_len", "flops", "moved_bytes", "latency_s", "tokens_per_s"):
                assert getattr(grid, name)[i, j] == pytest.approx(getattr(point, name))
            assert np.asarray(grid.footprint.kv_cache)[i, j] == point.footprint.kv_cache


def test_an_encoder_alone_over_arrays() -> None:
    grid = mw.analyze(T5_TOY, on="h100-sxm", phase="encode", source_len=[4, 9])
    for at, source_len in enumerate((4, 9)):
        point = mw.analyze(T5_TOY, on="h100-sxm", phase="encode", source_len=source_len)
        assert np.asarray(grid.flops)[at] == point.flops
    assert np.array_equal(grid.seq_len, [4, 9])
    assert grid.source_len is not None
    assert np.array_equal(grid.source_len, [4, 9])


def test_a_longer_source_costs_a_step_its_cache_alone() -> None:
    # Whisper's toy cannot have one, Marian's can: two bytes for keys and for values, N H = 4, batch
    # 3; scores and probabilities are kept on chip.
    short, long = (
        mw.analyze(MARIAN_TOY, on="h100-sxm", batch_size=3, seq_len=2, source_len=source)
        for source in (10, 11)
    )
    assert long.moved_bytes - short.moved_bytes == 3 * 2 * 4 * 2
    assert mw.analyze(WHISPER_TOY, on="h100-sxm").source_len == 5

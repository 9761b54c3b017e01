"""A first look: two models, prefill and decode, on one device, and what that shows."""

from __future__ import annotations

import memorywall as mw

DEVICE = "h100-sxm"
MODELS = (("gpt2", 1024), ("meta-llama/Llama-3.1-8B", 2048))


def main() -> None:
    """Analyse, print the verdicts, and sum up."""
    for model, seq_len in MODELS:
        prefill, decode = (
            mw.analyze(model, on=DEVICE, phase=phase, seq_len=seq_len)
            for phase in ("prefill", "decode")
        )
        for answer in (prefill, decode):
            print(f"{mw.headline(answer)}\n  {mw.verdict(answer)}\n")
        print(
            f"  Seen: a byte moved does {float(prefill.arithmetic_intensity):.0f} FLOP in prefill "
            f"and {float(decode.arithmetic_intensity):.2f} in decode, where {DEVICE} could do "
            f"{float(decode.ridge_point):.0f}: decoding leaves "
            f"{1 - float(decode.mfu):.1%} of its arithmetic idle.\n"
        )
    print("More: .venv/bin/memorywall analyze llama-3.1-8b --on h100-sxm --batch 1,8,64")


if __name__ == "__main__":
    main()

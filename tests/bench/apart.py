"""Where two roads differ over the whole catalogue: which models, in what, and why."""

from __future__ import annotations

LATENTS = "one product expands latents, and reads them once; by the config keys' and values' do"
FALCONS = "the class copies keys and values before it keeps them"
SINKS = "sinks are read by attention, biases of experts with the router; by the config elsewhere"
EVERY = "the class runs every expert on every token"
TIED = "the class ties its head, regardless of the config"
SHIFTED = "three mixtures and a shift by PyTorch; by the config one operator, on the norm before"
VALUES = "its tower depends on values, and is not traced: its text alone"
TOKENS = "tokens of the class's own are joined to the patches, not looked up"
PROBE = "the probe is read by the product that asks with it, not looked up"
SCALES = "the scale of each head rides on the product of queries"
MASK = "a mask or bias is a tensor that scores read; by the config the softmax does, or none"
INDICES = "indices are read, 8 bytes a row, and the rows are short"
SUMMED = "words and positions are written, and added in the norm that follows"
WAVES = "sines and cosines of positions are kept and looked up; by the config they are computed"
PROJECTED = "positions are looked up before the words are projected, so the sum rides elsewhere"
POOLED = "a mean over an image's positions rides on what stands before it"
ANGLES = "the rotation rides on the norm of queries and keys, and reads its sines and cosines"
ONE_PRODUCT = "one product for queries, keys and values reads its input once; the config's three"
BRANCHES = "the class multiplies parts of one product; by the config the first gate stands alone"
GATED = "the gate of the output is taken in by the norm; by the config it stands apart"
GATE = "what gates the scan, or scales around it, is made beside the product, not in the scan"
CARRIED = "the hidden states are kept in single precision, and cast for the norm"
PLACED = "an image is encoded, but not inserted into the text"
TWICE = "the config's embeddings are written twice, for the layers and for what all of them read"
WINDOWS = "windows are cut and put back by copies, which the config does not count"

# Models of which not everything is equal.
UNEQUAL = {
    "deepseek-ai/DeepSeek-R1": LATENTS,
    "deepseek-ai/DeepSeek-V2-Lite": LATENTS,
    "deepseek-ai/DeepSeek-V3": LATENTS,
    "moonshotai/Kimi-Linear-48B-A3B-Instruct": LATENTS,
    "tiiuae/falcon-40b": FALCONS,
    "tiiuae/falcon-7b": FALCONS,
    "openai/gpt-oss-120b": SINKS,
    "openai/gpt-oss-20b": SINKS,
    "meta-llama/Llama-4-Maverick-17B-128E": EVERY,
    "meta-llama/Llama-4-Scout-17B-16E": EVERY,
    "google/flan-t5-xl": TIED,
    "google/mt5-small": TIED,
    "RWKV/rwkv-4-14b-pile": SHIFTED,
    "RWKV/rwkv-4-3b-pile": SHIFTED,
    "RWKV/rwkv-4-430m-pile": SHIFTED,
    "RWKV/rwkv-4-7b-pile": SHIFTED,
    "Qwen/Qwen2.5-VL-7B-Instruct": VALUES,
    "microsoft/beit-base-patch16-224": TOKENS,
    "facebook/dinov3-vitb16-pretrain-lvd1689m": TOKENS,
    "facebook/dinov3-vitl16-pretrain-lvd1689m": TOKENS,
    "google/siglip-base-patch16-224": PROBE,
    "google/siglip-so400m-patch14-384": PROBE,
    "microsoft/swinv2-base-patch4-window12to16-192to256-22kto1k-ft": SCALES,
    "microsoft/swinv2-tiny-patch4-window8-256": SCALES,
}
# Models that are not traced.
NOT_TRACED = {
    "databricks/dbrx-base": "experts are chosen by values",
    "microsoft/deberta-base": "the class takes a root of a tensor's value",
    "microsoft/deberta-large": "the class takes a root of a tensor's value",
    "moonshotai/Kimi-K2-Instruct": "transformers has no class of its type",
    "google/siglip2-base-patch16-naflex": "how many patches an image has is a value",
}
# Of models that begin so: the classes of fused bytes that may lie more than 2 % apart.
APART = (
    ("deepseek-ai/", "attention elementwise", LATENTS),
    ("moonshotai/Kimi-Linear", "attention", LATENTS),
    ("tiiuae/falcon-40b", "attention", FALCONS),
    ("openai/gpt-oss", "softmax", SINKS),
    ("meta-llama/Llama-4", "gemm", EVERY),
    ("RWKV/", "elementwise norm", SHIFTED),
    ("Qwen/Qwen2.5-VL", "attention conv embedding gemm norm", VALUES),
    ("microsoft/beit", "attention elementwise embedding norm softmax", TOKENS),
    ("facebook/dinov3", "embedding", TOKENS),
    ("microsoft/swinv2", "elementwise embedding gemm softmax", WINDOWS),
    ("microsoft/swin-", "attention embedding softmax", MASK),
    ("google-t5/", "attention embedding softmax", MASK),
    ("google/flan-t5", "attention embedding softmax", MASK),
    ("google/mt5", "attention embedding softmax", MASK),
    ("bigscience/bloom", "attention", MASK),
    ("google/gemma-2", "attention", MASK),
    ("EleutherAI/gpt-neo-1", "attention", MASK),
    ("microsoft/deberta-v", "attention elementwise", MASK),
    ("albert", "embedding", INDICES),
    ("google/electra-small", "embedding", INDICES),
    ("facebook/blenderbot_small", "embedding", SUMMED),
    ("junnyu/roformer", "embedding", INDICES),
    ("facebook/esm1b", "embedding norm", SUMMED),
    ("facebook/esm2", "norm", SUMMED),
    ("facebook/m2m100", "embedding", WAVES),
    ("facebook/nllb", "embedding", WAVES),
    ("microsoft/mpnet", "embedding", INDICES),
    ("sentence-transformers/all-mpnet", "embedding", INDICES),
    ("facebook/opt-350m", "embedding", PROJECTED),
    ("google/gemma-3", "norm", ANGLES),
    ("google/gemma-3", "embedding", PLACED),
    ("google/gemma-3", "elementwise", POOLED),
    ("Qwen/Qwen3-", "norm", ANGLES),
    ("allenai/", "norm", ANGLES),
    ("answerdotai/", "gemm", ONE_PRODUCT),
    ("LiquidAI/", "conv elementwise", BRANCHES),
    ("MiniMaxAI/", "elementwise norm", GATED),
    ("tiiuae/Falcon-H1", "elementwise scan", GATE),
    ("state-spaces/", "elementwise gemm", CARRIED),
    ("microsoft/resnet-18", "elementwise", POOLED),
    ("llava-hf/", "embedding", PLACED),
    ("google/paligemma", "embedding", PLACED),
    ("Qwen/Qwen2-VL", "embedding", PLACED),
    ("Zyphra/", "embedding", TWICE),
)

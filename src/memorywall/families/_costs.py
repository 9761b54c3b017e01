"""FLOPs of an element of everything that is no matrix product.

One addition, multiplication, division, maximum, exponential, square root or hyperbolic tangent is
one FLOP. These are conventions, listed so that they can be disputed: no
count elsewhere holds a coefficient that is not a shape.
"""

from __future__ import annotations

FLOPS_PER_ELEMENT = {
    "add": 1,
    "rotary": 3,  # x cos + rotated(x) sin: two multiplications, one addition
    "softmax": 6,  # scale, running maximum, subtract, exponential, sum, divide; a mask selects
    "layernorm": 7,  # sum, subtract, square, sum, times 1/sigma, times gamma, plus beta
    "layernorm_unbiased": 6,  # without beta
    "rmsnorm": 4,  # square, sum, times 1/rms, times gamma
    "rmsnorm_plain": 3,  # without gamma
    "gated": 1,  # activation(gate) times up
    "scale": 1,  # times a constant
    "clip": 2,  # minimum, maximum
    "top_k": 1,  # a comparison with the best so far
}

# What each kind of norm learns.
NORM_WEIGHTS = {
    "layernorm": ("weight", "bias"),
    "layernorm_unbiased": ("weight",),
    "rmsnorm": ("weight",),
    "rmsnorm_plain": (),
}

# Activation functions, as configs spell them.
ACTIVATION_FLOPS = {
    "relu": 1,
    "tanh": 1,
    "sigmoid": 3,  # exponential, add, divide
    "silu": 4,  # sigmoid, times x
    "swish": 4,
    # x/2 (1 + tanh(c (x + a x^3))): cube 2, times a, add, times c, tanh, add, halve, times x. The
    # form with an error function, which no machine has as one operation, is counted alike.
    "gelu": 9,
    "gelu_python": 9,
    "gelu_new": 9,
    "gelu_pytorch_tanh": 9,
    "gelu_fast": 9,
    "quick_gelu": 5,  # x sigmoid(1.702 x)
    # gpt_oss: x sigmoid(1.702 x) of a gate cut off above, an up cut off on both sides plus one:
    # minimum, 5, minimum, maximum, add.
    "swiglu_clamped": 9,
    "relu2": 2,
}

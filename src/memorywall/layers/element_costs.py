"""FLOPs per element of every operator other than matrix products.

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
    "layernorm_plain": 5,  # without gamma and beta
    "rmsnorm": 4,  # square, sum, times 1/rms, times gamma
    "rmsnorm_plain": 3,  # without gamma
    "batchnorm": 2,  # times a gain, plus an offset: mean and variance are folded into both
    # ConvNeXt 2's global response: square, sum over the map, times the channel's share, times
    # gamma, plus beta, plus x; the shares themselves are too few to count.
    "responses": 6,
    "l2norm": 3,  # square, sum, divide by the root
    "mean": 1,  # sum; one division a row is left out
    "gated": 1,  # activation(gate) times up
    "scale": 1,  # times a constant
    "clip": 2,  # minimum, maximum
    "max_pool": 9,  # the largest of 3 x 3
    "modulate": 2,  # times a scale of the image's own, plus a shift
    "top_k": 1,  # a comparison with the best so far
    "softcap": 3,  # cap tanh(x / cap): divide, tanh, times cap
    "mix": 3,  # x times a weight, and the token before times one minus it
    "index": 3,  # of a score of an indexer: relu, times the head's weight, added over heads
    # Plus a bias by position, softmax over the tokens of a run (6), times values, added over them.
    "compress": 9,
    "streams": 2,  # times the weight of a stream, and added
    "sinkhorn": 2,  # added over rows or columns, and divided by the sum
    "alibi": 1,  # plus a bias by distance, which is made once for all layers
}

# The learned vectors of each kind of norm.
NORM_WEIGHTS = {
    "layernorm": ("weight", "bias"),
    "layernorm_unbiased": ("weight",),
    "layernorm_plain": (),
    "rmsnorm": ("weight",),
    "rmsnorm_plain": (),
    "l2norm": (),
    "batchnorm": ("weight", "bias"),
    "responses": ("weight", "bias"),
}

# Activation functions, as configs spell them.
ACTIVATION_FLOPS = {
    "relu": 1,
    "tanh": 1,
    "sigmoid": 3,  # exponential, add, divide
    "sqrtsoftplus": 4,  # exponential, add, logarithm, square root
    "silu": 4,  # sigmoid, times x
    "silu_clamped": 7,  # the gate cut off above, what it multiplies on both sides
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
    # Where x > 0: a x^2 + b x; else (exp(min(x, e)) - 1 - x) c + b x. Both are worked out: square,
    # times a, add; minimum, exponential, subtract, subtract, times c, add; times b.
    "xielu": 10,
}

# Numbers that an activation function learns, for a whole layer.
ACTIVATION_WEIGHTS = {"xielu": ("alpha_p", "alpha_n")}

"""The functions of `plain` on a GPU: one launch a formula, cuBLAS for products.

What stands first is rare, or short, enough for the plain formula, a launch an operator.
"""

from ..plain import (
    average,
    bce,
    choose,
    choose_backward,
    clip,
    distance_from_one,
    fixed_normalize_backward,
    fixed_normalize_double_backward,
    half_square,
    hinge,
    interpolate,
    inverse_deviation,
    join_backward,
    least_squares,
    log_softmax,
    minimax,
    move,
    normalize_double_backward,
    power_iteration,
    relu,
    rmsprop,
    sgd,
    sigmoid_double_backward,
    spectral_normalize_backward,
    statistics,
    steps_aside,
    tanh,
    tanh_double_backward,
    upsample_backward,
    wasserstein,
)
from .convolution import conv, conv_dw, conv_dx, conv_dx_dw, conv_y_dw
from .images import join, upsample
from .linear import add_bias, dense, dense_dw, dense_dx, dense_dx_dw, sum_rows
from .norm import batch_statistics, normalize, normalize_backward, normalize_leaky_backward
from .pointwise import (
    adam,
    bce_with_logits,
    dropout,
    dropout_backward,
    from_pixels,
    gate,
    gate_backward,
    leaky_relu,
    leaky_relu_backward,
    normalize_leaky,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    softmax_cross_entropy,
    softplus,
    tanh_backward,
)

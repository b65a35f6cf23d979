"""The functions of `plain`, fast on NumPy arrays: all cores, few passes over memory.

What stands last works on arrays too small, or is too rare, to gain by more than its formula.
"""

from ..plain import (
    bce,
    bce_with_logits,
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
    normalize_double_backward,
    power_iteration,
    sigmoid,
    sigmoid_backward,
    sigmoid_double_backward,
    softmax_cross_entropy,
    softplus,
    spectral_normalize_backward,
    statistics,
    steps_aside,
    tanh,
    tanh_backward,
    tanh_double_backward,
    wasserstein,
)
from .convolution import conv, conv_dw, conv_dx, conv_dx_dw, conv_y_dw
from .images import join, move, upsample, upsample_backward
from .linear import add_bias, dense, dense_dw, dense_dx, dense_dx_dw, sum_rows
from .norm import batch_statistics, normalize, normalize_backward
from .optim import adam, average, rmsprop, sgd
from .pointwise import (
    dropout,
    dropout_backward,
    from_pixels,
    gate,
    gate_backward,
    keep_mask,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu_backward,
)

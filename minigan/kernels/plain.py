"""Every formula of minigan: forward, backward and second order, in the order of the book.

This page is what runs with `--kernels plain`, and what the fast kernels beside it must equal.

    y            what a function makes of x; x (N, ..., C) is a batch, features last
    dy, dx, dw   the gradients of the loss L: da = dL/da has the shape of a
    dx_bar, ...  for a scalar R of dx, a gradient penalty say: a_bar = dR/da

`f_backward` takes dy to dx, `f_double_backward` takes dx_bar to (dy_bar, x_bar).  A function that
is linear in dy and does not depend on x is its own second order: dy_bar is the same map of dx_bar.

Functions of arrays, nothing else: NumPy's, or CuPy's, to which NumPy's functions hand them on.
Results are new arrays of x's dtype, but for optimizers and averages, which write in place.
docs/derivations.md lists every derivative with the chapter that derives it.
"""

import zlib

import numpy as np

# Dense: y = x w + b.


def dense(x, w, b=None):  # x (..., I), w (I, O), b (O,) -> y (..., O)
    y = x @ w
    return y if b is None else y + b


def dense_dx(dy, w):  # dy (..., O) -> dx (..., I)
    return dy @ w.T


def dense_dw(x, dy, out=None):  # -> dw (I, O), written to `out` where given
    return np.matmul(rows(x).T, rows(dy), out=out)


def dense_dx_dw(x, dy, w, out=None):
    return dense_dx(dy, w), dense_dw(x, dy, out)


def add_bias(y, b):  # y (..., C), which the caller gives away, b (C,)
    return y + b


def sum_rows(dy):  # dy (..., C) -> db (C,): every row of y has read b
    return rows(dy).sum(axis=0)


def rows(x):  # (..., C) -> (n, C)
    return x.reshape(-1, x.shape[-1])


# Activations: y = f(x) elementwise, dx = f'(x) dy.  f' is written in terms of y, which is there.
# Second order: dy_bar = f'(x) dx_bar, x_bar = f''(x) dy dx_bar; f'' is 0 for the first two.


def relu(x):
    return np.maximum(x, 0)


def relu_backward(dy, y):
    return dy * (y > 0)


def leaky_relu(x, slope):  # 0 <= slope < 1
    return np.where(x > 0, x, slope * x)


def leaky_relu_backward(dy, y, slope):
    return np.where(y > 0, dy, slope * dy)


def sigmoid(x):
    """1 / (1 + exp(-x)), or exp(x) / (1 + exp(x)) for x < 0: no exponent is ever positive."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def sigmoid_backward(dy, y):
    return dy * y * (1 - y)


def sigmoid_double_backward(dx_bar, dy, y):
    slope = y * (1 - y)
    return dx_bar * slope, dx_bar * dy * slope * (1 - 2 * y)


def tanh(x):
    return np.tanh(x)


def tanh_backward(dy, y):
    return dy * (1 - y * y)


def tanh_double_backward(dx_bar, dy, y):
    slope = 1 - y * y
    return dx_bar * slope, dx_bar * dy * slope * (-2 * y)


# Dropout: y = x / keep where the mask is 1, else 0, so that the mean of y is x.

MASK_BLOCK = 2**19  # elements of a mask that share a stream of bits


def dropout(x, keep, address):  # keep: the share kept, in 65536ths; -> y, mask
    mask = np.asarray(keep_mask(x.shape, keep, **address), like=x)
    return dropout_backward(x, mask, keep), mask


def dropout_backward(dy, mask, keep):
    return dy * mask / keep


def keep_mask(shape, keep, seed, where, step=0, call=0, share=None):
    """-> bool, True with probability keep.  share: see `runs`."""
    mask = np.empty(np.prod(shape, dtype=int), bool)
    for here, there, count in runs(shape, share):
        for block in range(there // MASK_BLOCK, -(-(there + count) // MASK_BLOCK)):
            draw_mask(mask[here : here + count], there, block, keep, seed, where, step, call)
    return mask.reshape(shape)


def draw_mask(mask, there, block, keep, seed, where, step, call):
    """The elements of a block that lie in a mask, whose first is element `there` of the whole."""
    first = block * MASK_BLOCK
    start, stop = max(there, first), min(there + len(mask), first + MASK_BLOCK)
    stream = random_bits(seed, where, step, call + (block << 32))
    bits = stream.random_raw(-(-(stop - first) // 4)).view(np.uint16)  # 16 an element
    np.less(
        bits[start - first : stop - first],
        round(keep * 2**16),
        out=mask[start - there : stop - there],
    )


def runs(shape, share):
    """Where the rows of one process lie in an array of all: (here, there, elements) of each run.

    share: (n, rank, size) of a process that has n rows in `size n` of all, and then again n in the
    next as many (real samples, then generated ones, say); None where it has all rows.
    """
    elements = np.prod(shape, dtype=int)
    if share is None or not elements:
        return [(0, 0, elements)]
    n, rank, size = share
    run = n * (elements // shape[0])
    return [(i * run, (i * size + rank) * run, run) for i in range(shape[0] // n)]


def random_bits(seed, where, step, call):
    """NumPy's SFC64 generator at an address: see `minigan.random`."""
    return np.random.SFC64(np.random.SeedSequence((seed, zlib.crc32(where.encode()), step, call)))


# Losses of logits or scores x (N, ...): (L, dx), a mean over the batch, divided once.


def bce_with_logits(x, t):  # t: a number or an array like x
    """-t log(p) - (1 - t) log(1 - p) with p = sigmoid(x), and without its cancellations."""
    loss = (t * softplus(-x) + (1 - t) * softplus(x)).mean()
    return loss, ((1 - t) * sigmoid(x) - t * sigmoid(-x)) / x.size  # = (p - t) / N


def bce(p, t, eps):
    p = np.clip(p, eps, 1 - eps)
    loss = -(t * np.log(p) + (1 - t) * np.log1p(-p)).mean()
    return loss, (p - t) / (p * (1 - p)) / p.size


def softmax_cross_entropy(x, t):  # t (N, K): probabilities
    log_p = log_softmax(x)
    loss = -(t * np.where(t == 0, 0, log_p)).sum() / len(x)  # 0 log 0 = 0
    return loss, (np.exp(log_p) * t.sum(axis=-1, keepdims=True) - t) / len(x)


def wasserstein(x, sign):
    return sign * x.mean(), np.full_like(x, sign / x.size)


def hinge(x, sign):
    margin = 1 + sign * x
    return np.maximum(margin, 0).mean(), (margin > 0) * np.full_like(x, sign / x.size)


def least_squares(x, t):
    return ((x - t) ** 2).mean() / 2, (x - t) / x.size


def minimax(x):  # G minimises log(1 - p)
    return -softplus(x).mean(), -sigmoid(x) / x.size


def softplus(x):
    """log(1 + exp(x)), whose derivative is sigmoid(x)."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_softmax(x):
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


# Normalisation: y = gamma h + beta, h = scale (x - mean), over groups of elements along `axes`:
# a feature's over the batch, or a sample's.  gamma and beta are shared along the axes `shared`;
# all four broadcast against x.


def alone(mean):
    return mean


def statistics(x, axes, eps):  # -> mean, scale
    mean, variance = moments(x, axes)
    return mean, inverse_deviation(variance, eps)


def batch_statistics(x, axes, eps, moving_mean, moving_variance, momentum, across=alone):
    """The same, and the moving statistics follow those of the batch.

    across: the mean over all processes, where each has its part of the batch.
    """
    mean, variance = pooled(*moments(x, axes), across)
    average(moving_mean, mean.reshape(-1), momentum)
    average(moving_variance, variance.reshape(-1), momentum)
    return mean, inverse_deviation(variance, eps)


def moments(x, axes):
    mean = x.mean(axis=axes, keepdims=True)
    return mean, ((x - mean) ** 2).mean(axis=axes, keepdims=True)


def pooled(mean, variance, across):
    """The moments of parts of one size as those of the whole: the law of total variance."""
    whole = across(mean)
    return whole, across(variance + (mean - whole) ** 2)


def inverse_deviation(variance, eps):
    return 1 / np.sqrt(variance + eps)


def normalize(x, mean, scale, gamma, beta):
    return gamma * (x - mean) * scale + beta


def normalize_backward(dy, x, mean, scale, gamma, axes, shared, across=alone):
    """-> dx, dgamma, dbeta"""
    h = (x - mean) * scale
    dx = jacobian(dy * gamma, h, scale, axes, across)
    return dx, (dy * h).sum(axis=shared), dy.sum(axis=shared)


def normalize_double_backward(dx_bar, dy, x, mean, scale, gamma, axes, shared, across=alone):
    """-> dy_bar, x_bar, dgamma.  x moves dx through h (q = dR/dh) and through scale."""
    h, g = (x - mean) * scale, dy * gamma
    dx, g_bar = jacobian(g, h, scale, axes, across), jacobian(dx_bar, h, scale, axes, across)
    q = -scale * (dx_bar * mean_of(g * h, axes, across) + g * mean_of(dx_bar * h, axes, across))
    x_bar = jacobian(q, h, scale, axes, across) - scale * h * mean_of(dx_bar * dx, axes, across)
    return g_bar * gamma, x_bar, (dy * g_bar).sum(axis=shared)


def jacobian(g, h, scale, axes, across):
    """dh/dx g, or its transpose: it is symmetric.  x moves h itself, the mean, and the scale."""
    return scale * (g - mean_of(g, axes, across) - h * mean_of(g * h, axes, across))


def mean_of(x, axes, across):
    return across(x.mean(axis=axes, keepdims=True))


def fixed_normalize_backward(dy, x, mean, scale, gamma, shared):
    """With statistics that do not depend on x (evaluation), dh/dx is the scale alone."""
    h = (x - mean) * scale
    return dy * gamma * scale, (dy * h).sum(axis=shared), dy.sum(axis=shared)


def fixed_normalize_double_backward(dx_bar, dy, scale, gamma, shared):  # -> dy_bar, dgamma
    g_bar = dx_bar * scale
    return g_bar * gamma, (dy * g_bar).sum(axis=shared)


# Spectral normalisation: w_hat = w / sigma, where w (..., O) is read as a matrix of O columns, and
# sigma = v w u is its largest singular value, at the unit vectors u and v (Miyato et al. 2018).


def power_iteration(w, u):  # their algorithm 1, one round from any u -> u, v, sigma
    v = unit(rows(w) @ u)
    vw = v @ rows(w)
    return unit(vw), v, vw @ unit(vw)


def spectral_normalize_backward(dw_hat, w_hat, u, v, sigma):  # their eq. 12 -> dw
    """u and v are constants: where sigma is largest, it does not change with them."""
    along = (dw_hat * w_hat).sum()  # the part that only makes w longer
    return (dw_hat - along * (v[:, None] * u).reshape(w_hat.shape)) / sigma


def unit(x):
    return x / np.sqrt((x * x).sum())


# Convolution: at each tap (i, j) of the kernel a Dense layer from the pixels that the tap touches,
# one a window, to the output.  `geometry` has the sizes: see `minigan.kernels.geometry`.


def conv(x, w, geometry):  # x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)
    padded, y = np.pad(x, ((0, 0), *geometry.padding, (0, 0))), 0
    for i, j, touched in geometry.taps():
        y = y + dense(padded[touched], w[i, j])
    return y


def conv_dx(dy, w, geometry):  # the adjoint in x, and the transposed convolution of dy
    (height, width), ((top, bottom), (left, right)) = geometry.size, geometry.padding
    shape = len(dy), top + height + bottom, left + width + right, w.shape[2]
    dpadded = np.zeros_like(dy, shape=shape)
    for i, j, touched in geometry.taps():
        dpadded[touched] += dense_dx(dy, w[i, j])
    return dpadded[:, top : top + height, left : left + width]


def conv_dw(x, dy, geometry):  # the adjoint in w
    padded = np.pad(x, ((0, 0), *geometry.padding, (0, 0)))
    dw = np.zeros_like(x, shape=(*geometry.kernel, x.shape[3], dy.shape[3]))
    for i, j, touched in geometry.taps():
        dw[i, j] = dense_dw(padded[touched], dy)
    return dw


def conv_y_dw(x, dy, w, geometry):  # what the backward pass of a transposed convolution wants
    return conv(x, w, geometry), conv_dw(x, dy, geometry)


def conv_dx_dw(x, dy, w, geometry):  # what that of a convolution wants
    return conv_dx(dy, w, geometry), conv_dw(x, dy, geometry)


# Up-sampling: a pixel becomes a block of factor x factor equal ones, which all read it.


def upsample(x, factor):  # (N, H, W, C) -> (N, factor H, factor W, C)
    return x.repeat(factor, axis=1).repeat(factor, axis=2)


def upsample_backward(dy, factor):
    n, height, width, channels = dy.shape
    blocks = dy.reshape(n, height // factor, factor, width // factor, factor, channels)
    return blocks.sum(axis=(2, 4))


# Shifts: every image moved by some pixels.  What comes in from outside is 0, and what went out has
# no gradient: the way back of a move is the opposite move.


def move(x, steps):  # steps (N, 2), of rows and columns: y[n, i + down, j + right] = x[n, i, j]
    n, height, width, _ = x.shape
    i = np.arange(height, like=steps) - steps[:, :1]  # (N, H): the row that each row of y reads
    j = np.arange(width, like=steps) - steps[:, 1:]
    inside = ((0 <= i) & (i < height))[:, :, None] & ((0 <= j) & (j < width))[:, None, :]
    image = np.arange(n, like=steps)[:, None, None]
    return np.where(inside[..., None], x[image, i[:, :, None] % height, j[:, None, :] % width], 0)


def steps_aside(shape, u, share):  # u (N, 2) from [0, 1) -> steps of at most `share` of H and of W
    _, height, width, _ = shape
    most = int(share * height), int(share * width)
    return np.stack([(u[:, i] * (2 * m + 1)).astype(int) - m for i, m in enumerate(most)], axis=1)


# Conditions: a code (N, K) behind the features of every pixel.


def join(x, code):  # x (N, ..., C) -> (N, ..., C + K)
    planes = code.reshape(len(x), *[1] * (x.ndim - 2), -1)
    return np.concatenate([x, np.broadcast_to(planes, (*x.shape[:-1], code.shape[1]))], axis=-1)


def join_backward(dy, features):  # -> dx (N, ..., features), dcode (N, K)
    return dy[..., :features], dy[..., features:].sum(axis=tuple(range(1, dy.ndim - 1)))


def choose(scores, code):  # scores (N, K), one a class -> (N, 1), that of the sample's own
    return (scores * code).sum(axis=-1, keepdims=True)


def choose_backward(dy, code):  # dy (N, 1) -> dscores (N, K)
    return dy * code


# Gradient penalties: functions of a critic's slopes g = dD/dx (N, ...), one norm a sample.


def interpolate(real, fake, epsilon):  # epsilon (N, 1, ..., 1) in [0, 1)
    return fake + epsilon * (real - fake)


def distance_from_one(g, weight, one_sided, eps=1e-12):
    """weight * mean of (|g| - 1)^2, and g_bar; eps: |0| has a derivative.  d|g|/dg = g / |g|."""
    norm = np.sqrt(squares(g) + eps)
    excess = np.maximum(norm - 1, 0) if one_sided else norm - 1
    return weight * (excess**2).mean(), 2 * weight / len(g) * (excess / norm) * g


def half_square(g, weight):
    """weight / 2 * mean of |g|^2, and g_bar."""
    return weight / 2 * squares(g).mean(), weight / len(g) * g


def squares(g):
    return (g * g).sum(axis=tuple(range(1, g.ndim)), keepdims=True)


# Optimizers: one step of the parameters p against their gradient g; all write p and their state.


def sgd(p, g, velocity, lr, momentum):
    velocity *= momentum
    velocity += g
    p -= lr * velocity


def rmsprop(p, g, s, lr, rho, eps):
    average(s, g * g, rho)
    p -= lr * g / (np.sqrt(s) + eps)


def adam(p, g, m, v, t, lr, b1, b2, eps, bound=np.inf):
    """m and v are sums over the steps, of weight b^age; over the sum of weights, they are means.

    bound: the most learning rates that a parameter moves by.
    """
    m *= b1
    m += g
    v *= b2
    v += g * g
    mean, mean_square = m * (1 - b1) / (1 - b1**t), v * (1 - b2) / (1 - b2**t)
    step = lr * mean / (np.sqrt(mean_square) + eps)
    clip(step, lr * bound)
    p -= step


def clip(p, limit):
    np.clip(p, -limit, limit, out=p)


def average(mean, latest, keep):
    """mean = keep mean + (1 - keep) latest."""
    mean *= keep
    mean += (1 - keep) * latest


# Pixels, uint8, to numbers in [low, high].


def from_pixels(pixels, low, high, dtype):
    return pixels.astype(dtype) * ((high - low) / 255) + low

"""M1's training step in JAX, for bench.py: one function, compiled whole by XLA.

Networks, both updates and the random numbers are in it; the state is donated, so the new weights
are written over the old ones.
"""

from functools import partial

import jax
from jax import numpy as jnp

jax.config.update("jax_platforms", "cpu")

G_SIZES, D_SIZES = (100, 256, 512, 1024, 784), (784, 1024, 512, 256, 1)
LR, B1, B2, EPS = 2e-4, 0.9, 0.999, 1e-8


def m1(batch, one_pass):
    """step(index) -> losses.  one_pass: real and generated images through D together, or not."""
    key = jax.random.key(0)
    g_key, d_key, real_key = jax.random.split(key, 3)
    state = [start(random_layers(*each)) for each in ((g_key, G_SIZES), (d_key, D_SIZES))]
    real = jax.random.uniform(real_key, (batch, G_SIZES[-1]), minval=-1, maxval=1)

    @partial(jax.jit, donate_argnums=0)
    def whole(state, real, index):
        z_d_key, z_g_key, *keys = jax.random.split(jax.random.fold_in(key, index), 5)
        z_d, z_g = (jax.random.normal(each, (batch, G_SIZES[0])) for each in (z_d_key, z_g_key))
        return train_step(state, real, z_d, z_g, keys, one_pass=one_pass)

    def step(index):
        nonlocal state
        state, losses = jax.block_until_ready(whole(state, real, index))
        return losses

    return step


def train_step(state, real, z_d, z_g, keys, *, one_pass, rate=0.3):
    """One update of D, then one of G -> (new state, (d_loss, g_loss)).

    state: that of G and that of D, see `start`.  real (N, 784), z_d and z_g (N, 100).
    keys: three, for the dropout of D's forwards.  rate: of dropout.
    """
    (g, *g_moments), (d, *d_moments) = state
    fake = generate(g, z_d)

    def d_loss(d):
        if one_pass:
            logits = judge(d, jnp.concatenate([real, fake]), keys[0], rate)
            real_logits, fake_logits = jnp.split(logits, 2)
        else:
            real_logits, fake_logits = judge(d, real, keys[0], rate), judge(d, fake, keys[1], rate)
        return bce(real_logits, 1) + bce(fake_logits, 0)

    d_value, d_grads = jax.value_and_grad(d_loss)(d)
    d, *d_moments = adam(d, d_grads, *d_moments)

    def g_loss(g):
        return bce(judge(d, generate(g, z_g), keys[2], rate), 1)

    g_value, g_grads = jax.value_and_grad(g_loss)(g)
    g, *g_moments = adam(g, g_grads, *g_moments)
    return ((g, *g_moments), (d, *d_moments)), (d_value, g_value)


def generate(layers, z):
    """z (N, 100) -> images (N, 784) in [-1, 1]."""
    *hidden, last = layers
    for layer in hidden:
        z = jax.nn.leaky_relu(dense(layer, z), 0.2)
    return jnp.tanh(dense(last, z))


def judge(layers, x, key, rate):
    """Images (N, 784) -> logits (N, 1)."""
    *hidden, last = layers
    for layer, its_key in zip(hidden, jax.random.split(key, len(hidden)), strict=True):
        x = jax.nn.leaky_relu(dense(layer, x), 0.2)
        x = jnp.where(jax.random.bernoulli(its_key, 1 - rate, x.shape), x / (1 - rate), 0)
    return dense(last, x)


def dense(layer, x):
    w, b = layer
    return x @ w + b


def bce(logits, target):
    return (jax.nn.softplus(logits) - target * logits).mean()


def start(layers):
    """The state of a network: its layers, [(w (I, O), b (O,)), ...], and Adam's m, v and t."""
    return layers, jax.tree.map(jnp.zeros_like, layers), jax.tree.map(jnp.zeros_like, layers), 0


def adam(params, grads, m, v, t):
    """The same four of the next step."""
    t += 1
    m = jax.tree.map(lambda m, g: B1 * m + (1 - B1) * g, m, grads)
    v = jax.tree.map(lambda v, g: B2 * v + (1 - B2) * g * g, v, grads)
    mean, mean_square = 1 / (1 - B1**t), 1 / (1 - B2**t)
    params = jax.tree.map(
        lambda p, m, v: p - LR * mean * m / (jnp.sqrt(mean_square * v) + EPS), params, m, v
    )
    return params, m, v, t


def random_layers(key, sizes):
    """[(w, b), ...] between layers of these sizes: He et al.'s weights."""
    initial = jax.nn.initializers.he_normal()
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (initial(its_key, (inputs, outputs)), jnp.zeros(outputs))
        for its_key, inputs, outputs in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]

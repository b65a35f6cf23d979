"""A GAN from nothing but NumPy: the model of mnist_gan.py, every derivative in sight.

    python examples/from_nothing.py                three minutes, then from_nothing.png

A network is a list of layers [W, b].  Its hidden units are leaky ReLUs, in D with dropout; both
multiply by a number, so a layer is y = (x W + b) f, and the way back multiplies by f again.
"""

import numpy as np
from PIL import Image

from minigan import data

DTYPE, RATE = np.float32, 0.3  # of everything; of D's hidden units that are dropped
rng = np.random.default_rng(0)


def network(*sizes):
    """Layers [W, b] with He's weights: W (inputs, outputs) of variance 2 / inputs, b of zeros."""
    weights = [rng.standard_normal((m, n)) * (2 / m) ** 0.5 for m, n in zip(sizes, sizes[1:])]
    return [[w.astype(DTYPE), np.zeros(w.shape[1], DTYPE)] for w in weights]


def forward(net, x, rate=0.0):
    """The output (N, F) for x, and for each layer what the way back needs: its input x and f."""
    kept = []
    for w, b in net:
        y, f = x @ w + b, 1.0
        if w is not net[-1][0]:  # a hidden layer
            f = np.where(y > 0, 1, 0.2).astype(DTYPE)
            if rate:  # dropout, which makes the others larger to keep the mean
                f *= (rng.random(y.shape) >= rate) / DTYPE(1 - rate)
        kept.append((x, f))
        x = y * f
    return x, kept


def backward(net, dy, kept):
    """The gradient at the input, and those of all [W, b], given dy, the one at the output."""
    grads = []
    for (w, _), (x, f) in zip(net[::-1], kept[::-1]):
        dy = dy * f
        grads.insert(0, [x.T @ dy, dy.sum(axis=0)])
        dy = dy @ w.T
    return dy, grads


def adam(net, grads, state, lr=1e-3, b1=0.5, b2=0.999, eps=1e-8):
    """One step of Adam.  state: {} before the first; then t, and the means of g and g^2."""
    state["t"] = t = state.get("t", 0) + 1
    for i, (layer, layer_grads) in enumerate(zip(net, grads)):
        for j, (p, g) in enumerate(zip(layer, layer_grads)):
            m, v = state.get((i, j), (0, 0))
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            state[i, j] = m, v
            p -= lr * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)


def train_step(G, D, adam_g, adam_d, real, z_d, z_g):
    """One update of D, then one of G.  real (N, 784) in [-1, 1]; z_d, z_g (N, 100)."""
    n = len(real)

    # D: real images up, generated ones down.  loss = -log p(real) - log(1 - p(fake)).
    fake = np.tanh(forward(G, z_d)[0])
    logits, kept = forward(D, np.concatenate([real, fake]), RATE)
    p = 1 / (1 + np.exp(-logits))  # how sure D is that each is real
    target = np.repeat([1, 0], n)[:, None].astype(DTYPE)
    _, grads = backward(D, (p - target) / n, kept)
    adam(D, grads, adam_d)

    # G: loss = -log p(fake).  Its gradient runs back through D to the images, and on through G.
    y, kept_g = forward(G, z_g)
    fake = np.tanh(y)
    logits, kept_d = forward(D, fake, RATE)
    p_fake = 1 / (1 + np.exp(-logits))
    dfake, _ = backward(D, (p_fake - 1) / n, kept_d)  # D's own gradients are not used
    _, grads = backward(G, dfake * (1 - fake**2), kept_g)  # tanh' = 1 - tanh^2
    adam(G, grads, adam_g)
    return p[:n].mean(), p[n:].mean()


def main(epochs=10, batch=100):
    images = data.load("digits").images.reshape(-1, 784)
    G, D = network(100, 256, 512, 1024, 784), network(784, 1024, 512, 256, 1)
    adam_g, adam_d = {}, {}
    for epoch in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(order) - batch + 1, batch):
            real = images[order[start : start + batch]].astype(DTYPE) / 127.5 - 1
            z_d, z_g = rng.standard_normal((2, batch, 100)).astype(DTYPE)
            p_real, p_fake = train_step(G, D, adam_g, adam_d, real, z_d, z_g)
        print(f"epoch {epoch + 1}: D(x) {p_real:.2f}, D(G(z)) {p_fake:.2f}", flush=True)
    sheet = np.tanh(forward(G, rng.standard_normal((64, 100)).astype(DTYPE))[0])
    sheet = sheet.reshape(8, 8, 28, 28).swapaxes(1, 2).reshape(224, 224)
    Image.fromarray(((sheet + 1) * 127.5).astype(np.uint8)).save("from_nothing.png")


if __name__ == "__main__":
    main()

"""Score generated digits: are all ten classes there, and do they look like the data?

    python benchmarks/score.py CHECKPOINT [--data mnist|digits|PATH]

A classifier of our own (784-256-128-10, trained here on the same data in about half a
minute) reads the samples.  Printed are

    accuracy   of the classifier on images it has not seen
    coverage   classes that hold at least 2 % of the samples, of 10
    entropy    of the mean class distribution, in classes: exp(H), 10 is uniform
    certainty  mean largest class probability of a sample
    distance   Frechet distance between Gaussians fitted to the classifier's last hidden
               activations of real and of generated images (Heusel et al. 2017, eq. 6,
               with this classifier in place of Inception), and beside it the distance
               of two halves of the real data, the floor.

The numbers compare runs scored with the same seed; they mean nothing across data sets.
"""

import numpy as np

import minigan as mg
from minigan import data, training
from minigan.kernels.plain import log_softmax

BATCH, EPOCHS = 100, 6


def classifier(images, labels, seed):
    """Train on images (N, 28, 28, 1) in [-1, 1] and labels (N,).  Returns a Sequential."""
    layers = [
        mg.Flatten(),
        mg.Dense(784, 256),
        mg.LeakyReLU(0.1),
        mg.Dropout(0.3),
        mg.Dense(256, 128),
        mg.LeakyReLU(0.1),
        mg.Dropout(0.3),
        mg.Dense(128, 10),
    ]
    net = mg.Sequential(layers, name="classifier", seed=seed)
    adam = mg.Adam(net, 1e-3)
    step = 0
    for epoch in range(EPOCHS):
        order = mg.random.permutation(len(images), seed=seed, where="classifier", step=epoch)
        adam.lr = 1e-3 * (1 - epoch / EPOCHS)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            net.begin_step(step)
            logits, cache = net.forward(images[chosen])
            _, dlogits = mg.losses.softmax_cross_entropy(logits, labels[chosen])
            net.zero_grad()
            net.backward(dlogits, cache, need_dx=False)
            adam.step()
            step += 1
    return net


def read(net, images):
    """(features (N, 128), log-probabilities (N, 10)) of images in evaluation mode."""
    x = images
    for layer in net.layers[:-1]:
        x, _ = layer.forward(x, train=False)
    logits, _ = net.layers[-1].forward(x, train=False)
    return x.astype(np.float64), log_softmax(logits.astype(np.float64))


def frechet_distance(a, b):
    """|mean_a - mean_b|^2 + Tr(A + B - 2 (A B)^(1/2)) of two sets of rows (n, F)."""
    A, B = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # Tr (A B)^(1/2) through the symmetric A^(1/2) B A^(1/2), which has the same eigenvalues.
    values, vectors = np.linalg.eigh(A)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ B @ root), 0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(A) + np.trace(B) - 2 * cross)


def scores(net, real, fake):
    """The printed numbers for real and generated images, as a dict."""
    real_features, _ = read(net, real)
    features, log_p = read(net, fake)
    share = np.exp(log_p).mean(axis=0)
    counts = np.bincount(log_p.argmax(axis=1), minlength=10) / len(fake)
    half = len(real_features) // 2
    return {
        "coverage": int((counts >= 0.02).sum()),
        "entropy": float(np.exp(-(share * np.log(share)).sum())),
        "certainty": float(np.exp(log_p.max(axis=1)).mean()),
        "distance": frechet_distance(real_features, features),
        "floor": frechet_distance(real_features[:half], real_features[half:]),
    }


def main(argv=None):
    parser = training.options.Parser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="+")
    parser.add_argument("--data", default="mnist", help="the data the runs were trained on")
    parser.add_argument("--count", type=training.integer(100), default=10_000)
    parser.add_argument("--seed", type=training.integer(0), default=0)
    options = parser.parse_args(argv)
    dataset = data.load(options.data)
    images = dataset.images.astype(np.float32) / 127.5 - 1
    held_out = min(10_000, len(images) // 5)
    net = classifier(images[:-held_out], dataset.labels[:-held_out], options.seed)
    real = images[-held_out:]
    guesses = read(net, real)[1].argmax(axis=1)
    print(f"accuracy {(guesses == dataset.labels[-held_out:]).mean():.4f} on {held_out} images")
    for path in options.checkpoint:
        fake = mg.load(path).sample(options.count, seed=options.seed)
        numbers = scores(net, real, fake)
        print(path, "  ".join(f"{name} {value:.4g}" for name, value in numbers.items()))


if __name__ == "__main__":
    training.command(main)

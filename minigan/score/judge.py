"""The judge of pictures: small networks whose last hidden layers are what pictures are compared by.

One is random, and always the same: it sees strokes, edges and noise, and where they are (Naeem et
al. 2020 find random networks fit for such comparisons).  Where pictures have labels there is a
second one, of the same make, trained to tell them apart (`classifier`): it sees what is on a
picture, and alone it would take noise for a digit.
"""

import numpy as np

from ..arrays import to_host
from ..init import HeNormal
from ..kernels import choose
from ..kernels.plain import log_softmax
from ..layers import Conv2d, Dense, Dropout, Flatten, LeakyReLU
from ..network import Sequential

WIDTH = 64  # features of each network
CHANNELS = (16, 32)  # of the first convolutions; all that follow have as many as features
SIDE = 8  # pixels of a side that are few enough for a fully connected layer


def random_features(shape):
    """Pictures (N, *shape) in [-1, 1] -> features (N, WIDTH): convolutions as they begin."""
    return Sequential(_body(shape), name="features", seed=0)


def classifier(shape, classes):
    """Pictures (N, *shape) in [-1, 1] -> logits (N, classes): features, and what reads them."""
    head = [Dropout(0.3), Dense(WIDTH, classes)]
    return Sequential([Sequential(_body(shape)), *head], name="classifier", seed=0)


def _body(shape):
    """Convolutions that halve a picture until it is small, and one fully connected layer."""
    layers, widths = [], iter(CHANNELS)
    while max(shape[:2]) > SIDE:
        conv = Conv2d(shape[2], next(widths, WIDTH), 4, stride=2, weight_init=HeNormal())
        layers += [conv, LeakyReLU(0.1)]
        shape = conv.output_shape(shape)
    inputs = int(np.prod(shape))
    return [*layers, Flatten(), Dense(inputs, WIDTH, weight_init=HeNormal()), LeakyReLU(0.1)]


class Judge:
    """Reads pictures of one shape.

    shape: (H, W, C).  classifier: a network of this file that has been trained, or None.
    device: of the random network, that of the classifier.  features: how many it reads.
    """

    def __init__(self, shape, classifier=None, device="cpu"):
        self.random = random_features(shape).to(device)
        self.classifier, self.features = classifier, WIDTH * (1 + (classifier is not None))

    def read(self, batches):
        """Features (n, features) and class probabilities (n, K) of pictures, float64 on the host.

        batches: yields pictures uint8 (b, H, W, C) on the host.  Without a classifier there are no
        probabilities, but None.
        """
        features, probabilities = [], []
        for pictures in batches:
            x = scaled(pictures, self.random.xp)
            seen = [self.random.forward(x, train=False)[0]]
            if self.classifier is not None:
                body, _, reader = self.classifier.layers  # dropout is for training
                seen.append(body.forward(x, train=False)[0])
                logits = to_host(reader.forward(seen[1], train=False)[0]).astype(np.float64)
                probabilities.append(np.exp(log_softmax(logits)))
            features.append(np.hstack([to_host(part).astype(np.float64) for part in seen]))
        return np.concatenate(features), np.concatenate(probabilities) if probabilities else None


def scaled(pictures, xp):
    """Pictures uint8 as float32 in [-1, 1], on the device."""
    pixels = xp.asarray(pictures)
    return choose()[type(pixels)].from_pixels(pixels, -1.0, 1.0, "float32")

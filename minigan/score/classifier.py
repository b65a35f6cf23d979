"""The classifier that judges pictures: trained once on labelled data, and kept in the user's cache.

Its file is named by a digest of all that it is made of (pictures, labels, which of them, and the
settings below), so another set of data, or another version of this file, has another one.
"""

import contextlib
import hashlib
import json

import numpy as np

from .. import rebuild
from ..atomic import remove_leftovers
from ..data.cache import DEAD, cache_dir
from ..errors import UserError
from ..losses import softmax_cross_entropy
from ..optim import Adam
from ..random import permutation
from . import judge

VERSION = 1  # raise it when the same data would give another classifier
STEPS, BATCH = 2500, 100
PASSES = 100  # over the data at most, where those are fewer steps
RATE = 2e-3  # of learning; it falls to 0 on a straight line


def trained(images, labels, chosen, *, device, notify):
    """The classifier of images uint8 (N, H, W, C) with labels (N,), on "cpu" or "gpu".

    chosen: the indices (n,) of those to learn from; it never sees the others.  notify: called with
    a line where it must be trained, which takes half a minute at MNIST's size.  A file in the
    cache that is damaged is made again; where there is none to be had, the work goes on without.
    """
    classes = int(labels.max()) + 1
    folder, network = cache_dir(), None
    path = folder and folder / "judges" / f"{_digest(images, labels, chosen)}.npz"
    with contextlib.suppress(UserError, KeyError):
        network = path and rebuild.networks(path, *rebuild.read(path))["classifier"]
    if network is None:
        notify(f"training a classifier on {len(chosen):,} labelled pictures, once for these data")
        network = judge.classifier(images.shape[1:], classes).to(device)
        _train(network, images, labels, chosen)
        with contextlib.suppress(OSError):
            if path:
                remove_leftovers(path.parent / "*", silent=DEAD)
                network.save(path)
    return network.to(device)


def _train(network, images, labels, chosen):
    adam, xp = Adam(network, RATE), network.xp
    size = min(BATCH, len(chosen))
    per_epoch = len(chosen) // size
    steps = min(STEPS, PASSES * per_epoch)
    for step in range(steps):
        epoch, batch = divmod(step, per_epoch)
        if batch == 0:
            order = chosen[permutation(len(chosen), seed=0, where="classifier", step=epoch)]
        part = order[batch * size : (batch + 1) * size]
        network.begin_step(step)
        logits, cache = network.forward(judge.scaled(images[part], xp))
        _, dlogits = softmax_cross_entropy(logits, xp.asarray(labels[part]))
        network.zero_grad()
        network.backward(dlogits, cache, need_dx=False)
        adam.lr = RATE * (1 - step / steps)
        adam.step()


def _digest(images, labels, chosen):
    settings = [VERSION, STEPS, BATCH, PASSES, RATE, images.shape]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for array in (images, labels.astype(np.int64), chosen.astype(np.int64)):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:32]

"""What a classifier reads on pictures: how many classes, in which shares, and how surely."""

import numpy as np

FOUND = 0.2  # of the share that a class has in the data: below it, it counts as missing


def class_figures(p, real, asked=None):
    """Figures of the class probabilities p (n, K) of pictures, as a dict.

    real: probabilities (m, K) of real ones.  asked: the labels (n,) that the pictures should bear.

    classes: how many of those in the data are found.  kl: sum of q log(q / r), q the shares of
    the classes read on the pictures, r those read on real ones (and one picture more of each, so
    that a class which nobody reads there is rare and not impossible); 0 where they agree, log K
    where one class of K is drawn.  confidence: the mean of the largest probability.  labelled:
    where labels are asked for, the share that bears its own.
    """
    read = p.argmax(axis=1)
    counts = np.bincount(read, minlength=p.shape[1])
    there = np.bincount(real.argmax(axis=1), minlength=p.shape[1])
    q, r = counts / len(p), (there + 1) / (len(real) + p.shape[1])
    drawn, in_data = counts > 0, there > 0
    figures = {
        "classes": float((q >= FOUND * there / len(real))[in_data].sum()),
        "kl": float((q[drawn] * np.log(q[drawn] / r[drawn])).sum()),
        "confidence": float(p.max(axis=1).mean()),
    }
    if asked is not None:
        figures["labelled"] = float((read == asked).mean())
    return figures

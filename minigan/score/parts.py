"""Which real pictures are for what: none has two uses.

reference   what generated pictures are compared with: of the test set, where there is one
others      other real pictures, that stand in for generated ones: the floor
training    what a classifier learns from, where there are labels

The last two come from the training set.  Without a test set the reference does too, and then a
generator that repeats what it was trained on looks perfect.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from ..random import permutation

MOST = 10_000  # pictures of the reference, and of the others
LEAST = 4  # whose third neighbour is one of them


@dataclass
class Parts:
    """Indices of pictures, int64, in a random order that is always the same.

    reference: (n,) of `source`, a Dataset.  others: (m,) and training: (t,) of the training set.
    labelled: whether there are labels to learn.  held_out: whether the source is a test set.
    """

    source: object
    reference: np.ndarray
    others: np.ndarray
    training: np.ndarray
    labelled: bool
    held_out: bool


def divide(train, test=None):
    """The Parts of a training set and its test set (Datasets).

    A fifth of the training set are others, and without a test set another fifth the reference;
    where there are no labels, or one label only, half and half.  Raises UserError for data of
    so few pictures that a part of them has no neighbours.
    """
    labelled = all(one.labels is not None for one in filter(None, (train, test)))
    labelled = labelled and 0 <= train.labels.min() < train.labels.max()
    order = permutation(len(train), seed=0, where="score")
    share = min(MOST, len(train) // (5 if labelled or test else 2))
    if test:
        reference = permutation(len(test), seed=0, where="score test")[:MOST]
        others, training = order[:share], order[share:]
    else:
        reference, others, training = order[:share], order[share : 2 * share], order[2 * share :]
    if min(len(reference), len(others)) < LEAST:
        raise UserError(
            f"data {train.name}: of {len(train)} pictures, {len(others)} would be compared with "
            f"{len(reference)} others: scores need {LEAST} of each at least"
        )
    return Parts(test or train, reference, others, training, labelled, bool(test))

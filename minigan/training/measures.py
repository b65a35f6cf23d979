"""What every run measures, beside what its example logs: gradients, and how pictures differ."""

import numpy as np

from ..arrays import norm

NORMS_EVERY = 10  # steps: a norm is a pass over the gradients, whose size is that of the weights
VARIETY_EVERY = 50  # steps: it takes a forward pass of G
FEWEST, MOST = 16, 64  # pictures that are compared: the batch's number within these


class Measures:
    """The columns norm_dG, norm_dD and variety of a run.

    batches, latent: of the run.  networks: dict name -> Sequential; all but "generator" are D's.
    """

    def __init__(self, batches, latent, networks, *, seed):
        self.networks = networks
        count = min(max(FEWEST, batches.size), MOST)
        real, labels = batches.sample(count, where="variety")
        self._of_data = spread(real) if len(real) > 1 else 0
        self._measurable = bool(self._of_data > 0)
        generator = networks["generator"]
        self._z = latent.draw(
            len(real), seed=seed, where="variety", dtype=generator.dtype, xp=generator.xp
        )
        if labels is not None:
            self._z = latent.labelled(self._z, labels)

    def of(self, step):
        """What is measured after a step, now and then: dict name -> 0-d array.

        norm_dG, norm_dD: norms of the gradients as the optimizers have just seen them.  variety:
        the mean distance between two of G's pictures, in evaluation mode and of the same z every
        time, over that of two of the data.
        """
        values = {}
        if step % NORMS_EVERY == 0:
            for name, network in self.networks.items():
                values["norm_dG" if name == "generator" else "norm_dD"] = norm(network.grads)
        if step % VARIETY_EVERY == 0 and self._measurable:
            images, _ = self.networks["generator"].forward(self._z, train=False)
            values["variety"] = spread(images) / self._of_data
        return values


def spread(images):
    """The mean Euclidean distance between two of the images (N, ...), N > 1, a 0-d array."""
    n = len(images)
    x = images.reshape(n, -1)
    x = x - x.mean(axis=0)  # or the distances of nearly equal pictures are lost in rounding
    squares = (x * x).sum(axis=1)
    of_pairs = np.maximum(squares[:, None] + squares - 2 * (x @ x.T), 0)
    return np.sqrt(of_pairs).sum() / (n * (n - 1))

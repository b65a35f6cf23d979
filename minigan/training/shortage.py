"""Too little memory for a step: which batch would fit is found by trying.

`advice` says in words what to do about a MemoryError: `command` asks when one has ended the
program.  A run knows more than `general_advice`, and puts its own in the place.
"""

import numpy as np

from ..condition import join

BESIDES = 64  # MiB that a run wants besides its steps: the loss curve as it is drawn


def general_advice():
    return "ask for fewer images at a time"


def before_the_run():
    return "use fewer images with --limit, or narrower networks with --width"


advice = general_advice


def batch_that_fits(networks, latent, batch, xp):
    """The first of batch / 2, batch / 4, ... of which a step fits into memory; 0 if none does.

    networks: the run's, "generator" and what judges its images.  latent: of the generator.
    Spoils gradients and moving averages: the run must be over.
    """
    while batch := batch // 2:
        try:
            # In small pieces, which fit where the failed step's arrays were.
            besides = [np.empty(2**20, np.uint8) for _ in range(BESIDES)]
            with np.errstate(all="ignore"):
                rehearse(networks, latent, batch, xp)
            del besides
            return batch
        except MemoryError:
            pass  # half of it, then
    return 0


def rehearse(networks, latent, count, xp):
    """The passes of a training step on `count` images, as many arrays at a time as any has."""
    G = networks["generator"]
    code = xp.zeros((count, len(latent.classes)), G.dtype)
    z = xp.zeros((count, latent.size), G.dtype)
    fake, g_cache = G.forward(join(z, code))
    images = join(fake, code)
    for D in (network for network in networks.values() if network is not G):
        # D's step, on real and generated images; its cache is still there in G's.
        scores, both_cache = D.forward(xp.concatenate([images, images]))
        D.backward(xp.ones_like(scores), both_cache, need_dx=False)
        scores, d_cache = D.forward(images)
        dimages = D.backward(xp.ones_like(scores), d_cache, params=False)
        G.backward(dimages[..., : fake.shape[-1]], g_cache, need_dx=False)

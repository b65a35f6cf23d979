"""A training step for those who do not want to write their own, as every example does."""

from ..arrays import norm
from ..condition import join, join_backward
from ..losses import bce_with_logits, non_saturating, sigmoid


def gan_step(G, D, opt_g, opt_d, real, z_d, z_g, code=None):
    """One update of D, then one of G through D, by the losses of Goodfellow et al. 2014.

    real: images (N, H, W, C); z_d, z_g: (N, size), what the generated ones are made of.  code:
    (N, classes) where both networks read one, as in examples/mnist_cgan.py; all images carry it.
    Returns the losses, D's mean probabilities and |dfake|, for `run.log`.
    """

    def coded(x):
        return x if code is None else join(x, code)

    # D: real images up, generated ones down.  Each kind has a pass, and so a BatchNorm, to itself.
    fake, _ = G.forward(coded(z_d))
    D.zero_grad()
    losses, probabilities = [], []
    for images, is_real in ((real, 1.0), (fake, 0.0)):
        logits, cache = D.forward(coded(images))
        loss, dlogits = bce_with_logits(logits, is_real)
        D.backward(dlogits, cache, need_dx=False)
        losses.append(loss)
        probabilities.append(sigmoid(logits).mean())
    opt_d.step()

    # G: the gradient runs through the updated D, which stays as it is; none is left in a code.
    fake, g_cache = G.forward(coded(z_g))
    logits, d_cache = D.forward(coded(fake))
    g_loss, dlogits = non_saturating(logits)
    dfake, _ = join_backward(D.backward(dlogits, d_cache, params=False), fake.shape[-1])
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_g.step()

    d_real, d_fake = probabilities
    return dict(
        d_loss=sum(losses), g_loss=g_loss, d_real=d_real, d_fake=d_fake, norm_dfake=norm(dfake)
    )

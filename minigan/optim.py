"""Optimizers: a few in-place lines over the network's flat vectors.

`step()` is the only code that writes parameters.  The state (moments, step count) is
flat too, and goes into a checkpoint whole.
"""

import math

import numpy as np

from .arrays import get_array_module, on_gpu, to_device
from .errors import check_setting
from .kernels import in_blocks
from .kernels.gpu import pointwise as gpu_pointwise


class Optimizer:
    """Moves `network.params` against `network.grads` with learning rate `lr`.

    network: a built layer or Sequential.  lr: a number > 0; it may be changed
    between steps.  Raises ValueError for a setting out of range.
    """

    slots = ()  # names of the flat state vectors

    def __init__(self, network, lr):
        check_setting(self, "lr", lr, 0, math.inf, open_low=True)
        self.network, self.lr = network, lr
        self.t = 0  # steps done
        xp = get_array_module(network.params)
        self.state = {name: xp.zeros_like(network.params) for name in self.slots}

    def step(self):
        """Update the parameters once; the gradients are left as they are."""
        self.t += 1
        in_blocks(self.update, self.network.params, self.network.grads, *self.state.values())

    def update(self, p, g, *state):
        """The formula on one block: writes p and the state, reads g."""
        raise NotImplementedError

    def to(self, device):
        """Move the state to "cpu" or "gpu"; the network moves with its own `to`."""
        self.state = {name: to_device(vector, device) for name, vector in self.state.items()}
        return self


class SGD(Optimizer):
    """v = momentum v + g;  p -= lr v  (Sutskever et al. 2013, in PyTorch's form)."""

    slots = ("velocity",)

    def __init__(self, network, lr, *, momentum=0.0):
        super().__init__(network, lr)
        check_setting(self, "momentum", momentum, 0, 1)
        self.momentum = momentum

    def update(self, p, g, velocity):
        velocity *= self.momentum
        velocity += g
        p -= velocity * self.lr


class RMSProp(Optimizer):
    """s = rho s + (1 - rho) g^2;  p -= lr g / (sqrt(s) + eps)  (Tieleman and Hinton 2012)."""

    slots = ("s",)

    def __init__(self, network, lr, *, rho=0.99, eps=1e-8):
        super().__init__(network, lr)
        check_setting(self, "rho", rho, 0, 1)
        check_setting(self, "eps", eps, 0, math.inf)
        self.rho, self.eps = rho, eps

    def update(self, p, g, s):
        xp = get_array_module(p)
        scratch = g * g
        scratch *= 1 - self.rho
        s *= self.rho
        s += scratch
        xp.sqrt(s, out=scratch)
        scratch += self.eps
        xp.divide(g, scratch, out=scratch)
        scratch *= self.lr
        p -= scratch


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1).

        m = b1 m + (1 - b1) g          v = b2 v + (1 - b2) g^2
        p -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    The state keeps m / (1 - b1) and v / (1 - b2), which saves two passes over memory; the
    factors join the bias corrections, as scalars.
    """

    slots = ("m", "v")

    def __init__(self, network, lr, *, b1=0.9, b2=0.999, eps=1e-8):
        super().__init__(network, lr)
        check_setting(self, "b1", b1, 0, 1)
        check_setting(self, "b2", b2, 0, 1)
        check_setting(self, "eps", eps, 0, math.inf)
        self.b1, self.b2, self.eps = b1, b2, eps

    def update(self, p, g, m, v):
        # From sums to averages without the bias of their start at zero:
        m_scale = (1 - self.b1) / (1 - self.b1**self.t)
        root_v_scale = math.sqrt((1 - self.b2) / (1 - self.b2**self.t))
        # p -= lr m_scale m / (root_v_scale sqrt(v) + eps), divided through by root_v_scale
        if on_gpu(p):
            eps, rate = self.eps / root_v_scale, self.lr * m_scale / root_v_scale
            return gpu_pointwise.adam(p, g, m, v, self.b1, self.b2, eps, rate)
        m *= self.b1
        m += g
        v *= self.b2
        scratch = g * g
        v += scratch
        np.sqrt(v, out=scratch)
        scratch += self.eps / root_v_scale
        np.divide(m, scratch, out=scratch)
        scratch *= self.lr * m_scale / root_v_scale
        p -= scratch

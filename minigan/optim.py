"""Optimizers: a function of `kernels` over the network's flat vectors, and its state.

`step()` is the only code that writes parameters.  The state (moments, step count) is
flat too, and goes into a checkpoint whole.
"""

import math

from . import processes
from .arrays import get_array_module, to_device
from .errors import check_setting


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
        """Update the parameters once; the gradients are left as they are.

        Where processes share a batch, they become those of the whole batch first.
        """
        self.t += 1
        k = self.network.kernels[type(self.network.params)]
        processes.here.average(self.network.grads)
        self.update(k, self.network.params, self.network.grads, **self.state)

    def update(self, k, p, g, **state):
        """One step with the functions of k: writes p and the state, reads g."""
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

    def update(self, k, p, g, velocity):
        k.sgd(p, g, velocity, self.lr, self.momentum)


class RMSProp(Optimizer):
    """s = rho s + (1 - rho) g^2;  p -= lr g / (sqrt(s) + eps)  (Tieleman and Hinton 2012)."""

    slots = ("s",)

    def __init__(self, network, lr, *, rho=0.99, eps=1e-8):
        super().__init__(network, lr)
        check_setting(self, "rho", rho, 0, 1)
        check_setting(self, "eps", eps, 0, math.inf)
        self.rho, self.eps = rho, eps

    def update(self, k, p, g, s):
        k.rmsprop(p, g, s, self.lr, self.rho, self.eps)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1): a step by the mean over the root of the mean square.

        m = b1 m + g          mean        = m (1 - b1) / (1 - b1^t)
        v = b2 v + g^2        mean square = v (1 - b2) / (1 - b2^t)
        p -= lr clip(mean / (sqrt(mean square) + eps), -bound, bound)

    m and v are sums over the steps with weights b^age, which add up to (1 - b^t) / (1 - b).  The
    paper's m and v are these times 1 - b; its corrected ones are our means.

    bound: a number > 0, the most learning rates that a step moves a parameter by.  Adam's own is
    (1 - b1) / sqrt(1 - b2), which a gradient reaches that leaps after long quiet: 16 for 0.5 and
    0.999.  1 is the clipping of Sophia (Liu et al. 2023, arXiv:2305.14342).
    """

    slots = ("m", "v")

    def __init__(self, network, lr, *, b1=0.9, b2=0.999, eps=1e-8, bound=math.inf):
        super().__init__(network, lr)
        check_setting(self, "b1", b1, 0, 1)
        check_setting(self, "b2", b2, 0, 1)
        check_setting(self, "eps", eps, 0, math.inf)
        if not bound > 0:  # infinity, the default, is inside
            raise ValueError(f"Adam: bound={bound!r} is outside (0, inf]")
        self.b1, self.b2, self.eps, self.bound = b1, b2, eps, bound

    def update(self, k, p, g, m, v):
        k.adam(p, g, m, v, self.t, self.lr, self.b1, self.b2, self.eps, self.bound)

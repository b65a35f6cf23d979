"""minigan: generative adversarial networks with every derivative written by hand.

    import minigan as mg

    D = mg.Sequential([mg.Dense(784, 128), mg.LeakyReLU(0.2), mg.Dense(128, 1)])
    logits, cache = D.forward(x)
    loss, dlogits = mg.losses.bce_with_logits(logits, 1.0)
    D.backward(dlogits, cache)
    mg.Adam(D, 2e-4).step()

The engine (all that is imported here) needs NumPy alone.  `minigan.data` and
`minigan.training` hold what surrounds it: pictures, files and the run.
"""

from . import interrupted  # noqa: F401, I001 - before all that takes time
from . import condition, init, kernels, losses, penalty, random
from .arrays import get_array_module, norm, to_device, to_host
from .average import MovingAverage
from .errors import UserError
from .layers import *  # noqa: F403
from .layers import __all__ as _layer_names
from .network import Sequential
from .optim import SGD, Adam, RMSProp
from .version import __version__

__all__ = [
    *_layer_names,
    "SGD",
    "Adam",
    "MovingAverage",
    "RMSProp",
    "Sequential",
    "UserError",
    "__version__",
    "condition",
    "get_array_module",
    "gradcheck",
    "init",
    "kernels",
    "load",
    "losses",
    "norm",
    "penalty",
    "random",
    "to_device",
    "to_host",
]


def __getattr__(name):
    # Loaded on first use: these bring in argparse, json and files, which networks do not
    # need, and `import minigan` should cost little more than `import numpy`.
    if name == "load":
        from .training.sampling import load

        return load
    if name in ("gradcheck", "data", "models", "training"):
        import importlib

        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

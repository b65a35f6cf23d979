"""The run around a training step: options, data, results, resume.

It knows networks and optimizers as flat vectors and nothing of layers' insides.
"""

from .command import command
from .latent import Latent
from .options import integer, number, parse, parser
from .run import Run

__all__ = ["Latent", "Run", "command", "integer", "number", "parse", "parser"]

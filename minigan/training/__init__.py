"""The run around a training step: options, data, results, resume.

It knows networks and optimizers as flat vectors and nothing of layers' insides.
"""

from .command import command
from .latent import Latent
from .memory import keep_freed_memory
from .options import channels, fraction, integer, number, parse, parser, settings, summarize
from .progress import Progress
from .run import Run
from .step import gan_step

__all__ = [
    "Latent",
    "Progress",
    "Run",
    "channels",
    "command",
    "fraction",
    "gan_step",
    "integer",
    "keep_freed_memory",
    "number",
    "parse",
    "parser",
    "settings",
    "summarize",
]

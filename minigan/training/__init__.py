"""The run around a training step: options, data, results, resume.

It knows networks and optimizers as flat vectors and nothing of layers' insides.
"""

from .command import command
from .init_from import init_from
from .latent import Latent
from .memory import keep_freed_memory
from .options import (
    channels,
    fraction,
    integer,
    number,
    parse,
    parser,
    rate,
    settings,
    summarize,
    unless_given,
)
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
    "init_from",
    "integer",
    "keep_freed_memory",
    "number",
    "parse",
    "parser",
    "rate",
    "settings",
    "summarize",
    "unless_given",
]

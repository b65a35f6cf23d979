"""The layers, one concept a file; `base` holds the contract they share."""

from .activation import LeakyReLU, ReLU, Sigmoid, Tanh
from .base import Layer
from .conv import Conv2d, ConvTranspose2d
from .dense import Dense
from .dropout import Dropout
from .norm import BatchNorm, LayerNorm
from .shape import Flatten, Reshape
from .upsample import UpSample2d

__all__ = [
    "BatchNorm",
    "Conv2d",
    "ConvTranspose2d",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "ReLU",
    "Reshape",
    "Sigmoid",
    "Tanh",
    "UpSample2d",
]

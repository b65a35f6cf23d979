"""The layers, one concept a file; `base` holds the contract they share."""

from .activation import LeakyReLU, ReLU, Sigmoid, Tanh
from .base import Layer
from .dense import Dense
from .dropout import Dropout
from .norm import BatchNorm, LayerNorm
from .shape import Flatten, Reshape

__all__ = [
    "BatchNorm",
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
]

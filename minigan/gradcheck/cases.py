"""All that is checked: every layer in both modes, on both ways to convolve, whole networks, every
loss, every penalty, G's step through D; and layers of your own.

A case is called by the first word of its title: "Conv2d", "hinge", "gradient_penalty".
"""

import ast
import importlib
import os
import re
import sys
from functools import partial
from typing import NamedTuple

import numpy as np

from .. import losses, penalty
from ..condition import ByClass, join, one_hot
from ..errors import UserError
from ..kernels import PLAIN, choose
from ..layers import (
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    LeakyReLU,
    RandomShift,
    ReLU,
    Reshape,
    Sigmoid,
    SpectralNorm,
    Tanh,
    UpSample2d,
)
from ..network import Layer, Sequential
from .check import Check, check_layer, check_loss, check_step


class Case(NamedTuple):
    """Something to check.  title, mode: as in its Check.  make: the function that checks it."""

    title: str
    mode: str
    make: object

    @property
    def name(self):
        return re.match(r"\w+", self.title).group()

    def check(self):
        """The Check; one that has failed where an exception comes."""
        try:
            return self.make()
        except Exception as error:
            at = error.__traceback__
            while at.tb_next:
                at = at.tb_next
            place = f"{os.path.basename(at.tb_frame.f_code.co_filename)}:{at.tb_lineno}"
            note = f"{type(error).__name__} in {place}: {error}"
            return Check(self.title, self.mode, {}, notes=[note])


def check_all(seed=0):
    """Yields the Check of every case."""
    return (case.check() for case in all_cases(seed))


def select(words, seed=0):
    """The cases of these names, and of layers written as module:Class or module:Class(10, axis=2).

    Raises UserError for a word that is neither.
    """
    everything, chosen = all_cases(seed), []
    for word in words:
        if ":" in word:
            chosen += _own(word, seed)
            continue
        found = [case for case in everything if case.name.lower() == word.lower()]
        if not found:
            names = ", ".join(dict.fromkeys(case.name for case in everything))
            raise UserError(f"nothing to check is called {word!r}: there are {names}; a layer of "
                            "your own is module:Class")  # fmt: skip
        chosen += found
    return chosen


def all_cases(seed=0):
    """A list of all Cases; seed: of the values they are checked at."""
    return [*_layers(seed), *_losses(seed), *_penalties(seed), *_steps(seed)]


def _modes(layer, x, seed, **settings):
    for train in (True, False):
        make = partial(check_layer, layer, x, train=train, seed=seed, **settings)
        yield Case(repr(layer), "train" if train else "eval", make)


def _layers(seed):
    rng = np.random.default_rng(seed)
    vectors, images = rng.standard_normal((6, 10)), rng.standard_normal((3, 4, 5, 2))
    apart = vectors + 0.1 * np.sign(vectors)  # from the kinks at 0
    for layer, x in (
        (Dense(10, 7), vectors),
        (Dense(2, 3, use_bias=False), images),
        (Conv2d(2, 3, 3), images),
        (Conv2d(2, 3, (4, 2), stride=2, use_bias=False), images),
        (Conv2d(2, 3, (4, 5), padding="valid"), images),
        (ConvTranspose2d(2, 3, 4, stride=2), images),
        (ConvTranspose2d(2, 3, (3, 2), stride=(1, 3), padding=1, use_bias=False), images),
        (UpSample2d(2), images),
        (RandomShift(0.3), images),
        (BatchNorm(10), vectors),
        (BatchNorm(2), images),
        (BatchNorm(5, axis=2), images),
        (LayerNorm(10), vectors),
        (LayerNorm((4, 5, 2)), images),
        (ReLU(), apart),
        (LeakyReLU(0.2), apart),
        (Sigmoid(), vectors),
        (Tanh(), vectors),
        (Dropout(0.3), vectors),
        (Dropout(0.3, always=True), vectors),
        (Flatten(), images),
        (Reshape((8, 5)), images),
    ):
        yield from _modes(_moved(layer, rng), x, seed)
    for layer, x in (
        (SpectralNorm(Dense(10, 7)), vectors),
        (SpectralNorm(Conv2d(2, 3, (4, 2), stride=2)), images),
        (SpectralNorm(ConvTranspose2d(2, 3, 4, stride=2, use_bias=False)), images),
    ):
        yield from _modes(_settled(_moved(layer, rng)), x, seed)
    yield from _modes(_every_layer(), vectors, seed)
    # The planes far apart: a difference quotient is not to change the choice.
    codes = 9 * one_hot(np.array([0, 2, 1]), 3, dtype="float64")
    yield from _modes(_by_class(), join(images, codes), seed)
    if choose() is PLAIN:
        return  # one way to convolve
    # Large enough for minimal filtering, in training alone: a convolution has no modes.
    for layer, x in (
        (Conv2d(96, 128, 4, stride=2, use_bias=False), rng.standard_normal((2, 32, 32, 96))),
        (ConvTranspose2d(160, 160, 3, use_bias=False), rng.standard_normal((2, 16, 16, 160))),
    ):
        yield Case(repr(layer), "train", partial(check_layer, layer, x, seed=seed))


def _moved(layer, rng):
    """The layer built, no tensor at its first value: a gamma of 1 or a mean of 0 hides faults."""
    layer.build(dtype="float64")
    layer.params = layer.params + 0.3 * rng.standard_normal(layer.params.shape)
    layer.buffers = layer.buffers + rng.uniform(0.1, 0.9, layer.buffers.shape)
    return layer


def _settled(layer):
    """A SpectralNorm whose power iteration has come to its end, the singular vector.

    There u and v, constants on its way back, are the same to first order for other weights, and a
    difference quotient, which lets them go along, finds the same gradient.
    """
    weight = layer.weight.reshape(-1, layer.weight.shape[-1])
    layer.u = np.linalg.svd(weight)[2][0]
    return layer


def _away_from_kinks(shape, generator):
    """An initialiser of the biases before a LeakyReLU.

    dx jumps where an input of it passes 0, and a numeric derivative of dx is worth nothing there.
    """
    return 4 * generator.choice([-1.0, 1.0], shape)


def _every_layer():
    """A network with every kind of layer for vectors, one of them a network."""
    inner = Sequential([BatchNorm(8), Sigmoid(), Dropout(0.2)])
    return Sequential(
        [
            Dense(10, 8), Tanh(), inner, LayerNorm(8), Dense(8, 8, bias_init=_away_from_kinks),
            LeakyReLU(0.1), Dropout(0.2), Dense(8, 2),  # the first two in one pass
        ]
    )  # fmt: skip


def _by_class():
    """A judge of images (4, 5, 2) and planes of three classes."""
    layers = [Conv2d(2, 3, 4, stride=2), Tanh(), Flatten(), Dense(18, 3)]
    return ByClass(layers, classes=3, dtype="float64")


def _losses(seed):
    rng = np.random.default_rng((seed, 1))
    logits, targets = 3 * rng.standard_normal((6, 1)), rng.uniform(size=(6, 1))
    many, classes = rng.standard_normal((6, 10)), rng.integers(0, 10, 6)
    soft = rng.dirichlet(np.ones(10), 6)
    for title, loss, x in (
        ("bce_with_logits", lambda x: losses.bce_with_logits(x, targets), logits),
        ("bce", lambda p: losses.bce(p, targets), rng.uniform(0.1, 0.9, (6, 1))),
        ("softmax_cross_entropy", lambda x: losses.softmax_cross_entropy(x, classes), many),
        ("softmax_cross_entropy, soft", lambda x: losses.softmax_cross_entropy(x, soft), many),
        ("wasserstein", lambda x: losses.wasserstein(x, -1), logits),
        ("hinge", lambda x: losses.hinge(x, -1), logits),
        ("least_squares", lambda x: losses.least_squares(x, targets), logits),
        ("non_saturating", losses.non_saturating, logits),
        ("minimax", losses.minimax, logits),
    ):
        yield Case(title, "", partial(check_loss, loss, x, title))


def _penalties(seed):
    rng = np.random.default_rng((seed, 2))
    real, fake = rng.standard_normal((2, 4, 4, 4, 2))
    code = one_hot(np.array([0, 1, 2, 1]), 3, dtype="float64")
    address = dict(seed=seed, step=0)

    def gradient_penalty(critic, **settings):
        return penalty.gradient_penalty(critic, real, fake, **address, **settings)

    for title, function, codes in (
        ("gradient_penalty", gradient_penalty, 0),
        ("gradient_penalty, one-sided", partial(gradient_penalty, one_sided=True), 0),
        ("gradient_penalty, conditional", partial(gradient_penalty, condition=code), 3),
        ("r1", lambda critic: penalty.r1(critic, real), 0),
        ("r2", lambda critic: penalty.r2(critic, fake), 0),
    ):
        yield Case(title, "", partial(_check_penalty, function, 2 + codes, title, seed))


def _check_penalty(function, channels, title, seed):
    critic = _critic(channels, seed)
    critic.layers[-1].weight *= 100  # slopes of about 1 to 10: one-sided penalties forgive others

    def step():
        critic.begin_step(0)
        return function(critic)

    return check_step(step, critic, title, samples=4)


def _critic(channels, seed):
    """A critic of images (4, 4, channels)."""
    return Sequential(
        [
            Conv2d(channels, 5, 4, stride=2, bias_init=_away_from_kinks), LeakyReLU(0.2),
            Dropout(0.3), LayerNorm((2, 2, 5)), Tanh(), Conv2d(5, 4, 2, padding="valid"),
            Flatten(), Dense(4, 1),
        ],
        name="critic", seed=seed, dtype="float64",
    )  # fmt: skip


def _steps(seed):
    title = "generator_step, G through D"
    yield Case(title, "", partial(_check_generator_step, title, seed))


def _check_generator_step(title, seed):
    z = np.random.default_rng((seed, 3)).standard_normal((4, 3))
    G = Sequential(
        [
            Dense(3, 8), BatchNorm(8), Sigmoid(), Reshape((2, 2, 2)),
            ConvTranspose2d(2, 2, 4, stride=2), Tanh(),
        ],
        name="generator", seed=seed, dtype="float64",
    )  # fmt: skip
    D = _critic(2, seed)

    def step():
        D.begin_step(0)
        fake, g_cache = G.forward(z)
        logits, d_cache = D.forward(fake)
        loss, dlogits = losses.non_saturating(logits)
        G.backward(D.backward(dlogits, d_cache, params=False), g_cache, need_dx=False)
        return loss

    return check_step(step, G, title, samples=4)


# Layers of one's own.


def _own(word, seed):
    layer = _made(word)
    features = next((v for v in layer.config().values() if type(v) is int), 10)
    rng, refusals = np.random.default_rng(seed), []
    for shape in ((6, features), (3, 8, 8, features)):
        x = rng.standard_normal(shape)
        try:
            layer.clone().build(dtype="float64").forward(x)
        except ValueError as error:
            refusals.append(f"{shape}: {error}")
            continue
        except Exception as error:  # no matter of the input: the check will say it
            refusals.append(f"{shape}: {error}")
        second_order = type(layer).double_backward is not Layer.double_backward
        return list(_modes(layer, x, seed, second_order=second_order))
    raise UserError(f"{word} takes neither vectors nor images: {'; '.join(refusals)}")


def _made(word):
    """The layer that module:Class(arguments) says; the current folder may hold the module."""
    module_name, _, call = word.partition(":")
    try:
        tree = ast.parse(call, mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        args = [ast.literal_eval(value) for value in call.args]
        settings = {item.arg: ast.literal_eval(item.value) for item in call.keywords}
        name = call.func.id
    except (SyntaxError, ValueError, AttributeError):
        raise UserError(f"{word}: write module:Class, or module:Class(10, axis=2)") from None
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        kind = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{word}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Layer)):
        raise UserError(f"{word}: {name} is not a class of minigan.Layer")
    try:
        return kind(*args, **settings)
    except (TypeError, ValueError) as error:
        raise UserError(f"{word}: {error}; arguments go behind it: {name}(10)") from error

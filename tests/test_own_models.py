"""Networks for pictures of any size: the arithmetic of their stages, for every size there is."""

import itertools
import math

import numpy as np
import pytest

import minigan as mg
from minigan import models
from minigan.gradcheck import check_layer
from minigan.kernels import geometry

SIDES = range(models.SMALLEST, models.LARGEST + 1)
SETTINGS = dict(channels=3, width=1)


def test_every_size_ends_in_a_small_grid_with_few_weights():
    """All 58,081: what is left of the shorter side is 4 to 7 pixels, of the longer one no less.

    The widest layer is the lowest, which joins all of its pixels with z, or with the score.
    """
    rows = []
    for size in itertools.product(SIDES, SIDES):
        *larger, smallest = models.sizes(size)
        assert 4 <= min(smallest) <= 7 and len(larger) >= 2
        rows.append(math.prod(smallest) * min(2 ** (len(larger) - 1), models.MOST))
    assert 4 * 4 * 2 == min(rows) and max(rows) < 1000


def test_a_stage_halves_and_rounds_up():
    """The padding is (1, 1) around an even side and (1, 2) around an odd one, as "same" has it."""
    for n in SIDES:
        g = geometry((n, 64), 4, 2)
        assert g.output == (math.ceil(n / 2), 32)
        assert g.padding == ((1, 1 + n % 2), (1, 1))


# Each side with a partner that is longer, shorter and as odd as it comes.
SIZES = [(n, 16 + 256 - n) for n in SIDES] + [(16, 16), (16, 256), (31, 251), (256, 16), (64, 64)]


@pytest.mark.parametrize("upsample", models.UPSAMPLE)
def test_the_pictures_of_g_are_those_that_d_reads(upsample):
    for size in SIZES:
        G = models.generator(size, latent=2, classes=1, upsample=upsample, **SETTINGS)
        D = models.discriminator(size, classes=1, **SETTINGS)
        shape = (3,)
        for layer in G.layers:
            shape = layer.output_shape(shape)
            assert min(shape) >= 1
        assert shape == (*size, 3)
        assert D.output_shape((*size, 4)) == (1,)


@pytest.mark.parametrize("size", [(16, 16), (96, 64), (17, 30), (97, 131), (255, 31)])
def test_each_stage_of_g_is_the_adjoint_of_one_of_d(size):
    G = models.generator(size, latent=2, **SETTINGS)
    D = models.discriminator(size, norm="none", **SETTINGS)
    up = [layer for layer in G.layers if isinstance(layer, mg.ConvTranspose2d)]
    down = [layer for layer in D.layers if isinstance(layer, mg.Conv2d)]
    sizes = models.sizes(size)
    for stage, (above, below) in enumerate(zip(reversed(up), down, strict=True)):
        theirs = below.geometry(np.empty((1, *sizes[stage], 1)))
        assert above.geometry(np.empty((1, *sizes[stage + 1], 1))) == theirs


@pytest.mark.parametrize("upsample", models.UPSAMPLE)
@pytest.mark.parametrize("size", [(16, 19), (21, 16)])
def test_it_draws_and_judges(size, upsample):
    """In both precisions; and no pixel is beyond what it is made of."""
    G = models.generator(size, latent=3, upsample=upsample, **SETTINGS | dict(width=2))
    z = mg.random.normal((5, 3), seed=0, where="z")
    images, _ = G.forward(z)
    assert images.shape == (5, *size, 3) and images.dtype == np.float32
    assert np.abs(images).max() < 1
    assert images.std(axis=0).min() > 0, "a pixel that no z moves"
    D = models.discriminator(size, **SETTINGS, dtype="float64")
    scores, cache = D.forward(images.astype(float))
    dx = D.backward(np.ones_like(scores), cache)
    assert (dx != 0).any(axis=(0, 3)).all(), "a pixel that D does not read"


@pytest.mark.parametrize("upsample", models.UPSAMPLE)
def test_gradients_of_an_odd_generator(upsample):
    G = models.generator((17, 19), latent=3, upsample=upsample, **SETTINGS, dtype="float64")
    smooth = [
        mg.Tanh() if isinstance(layer, mg.ReLU) else layer.unbuilt() for layer in G.layers
    ]  # fmt: skip
    x = np.random.default_rng(0).standard_normal((4, 3))
    check = check_layer(mg.Sequential(smooth, dtype="float64"), x)
    assert check.ok, check


def test_norms_of_d():
    kinds = {
        norm: [type(layer).__name__ for layer in
               models.discriminator((32, 32), **SETTINGS, norm=norm).layers]
        for norm in models.NORM
    }  # fmt: skip
    conv, rest = ["Conv2d", "LeakyReLU"], ["Flatten", "Dense"]
    assert kinds["none"] == conv * 3 + rest
    assert kinds["batch"] == [*conv, *["Conv2d", "BatchNorm", "LeakyReLU"] * 2, *rest]
    spectral = ["SpectralNorm", "LeakyReLU"]
    assert kinds["spectral"] == [*spectral * 3, "Flatten", "SpectralNorm"]


def test_a_shift_comes_first():
    same = dict(SETTINGS, norm="batch")
    first, *others = models.discriminator((32, 32), **same, shift=0.2).layers
    assert repr(first) == "RandomShift(0.2)"
    without = models.discriminator((32, 32), **same).layers
    assert list(map(repr, others)) == list(map(repr, without))


def test_the_width_doubles_up_to_eight_times():
    D = models.discriminator((256, 256), channels=1, classes=2, width=4, norm="none")
    convs = [layer for layer in D.layers if isinstance(layer, mg.Conv2d)]
    assert [(c.inputs, c.outputs) for c in convs] == [
        (1, 4), (4, 8), (8, 16), (16, 32), (32, 32), (32, 32),
    ]  # fmt: skip


@pytest.mark.parametrize("make, message", [
    (lambda: models.sizes((15, 64)), r"\(15, 64\).*sides of 16 to 256"),
    (lambda: models.generator((64, 257), latent=2, **SETTINGS), "sides of 16 to 256"),
    (lambda: models.sizes((64,)), r"is not \(H, W\)"),
    (lambda: models.sizes((64.0, 64)), r"is not \(H, W\)"),
    (lambda: models.sizes(64), "64 is not"),
    (lambda: models.generator((64, 64), latent=2, upsample="bilinear", **SETTINGS),
     "upsample 'bilinear': expected 'transposed', 'nearest'"),
    (lambda: models.discriminator((64, 64), norm="layer", **SETTINGS),
     "norm 'layer': expected 'none', 'batch', 'spectral'"),
])  # fmt: skip
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

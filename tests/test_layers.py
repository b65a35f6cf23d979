"""The layer contract, layer by layer: gradients, caches, dtypes, mutation, messages."""

import numpy as np
import pytest

import minigan as mg
from minigan.gradcheck import check_all, check_layer

rng = np.random.default_rng(7)
VECTORS, IMAGES = rng.standard_normal((5, 6)), rng.standard_normal((3, 4, 2, 6))
LAYERS = [
    mg.Dense(6, 4),
    mg.Dense(6, 4, use_bias=False),
    mg.BatchNorm(6),
    mg.LayerNorm(6),
    mg.ReLU(),
    mg.LeakyReLU(0.2),
    mg.Sigmoid(),
    mg.Tanh(),
    mg.Dropout(0.4),
    mg.Dropout(0.4, always=True),
    mg.Flatten(),
]
MODES = [True, False]


def built(layer, dtype="float64"):
    return layer.clone().build(seed=3, dtype=dtype)


def test_every_gradient_and_second_derivative():
    failed = [check for check in check_all(seed=1) if not check.ok]
    assert failed == []


@pytest.mark.parametrize("train", MODES)
@pytest.mark.parametrize("x", [VECTORS, IMAGES], ids=["vectors", "images"])
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_gradients_on_vectors_and_images(layer, x, train):
    check = check_layer(layer, x, train=train)
    assert check.ok, check


@pytest.mark.parametrize("train", MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_nothing_is_mutated_and_the_dtype_is_kept(layer, dtype, train):
    layer = built(layer, dtype)
    x = IMAGES.astype(dtype)
    x.setflags(write=False)
    y, cache = layer.forward(x, train)
    dy = np.ones_like(y)
    dy.setflags(write=False)
    before = [array.copy() for array in arrays_in(cache)]
    params = layer.params.copy()
    dx = layer.backward(dy, cache)
    dy_bar, x_bar = layer.double_backward(x, dy, cache)

    for array, old in zip(arrays_in(cache), before):
        np.testing.assert_array_equal(array, old)
    np.testing.assert_array_equal(layer.params, params)
    assert {array.dtype for array in (y, dx, dy_bar)} == {np.dtype(dtype)}
    assert x_bar is None or x_bar.dtype == dtype
    assert dx.shape == x.shape and dy_bar.shape == y.shape
    assert dx.shape == x.shape and dy_bar.shape == y.shape


def arrays_in(cache):
    """All arrays of a layer's cache, which is an array, a tuple or None."""
    values = cache if isinstance(cache, tuple) else [cache]
    return [value for value in values if isinstance(value, np.ndarray)]


@pytest.mark.parametrize(
    "layer, x",
    [
        (mg.Dense(6, 4), VECTORS),
        (mg.BatchNorm(6), VECTORS),
        (mg.LayerNorm(6), VECTORS),
        (mg.Conv2d(6, 4, 2), IMAGES),
        (mg.ConvTranspose2d(6, 4, 2), IMAGES),
        (mg.SpectralNorm(mg.Conv2d(6, 4, 2)), IMAGES),
    ],
    ids=["Dense", "BatchNorm", "LayerNorm", "Conv2d", "ConvTranspose2d", "SpectralNorm"],
)
def test_gradients_accumulate_and_freeze(layer, x):
    layer = built(layer)
    y, cache = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    dx = layer.backward(dy, cache)
    once = layer.grads.copy()
    assert np.abs(once).min() > 0
    layer.backward(dy, cache)
    np.testing.assert_allclose(layer.grads, 2 * once, rtol=1e-15)

    frozen = layer.grads.copy()
    np.testing.assert_array_equal(layer.backward(dy, cache, params=False), dx)
    np.testing.assert_array_equal(layer.grads, frozen)

    assert layer.backward(dy, cache, need_dx=False) is None
    np.testing.assert_allclose(layer.grads, 3 * once, rtol=1e-15)
    layer.zero_grad()
    assert not layer.grads.any()
    layer.zero_grad()
    layer.backward(dy, cache)
    np.testing.assert_allclose(layer.grads, once, rtol=1e-15)


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_two_pending_passes_do_not_disturb_each_other(layer):
    layer = built(layer)
    first, second = VECTORS, VECTORS[::-1] * 2
    layer.begin_step(0)
    y, cache = layer.forward(first)
    alone = layer.backward(np.ones_like(y), cache)
    layer.begin_step(0)
    _, cache = layer.forward(first)
    layer.forward(second)
    np.testing.assert_array_equal(layer.backward(np.ones_like(y), cache), alone)


def test_batchnorm_by_hand():
    layer = mg.BatchNorm(2, momentum=0.75, eps=0.0).build(dtype="float64")
    x = np.array([[1.0, 10.0], [3.0, 30.0]])
    y, _ = layer.forward(x)
    np.testing.assert_allclose(y, [[-1, -1], [1, 1]])
    np.testing.assert_allclose(layer.moving_mean, [0.25 * 2, 0.25 * 20])
    np.testing.assert_allclose(layer.moving_variance, [0.75 + 0.25 * 1, 0.75 + 0.25 * 100])
    y, _ = layer.forward(x, train=False)
    np.testing.assert_allclose(y, (x - [0.5, 5.0]) / np.sqrt([1.0, 25.75]))


def test_batchnorm_statistics_of_images_cover_batch_height_and_width():
    # One statistic a channel: an affine map of each channel, which one pixel's own would not be.
    y, _ = mg.BatchNorm(6, eps=0.0).build(dtype="float64").forward(IMAGES)
    mean, deviation = IMAGES.mean(axis=(0, 1, 2)), IMAGES.std(axis=(0, 1, 2))
    np.testing.assert_allclose(y, (IMAGES - mean) / deviation, rtol=1e-10, atol=1e-12)


def test_batchnorm_on_another_axis_is_that_on_the_last_one_moved_there():
    last, width = mg.BatchNorm(2).build(dtype="float64"), mg.BatchNorm(2, axis=2)
    width.build(dtype="float64")
    y, _ = last.forward(IMAGES.swapaxes(2, 3))
    np.testing.assert_allclose(width.forward(IMAGES)[0], y.swapaxes(2, 3), rtol=1e-12)


def test_dropout_is_inverted_and_addressed():
    layer = mg.Dropout(0.3).build(seed=1)
    x = np.ones((200, 500), "float32")
    layer.begin_step(4)
    y, mask = layer.forward(x)
    again, _ = layer.forward(x)
    assert set(np.unique(y)) == {0.0, np.float32(1 / mask_share())}
    assert abs(y.mean() - 1) < 0.01
    assert (y != again).any(), "two passes of a step share a mask"
    layer.begin_step(4)
    np.testing.assert_array_equal(layer.forward(x)[0], y)
    layer.begin_step(5)
    assert (layer.forward(x)[0] != y).any(), "two steps share a mask"
    np.testing.assert_array_equal(layer.backward(x, mask), y)
    np.testing.assert_array_equal(layer.forward(x, train=False)[0], x)


def mask_share():
    return mg.random.kept_share(0.7)


def test_dropout_that_stays_on_when_sampling():
    layer = mg.Dropout(0.5, always=True).build()
    y, _ = layer.forward(np.ones((10, 10), "float32"), train=False)
    assert 0 < (y == 0).sum() < 100


def test_what_is_drawn_with_dropout_changes_no_mask_of_training():
    x = np.ones((10, 10), "float32")
    layer = mg.Dropout(0.5, always=True).build()
    first, second = (layer.forward(x)[0] for _ in range(2))
    layer.begin_step(0)
    between = [layer.forward(x, train=train)[0] for train in (False, True, False, True)]
    np.testing.assert_array_equal(between[1], first)
    np.testing.assert_array_equal(between[3], second)
    assert not np.array_equal(between[0], between[2])
    assert not np.array_equal(between[0], first)


def test_a_random_shift_moves_each_image():
    """Every pixel by itself; and every shift occurs about as often as any other."""
    count, (height, width) = 4000, (8, 10)
    x = 1 + np.arange(count * 80, dtype="float64").reshape(count, height, width, 1)
    y, _ = mg.RandomShift(0.25).build(seed=1, dtype="float64").forward(x)
    shifts = {}
    for image, moved in zip(x[..., 0], y[..., 0]):
        row, column = np.argwhere(moved)[0]
        first = np.argwhere(image == moved[row, column])[0]
        down, right = int(row - first[0]), int(column - first[1])
        shifts[down, right] = shifts.get((down, right), 0) + 1
        for i in range(height):
            for j in range(width):
                inside = 0 <= i - down < height and 0 <= j - right < width
                assert moved[i, j] == (image[i - down, j - right] if inside else 0)
    assert set(shifts) == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}
    assert 110 < min(shifts.values()) and max(shifts.values()) < 210  # of 160


def test_a_random_shift_is_drawn_for_each_image_and_pass_in_training():
    x = np.ones((50, 8, 8, 1), "float32")
    layer = mg.RandomShift(0.4).build(seed=1)
    layer.begin_step(4)
    first, second = (layer.forward(x)[0] for _ in range(2))
    assert len(np.unique(first, axis=0)) > 15
    assert (first != second).any(), "two passes of a step are alike"
    layer.begin_step(4)
    np.testing.assert_array_equal(layer.forward(x, train=False)[0], x)
    np.testing.assert_array_equal(layer.forward(x)[0], first)
    layer.begin_step(5)
    assert (layer.forward(x)[0] != first).any(), "two steps are alike"
    np.testing.assert_array_equal(mg.RandomShift(0).build().forward(x)[0], x)


def test_dense_matches_the_sum_it_is():
    layer = mg.Dense(3, 2).build(dtype="float64")
    x = rng.standard_normal((4, 3))
    y, _ = layer.forward(x)
    for n in range(4):
        for k in range(2):
            total = sum(x[n, j] * layer.weight[j, k] for j in range(3)) + layer.bias[k]
            assert y[n, k] == pytest.approx(total, rel=1e-14)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: mg.Dense(0, 3), "inputs has size 0"),
        (lambda: mg.Dense(3, 2.5), "sizes are integers"),
        (lambda: mg.LeakyReLU(1.5), "slope=1.5"),
        (lambda: mg.Dropout(1.0), "rate=1.0"),
        (lambda: mg.Dropout(-0.1), "rate=-0.1"),
        (lambda: mg.RandomShift(1.0), "RandomShift: share=1.0 is outside [0, 1)"),
        (lambda: mg.RandomShift(-0.5), "share=-0.5"),
        (lambda: built(mg.RandomShift()).forward(VECTORS), "expected images (N, H, W, C)"),
        (lambda: mg.BatchNorm(3, axis=0), "axis 0 is the batch"),
        (lambda: mg.BatchNorm(3, axis=9), "axis 9 is none of an image's"),
        (lambda: mg.BatchNorm(3, axis=1.5), "axis 1.5 is none of an image's"),
        (lambda: mg.BatchNorm(3, momentum=1.5), "momentum=1.5"),
        (lambda: mg.BatchNorm(3, eps=-1), "eps=-1"),
        (lambda: mg.Dense(3, 2).build(dtype="float16"), "float16"),
        (lambda: built(mg.Dense(3, 2)).forward(VECTORS), "must have 3 elements"),
        (lambda: built(mg.BatchNorm(3)).forward(VECTORS), "must have 3 elements"),
        (lambda: built(mg.BatchNorm(5, axis=-2)).forward(VECTORS), "which is not the batch's"),
        (lambda: built(mg.LayerNorm((5, 6))).forward(VECTORS), "which is not the batch's"),
        (lambda: built(mg.BatchNorm(6)).forward(VECTORS[:0]), "an empty batch (0, 6) has no mean"),
        (lambda: mg.Conv2d(2, 3, 3, padding="SAME"), "padding 'SAME' is not 'same', 'valid'"),
        (lambda: mg.ConvTranspose2d(2, 3, 3, padding="SAME"), "padding 'SAME' is not 'same'"),
        (lambda: mg.Conv2d(2, 3, 3, padding=-1), "padding -1 is not an int >= 0"),
        (lambda: mg.ConvTranspose2d(2, 3, 3, padding=(1, -1)), "padding -1 is not an int >= 0"),
        (lambda: mg.Conv2d(2, 3, 0), "kernel 0 is not an int >= 1"),
        (lambda: mg.Conv2d(2, 3, 3, stride=1.5), "stride 1.5 is not an int >= 1"),
        (lambda: mg.Reshape((3, 0)), "shape has size 0"),
        (lambda: mg.Reshape((5, 5)).forward(VECTORS), "samples of shape (6,)"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert message in str(caught.value)


def test_a_wrong_dtype_is_refused():
    with pytest.raises(TypeError, match="holds float32, its input is float64"):
        built(mg.Dense(6, 2), "float32").forward(VECTORS)


def test_settings_beyond_the_sizes_are_keywords():
    with pytest.raises(TypeError):
        mg.BatchNorm(3, 0.8)


def test_an_unbuilt_layer_says_so():
    with pytest.raises(AttributeError, match="call build"):
        mg.Dense(2, 3).weight


@pytest.mark.parametrize("name", ["weight_init", "bias_init"])
@pytest.mark.parametrize("initializer", ["he", 0.0, None])
def test_an_initialiser_is_callable(name, initializer):
    with pytest.raises(
        TypeError, match="which is not callable: give an initialiser of minigan.init"
    ):
        mg.Dense(3, 4, **{name: initializer})


def test_sizes_may_be_numpys():
    one, three = np.int64(1), np.int64(3)
    for layer, expected in (
        (mg.Dense(three, three), "Dense(3, 3)"),
        (mg.Conv2d(three, 1, three, padding=one), "Conv2d(3, 1, np.int64(3), padding=np.int64(1))"),
        (mg.BatchNorm(three, axis=one), "BatchNorm(3, axis=1)"),
        (mg.LayerNorm(three), "LayerNorm((3,))"),
        (mg.Reshape(three), "Reshape((3,))"),
    ):
        assert repr(layer).startswith(expected.split("np.")[0])
        assert all(type(size) is int for shape, _ in layer.param_specs.values() for size in shape)


# What a pass is not given.

SHAPED = [
    *LAYERS, mg.Dropout(0.0), mg.Conv2d(6, 4, 2), mg.ConvTranspose2d(6, 4, 2), mg.UpSample2d(2),
    mg.Reshape((12, 4)), mg.SpectralNorm(mg.Dense(6, 4)), mg.RandomShift(0.5),
]  # fmt: skip


@pytest.mark.parametrize("train", MODES)
@pytest.mark.parametrize("kernels", ["plain", "fast"])
@pytest.mark.parametrize("layer", SHAPED, ids=repr)
def test_a_gradient_has_the_shape_and_dtype_of_what_it_belongs_to(layer, kernels, train):
    layer = mg.Sequential([layer.clone()], dtype="float64", kernels=kernels).layers[0]
    y, cache = layer.forward(IMAGES, train)
    of_another = layer.forward(IMAGES[:1], train)[1]
    wrong = {
        "float64 (1,": y[:1], "float32": y.astype("float32"), str(y[..., :1].shape): y[..., :1],
    }  # fmt: skip
    for message, dy in wrong.items():
        with pytest.raises(ValueError, match="each backward takes the cache of its own") as caught:
            layer.backward(dy, cache)
        assert message in str(caught.value) and "got a dy of" in str(caught.value)
        with pytest.raises(ValueError, match="got a dy of"):
            layer.double_backward(IMAGES, dy, cache)
    with pytest.raises(ValueError, match="got a dy of"):
        layer.backward(y, of_another)
    for dx_bar in (IMAGES[:1], IMAGES.astype("float32"), IMAGES[..., :1]):
        with pytest.raises(
            ValueError, match="got a dx_bar of .* for an input of float64 .3, 4, 2, 6"
        ):
            layer.double_backward(dx_bar, y, cache)
    assert not layer.grads.any()


@pytest.mark.parametrize("kernels, device", [("plain", "cpu"), ("fast", "cpu"), ("fast", "gpu")])
@pytest.mark.parametrize("layer", SHAPED, ids=repr)
def test_an_empty_batch_is_a_batch(layer, kernels, device, gpu):
    """But for the statistics of one."""
    net = mg.Sequential([layer.clone()], dtype="float64", kernels=kernels).to(device)
    x = net.xp.asarray(IMAGES[:0])
    if isinstance(layer, mg.BatchNorm):
        with pytest.raises(ValueError, match="an empty batch"):
            net.forward(x)
    y, cache = net.forward(x, train=not isinstance(layer, mg.BatchNorm))
    assert y.shape == (0, *net.output_shape(IMAGES.shape[1:]))
    dx = net.backward(y, cache)
    dy_bar, _ = net.double_backward(dx, y, cache)
    assert dx.shape == x.shape and dy_bar.shape == y.shape
    assert not mg.to_host(net.grads).any()


def test_activations_take_no_lists():
    for layer in (mg.Tanh(), mg.ReLU(), mg.Flatten(), mg.Dropout(0.5), mg.UpSample2d()):
        with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got list"):
            layer.forward(IMAGES.tolist())

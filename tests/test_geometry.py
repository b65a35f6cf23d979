"""Sizes and padding, held to values that TensorFlow and PyTorch give."""

import pytest

from minigan.kernels import geometry, transposed_geometry

# size, kernel, stride -> output, (before, after): tf.nn.conv2d(..., padding="SAME")
TENSORFLOW_SAME = [
    (64, 4, 2, 32, (1, 1)),
    (28, 3, 2, 14, (0, 1)),
    (28, 5, 2, 14, (1, 2)),
    (7, 5, 2, 4, (2, 2)),
    (14, 5, 2, 7, (1, 2)),
    (7, 3, 2, 4, (1, 1)),
    (28, 3, 1, 28, (1, 1)),
    (8, 4, 1, 8, (1, 2)),
    (5, 1, 2, 3, (0, 0)),
    (9, 2, 3, 3, (0, 0)),
    (10, 4, 3, 4, (1, 2)),
    (1, 4, 2, 1, (1, 2)),
]


@pytest.mark.parametrize("size, kernel, stride, output, zeros", TENSORFLOW_SAME)
def test_same_is_tensorflows(size, kernel, stride, output, zeros):
    g = geometry(size, kernel, stride, "same")
    assert g.output == (output, output)
    assert g.padding == (zeros, zeros)


# size, kernel, stride, padding -> output of torch.nn.Conv2d
@pytest.mark.parametrize(
    "size, kernel, stride, padding, output",
    [(96, 5, 3, 1, 32), (64, 4, 2, 1, 32), (4, 4, 1, 0, 1), (7, 3, 2, 1, 4), (8, 3, 2, 0, 3)],
)
def test_explicit_padding_is_pytorchs(size, kernel, stride, padding, output):
    assert geometry(size, kernel, stride, padding).output == (output, output)


# size, kernel, stride, padding -> output of torch.nn.ConvTranspose2d
@pytest.mark.parametrize(
    "size, kernel, stride, padding, made",
    [(32, 5, 3, 1, 96), (1, 4, 1, 0, 4), (4, 4, 2, 1, 8), (5, 3, 2, 1, 9), (3, 2, 3, 0, 8)],
)
def test_transposed_sizes_are_pytorchs(size, kernel, stride, padding, made):
    g = transposed_geometry(size, kernel, stride, padding)
    assert g.size == (made, made)
    assert g.output == (size, size)


# size, kernel, stride, padding -> output of keras.layers.Conv2DTranspose, and the padding
# of the conv that it is the adjoint of
@pytest.mark.parametrize(
    "size, kernel, stride, padding, made, zeros",
    [
        (7, 3, 2, "same", 14, (0, 1)),
        (16, 4, 2, "same", 32, (1, 1)),
        (14, 5, 2, "same", 28, (1, 2)),
        (4, 4, 1, "valid", 7, (0, 0)),
    ],
)
def test_transposed_sizes_are_keras(size, kernel, stride, padding, made, zeros):
    g = transposed_geometry(size, kernel, stride, padding)
    assert g.size == (made, made)
    assert g.output == (size, size)
    assert g.padding == (zeros, zeros)


def test_axes_are_apart():
    g = geometry((9, 12), (3, 4), (2, 3), (1, 0))
    assert (g.size, g.kernel, g.stride) == ((9, 12), (3, 4), (2, 3))
    assert g.padding == ((1, 1), (0, 0))
    assert g.output == (5, 3)
    assert geometry(9, 3, 1, ((1, 2), (3, 0))).output == (10, 10)
    assert geometry([9, 12], [3, 4], [2, 3], [1, 0]) == g  # lists as good as tuples


def test_it_is_a_value():
    assert geometry(8, 4, 2) == geometry((8, 8), (4, 4), (2, 2), "same") == geometry(8, 4, 2, 1)
    assert len({geometry(8, 4, 2), geometry(8, 4, 2, 1)}) == 1
    with pytest.raises(AttributeError):
        geometry(8, 4, 2).stride = (1, 1)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((8, 0), "kernel 0"),
        ((8, 3, 0), "stride 0"),
        ((8, 3.0), "kernel 3.0"),
        ((8, (3, 3, 3)), "kernel"),
        ((8, 3, 1, "full"), "padding 'full'"),
        ((8, 3, 1, -1), "padding"),
        ((8, 3, 1, (1, 2, 3)), "padding"),
        ((8, 3, 1, ((1, 2), (1, -2))), "padding"),
        ((8, 3, 1, None), "padding None"),
        ((3, 4, 1, "valid"), "does not fit"),
        ((0, 1), "size 0"),
    ],
)
def test_errors_name_the_value(arguments, words):
    with pytest.raises(ValueError, match=words):
        geometry(*arguments)


def test_transposed_error_names_the_size():
    with pytest.raises(ValueError, match="would make an image of"):
        transposed_geometry(1, 2, 1, 1)


def test_answers_that_are_kept_hide_no_mistake():
    wanted = geometry((8, 8), 4, 2, ((1, 1), (1, 1)))
    assert geometry((8, 8), 4, 2, ((1, 1), (1, 1))) is wanted
    assert geometry([8, 8], 4, 2, [[1, 1], [1, 1]]) == geometry(8, 4, 2, padding=1) == wanted
    for mistake in (((8.0, 8.0), 4, 2, ((1, 1), (1, 1))), ((8, 8), 4.0, 2, ((1, 1), (1, 1)))):
        with pytest.raises(ValueError, match="is not an int"):
            geometry(*mistake)

"""Sizes of a convolution: kernel, stride, padding and what they make of an image.

`geometry` turns what a user writes ("same", "valid", 1, (1, 2), ...) into one
`Geometry`, a small value of plain integers that every kernel reads.  In each
axis an output pixel o reads the input pixels

    o * stride - before + tap,      tap = 0 .. kernel - 1,

where `before` is the padding in front; input pixels outside the image are zero.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from numbers import Integral


@dataclass(frozen=True)
class Geometry:
    """One convolution's sizes; every field is (vertical, horizontal).

    size:    input size (H, W)
    kernel:  taps (kh, kw)
    stride:  pixels from one window to the next (sh, sw)
    padding: zeros around the input ((top, bottom), (left, right))
    """

    size: tuple
    kernel: tuple
    stride: tuple
    padding: tuple

    @cached_property
    def output(self):
        """Output size (oh, ow): how many windows fit in the padded input."""
        return tuple(
            (n + before + after - k) // s + 1
            for n, k, s, (before, after) in zip(
                self.size, self.kernel, self.stride, self.padding, strict=True
            )
        )

    def taps(self):
        """Each tap (i, j), and the index of the pixels it meets in a padded (N, H, W, ...).

        The indexed slice is (N, oh, ow, ...): one pixel a window.
        """
        (oh, ow), (sh, sw) = self.output, self.stride
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = slice(i, i + sh * (oh - 1) + 1, sh)
                columns = slice(j, j + sw * (ow - 1) + 1, sw)
                yield i, j, (slice(None), rows, columns)

    @cached_property
    def is_dense(self):
        """Is the output 1x1, its one window the whole input?  Then a conv is one GEMM."""
        return self.padding == ((0, 0), (0, 0)) and self.kernel == self.size

    @cached_property
    def is_pointwise(self):
        """Is it a 1x1 kernel on every pixel?  Then a conv is one GEMM, pixels as rows."""
        return self.padding == ((0, 0), (0, 0)) and self.kernel == (1, 1) and self.stride == (1, 1)


def remembered(function):
    """The function, whose answers are kept: a training step asks for the same ones every time."""
    kept = lru_cache(maxsize=4096)(function)

    @wraps(function)
    def run(*arguments, **named):
        # (8.0, 8.0) is wrong, but would be found in (8, 8)'s place; a list is found nowhere.
        found = kept if _is_plain(arguments) and not named else function
        return found(*arguments, **named)

    return run


def _is_plain(value):
    """Is it made of ints, strings and tuples alone?"""
    kind = type(value)
    return kind is int or kind is str or (kind is tuple and all(map(_is_plain, value)))


@remembered
def geometry(size, kernel, stride=1, padding="same"):
    """The Geometry of a conv over an input of `size`.

    size, kernel, stride: an int for both axes or a pair (vertical, horizontal).
    padding: "same" (TensorFlow's: output ceil(size / stride), an odd zero goes
    behind), "valid" (none), an int, a pair (vertical, horizontal), or
    ((top, bottom), (left, right)).

    Raises ValueError for anything else, or where no window fits.
    """
    size = _pair("size", size, 1)
    kernel, stride, padding = settings(kernel, stride, padding)
    if padding == "same":
        padding = tuple(map(_same_padding, size, kernel, stride))
    result = Geometry(size, kernel, stride, padding)
    if min(result.output) < 1:
        raise ValueError(
            f"kernel {kernel} does not fit in an input of {size} with padding {padding}: "
            "use a smaller kernel or more padding"
        )
    return result


@remembered
def transposed_geometry(size, kernel, stride=1, padding="same"):
    """The Geometry of the conv whose adjoint, `conv_dx`, is a transposed conv from `size`.

    Its `output` is `size`; its own `size` is what the transposed conv makes:
    size * stride for "same" (as Keras), (size - 1) * stride + kernel - padding
    otherwise (as PyTorch; "valid" is padding 0).  Arguments and errors are those
    of `geometry`.  Source: Dumoulin & Visin 2016, arXiv:1603.07285, chapter 4.
    """
    size = _pair("size", size, 1)
    kernel, stride, padding = settings(kernel, stride, padding)
    if padding == "same":
        made = tuple(n * s for n, s in zip(size, stride, strict=True))
        return geometry(made, kernel, stride, "same")
    made = tuple(
        (n - 1) * s + k - sum(zeros)
        for n, k, s, zeros in zip(size, kernel, stride, padding, strict=True)
    )
    if min(made) < 1:
        raise ValueError(
            f"a transposed conv of {size} with kernel {kernel}, stride {stride} and padding "
            f"{padding} would make an image of {made}: use less padding"
        )
    return geometry(made, kernel, stride, padding)


def settings(kernel, stride, padding):
    """(kernel, stride, padding) in pairs, or "same": all that is known before the image's size.

    Arguments and errors are those of `geometry`.
    """
    if not (isinstance(padding, str) and padding == "same"):
        padding = _explicit_padding(padding)
    return _pair("kernel", kernel, 1), _pair("stride", stride, 1), padding


def _same_padding(n, kernel, stride):
    """Zeros (before, after) so that the output has ceil(n / stride) pixels."""
    output = -(-n // stride)
    zeros = max((output - 1) * stride + kernel - n, 0)
    return zeros // 2, zeros - zeros // 2


def _explicit_padding(padding):
    """ "valid", int, pair or pair of pairs -> ((top, bottom), (left, right))."""
    if isinstance(padding, str):
        if padding != "valid":
            raise ValueError(
                f"padding {padding!r} is not 'same', 'valid', an int, a pair or two pairs"
            )
        padding = 0
    if isinstance(padding, Integral):
        padding = (padding, padding)
    if not isinstance(padding, (tuple, list)) or len(padding) != 2:
        raise ValueError(f"padding {padding!r} is not 'same', 'valid', an int, a pair or two pairs")
    return tuple(_pair("padding", zeros, 0) for zeros in padding)


def _pair(name, value, least):
    """An int or a pair of ints, each at least `least`, as a pair of Python ints."""
    pair = (value, value) if isinstance(value, Integral) else value
    if (
        not isinstance(pair, (tuple, list))
        or len(pair) != 2
        or not all(isinstance(n, Integral) and n >= least for n in pair)
    ):
        raise ValueError(f"{name} {value!r} is not an int >= {least} or a pair of them")
    return int(pair[0]), int(pair[1])

"""A dataset of one's own: images in any numbers, where it is clear what they mean."""

import numpy as np
import pytest

from minigan.data import Dataset

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


def made(images, value_range=None, **more):
    return Dataset(
        images, more.pop("labels", None), "mine", "made here", value_range=value_range, **more
    )


@pytest.mark.parametrize(
    "images, value_range",
    [
        (LEVELS / np.float32(255), (0, 1)),
        (LEVELS / 127.5 - 1, (-1, 1)),
        ((LEVELS / np.float16(127.5) - 1).clip(-1, 1).astype(np.float16), (-1, 1)),
        (LEVELS.astype(np.float32), (0, 255)),
        (LEVELS.astype(np.uint16) * 257, (0, 65535)),
        (LEVELS.astype(np.int64), (0, 255)),
        (255 - LEVELS.astype(np.float32), (0, 255)),
    ],
    ids=str,
)
def test_numbers_with_a_range_become_the_bytes_they_stand_for(images, value_range):
    found = made(images, value_range).images
    want = LEVELS if images.flat[0] < images.flat[-1] else 255 - LEVELS
    assert found.dtype == np.uint8 and np.array_equal(found, want)


def test_bytes_are_kept_and_booleans_are_black_and_white():
    assert made(LEVELS).images is LEVELS
    assert np.array_equal(made(LEVELS > 99).images, np.where(LEVELS > 99, 255, 0))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint16, np.int8, np.int64])
def test_numbers_without_a_range_are_refused(kind):
    with pytest.raises(TypeError, match=rf"images of {np.dtype(kind).name} need a value_range"):
        made(np.ones((1, 2, 2, 1), kind))


@pytest.mark.parametrize(
    "images, value_range",
    [
        (LEVELS / 255, (-0.5, 0.5)),
        (LEVELS / 255 + 1e-3, (0, 1)),
        (np.full((1, 2, 2, 1), np.nan), (0, 1)),
        (LEVELS / 255, (1, 0)),
        (LEVELS.astype(float), (0, 1)),
    ],
)
def test_numbers_out_of_their_range_are_refused(images, value_range):
    with pytest.raises(ValueError, match="not within value_range"):
        made(images, value_range)


def test_a_range_in_which_all_would_be_one_grey_is_refused():
    for images, value_range in ((LEVELS / 255, (0, 255)), (LEVELS.astype(int), (0, 65535))):
        with pytest.raises(ValueError, match=r"value_range \(0, \d+\) makes one grey: give"):
            made(images, value_range)
    assert (made(np.ones((1, 2, 2, 1)), (0, 255)).images == 1).all()  # it is one grey


@pytest.mark.parametrize("shape", [(0, 2, 2, 1), (2, 2, 1), (4,), (2, 0, 2, 1)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="images must be"):
        made(np.zeros(shape, np.uint8))


def test_what_belongs_to_the_images_is_as_many():
    images = np.zeros((3, 2, 2, 1), np.uint8)
    for more in (dict(labels=np.arange(2)), dict(files=("a",)), dict(attributes={"x": np.ones(4)})):
        with pytest.raises(ValueError, match="of 3 images"):
            made(images, **more)
    with pytest.raises(TypeError, match="labels must be integers"):
        made(images, labels=np.ones(3))


def test_a_part_of_it_is_of_the_same_bytes():
    part = made(np.repeat(LEVELS, 3, axis=0) / 255, (0, 1)).limit(2)
    assert len(part) == 2 and np.array_equal(part.images[1:], LEVELS)

"""The built-in digits in every model's form: grey or in colour, sharp, legible, repeatable."""

import time

import numpy as np
import pytest

from minigan import data
from minigan.data import cache, colours, digits, glyphs
from minigan.errors import UserError

FORMS = [(28, 1), (32, 3), (64, 1), (64, 3), (96, 3)]  # of the reference models


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No data, no network and an empty cache, whatever the machine has."""
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.fixture(scope="module")
def drawn():
    return digits.make_digits(400, size=64)


@pytest.fixture(scope="module")
def painted(drawn):
    return colours.paint(drawn[0], seed=0)


@pytest.mark.parametrize("size, channels", FORMS)
def test_every_model_has_pictures_without_any_data(size, channels):
    lines = []
    loaded = data.load(
        "auto", auto="digits", size=size, channels=channels, limit=30, notify=lines.append
    )
    assert loaded.images.shape == (30, size, size, channels) and loaded.images.dtype == np.uint8
    assert loaded.labels.shape == (30,) and loaded.labels.dtype == np.int64
    assert lines == ["using the built-in digits: for pictures of your own give --data FOLDER"]
    assert loaded.name == "digits" and f"{size}x{size}" in loaded.source
    again = data.load("digits", size=size, channels=channels, limit=30)
    assert np.array_equal(again.images, loaded.images)
    assert np.array_equal(again.labels, loaded.labels)


def test_larger_digits_are_the_same_digits(drawn):
    """Averaged down to half of their size, those of 56 pixels are those of 28, but sharper."""
    small, labels = digits.make_digits(200)
    large, same = digits.make_digits(200, size=56)
    halved = large.reshape(200, 28, 2, 28, 2).mean(axis=(2, 4))
    assert np.array_equal(labels, same)
    assert np.abs(halved - small[..., 0]).mean() < 4
    for one, other in zip(halved, small[..., 0].astype(float)):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.95


def test_digits_that_are_not_square_lie_in_the_middle():
    square = digits.make_digits(60, size=40)[0].astype(int)
    wide, tall = (digits.make_digits(60, size=size)[0] for size in ((40, 64), (71, 40)))
    assert np.array_equal(wide[:, :, 12:52], square)
    assert np.abs(tall[:, 15:55] / 2 + tall[:, 16:56] / 2 - square).mean() < 4  # by half a pixel
    assert wide[:, :, :10].max() == 0 and tall[:, :12].max() == 0
    loaded = data.load("digits", size=(24, 36), channels=4, limit=3)
    assert loaded.images.shape == (3, 24, 36, 4) and "24x36" in loaded.source
    assert (loaded.images[..., 3] == 255).all()


def test_larger_digits_are_drawn_and_not_blown_up(drawn):
    """Few pixels are neither ink nor paper; scaled from 28 pixels, twice as many would be."""
    images = drawn[0]
    between = ((images > 30) & (images < 225)).sum() / (images >= 225).sum()
    assert between < 0.5


@pytest.mark.parametrize("size", [28, 32, 64, 96])
def test_strokes_do_not_fall_into_beads(monkeypatch, size):
    """A ring of as many pieces as a digit has looks like one of many more."""

    def rings(points):
        turn = np.tile(np.linspace(0, 2 * np.pi, points), (digits.BLOCK, 1))
        drawn = np.ones((digits.BLOCK, points - 1), bool)
        monkeypatch.setattr(digits, "_write", lambda *_: (np.cos(turn), np.sin(turn), drawn))
        return digits.make_digits(60, size=size)[0].astype(int)

    assert np.abs(rings(glyphs.POINTS) - rings(300)).max() < 25


def test_pictures_take_no_more_than_a_quarter_of_a_gigabyte(monkeypatch):
    monkeypatch.setattr(digits, "MOST_BYTES", 50 * 40 * 40 * 3)
    assert len(data.load("digits", size=40, channels=3)) == 50
    with pytest.raises(UserError, match="limit 51 .* 1 to 50"):
        data.load("digits", size=40, channels=3, limit=51)


def test_only_mnists_form_is_kept_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "COUNTS", {"train": 40, "test": 20})
    for size, channels in FORMS:
        data.load("digits", size=size, channels=channels)
    assert [path.name for path in cache.cache_dir().iterdir()] == ["digits-v2-train-seed0-40.bytes"]


def test_seed_and_split_decide_shapes_and_colours(drawn):
    sets = [
        data.load("digits", size=32, channels=3, limit=20, **options)
        for options in ({}, {"seed": 1}, {"split": "test"})
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.array_equal(sets[one].images, sets[other].images)
        corners = (loaded.images[:, 0, 0] for loaded in (sets[one], sets[other]))
        assert not np.array_equal(*corners)


def test_colours_of_a_picture_depend_on_its_place_alone(drawn, painted):
    ink = drawn[0]
    for count in (1, colours.BLOCK, colours.BLOCK + 1, 333):
        pictures, warm = colours.paint(ink[:count], seed=0)
        assert np.array_equal(pictures, painted[0][:count])
        assert np.array_equal(warm, painted[1][:count])
    other, _ = colours.paint(255 - ink, seed=0)  # ground where the pen was
    assert not np.array_equal(other, painted[0])
    corner = painted[0][:, 0, 0].astype(int)
    assert len(np.unique(corner // 16, axis=0)) > 150  # and they vary


def luminance(pictures):
    """Relative luminance of sRGB bytes (..., 3), as defined for the contrast of web pages."""
    values = pictures / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_every_digit_can_be_read(drawn, painted):
    """Contrast of pen and ground as the web asks for it: 3 for large letters, at the least."""
    ink, pictures = drawn[0][..., 0], luminance(painted[0])
    for mask, picture in zip(ink, pictures):
        pen, ground = picture[mask > 250].mean(), picture[mask == 0]
        for value in (ground.min(), ground.max()):
            bright, dark = max(pen, value), min(pen, value)
            assert (bright + 0.05) / (dark + 0.05) > 3


def test_grounds_are_gradients_and_warm_or_cold_as_told(drawn, painted):
    pictures, warm = painted
    assert set(warm.tolist()) == {1, -1} and warm.dtype == np.int64
    assert abs(warm.mean()) < 0.2  # about half of each
    assert abs(np.corrcoef(warm, drawn[1])[0, 1]) < 0.2  # whatever the digit
    for ink, picture, sign in zip(drawn[0][..., 0], pictures.astype(int), warm):
        red, _, blue = picture[ink == 0].mean(axis=0)
        assert (red > blue) == (sign == 1), (red, blue)
    corners = pictures[:, [0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    assert (np.ptp(corners, axis=1).max(axis=1) > 5).mean() > 0.9


def test_warmth_is_an_attribute_of_the_set():
    loaded = data.load("digits", size=32, channels=3, limit=40)
    assert loaded.attributes["Warm"].shape == (40,)
    assert np.array_equal(loaded.limit(5).attributes["Warm"], loaded.attributes["Warm"][:5])
    assert data.load("digits", limit=40).attributes == {}


def test_mnist_comes_in_every_form_too(tmp_path):
    content = np.array([2051, 5, 28, 28], ">u4").tobytes() + bytes(range(245)) * 16
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    for size, channels in FORMS:
        images = data.load(tmp_path, size=size, channels=channels).images
        assert images.shape == (5, size, size, channels)
        assert (images == images[..., :1]).all()


def test_an_unknown_form_is_refused():
    sizes = [dict(size=size) for size in (0, (3, 0), (1, 2, 3), 2.5)]
    for options in (*sizes, dict(channels=2), dict(fit="stretch"), dict(auto="letters")):
        with pytest.raises(ValueError, match=next(iter(options))):
            data.load("digits", **options)


def test_a_few_pictures_cost_little():
    start = time.process_time()
    data.load("digits", size=96, channels=3, limit=200)
    assert time.process_time() - start < 2

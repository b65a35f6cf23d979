"""The built-in digits: balanced, repeatable, like MNIST in the mean, and kept once drawn."""

import os
import subprocess
import sys

import numpy as np
import pytest

from minigan import data
from minigan.data import cache, digits, glyphs


@pytest.fixture(scope="module")
def drawn():
    return digits.make_digits(2000)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    return cache.cache_dir()


@pytest.fixture
def few(monkeypatch):
    """Small sets, so that drawing them again costs nothing."""
    monkeypatch.setattr(digits, "COUNTS", {"train": 40, "test": 20})


def test_shapes_and_types(drawn):
    images, labels = drawn
    assert images.shape == (2000, 28, 28, 1) and images.dtype == np.uint8
    assert labels.shape == (2000,) and labels.dtype == np.int64


def test_every_run_of_ten_holds_each_class_once_in_random_order(drawn):
    tens = drawn[1].reshape(-1, 10)
    assert np.array_equal(np.sort(tens), np.tile(np.arange(10), (200, 1)))
    assert len(np.unique(tens, axis=0)) == 200
    assert abs(tens.mean(axis=0) - 4.5).max() < 1


def test_a_digit_depends_on_seed_split_and_place_alone(drawn):
    images, labels = drawn
    for count in (1, 30, digits.BLOCK, digits.BLOCK + 1):
        fewer = digits.make_digits(count)
        assert np.array_equal(fewer[0], images[:count]) and np.array_equal(fewer[1], labels[:count])
    assert not np.array_equal(digits.make_digits(500, seed=1)[0], images[:500])
    assert not np.array_equal(digits.make_digits(500, split="test")[0], images[:500])


PLAIN_KERNELS = {  # of OpenBLAS and NumPy, as an old processor would have them
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512_SKX AVX512_ICL",
}


def test_a_digit_is_the_same_on_every_processor():
    here = digits.make_digits(4000)[0], data.load("digits", size=40, channels=3, limit=100).images
    code = """if True:
        import sys
        from minigan import data
        from minigan.data import digits
        grey = digits.make_digits(4000)[0]
        colour = data.load("digits", size=40, channels=3, limit=100).images
        sys.stdout.buffer.write(grey.tobytes() + colour.tobytes())
    """
    there = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ | PLAIN_KERNELS, capture_output=True, check=True,
    )  # fmt: skip
    assert there.stdout == b"".join(images.tobytes() for images in here), there.stderr


def test_no_two_digits_are_alike(drawn):
    assert len(np.unique(drawn[0].reshape(2000, -1), axis=0)) == 2000


def test_ink_is_that_of_mnist(drawn):
    """MNIST's training set: mean 33.3 of 255, .191 of the pixels not 0, .133 above 127."""
    images = drawn[0]
    assert abs(images.mean() - 33.3) < 2
    assert abs((images > 0).mean() - 0.191) < 0.015
    assert abs((images > 127).mean() - 0.133) < 0.015
    assert (images.max(axis=(1, 2, 3)) > 200).all()  # no digit is faint


def test_a_digit_lies_in_the_middle_of_its_page(drawn):
    images = drawn[0][..., 0].astype(float)
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = (images.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / mass
        assert abs(centre - 13.5).max() < 1.5 and abs(centre.mean() - 13.5) < 0.1
    solid = images > 127
    height = solid.any(axis=2).sum(axis=1)
    width = solid.any(axis=1).sum(axis=1)
    longer = np.maximum(height, width)
    assert longer.max() <= 25 and np.percentile(longer, 5) >= 16 and abs(longer.mean() - 20) < 1
    solid[:, 1:-1, 1:-1] = False
    assert solid.any(axis=(1, 2)).mean() < 0.01  # few reach the border


def test_classes_can_be_told_apart():
    """Nearest class mean already tells most digits of another split; MNIST gives about .82."""
    images, labels = digits.make_digits(4000)
    means = np.stack([images[labels == c].mean(axis=0).ravel() for c in range(10)])
    other, truth = digits.make_digits(1000, split="test")
    flat = other.reshape(1000, -1).astype(float)
    nearest = ((flat[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    right = [(nearest == truth)[truth == c].mean() for c in range(10)]
    assert np.mean(right) > 0.7 and min(right) > 0.4, right


def test_a_glyph_is_followed_through_corners_and_lifts():
    controls, basis, drawn = glyphs._trace("0,0 4,0! 4,4 / 0,2 2,2", most=5)
    assert controls.tolist() == [[0, 0], [4, 0], [4, 4], [0, 2], [2, 2]]
    assert np.allclose(basis.sum(axis=1), 1)  # moves with its points
    x, y = (basis @ controls).T
    assert (~drawn).sum() == 1
    first, second = slice(0, np.argmin(drawn) + 1), slice(np.argmin(drawn) + 1, None)
    on_corner = np.isclose(y[first], 0) | np.isclose(x[first], 4)  # straight up to the corner
    assert on_corner.all() and np.allclose(y[second], 2)
    steps = np.hypot(np.diff(x), np.diff(y))[drawn]
    assert steps.max() < 1.6 * 10 / glyphs.POINTS  # 10 is the length of the ink
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 2, 2)


def test_load_draws_once_and_then_reads(few, folder, monkeypatch):
    first = data.load("digits", seed=3)
    assert (first.name, len(first)) == ("digits", 40) and "seed 3" in first.source
    assert [path.name for path in folder.iterdir()] == ["digits-v2-train-seed3-40.bytes"]
    monkeypatch.setattr(digits, "make_digits", None)  # nothing is drawn again
    again = data.load("digits", seed=3, limit=7)
    assert np.array_equal(again.images, first.images[:7])
    assert np.array_equal(again.labels, first.labels[:7])


def test_seeds_and_splits_do_not_share_a_file(few, folder):
    sets = [data.load("digits"), data.load("digits", seed=1), data.load("digits", split="test")]
    assert [len(s) for s in sets] == [40, 40, 20] and len(list(folder.iterdir())) == 3
    assert not np.array_equal(sets[0].images, sets[1].images)
    assert not np.array_equal(sets[0].images[:20], sets[2].images)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
        lambda content: content[:-1] + bytes([content[-1] ^ 128]),
        lambda content: content[:-30] + bytes([content[-30] ^ 2]) + content[-29:],
        lambda content: b"not digits",
        lambda content: content + b"more",
    ],
)
def test_a_damaged_cached_file_is_drawn_again_with_a_line(few, folder, damage, capsys):
    good = data.load("digits")
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again = data.load("digits")
    assert np.array_equal(again.images, good.images) and np.array_equal(again.labels, good.labels)
    assert path.read_bytes() == whole
    assert capsys.readouterr().err == f"{path} is damaged: drawing the digits again\n"
    data.load("digits")
    assert capsys.readouterr().err == ""


def test_a_cache_that_cannot_be_written_does_not_matter(few, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(blocked))
    assert len(data.load("digits")) == 40

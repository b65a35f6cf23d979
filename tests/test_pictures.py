"""Pictures of a run: bytes, contact sheets, PNG, GIF, the loss plot, atomic files."""

import os
import time

import numpy as np
import pytest
from PIL import Image

from minigan.atomic import replacing
from minigan.training.pictures import (
    BACKGROUND,
    grid,
    read,
    save_gif,
    save_png,
    thinned,
    to_uint8,
)  # fmt: skip
from minigan.training.plot import COLOURS, PALE_INK, _extremes, _moving_average, _ticks, loss_curve

RNG = np.random.default_rng(7)


def noise(*shape):
    return RNG.integers(0, 256, shape).astype(np.uint8)


def durations(path):
    with Image.open(path) as gif:
        found = []
        for index in range(gif.n_frames):
            gif.seek(index)
            found.append(gif.info["duration"])
    return found


class TestReplacing:
    def test_replaces_and_creates_the_folder(self, tmp_path):
        path = tmp_path / "new" / "deep" / "file"
        for content in (b"one", b"two"):
            with replacing(path) as file:
                file.write(content)
        assert path.read_bytes() == b"two"
        assert os.listdir(path.parent) == ["file"]

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
    def test_failure_keeps_the_old_file_and_leaves_nothing(self, tmp_path, error):
        path = tmp_path / "file"
        path.write_bytes(b"old")
        with pytest.raises(error), replacing(path) as file:
            file.write(b"half")
            raise error
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["file"]

    def test_the_old_file_is_there_until_the_end(self, tmp_path):
        path = tmp_path / "file"
        path.write_bytes(b"old")
        with replacing(path) as file:
            file.write(b"new")
            file.flush()
            assert path.read_bytes() == b"old"

    def test_new_files_have_ordinary_permissions(self, tmp_path):
        (tmp_path / "plain").write_bytes(b"")
        with replacing(tmp_path / "file"):
            pass
        assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


class TestToUint8:
    def test_ends_middle_rounding_and_clipping(self):
        images = np.array([-1.0, 1.0, 0.0, -3.0, 9.0, -1 + 2 * 10.4 / 255, -1 + 2 * 10.6 / 255])
        assert to_uint8(images, (-1, 1)).tolist() == [0, 255, 128, 0, 255, 10, 11]

    @pytest.mark.parametrize("value_range", [(-1, 1), (0, 1), (0, 255)])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_every_byte_survives(self, value_range, dtype):
        levels = np.arange(256, dtype=np.uint8)
        low, high = value_range
        floats = (levels / 255 * (high - low) + low).astype(dtype)
        np.testing.assert_array_equal(to_uint8(floats, value_range), levels)

    def test_what_is_not_a_number_is_black_and_warns_nobody(self):
        images = np.array([np.nan, np.inf, -np.inf, 3e38], np.float32)
        with np.errstate(all="raise"):
            assert to_uint8(images, (0, 1)).tolist() == [0, 255, 0, 255]

    def test_does_not_change_its_argument(self):
        images = RNG.standard_normal((2, 3, 3, 1))
        images[0, 0, 0] = np.nan
        before = images.copy()
        result = to_uint8(images, (-1, 1))
        np.testing.assert_array_equal(images, before)
        assert result.shape == images.shape and result.dtype == np.uint8

    def test_bytes_pass(self):
        images = noise(2, 3, 3, 1)
        np.testing.assert_array_equal(to_uint8(images, (-1, 1)), images)

    def test_an_empty_range_is_refused(self):
        with pytest.raises(ValueError, match="low < high"):
            to_uint8(np.zeros(3), (1, 1))


class TestGrid:
    def test_every_image_is_in_its_place(self):
        images = noise(5, 4, 6, 3)
        sheet = grid(images, columns=3, gap=2, scale=2)
        assert sheet.shape == (2 + 2 * (8 + 2), 2 + 3 * (12 + 2), 3)
        for index, image in enumerate(images):
            top, left = 2 + index // 3 * 10, 2 + index % 3 * 14
            cell = sheet[top : top + 8, left : left + 12]
            np.testing.assert_array_equal(cell, np.kron(image, np.ones((2, 2, 1), np.uint8)))
            sheet[top : top + 8, left : left + 12] = BACKGROUND
        assert (sheet == BACKGROUND).all()  # the gaps and the empty sixth cell

    def test_transparent_images_lie_between_opaque_gaps(self):
        image = noise(1, 3, 2, 4)
        sheet = grid(image, gap=1, scale=1)
        np.testing.assert_array_equal(sheet[1:-1, 1:-1], image[0])
        sheet[1:-1, 1:-1] = (BACKGROUND, BACKGROUND, BACKGROUND, 255)
        assert (sheet == sheet[0, 0]).all() and sheet[0, 0, 3] == 255

    @pytest.mark.parametrize("size", [28, 32, 64, 96])
    def test_default_sheet_is_easy_to_see(self, size):
        height, width, _ = grid(noise(16, size, size, 1)).shape
        assert height == width and 380 <= width <= 530

    def test_default_columns_and_large_images(self):
        assert grid(noise(10, 600, 500, 1), gap=1).shape == (1 + 3 * 601, 1 + 4 * 501, 1)

    @pytest.mark.parametrize(
        "images", [np.zeros((2, 3, 3, 1)), noise(3, 3, 1), np.zeros((0, 3, 3, 1), np.uint8)]
    )
    def test_wrong_images_are_refused(self, images):
        with pytest.raises(ValueError, match="grid needs"):
            grid(images)


class TestPng:
    @pytest.mark.parametrize(
        "shape, mode", [((5, 7), "L"), ((5, 7, 1), "L"), ((5, 7, 3), "RGB"), ((5, 7, 4), "RGBA")]
    )
    def test_reads_back(self, tmp_path, shape, mode):
        image = noise(*shape)
        save_png(tmp_path / "new" / "a.png", image)
        with Image.open(tmp_path / "new" / "a.png") as picture:
            assert picture.mode == mode
            np.testing.assert_array_equal(np.asarray(picture).ravel(), image.ravel())
        np.testing.assert_array_equal(read(tmp_path / "new" / "a.png").ravel(), image.ravel())

    @pytest.mark.parametrize("image", [np.zeros((4, 4)), noise(4, 4, 2), noise(1, 4, 4, 3)])
    def test_wrong_images_are_refused(self, tmp_path, image):
        with pytest.raises(ValueError, match="a picture is uint8"):
            save_png(tmp_path / "a.png", image)
        assert os.listdir(tmp_path) == []

    def test_disk_errors_stay_oserrors(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(OSError):
            save_png(tmp_path / "file" / "a.png", noise(4, 4))

        def full(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            save_png(tmp_path / "a.png", noise(4, 4))
        assert os.listdir(tmp_path) == ["file"]


class TestGif:
    def test_grey_is_exact_from_files(self, tmp_path):
        frames = noise(3, 20, 30)
        frames[0].flat[:256] = np.arange(256)
        paths = [tmp_path / f"epoch_{index:03d}.png" for index in range(3)]
        for path, frame in zip(paths, frames):
            save_png(path, frame)
        save_gif(tmp_path / "a.gif", [read(path) for path in paths])
        assert durations(tmp_path / "a.gif") == [200, 200, 2000]
        with Image.open(tmp_path / "a.gif") as gif:
            assert gif.info["loop"] == 0
            for index, frame in enumerate(frames):
                gif.seek(index)
                np.testing.assert_array_equal(np.asarray(gif.convert("L")), frame)

    def test_colours_are_close_and_shared(self, tmp_path):
        colours = noise(20, 3)
        frames = [colours[RNG.integers(0, 20, (16, 16))] for _ in range(4)]
        save_gif(tmp_path / "a.gif", frames)
        with Image.open(tmp_path / "a.gif") as gif:
            for index, frame in enumerate(frames):
                gif.seek(index)
                shown = np.asarray(gif.convert("RGB")).astype(int)
                assert np.abs(shown - frame).max() <= 16
        data = (tmp_path / "a.gif").read_bytes()
        assert data[10] & 0x80  # a global palette

    def test_grey_and_colour_together(self, tmp_path):
        save_gif(tmp_path / "a.gif", [noise(8, 8), noise(8, 8, 3)])
        assert durations(tmp_path / "a.gif") == [200, 2000]

    @pytest.mark.parametrize("opaque", [True, False])
    def test_transparent_frames_are_put_on_grey(self, tmp_path, opaque):
        """What is hidden under a transparent pixel is hidden in the GIF too."""
        frame = np.full((8, 8, 4), (200, 10, 10, 255 * opaque), np.uint8)
        save_gif(tmp_path / "a.gif", [frame, noise(8, 8)])
        with Image.open(tmp_path / "a.gif") as gif:
            shown = np.asarray(gif.convert("RGB")).astype(int)
        colour = (200, 10, 10) if opaque else (BACKGROUND,) * 3
        assert np.abs(shown - colour).max() <= 16

    def test_thinning_keeps_the_ends(self, tmp_path):
        frames = [np.full((4, 4), value, np.uint8) for value in range(200)]
        save_gif(tmp_path / "a.gif", thinned(frames, 50))
        shown = []
        with Image.open(tmp_path / "a.gif") as gif:
            for index in range(gif.n_frames):
                gif.seek(index)
                shown.append(int(np.asarray(gif.convert("L"))[0, 0]))
        assert len(shown) == 50 and shown[0] == 0 and shown[-1] == 199
        assert set(np.diff(shown)) <= {4, 5}

    def test_ten_frames_are_small(self, tmp_path):
        x, centres = np.linspace(-3, 3, 64), RNG.standard_normal((2, 160, 1, 1, 3))
        blobs = np.exp(-((x[:, None, None] - centres[0]) ** 2) - (x[:, None] - centres[1]) ** 2)
        blobs += 0.02 * RNG.standard_normal(blobs.shape)
        sheets = [grid(part) for part in to_uint8(blobs, (0, 1)).reshape(10, 16, 64, 64, 3)]
        save_gif(tmp_path / "a.gif", sheets)
        assert (tmp_path / "a.gif").stat().st_size < 900_000

    @pytest.mark.parametrize(
        "frames",
        [
            [np.zeros((4, 4), np.uint8)],
            [np.zeros((4, 4), np.uint8)] * 3,
            [np.zeros((4, 4, 3), np.uint8)],
        ],
    )
    def test_one_frame_or_still_frames(self, tmp_path, frames):
        save_gif(tmp_path / "a.gif", frames)
        with Image.open(tmp_path / "a.gif") as gif:
            assert gif.n_frames == 1 and gif.size == (4, 4)

    def test_bad_frames_are_refused(self, tmp_path):
        with pytest.raises(ValueError, match="at least one"):
            save_gif(tmp_path / "a.gif", [])
        with pytest.raises(ValueError, match="one size"):
            save_gif(tmp_path / "a.gif", [noise(4, 4), noise(4, 5)])
        assert os.listdir(tmp_path) == []

    def test_files_that_are_no_pictures_are_refused(self, tmp_path):
        save_png(tmp_path / "a.png", noise(40, 40))
        (tmp_path / "half.png").write_bytes((tmp_path / "a.png").read_bytes()[:900])
        (tmp_path / "text.png").write_text("words")
        for name in ("half.png", "text.png"):
            with pytest.raises(ValueError, match="no picture, or damaged"):
                read(tmp_path / name)
        with pytest.raises(OSError):
            read(tmp_path / "missing.png")
        if hasattr(os, "mkfifo"):
            os.mkfifo(tmp_path / "pipe.png")
            with pytest.raises(OSError, match="not a regular file"):
                read(tmp_path / "pipe.png")


def picture_of(tmp_path, history):
    loss_curve(tmp_path / "losses.png", history)
    with Image.open(tmp_path / "losses.png") as picture:
        return np.asarray(picture).astype(int)


def rows_of(picture, colour):
    """The rows where a colour is seen, left of the legend."""
    return np.flatnonzero((np.abs(picture[:, :600] - colour).max(axis=2) < 60).any(axis=1))


def columns_of(picture, colour):
    """The columns where a colour is seen, below the legend of the upper panel."""
    return np.flatnonzero((np.abs(picture[100:] - colour).max(axis=2) < 60).any(axis=0))


class TestLossCurve:
    def test_two_panels(self, tmp_path):
        steps = np.arange(1, 51)
        picture = picture_of(
            tmp_path,
            {"step": steps, "epoch": steps, "d_loss": np.full(50, 0.7), "d_real": np.full(50, 0.5)},
        )
        assert picture.shape == (600, 1000, 3)
        rows = rows_of(picture, COLOURS[0])
        assert len(rows) <= 8 and rows[0] < 300 < rows[-1]  # one thin line in each

    def test_higher_values_are_drawn_higher(self, tmp_path):
        picture = picture_of(tmp_path, {"step": [1, 2], "a_loss": [1, 1], "b_loss": [2, 2]})
        low, high = (rows_of(picture, colour)[0] for colour in COLOURS[:2])
        assert high < low

    def test_spikes_do_not_flatten_the_rest(self, tmp_path):
        steps = np.arange(1, 1001)
        values = np.sin(steps / 100)
        plain = picture_of(tmp_path, {"step": steps, "d_loss": values})
        values[[300, 777]] = 1e6
        spiked = picture_of(tmp_path, {"step": steps, "d_loss": values})
        rows = rows_of(spiked, COLOURS[0])
        assert np.ptp(rows[rows > 120]) > 0.3 * np.ptp(rows_of(plain, COLOURS[0]))
        assert 86 <= rows[0] < 92  # the mark: at the upper edge of the panel, not above it
        assert (spiked[60:80] != plain[60:80]).any()  # the legend explains it

    def test_a_gap_is_left_open(self, tmp_path):
        values = np.ones(40)
        values[15:25] = np.nan
        picture = picture_of(tmp_path, {"step": np.arange(40), "d_loss": values})
        columns = columns_of(picture, COLOURS[0])
        assert 200 < np.diff(columns).max() < 280

    def test_values_every_third_step_are_joined(self, tmp_path):
        values = np.where(np.arange(60) % 3 == 0, 1.0, np.nan)
        picture = picture_of(tmp_path, {"step": np.arange(60), "d_loss": values})
        columns = columns_of(picture, COLOURS[0])
        assert np.diff(columns).max() == 1

    @pytest.mark.parametrize(
        "values", [[], [0.7], [np.nan], [0.0, 0.0], [5e5, 5e5], [1e-9, 2e-9], [-4e12, 3e15]]
    )
    def test_odd_histories(self, tmp_path, values):
        history = {"step": np.arange(1, len(values) + 1), "d_loss": values, "d_real": values}
        assert picture_of(tmp_path, history).shape == (600, 1000, 3)

    def test_a_long_run_is_quick(self, tmp_path):
        count = 120_000
        history = {name: RNG.random(count) for name in ("d_loss", "g_loss", "d_real", "d_fake")}
        history["d_loss"][RNG.random(count) < 0.3] = np.nan
        start = time.process_time()
        loss_curve(tmp_path / "losses.png", {"step": np.arange(count), **history})
        assert time.process_time() - start < 3  # 0.6 s on an idle core

    def test_norms_have_a_panel_of_powers_of_ten(self, tmp_path):
        steps = np.arange(1, 61)
        seldom = np.where(steps % 10 == 0, 10.0 ** -(steps / 20), np.nan)  # 0.3 to 0.001
        history = {"step": steps, "d_loss": np.full(60, 1.0), "norm_dG": seldom}
        picture = picture_of(tmp_path, history)
        assert picture.shape == (600, 1000, 3)
        lower = np.flatnonzero((np.abs(picture[345:550] - COLOURS[0]).max(axis=2) < 60).any(axis=0))
        assert np.diff(lower[lower < 700]).max() == 1
        heights = [
            np.flatnonzero(np.abs(picture[345:550, x] - COLOURS[0]).max(axis=1) < 60).mean()
            for x in (300, 500, 700)
        ]
        assert abs(heights[0] - 2 * heights[1] + heights[2]) < 3  # a straight line
        history["norm_dG"][::2] = [0.0, -1.0] * 15  # neither has a logarithm
        assert picture_of(tmp_path, history).shape == (600, 1000, 3)

    @pytest.mark.parametrize("logistic", [True, False])
    def test_balance_is_dashed_where_d_is_logistic(self, tmp_path, logistic):
        steps = np.arange(1, 51)
        history = {"step": steps, "d_loss": np.linspace(0, 2, 50), "g_loss": np.linspace(0, 2, 50)}
        history |= {"d_real": steps / 50} if logistic else {"c_wass": steps / 50}
        picture = picture_of(tmp_path, history)
        grey = (np.abs(picture[90:284, 73:970] - PALE_INK).max(axis=2) < 20).mean(axis=1)
        assert (grey > 0.4).sum() == (2 if logistic else 0)

    def test_ticks(self):
        assert _ticks(0.0, 1.0, count=5)[1] == ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        assert _ticks(0.0, 60_000.0, count=3)[1] == ["0", "20k", "40k", "60k"]
        assert _ticks(-0.5, 3.2, count=4)[1] == ["0", "1", "2", "3"]
        assert _ticks(0.0, 3.0, count=8, whole=True)[1] == ["0", "1", "2", "3"]

    def test_moving_average(self):
        y = np.array([1.0, 2.0, 6.0, 4.0])
        np.testing.assert_allclose(_moving_average(y, 3), [1.5, 3.0, 4.0, 5.0])

    def test_extremes_of_every_column(self):
        points = np.array([[0.1, 5], [0.2, 9], [0.3, 1], [0.4, 4], [1.5, 2]])
        assert _extremes(points).tolist() == [1, 2, 4]

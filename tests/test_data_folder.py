"""Folders of pictures: every kind of file read as a viewer shows it, decoded once, none lost."""

import io
import os
import struct
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from minigan import data
from minigan.data import cache, decode, decoded, fitting, folder
from minigan.errors import UserError

RNG = np.random.default_rng(4)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(autouse=True)
def cached(tmp_path, monkeypatch):
    """A cache of its own; the folder where decoded pictures are kept."""
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return cache.cache_dir() / "folders"


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def noise(side=8):
    return RNG.integers(0, 256, (side, side, 3), np.uint8)


def load(path, size=8, channels=3, **options):
    lines = []
    return folder.load(path, size=size, channels=channels, notify=lines.append, **options), lines


def only(path, size=8, channels=3, **options):
    """The one picture of a folder, int (size, size, channels)."""
    loaded, lines = load(path, size, channels, **options)
    assert len(loaded) == 1 and not any("skipped" in line for line in lines)
    return loaded.images[0].astype(int)


def colour(pixels):
    """The mean colour of some pixels (..., 3), as three ints."""
    return tuple(np.rint(pixels.reshape(-1, 3).mean(axis=0)).astype(int).tolist())


# What is taken, and in which order.


def test_pictures_are_taken_from_all_sub_folders_in_the_order_of_their_names(photos):
    pixels = {name: noise() for name in ("b.png", "a/2.PNG", "a/10.png", "c/d/e.bmp", "A.Png")}
    for name, picture in pixels.items():
        save(photos / name, picture)
    for name in (".hidden.png", ".git/x.png", "a/._2.png"):
        save(photos / name, noise())
    (photos / "notes.txt").write_text("not a picture, and not called one")
    (photos / "folder.png").mkdir()
    loaded, lines = load(photos)
    assert loaded.files == ("A.Png", "a/10.png", "a/2.PNG", "b.png", "c/d/e.bmp")
    for name, image in zip(loaded.files, loaded.images):
        assert np.array_equal(image, pixels[name]), name
    assert loaded.images.dtype == np.uint8 and loaded.labels is None and loaded.classes is None
    assert lines == [
        f"{photos}: no classes, for 2 of 5 pictures lie beside the sub-folders a (2), c (1): "
        "move them into one",
        f"decoding 5 pictures in {photos}",
        f"{photos}: skipped 5 of 10 files: .git/ (hidden), .hidden.png (hidden), "
        "a/._2.png (hidden), folder.png/ (empty), notes.txt (not a picture)",
    ]
    assert loaded.name == "folder" and str(photos) in loaded.source


def test_sub_folders_are_classes_if_every_picture_lies_in_one(photos):
    for name in ("cat/1.png", "ant/1.png", "ant/deep/2.png", "bee/1.png"):
        save(photos / name, noise())
    loaded, _ = load(photos)
    assert loaded.classes == ("ant", "bee", "cat")
    assert loaded.labels.tolist() == [0, 0, 1, 2] and loaded.labels.dtype == np.int64
    some, _ = load(photos, classes=("cat", "ant"))
    assert some.files == ("ant/1.png", "ant/deep/2.png", "cat/1.png")
    assert some.classes == ("cat", "ant") and some.labels.tolist() == [1, 1, 0]
    with pytest.raises(UserError, match="photos: no class dog: there are ant, bee, cat"):
        load(photos, classes=("dog",))


def test_limit_decodes_the_first_and_no_more(photos, monkeypatch):
    for name in "cab":
        save(photos / f"{name}/1.png", noise())
    decoded = []
    read = decode.read
    monkeypatch.setattr(
        decode, "read", lambda file, **form: decoded.append(file.name[0]) or read(file, **form)
    )
    loaded, _ = load(photos, limit=2)
    assert sorted(decoded) == ["a", "b"] and loaded.files == ("a/1.png", "b/1.png")
    assert loaded.classes == ("a", "b", "c") and loaded.labels.tolist() == [0, 1]
    for n in (0, 4):
        with pytest.raises(UserError, match=f"limit {n} .* 1 to 3"):
            load(photos, limit=n)


def test_limit_takes_as_many_of_each_class(photos):
    """The first in the order of names would be of the first class."""
    for name in ("ant/1", "ant/2", "ant/3", "bee/1", "cat/1", "cat/2", "cat/3"):
        save(photos / f"{name}.png", noise())
    some, _ = load(photos, limit=5)
    assert some.files == tuple(f"{n}.png" for n in ("ant/1", "ant/2", "bee/1", "cat/1", "cat/2"))
    assert some.labels.tolist() == [0, 0, 1, 2, 2]
    assert load(photos, limit=2, classes=("cat", "ant"))[0].files == ("ant/1.png", "cat/1.png")


def test_limit_of_a_dataset_keeps_what_is_known_of_each_picture(photos):
    for name in "ab":
        save(photos / f"{name}.png", noise())
    first = load(photos)[0].limit(1)
    assert first.files == ("a.png",) and len(first.images) == 1 and first.labels is None


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_are_followed_but_not_in_a_circle(photos, tmp_path):
    save(tmp_path / "elsewhere" / "a.png", noise())
    (photos / "link").symlink_to(tmp_path / "elsewhere")
    (photos / "circle").symlink_to(photos)
    (photos / "broken.png").symlink_to(tmp_path / "absent")
    loaded, lines = load(photos)
    assert loaded.files == ("link/a.png",)
    assert "skipped 1 of 2 files: broken.png (No such file or directory)" in lines[-1]


# How pictures become squares of the size wanted.


def test_crop_takes_the_middle_and_squash_takes_all(photos):
    wide = np.zeros((8, 24, 3))
    wide[:, :8], wide[:, 8:16], wide[:, 16:] = RED, GREEN, BLUE
    save(photos / "wide.png", wide)
    assert (only(photos) == GREEN).all()
    squashed = only(photos, fit="squash")
    for column, expected in ((0, RED), (-1, BLUE)):
        assert np.abs(np.subtract(colour(squashed[:, column]), expected)).max() < 6
    tall = photos.parent / "tall"
    save(tall / "tall.png", wide.transpose(1, 0, 2))
    assert (only(tall) == GREEN).all()
    assert (only(photos, size=(8, 24)) == wide).all()
    for options in (dict(fit="stretch"), dict(size=0), dict(channels=2)):
        with pytest.raises(ValueError):
            load(photos, **options)


def test_reducing_averages_instead_of_picking_pixels(photos):
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    save(photos / "board.png", board)
    assert abs(only(photos, channels=1)[1:-1, 1:-1] - 127.5).max() < 4


def test_grey_and_colour_become_each_other(photos):
    save(photos / "red.png", np.full((8, 8, 3), RED))
    assert (only(photos, channels=1) == 76).all()  # .299 of 255
    save(photos.parent / "grey" / "grey.png", np.full((8, 8), 99))
    assert (only(photos.parent / "grey") == 99).all()


@pytest.mark.parametrize("old, channels", [((28, 28), 1), ((32, 32), 3), ((20, 31), 4)])
@pytest.mark.parametrize("size, wanted", [((64, 64), 1), ((64, 48), 3), ((28, 28), 4), ((9, 2), 3)])
@pytest.mark.parametrize("fit", fitting.FITS)
def test_arrays_are_fitted_as_files_are(old, channels, size, wanted, fit):
    # Far from black and white, for Pillow rows or columns may come first, and each clips.
    images = RNG.integers(60, 196, (25, *old, channels), np.uint8)
    fitted = fitting.fit_images(images, size=size, channels=wanted, fit=fit)
    assert fitted.shape == (25, *size, wanted) and fitted.dtype == np.uint8
    for image, result in zip(images, fitted):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        other = fitting.fit_picture(picture, size=size, channels=wanted, fit=fit)
        assert abs(other.astype(int) - result).max() <= 3


# What may be in a file.


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".JPEG", ".webp", ".bmp", ".gif", ".tif", ".TIFF", ".ppm", ".pnm"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_is_read(photos, suffix, channels):
    picture = np.full((16, 16, 3), (200, 60, 20)) if channels == 3 else np.full((16, 16), 130)
    save(photos / f"x{suffix}", picture)
    assert abs(only(photos, channels=channels) - picture[:8, :8].reshape(8, 8, -1)).max() < 6


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_packed_tiff(photos, compression):
    save(photos / "x.tif", np.full((16, 16, 3), (200, 60, 20)), compression=compression)
    assert abs(only(photos) - (200, 60, 20)).max() < 6


def test_text_is_a_picture_too(photos):
    """PGM and PBM as people write them by hand, the first with a white of 10."""
    (photos / "x.pgm").write_text("P2 2 2 10\n10 5 0 10\n")
    assert only(photos, size=2, channels=1)[..., 0].tolist() == [[255, 128], [0, 255]]
    (photos / "x.pgm").write_text("P1 2 2\n1 0 0 1\n")
    assert only(photos, size=2, channels=1)[..., 0].tolist() == [[0, 255], [255, 0]]


def test_the_content_decides_and_not_the_name(photos):
    save(photos / "photo.png", np.full((8, 8, 3), RED), format="BMP")
    assert (only(photos) == RED).all()


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp"])
@pytest.mark.parametrize("orientation, left", [(1, RED), (3, BLUE), (6, None), (8, None)])
def test_exif_orientation_is_honoured(photos, orientation, left, suffix):
    picture = np.zeros((16, 16, 3))
    picture[:, :8], picture[:, 8:] = RED, BLUE
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = dict(quality=100, subsampling=0) if suffix == "jpg" else {}
    save(photos / f"turned.{suffix}", picture, exif=exif, **options)
    image = only(photos)
    if left:
        assert np.abs(np.subtract(colour(image[:, :3]), left)).max() < 20
    else:
        top = BLUE if orientation == 8 else RED
        assert np.abs(np.subtract(colour(image[:3]), top)).max() < 20


@pytest.mark.parametrize("orientation, shape", [(1, (4, 8)), (6, (8, 4))])
def test_a_turned_picture_fills_a_form_that_is_not_square(photos, orientation, shape):
    """Nothing is cut off a picture whose proportions are right once it is upright."""
    picture = np.arange(32, dtype=np.uint8).reshape(4, 8) * 8
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(photos / "x.png", picture, exif=exif)
    upright = picture if orientation == 1 else picture[::-1].T
    assert np.array_equal(only(photos, size=shape, channels=1)[..., 0], upright)


def test_damaged_exif_data_does_not_cost_the_picture(photos):
    save(photos / "x.jpg", np.full((8, 8, 3), 120), exif=b"Exif\0\0nonsense, not TIFF")
    assert abs(only(photos) - 120).max() < 4


def test_transparency_is_laid_on_white(photos):
    picture = np.zeros((8, 8, 4))
    picture[..., :3], picture[:, :4, 3], picture[:, 4:, 3] = RED, 255, 0
    picture[0, :, 3] = 51  # a fifth
    for suffix in ("png", "webp"):
        at = photos.parent / suffix
        save(at / f"x.{suffix}", picture, **({"lossless": True} if suffix == "webp" else {}))
        image = only(at)
        assert (image[1:, :4] == RED).all() and (image[1:, 4:] == WHITE).all()
        assert (image[0] == (255, 204, 204)).all()


def test_transparency_is_kept_where_there_is_a_channel_for_it(photos):
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[..., 0], picture[:, 4:, 1], picture[:, :4, 3] = 200, 255, 255
    for suffix in ("png", "webp", "tif"):
        at = photos.parent / suffix
        save(at / f"x.{suffix}", picture, **({"lossless": True} if suffix == "webp" else {}))
        kept = only(at, channels=4)
        assert np.array_equal(kept[..., 3], picture[..., 3])
        assert np.array_equal(kept[:, :4], picture[:, :4])
        # Scaled, the green that cannot be seen does not reach what can.
        assert (only(at, size=4, channels=4)[:, :2, 1] == 0).all()
    save(photos / "grey.png", np.full((8, 8), 9))
    assert (only(photos, channels=4) == (9, 9, 9, 255)).all()
    Image.new("LA", (8, 8), (9, 0)).save(photos / "grey.png")
    assert (only(photos, channels=4) == (9, 9, 9, 0)).all() and (only(photos) == 255).all()


def test_palettes_and_their_transparent_colour(photos):
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([*RED, *GREEN, *BLUE])
    picture.paste(2, (4, 0, 8, 8))
    picture.save(photos / "p.png")
    image = only(photos)
    assert (image[:, :4] == GREEN).all() and (image[:, 4:] == BLUE).all()
    for suffix in ("png", "gif"):
        at = photos.parent / suffix
        at.mkdir()
        picture.save(at / f"p.{suffix}", transparency=2)
        image = only(at)
        assert (image[:, :4] == GREEN).all() and (image[:, 4:] == WHITE).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_of_one_and_eight_bits(photos, mode):
    Image.new(mode, (8, 8), "white").save(photos / "x.png")
    assert (only(photos) == 255).all() and (only(photos, channels=1) == 255).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_and_not_clipped(photos, suffix):
    deep = np.tile(np.linspace(0, 65535, 8).astype(np.uint16), (8, 1))
    Image.fromarray(deep).save(photos / f"deep.{suffix}")
    assert np.array_equal(only(photos, channels=1)[..., 0], np.rint(deep / 257))
    assert np.array_equal(only(photos)[..., 2], np.rint(deep / 257))
    assert np.array_equal(only(photos, channels=4)[0, :, 3], [255] * 8)


@pytest.mark.parametrize("kind, unit", [(np.int32, 100_000), (np.int32, -1), (np.float32, 1 / 8)])
def test_numbers_whose_white_nobody_knows_are_left_out(photos, kind, unit):
    save(photos / "a.png", noise())
    numbers = np.tile(np.arange(8) * unit, (8, 1)).astype(kind)
    Image.fromarray(numbers).save(photos / "x.tif")
    _, lines = load(photos)
    assert "skipped 1 of 2 files: x.tif (numbers that are not of 8 or 16 bits" in lines[-1]


def test_sixteen_bit_colour(photos):
    rows = b"".join(b"\0" + struct.pack(">3H", 65535, 32896, 0) * 8 for _ in range(8))
    (photos / "deep.png").write_bytes(png(struct.pack(">2I5B", 8, 8, 16, 2, 0, 0, 0), rows))
    assert (only(photos) == (255, 128, 0)).all()


def png(header, rows):
    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_cmyk_is_read_as_the_colour_it_prints(photos):
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    picture.save(photos / "x.jpg", quality=100)
    assert np.abs(np.subtract(colour(only(photos)), RED)).max() < 6
    assert abs(only(photos, channels=1) - 76).max() < 6
    assert np.abs(only(photos, channels=4).mean(axis=(0, 1)) - (*RED, 255)).max() < 6
    for mode, ink in (("CMYK", (0, 255, 255, 0)), ("LAB", (128, 0, 0))):
        Image.new(mode, (8, 8), ink).save(photos / "x.tif")
        for channels in (1, 3, 4):
            assert load(photos, channels=channels)[0].images.shape == (2, 8, 8, channels)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_an_animation_gives_its_first_frame(photos, suffix):
    frames = [Image.new("RGB", (8, 8), c) for c in (RED, BLUE)]
    frames[0].save(
        photos / f"x.{suffix}",
        save_all=True,
        append_images=frames[1:],
        **({"lossless": True} if suffix == "webp" else {}),
    )
    assert np.abs(only(photos) - RED).max() < 3


def test_large_photographs_are_decoded_at_part_of_their_size_with_the_same_result(photos):
    y, x = np.indices((512, 512)) / 512
    smooth = np.stack([255 * x, 255 * y, 127 + 100 * np.sin(9 * x * y)], axis=2)
    save(photos / "x.jpg", smooth, quality=95)
    expected = Image.fromarray(smooth.astype(np.uint8)).resize((32, 32), Image.Resampling.LANCZOS)
    assert np.abs(only(photos, size=32) - np.asarray(expected).astype(int)).max() < 8


# What cannot be read is named, and the rest is used.


def jpeg(side=64):
    file = io.BytesIO()
    Image.fromarray(noise(side)).save(file, "JPEG")
    return file.getvalue()


BROKEN = {
    "bomb.png": (png(struct.pack(">2I5B", 10_000, 10_000, 8, 2, 0, 0, 0), b""), "too many pixels"),
    "empty.jpg": (b"", "empty"),
    "half.jpg": (jpeg()[:1500], "truncated"),
    "larger.png": (
        png(struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0), b""),
        "too many pixels",
    ),
    "text.png": (b"<html>not found</html>", "not a picture"),
    "tiff.png": (b"II*\0" + bytes(100), "not a picture"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_skipped_and_named(photos, name):
    content, reason = BROKEN[name]
    good = noise()
    save(photos / "a.png", good)
    save(photos / "z.png", good)
    (photos / name).write_bytes(content)
    for _ in range(2):  # decoded, then from the cache
        loaded, lines = load(photos)
        assert loaded.files == ("a.png", "z.png")
        assert (loaded.images == good).all()
        assert lines[-1].startswith(f"{photos}: skipped 1 of 3 files: {name} (")
        assert reason in lines[-1] and "\n" not in lines[-1]


def test_many_broken_files_are_one_line(photos):
    save(photos / "whole.png", noise())
    for i in range(9):
        (photos / f"{i}.png").write_bytes(b"")
    (photos / "00\n.png").write_bytes(b"?")
    loaded, lines = load(photos)
    assert len(loaded) == 1 and len(lines) == 2
    assert r": 0.png (empty), 00\n.png (not a picture), 1.png (empty), " in lines[1]
    assert lines[1].endswith("3.png (empty) and 5 more") and "\n" not in lines[1]


def test_none_readable_is_an_error_and_leaves_no_cached_file(photos, cached):
    (photos / "a.png").write_bytes(b"?")
    (photos / "b.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"none of 2 pictures .* a.png \(not a picture\), b.png"):
        load(photos)
    assert list(cached.iterdir()) == []


def test_pillow_warnings_do_not_reach_the_user(photos, recwarn):
    picture = Image.new("P", (8, 8))
    picture.putpalette([0, 0, 0] * 2)
    picture.save(photos / "p.png", transparency=b"\0\1")
    assert only(photos).shape == (8, 8, 3) and not recwarn.list


# Decoded once.


@pytest.fixture
def pair(photos):
    """A folder of two pictures."""
    for name in "ab":
        save(photos / f"{name}.png", noise())
    return photos


@pytest.fixture
def decodings(monkeypatch):
    """The names of the files decoded so far."""
    names, read = [], decode.read
    monkeypatch.setattr(
        decode, "read", lambda file, **form: names.append(file.name) or read(file, **form)
    )
    return names


def test_a_folder_is_decoded_once_for_each_form(pair, decodings, cached):
    first, _ = load(pair)
    again, lines = load(pair)
    assert np.array_equal(first.images, again.images) and first.files == again.files
    assert len(decodings) == 2 and lines == []
    forms = [dict(size=4), dict(size=(4, 8)), dict(size=(8, 4)), dict(channels=1), dict(channels=4)]
    for options in (*forms, dict(fit="squash"), dict(limit=1)):
        before = len(decodings)
        load(pair, **options)
        assert len(decodings) > before, options
    assert len(list(cached.iterdir())) == 8
    load(pair, size=(8, 8))
    assert len(list(cached.iterdir())) == 8


@pytest.mark.parametrize("change", ["touched", "replaced", "renamed", "added", "removed"])
def test_a_changed_folder_is_decoded_again_in_place_of_the_old(pair, decodings, cached, change):
    load(pair)
    path = pair / "b.png"
    if change == "touched":
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    elif change == "replaced":  # by a file of the same time
        time = path.stat().st_mtime_ns
        save(path, np.zeros((9, 9, 3)))
        os.utime(path, ns=(0, time))
    elif change == "renamed":
        path.rename(pair / "c.png")
    elif change == "added":
        save(pair / "c.png", noise())
    else:
        path.unlink()
    decodings.clear()
    loaded, _ = load(pair)
    assert len(decodings) == len(loaded) == {"added": 3, "removed": 1}.get(change, 2)
    assert len(list(cached.iterdir())) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:7],
        lambda content: content[:-1],
        lambda content: content[10:],
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content[:-8] + b"\xff" * 8,
        lambda content: content[:384] + b"[]" + bytes(4) + (2).to_bytes(8, "little"),
        lambda content: content[:390] + bytes([content[390] ^ 1]) + content[391:],
    ],
)
def test_a_damaged_cached_file_is_made_again_with_a_line(pair, decodings, cached, damage):
    good, _ = load(pair)
    (path,) = cached.iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    loaded, lines = load(pair)
    assert np.array_equal(loaded.images, good.images) and len(decodings) == 4
    assert path.read_bytes() == content
    assert f"{path} is damaged: decoding the pictures again" in lines


def test_every_flip_of_a_bit_of_a_cached_file_is_noticed(photos, cached):
    """The skipped files are part of it: they say which picture has which name."""
    for name in "abc":
        save(photos / f"{name}.png", noise(), pnginfo=None)
    (photos / "bad.png").write_text("no picture")
    good, _ = load(photos)
    (path,) = cached.iterdir()
    content = path.read_bytes()
    for bit in np.random.default_rng(0).permutation(8 * len(content))[:2000]:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        loaded, lines = load(photos)
        assert np.array_equal(loaded.images, good.images) and loaded.files == good.files
        assert any("is damaged: decoding" in line for line in lines), bit


def test_two_builds_at_once_do_not_mind_each_other(pair, photos, cached, monkeypatch):
    """The second has found other pictures, and its file replaces that of the first."""
    begin, read = [], decode.read

    def meanwhile(file, **form):
        if not begin:
            begin.append(True)
            save(photos / "c.png", noise())
            begin.append(load(photos)[0])
            (photos / "c.png").unlink()
        return read(file, **form)

    monkeypatch.setattr(decode, "read", meanwhile)
    first, _ = load(pair)
    assert len(first) == 2 and len(begin[1]) == 3 and first.files == ("a.png", "b.png")
    assert len(list(cached.iterdir())) == 1


def test_what_a_killed_build_has_left_goes_after_an_hour(pair, cached):
    cached.mkdir(parents=True)
    for name, age in ((".old.pixels.7-ab.tmp", 4000), (".new.pixels.8-ab.tmp", 3000)):
        (cached / name).write_text("half")
        then = time.time() - age
        os.utime(cached / name, (then, then))
    load(pair)
    assert {path.name for path in cached.glob(".*")} == {".new.pixels.8-ab.tmp"}


def test_large_sets_are_mapped_and_small_ones_read(pair, monkeypatch):
    small, _ = load(pair)
    assert not isinstance(small.images, np.memmap)
    monkeypatch.setattr(decoded, "LARGE", 383)
    large, _ = load(pair)
    assert isinstance(large.images, np.memmap) and np.array_equal(large.images, small.images)
    with pytest.raises(ValueError):
        large.images[0] = 0


def test_without_a_cache_it_works_and_says_so(pair, tmp_path, monkeypatch):
    good, _ = load(pair)
    (tmp_path / "file").write_text("a file where a folder should be")
    for place in (tmp_path / "file", None):
        monkeypatch.setattr(cache, "cache_dir", lambda: place)
        loaded, lines = load(pair)
        assert np.array_equal(loaded.images, good.images)
        assert len(lines) == 2 and "cannot keep the decoded pictures" in lines[1]


def test_a_full_disk_is_noticed_before_decoding(pair, decodings, monkeypatch, cached):
    import shutil

    free = shutil.disk_usage(pair)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    loaded, lines = load(pair)
    assert len(loaded) == 2 and len(decodings) == 2 and "No space left" in lines[1]
    assert list(cached.iterdir()) == []


def test_more_than_memory_holds_is_an_error_before_decoding(pair, decodings, monkeypatch):
    monkeypatch.setattr(cache, "cache_dir", lambda: None)
    monkeypatch.setattr(fitting, "usable_memory", lambda: 300)
    with pytest.raises(UserError, match="2 pictures of 8x8x3 bytes take .*--limit"):
        load(pair)
    assert decodings == []


def test_progress_is_shown_on_a_terminal(pair, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    load(pair)
    assert "decoding pictures: 0 of 2 (0%)" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


# Through the front door.


def test_load_takes_a_folder_of_pictures(pair):
    loaded = data.load(pair, size=4, channels=1, notify=lambda line: None)
    assert loaded.images.shape == (2, 4, 4, 1) and loaded.name == "folder"
    assert data.load(str(pair), notify=lambda line: None).images.shape == (2, 28, 28, 1)
    assert len(data.load(pair, limit=1, fit="squash", notify=lambda line: None)) == 1


def test_a_folder_with_nothing_to_train_on(photos):
    with pytest.raises(UserError, match="no pictures in it, no train-images.*: give .* .png"):
        data.load(photos)
    (photos / "a.heic").write_text("")
    (photos / "empty").mkdir()
    with pytest.raises(UserError, match=r"no pictures in it .it has a.heic .*, empty/ .empty"):
        load(photos)
    with pytest.raises(UserError, match="absent: cannot be read"):
        load(photos / "absent")

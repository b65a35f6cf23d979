"""MNIST and other IDX files: found where they should be, and every fault named in one line."""

import gzip
import struct
import sys

import numpy as np
import pytest

from minigan import data
from minigan.data import cache, mnist
from minigan.errors import UserError

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No data, no network and an empty cache, whatever the machine has."""
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


def idx(array):
    """An IDX file of unsigned bytes, written as the format's description says."""
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def pictures(n=5):
    return np.arange(n * 784).reshape(n, 28, 28) % 251


def write_set(folder, n=5, images=IMAGES, labels=LABELS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in ((images, pictures(n)), (labels, np.arange(n) % 10)):
        content = idx(array)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


@pytest.mark.parametrize("place", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize(
    "form", ["{}-idx{}-ubyte", "{}-idx{}-ubyte.gz", "{}.idx{}-ubyte", "{}.idx{}-ubyte.gz"]
)
def test_a_folder_is_read_wherever_and_however_its_files_are_spelt(tmp_path, place, form):
    write_set(
        tmp_path / place,
        images=form.format("train-images", 3),
        labels=form.format("train-labels", 1),
    )
    loaded = data.load(tmp_path)
    assert loaded.images.dtype == np.uint8 and loaded.images.shape == (5, 28, 28, 1)
    assert np.array_equal(loaded.images[..., 0], pictures())
    assert loaded.labels.dtype == np.int64 and loaded.labels.tolist() == [0, 1, 2, 3, 4]
    assert loaded.name == "mnist" and str(tmp_path) in loaded.source


def test_a_file_is_read_with_the_labels_beside_it(tmp_path):
    write_set(tmp_path, images="my-images.idx3-ubyte", labels="my-labels.idx1-ubyte")
    assert data.load(str(tmp_path / "my-images.idx3-ubyte")).labels.tolist() == [0, 1, 2, 3, 4]


def test_a_gz_name_on_plain_bytes_is_read_as_what_it_is(tmp_path):
    (tmp_path / f"{IMAGES}.gz").write_bytes(idx(pictures()))  # some browsers unpack
    assert len(data.load(tmp_path)) == 5


def test_labels_are_optional_for_a_path(tmp_path):
    write_set(tmp_path)
    (tmp_path / LABELS).unlink()
    assert data.load(tmp_path).labels is None
    assert data.load(tmp_path, limit=2).labels is None


def test_the_test_split_is_the_other_files(tmp_path):
    write_set(tmp_path)
    write_set(tmp_path, n=3, images="t10k-images-idx3-ubyte", labels="t10k-labels-idx1-ubyte")
    assert len(data.load(tmp_path)) == 5
    assert len(data.load(tmp_path, split="test")) == 3
    with pytest.raises(ValueError, match="split 'valid'"):
        data.load(tmp_path, split="valid")


def test_limit_keeps_the_first_and_refuses_what_is_not_there(tmp_path):
    write_set(tmp_path)
    limited = data.load(tmp_path, limit=2)
    assert len(limited) == 2 and limited.labels.tolist() == [0, 1]
    assert np.array_equal(limited.images[..., 0], pictures()[:2])
    assert len(data.load(tmp_path, limit=5)) == 5
    for n in (0, -1, 6):
        with pytest.raises(UserError, match=rf"limit {n} .* 1 to 5"):
            data.load(tmp_path, limit=n)


GOOD = idx(pictures())
PACKED = gzip.compress(GOOD, mtime=0)  # else the tests' names tell the time
BAD_CHECKSUM = PACKED[:-8] + bytes(4) + PACKED[-4:]


@pytest.mark.parametrize(
    "content, complaint",
    [
        (b"", "empty"),
        (GOOD[:7], "7 bytes, too short for the 16-byte header"),
        (
            GOOD[:-1],
            f"truncated: {len(GOOD) - 1} bytes found, expected {len(GOOD)} for the 5 images",
        ),
        (GOOD + b"\n", "trailing bytes"),
        (idx(np.zeros(30)), "magic number 2049, expected 2051"),
        (b"<!DOCTYPE html><html></html>", "magic number"),
        (idx(np.zeros((5, 32, 32))), "32x32 pixels, expected 28x28"),
        (idx(np.zeros((0, 28, 28))), "no images in it"),
        (struct.pack(">4I", 2051, *[2**32 - 1] * 3), "expected 28x28|truncated"),
        (PACKED[:-20], "truncated gzip"),
        (PACKED[:5], "truncated gzip"),
        (BAD_CHECKSUM, "damaged gzip data .*CRC"),
        (PACKED[:20] + bytes(50) + PACKED[70:], "damaged gzip"),
        (gzip.compress(GOOD[:-1]), "truncated: "),
    ],
)
def test_a_broken_images_file_is_named_with_its_fault(tmp_path, content, complaint):
    path = write_set(tmp_path) / IMAGES
    path.write_bytes(content)
    one_line(complaint, path, tmp_path)


@pytest.mark.parametrize(
    "content, complaint",
    [
        (b"", "empty"),
        (GOOD, "magic number 2051, expected 2049"),
        (idx(np.arange(4)), "4 labels, expected 5 as in train-images"),
        (idx(np.arange(5))[:-1], "truncated"),
    ],
)
def test_a_broken_labels_file_is_an_error_too(tmp_path, content, complaint):
    path = write_set(tmp_path) / LABELS
    path.write_bytes(content)
    one_line(complaint, path, tmp_path)


def one_line(complaint, path, source):
    with pytest.raises(UserError, match=complaint) as caught:
        data.load(source)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message


def test_missing_and_unreadable_paths(tmp_path, monkeypatch):
    one_line("no train-images-idx3-ubyte", tmp_path, tmp_path)
    with pytest.raises(UserError, match="no such file or folder: give one .* auto, mnist, digits"):
        data.load(tmp_path / "absent")
    (tmp_path / IMAGES).mkdir()  # a folder in a file's place
    one_line("cannot be read", tmp_path / IMAGES, tmp_path)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(mnist.os, "listdir", refuse)  # root may read everything
    one_line("cannot be read .Permission denied", tmp_path, tmp_path)


def test_minigan_data_is_where_mnist_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_DATA", str(write_set(tmp_path / "here")))
    lines = []
    assert len(data.load("mnist")) == len(data.load("auto", notify=lines.append)) == 5
    assert lines == []


def test_minigan_data_that_is_wrong_is_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "absent"))
    for name in ("auto", "mnist"):
        with pytest.raises(UserError, match="MINIGAN_DATA=.*absent: no such folder"):
            data.load(name)
    write_set(tmp_path / "absent")
    (tmp_path / "absent" / IMAGES).write_bytes(GOOD[:-1])
    with pytest.raises(UserError, match="truncated"):
        data.load("auto")


def test_auto_without_mnist_says_so_and_gives_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path))
    lines = []
    assert data.load("auto", notify=lines.append, limit=10).name == "digits"
    assert len(lines) == 2 and "no MNIST train set" in lines[0]
    assert lines[1].startswith("using the built-in digits") and "--data FOLDER" in lines[1]
    data.load("auto")
    assert capsys.readouterr() == ("", "\n".join(lines) + "\n")  # standard error by default
    with pytest.raises(UserError, match="no MNIST in .*switched off.*MINIGAN_DATA=FOLDER"):
        data.load("mnist", notify=lines.append)


@pytest.mark.parametrize(
    "platform, variable, value, expected",
    [
        ("linux", "XDG_CACHE_HOME", "{}/xdg", "{}/xdg/minigan"),
        ("linux", "XDG_CACHE_HOME", "", "{}/home/.cache/minigan"),
        ("linux", "XDG_CACHE_HOME", "relative", "{}/home/.cache/minigan"),
        ("darwin", "XDG_CACHE_HOME", "{}/xdg", "{}/home/Library/Caches/minigan"),
        ("win32", "LOCALAPPDATA", "{}/local", "{}/local/minigan"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="the home comes from other variables there")
def test_the_cache_is_where_the_platform_keeps_caches(
    tmp_path, monkeypatch, platform, variable, value, expected
):
    monkeypatch.setattr(cache.sys, "platform", platform)
    monkeypatch.setenv(variable, value.format(tmp_path))
    assert str(cache.cache_dir()) == expected.format(tmp_path)


def test_without_a_home_there_is_no_cache(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA")
    monkeypatch.setattr(cache.Path, "home", homeless)
    assert cache.cache_dir() is None
    assert data.load("auto", notify=lambda line: None, limit=1).name == "digits"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "file"
    cache.write(path, b"old")

    def interrupt(*names):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.write(path, b"new")
    assert [p.name for p in path.parent.iterdir()] == ["file"] and path.read_bytes() == b"old"


@pytest.fixture(scope="module")
def real_folder():
    import os

    if not os.environ.get("MINIGAN_DATA"):
        pytest.skip("set MINIGAN_DATA to a folder with MNIST to check the real files")
    return os.environ["MINIGAN_DATA"]


@pytest.mark.parametrize("split, count", [("train", 60_000), ("test", 10_000)])
def test_the_real_files_are_the_published_ones(real_folder, monkeypatch, split, count):
    monkeypatch.setenv("MINIGAN_DATA", real_folder)
    loaded = data.load("mnist", split=split)
    assert loaded.images.shape == (count, 28, 28, 1) and loaded.labels.shape == (count,)
    folder = mnist.Path(real_folder)
    for name, digest in mnist.SPLITS[split].items():
        mnist._genuine(mnist.idx.read(mnist._find(folder, name)), digest)

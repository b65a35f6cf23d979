"""Arrays as data: in Python, and in NumPy's own files, which nobody trusts."""

import io
import zipfile

import numpy as np
import pytest
from helpers import npz_bytes

from minigan import data
from minigan.data import arrays
from minigan.errors import UserError

RNG = np.random.default_rng(5)
BYTES = RNG.integers(0, 256, (6, 4, 5, 3), np.uint8)


def npy_bytes(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def write(tmp_path, content, name="faces.npy"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def form(dataset):
    return dataset.images.shape[1:]


# In Python.


@pytest.mark.parametrize("images", [BYTES, BYTES[..., 0], BYTES[..., :1], BYTES.tolist()[:1]])
def test_arrays_keep_their_form(images):
    if isinstance(images, list):  # int64
        with pytest.raises(TypeError, match=r"need a value_range, .* from \d+ to \d+"):
            data.from_arrays(images)
        assert np.array_equal(data.from_arrays(images, value_range=(0, 255)).images, images)
        return
    loaded = data.from_arrays(images)
    assert np.array_equal(loaded.images.reshape(images.shape), images)
    assert loaded.images.ndim == 4 and loaded.labels is None and loaded.classes is None


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (0, 255)])
def test_floats_of_a_stated_range_are_the_bytes_they_stand_for(value_range):
    low, high = value_range
    floats = (BYTES / 255 * (high - low) + low).astype(np.float32)
    assert np.array_equal(data.from_arrays(floats, value_range=value_range).images, BYTES)
    message = rf"from {floats.min()} to {floats.max()}"
    with pytest.raises(TypeError, match=message):
        data.from_arrays(floats)
    with pytest.raises(ValueError, match=f"{message}, which is not within .* give the numbers"):
        data.from_arrays(floats, value_range=(low, (low + high) / 2))


def test_channels_in_another_place_are_found_out():
    with pytest.raises(ValueError, match=r"\(6, 3, 4, 5\), .*images.transpose\(0, 2, 3, 1"):
        data.from_arrays(BYTES.transpose(0, 3, 1, 2))
    for shape in ((6, 60), (6, 2, 5, 2), (0, 4, 5), (6, 4, 5, 3, 1)):
        with pytest.raises(ValueError, match="expected .N, H, W. or .N, H, W, C.*reshape"):
            data.from_arrays(np.zeros(shape, np.uint8))


def test_labels_are_numbers_or_names():
    loaded = data.from_arrays(BYTES, [2, 0, 1, 1, 0, 2])
    assert loaded.labels.tolist() == [2, 0, 1, 1, 0, 2] and loaded.classes == ("0", "1", "2")
    named = data.from_arrays(BYTES, ["cow", "ant", "bee", "bee", "ant", "cow"])
    assert named.labels.tolist() == [2, 0, 1, 1, 0, 2] and named.classes == ("ant", "bee", "cow")
    given = data.from_arrays(BYTES, np.array([2, 0, 1, 1, 0, 2], ">u2"), ["a", "b", "c"])
    assert given.labels.dtype == np.int64 and given.classes == ("a", "b", "c")
    some = given.only(["c", "a"])
    assert some.labels.tolist() == [0, 1, 1, 0] and some.classes == ("c", "a")
    assert np.array_equal(some.images, BYTES[[0, 1, 4, 5]])
    for labels, classes, error, message in (
        ([0, 1], None, ValueError, "2 labels of 6 images"),
        (np.eye(6, dtype=int), None, ValueError, r"labels are \(6, 6\), expected one a picture"),
        ([0.0] * 6, None, TypeError, "labels must be integers"),
        ([-1] * 6, None, ValueError, "labels are -1 to -1: number 0 classes from 0"),
        ([0, 1, 2] * 2, ["a", "b"], ValueError, "labels are 0 to 2: number 2 classes from 0"),
        (None, ["a"], ValueError, "classes without labels"),
    ):
        with pytest.raises(error, match=message):
            data.from_arrays(BYTES, labels, classes)


def test_classes_are_chosen_from_any_labels_or_refused():
    some = data.load("digits", classes=("7", 2), limit=30)
    assert some.classes == ("7", "2") and len(some) == 30 and set(some.labels) == {0, 1}
    whole = data.load("digits", limit=200)
    assert np.array_equal(some.only(0).images[:5], whole.only("7").images[:5])
    for classes in ("horse", 10, -1):
        with pytest.raises(UserError, match=f"data digits: no class {classes}: there are 0, 1, "):
            data.load("digits", classes=classes)
    with pytest.raises(UserError, match="no classes to choose from: .* sub-folder"):
        data.from_arrays(BYTES).only("cat")
    with pytest.raises(UserError, match="no pictures of class b"):
        data.from_arrays(BYTES, [0] * 6, ["a", "b"]).only("b")


def test_arrays_come_in_every_form():
    assert form(data.from_arrays(BYTES, size=(8, 6), channels=1)) == (8, 6, 1)
    clear = data.from_arrays(BYTES, channels=4)
    assert (clear.images[..., 3] == 255).all() and np.array_equal(clear.images[..., :3], BYTES)
    for wrong in (dict(size=0), dict(channels=2), dict(fit="stretch")):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            data.from_arrays(BYTES, **wrong)


# In files.


@pytest.mark.parametrize(
    "stored",
    [BYTES, np.asfortranarray(BYTES), BYTES.astype(">u1"), BYTES[..., 0]],
    ids=["plain", "by column", "other end", "grey"],
)
def test_npy_files(tmp_path, stored):
    path = write(tmp_path, npy_bytes(stored))
    loaded = data.load(path, size=(4, 5), channels=1 if stored.ndim == 3 else 3)
    assert np.array_equal(loaded.images.reshape(stored.shape), stored)
    assert loaded.images.flags.c_contiguous and str(path) in loaded.source
    assert form(data.load(path, size=16, channels=3)) == (16, 16, 3)


def test_large_npy_files_are_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "LARGE", 100)
    images = arrays.read(write(tmp_path, npy_bytes(BYTES))).images
    assert np.array_equal(images, BYTES)
    while images.base is not None and not isinstance(images, np.memmap):
        images = images.base
    assert isinstance(images, np.memmap)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files_say_all_there_is_to_say(tmp_path, save):
    path, floats = tmp_path / "faces.npz", (BYTES / 127.5 - 1).astype(">f4")
    save(path, floats)
    with pytest.raises(UserError, match="faces.npz: images of >f4 need .* .np.savez .* from -1.0"):
        data.load(path)
    save(path, images=floats, labels=[0, 1] * 3, classes=["cat", "dog"], value_range=(-1, 1), id=7)
    loaded = data.load(path, size=(4, 5), channels=3, classes="dog", limit=2)
    assert loaded.classes == ("dog",) and loaded.labels.tolist() == [0, 0]
    assert np.array_equal(loaded.images, BYTES[[1, 3]])
    save(path, x_train=BYTES, y_train=np.zeros(6))
    with pytest.raises(UserError, match=r"no images in it, but x_train, y_train: .*np.savez\(path"):
        data.load(path)


def header(shape, descr="|u1", order=False):
    """The beginning of an .npy file."""
    text = repr({"descr": descr, "fortran_order": order, "shape": shape}).ljust(117) + "\n"
    text = text.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


PICKLED = npy_bytes(np.array([{"a": 1}], object), allow_pickle=True)


def zipped(content, size=None, name="images.npy"):
    """An .npz of one compressed member, which may lie about its size."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    packed, true = file.getvalue(), len(content).to_bytes(4, "little")
    return packed if size is None else packed.replace(true, size.to_bytes(4, "little"))


HOSTILE = {
    "pickled.npy": (PICKLED, "pickled Python objects"),
    "pickled.npz": (zipped(PICKLED), "pickled Python objects"),
    "empty.npy": (b"", "damaged, or no file of np.save"),
    "text.npz": (b"<html>not found</html>", "damaged, or no file of np.save"),
    "half.npy": (npy_bytes(BYTES)[:-9], "351 bytes for an array .6, 4, 5, 3. of uint8, truncated"),
    "more.npy": (npy_bytes(BYTES) + b"\n", "361 bytes"),
    "half.npz": (npz_bytes(images=BYTES)[:300], "damaged, or no file of np.save"),
    "huge.npy": (header((2**40, 2**20, 3)) + bytes(9), "9 bytes for an array"),
    "huge.npz": (zipped(header((2**40, 64, 64))), "0 bytes for an array"),
    "longer.npz": (zipped(npy_bytes(BYTES), 10**9), "bytes for an array"),
    "negative.npy": (header((-1, -9)) + bytes(9), "9 bytes for an array"),
    "shape.npy": (header("x"), "shape is not valid"),
    "long.npy": (header((1,) * 9000), "Header info length .* is large"),
    "version.npy": (b"\x93NUMPY\x09\x00" + bytes(90), "version"),
    "flat.npy": (npy_bytes(BYTES.reshape(6, -1)), "expected .N, H, W."),
    "first.npy": (npy_bytes(BYTES.transpose(0, 3, 1, 2)), r"transpose\(0, 2, 3, 1\)"),
    "none.npy": (npy_bytes(BYTES[:0]), "expected .N, H, W."),
    "complex.npy": (npy_bytes(BYTES * 1j), "images of complex128, expected numbers"),
    "texts.npy": (npy_bytes(np.full((2, 2, 2), "a")), "images of <U1, expected numbers"),
    "records.npy": (npy_bytes(np.zeros((2, 2, 2), "u1,u1")), "expected numbers"),
    "nan.npz": (npz_bytes(images=BYTES * np.nan, value_range=(0, 1)), "from nan to nan"),
    "range.npz": (npz_bytes(images=BYTES / 255, value_range=(0, 1, 2)), "too many values"),
    "labels.npz": (npz_bytes(images=BYTES, labels=[0, 1]), "2 labels of 6 images"),
    "names.npz": (npz_bytes(images=BYTES, labels=[9] * 6, classes=["a"]), "number 1 classes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_not_what_it_says_is_named_with_its_fault(tmp_path, name):
    content, complaint = HOSTILE[name]
    path = write(tmp_path, content, name)
    with pytest.raises(UserError, match=complaint) as caught:
        data.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 600


def test_what_memory_cannot_hold_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    """A kilobyte of .npz that says truly that it is a megabyte of black."""
    path = write(tmp_path, zipped(npy_bytes(np.zeros((1000, 32, 32), np.uint8))), "black.npz")
    assert path.stat().st_size < 3000 and len(data.load(path)) == 1000
    monkeypatch.setattr(arrays, "usable_memory", lambda: 10**6)
    with pytest.raises(UserError, match="black.npz: 0.0 GB are more than this machine's memory"):
        arrays.read(path)

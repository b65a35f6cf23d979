"""CIFAR-10 in each of the forms it comes in, with the classes asked for and every fault named."""

import io
import os
import tarfile
from types import SimpleNamespace

import numpy as np
import parity
import pytest
from PIL import Image

from minigan import data
from minigan.data import cache, cifar, download, packed, published
from minigan.errors import UserError


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No data, no network and an empty cache, whatever the machine has."""
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


def pictures(n, first=0):
    """Labels (n,) that go round the classes, and pictures (n, 32, 32, 3) that all differ."""
    numbers = np.arange(first, first + n)
    images = np.random.default_rng(5).integers(0, 256, (n, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0] = numbers
    return numbers % 10, images


def batch(labels, images):
    """A batch as its description says: label, then the red, green and blue planes."""
    return b"".join(
        bytes([label]) + b"".join(image[..., c].tobytes() for c in range(3))
        for label, image in zip(labels, images)
    )


def train_batches(n=12):
    return {f"data_batch_{i}.bin": batch(*pictures(n, n * (i - 1))) for i in range(1, 6)}


def write_set(folder, batches=None):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (batches or train_batches()).items():
        (folder / name).write_bytes(content)
    return folder


def archive(batches, mode="w:gz"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def load(name, **options):
    lines = []
    return data.load(name, size=32, channels=3, notify=lines.append, **options), lines


@pytest.mark.parametrize("place", cifar.PLACES)
def test_a_folder_of_batches_is_read_wherever_it_is(tmp_path, place):
    write_set(tmp_path / place)
    loaded, lines = load(tmp_path)
    labels, images = zip(*(pictures(12, 12 * i) for i in range(5)))
    assert np.array_equal(loaded.images, np.concatenate(images))
    assert loaded.images.dtype == np.uint8 and loaded.labels.dtype == np.int64
    assert np.array_equal(loaded.labels, np.concatenate(labels))
    assert loaded.classes == cifar.CLASSES and loaded.name == "cifar10" and lines == []


def test_an_archive_is_the_same_as_its_folder(tmp_path):
    folder = write_set(tmp_path / "folder")
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / cifar.ARCHIVE
    path.write_bytes(archive(dict(reversed(train_batches().items()))))
    plain = tmp_path / "plain.tar"
    plain.write_bytes(archive(train_batches(), mode="w"))
    expected, _ = load(folder)
    for source in (path, path.parent, plain):
        loaded, _ = load(source)
        assert np.array_equal(loaded.images, expected.images), source
        assert np.array_equal(loaded.labels, expected.labels)


def test_the_test_split_is_the_other_batch(tmp_path):
    write_set(tmp_path, train_batches() | {"test_batch.bin": batch(*pictures(7))})
    assert len(load(tmp_path)[0]) == 60 and len(load(tmp_path, split="test")[0]) == 7


def test_classes_are_chosen_by_name_or_number_and_renumbered(tmp_path):
    write_set(tmp_path)
    everything, _ = load(tmp_path)
    for classes in (("horse",), "horse", (7,), 7, np.array([7])):
        horses, _ = load(tmp_path, classes=classes)
        assert np.array_equal(horses.images, everything.images[everything.labels == 7])
        assert horses.classes == ("horse",) and set(horses.labels.tolist()) == {0}
    two, _ = load(tmp_path, classes=("horse", 1))
    assert two.classes == ("horse", "automobile")
    assert np.array_equal(two.images[two.labels == 0], horses.images)
    for wrong in ("hose", 10, -1):
        with pytest.raises(UserError, match=f"data cifar10: no class {wrong}: there are .*horse"):
            load(tmp_path, classes=(wrong,))


def test_a_class_without_pictures_is_an_error(tmp_path):
    write_set(tmp_path, {"data_batch_1.bin": batch(*pictures(3))})
    with pytest.raises(UserError, match="no pictures of class truck"):
        load(tmp_path, classes=("truck",))


def test_missing_batches_are_named(tmp_path):
    batches = train_batches()
    del batches["data_batch_2.bin"], batches["data_batch_5.bin"]
    loaded, lines = load(write_set(tmp_path, batches))
    assert len(loaded) == 36
    assert lines == ["CIFAR-10: going on without data_batch_2.bin, data_batch_5.bin"]


def test_the_form_is_that_of_the_model(tmp_path):
    write_set(tmp_path)
    assert data.load(tmp_path, size=64, channels=3).images.shape == (60, 64, 64, 3)
    assert data.load(tmp_path, limit=5).images.shape == (5, 28, 28, 1)
    assert data.load(tmp_path, auto="cifar10").images.shape == (60, 32, 32, 3)


GOOD = batch(*pictures(3))


@pytest.mark.parametrize(
    "content, complaint",
    [
        (b"", "empty, expected a batch"),
        (GOOD[:-1], "truncated, .* 9218 bytes are not a whole number of 3073-byte records"),
        (GOOD + b"\n", "9220 bytes"),
        (GOOD[:3073] + b"\x0a" + GOOD[3074:], "label 10 of picture 1, expected 0 to 9"),
    ],
)
def test_a_broken_batch_is_named_with_its_fault(tmp_path, content, complaint):
    write_set(tmp_path, train_batches() | {"data_batch_3.bin": content})
    one_line(complaint, tmp_path / "data_batch_3.bin", tmp_path)
    path = tmp_path / "set.tar.gz"
    path.write_bytes(archive({"data_batch_3.bin": content}))
    one_line(complaint, path / "data_batch_3.bin", path)


def one_line(complaint, path, source):
    with pytest.raises(UserError, match=complaint) as caught:
        load(source)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message


def test_a_broken_archive_is_named_with_its_fault(tmp_path):
    path = tmp_path / cifar.ARCHIVE
    good = archive(train_batches())
    for content, complaint in (
        (b"", "damaged or no archive"),
        (b"<html>", "damaged or no archive"),
        (good[: len(good) // 2], "damaged or no archive"),
        (good[:5000] + bytes(500) + good[5500:], "damaged or no archive"),
        (archive({"batches.meta": b""}), "no pictures in it .it has .*batches.meta"),
    ):
        path.write_bytes(content)
        one_line(complaint, path, path)


def test_an_archive_cannot_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "DENSEST", 1)
    monkeypatch.setattr(packed, "SLACK", 5000)
    path = tmp_path / cifar.ARCHIVE
    path.write_bytes(archive({"data_batch_1.bin": GOOD}))
    one_line("damaged or no archive", path, path)


def test_a_batch_that_cannot_be_read(tmp_path):
    write_set(tmp_path)
    (tmp_path / "data_batch_1.bin").unlink()
    (tmp_path / "data_batch_1.bin").mkdir()
    one_line("cannot be read", tmp_path / "data_batch_1.bin", tmp_path)
    with pytest.raises(UserError, match="no data_batch_1.bin and no cifar-10-binary.tar.gz in"):
        cifar.read(tmp_path / "data_batch_1.bin", notify=print)


def write_jpegs(folder):
    for name in ("horse", "automobile"):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(pictures(1, i)[1][0]).save(folder / name / f"{i}.jpg")
    return folder


def test_minigan_data_may_hold_picture_files_by_class(tmp_path, monkeypatch):
    write_jpegs(tmp_path / "cifar10")
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path))
    for name in ("auto", "cifar10"):
        horses, _ = load(name, auto="cifar10", classes=("horse",))
        assert horses.files == ("horse/0.jpg", "horse/1.jpg", "horse/2.jpg")
        assert horses.classes == ("horse",) and horses.name == "cifar10"
        assert horses.images.shape == (3, 32, 32, 3)
    assert load("cifar10")[0].classes == ("automobile", "horse")
    with pytest.raises(UserError, match="data cifar10: no class cat: there are automobile, horse"):
        load("cifar10", classes=("cat",))


def test_the_example_learns_horses_where_it_finds_cifar_and_nobody_asks_for_more(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path))
    write_jpegs(tmp_path / "cifar10")
    cifar_dcgan = parity.example("cifar_dcgan")

    def learnt(name, classes=None):
        options = SimpleNamespace(data=name, classes=classes, limit=2)
        return cifar_dcgan.load(options).classes, options.classes

    assert learnt("auto") == learnt("cifar10") == (("horse",), ["horse"])
    assert learnt("auto", ["automobile"]) == (("automobile",), ["automobile"])
    assert learnt(str(tmp_path / "cifar10/horse")) == (None, None)
    assert learnt("digits") == (tuple("0123456789"), None)
    with pytest.raises(UserError, match="data digits: no class horse"):
        learnt("digits", ["horse"])


def test_a_path_with_classes_gives_these_and_without_all_its_pictures(tmp_path):
    write_jpegs(tmp_path)
    assert load(tmp_path, classes=("horse",))[0].files[0] == "horse/0.jpg"
    everything, _ = load(tmp_path)
    assert len(everything) == 6 and everything.name == "folder"
    with pytest.raises(UserError, match="horse: no classes to choose from: .* sub-folder"):
        load(tmp_path / "horse", classes=("horse",))


def test_where_there_are_two_sets_the_example_decides(tmp_path, monkeypatch):
    write_set(tmp_path / "cifar10")
    (tmp_path / "mnist").mkdir()
    content = np.array([2051, 2, 28, 28], ">u4").tobytes() + bytes(2 * 784)
    (tmp_path / "mnist" / "train-images-idx3-ubyte").write_bytes(content)
    assert load(tmp_path)[0].name == "mnist"
    assert load(tmp_path, auto="cifar10")[0].name == "cifar10"
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path))
    assert load("auto")[0].name == "mnist" and load("auto", auto="cifar10")[0].name == "cifar10"


def test_auto_without_cifar_says_so_and_gives_digits_in_colour(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path))
    loaded, lines = load("auto", auto="cifar10", limit=20)
    assert loaded.name == "digits" and loaded.images.shape == (20, 32, 32, 3)
    assert len(lines) == 2 and "no CIFAR-10 train set" in lines[0]
    assert lines[1].startswith("using the built-in digits: no CIFAR-10") and "--data" in lines[1]
    with pytest.raises(UserError, match="data digits: no class horse: there are 0, 1, 2, "):
        load("auto", auto="cifar10", classes=("horse",))
    with pytest.raises(UserError, match="no CIFAR-10 in .*switched off"):
        load("cifar10")


@pytest.fixture
def mirror(monkeypatch):
    """A mirror that delivers a small CIFAR-10; the list of addresses it was asked for."""
    import hashlib

    content, asked = archive(train_batches() | {"test_batch.bin": GOOD}), []
    monkeypatch.delenv("MINIGAN_OFFLINE")
    monkeypatch.setattr(cifar, "ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())

    def fetch(urls, *, accept, limit, timeout, patience):
        asked.append(urls[0])
        assert limit == cifar.ARCHIVE_SIZE and patience > 0
        with pytest.raises(ValueError, match="SHA-256"):
            accept(content[:-1])
        return accept(content)

    monkeypatch.setattr(download, "fetch", fetch)
    return asked


def test_cifar_is_downloaded_once_and_then_found(mirror):
    first, lines = load("auto", auto="cifar10")
    assert mirror == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]
    assert lines[0] == "downloading cifar-10-binary.tar.gz, 170 MB" and len(lines) == 2
    again, lines = load("cifar10")
    assert np.array_equal(first.images, again.images) and len(mirror) == 1 and lines == []
    assert len(load("cifar10", split="test")[0]) == 3 and len(mirror) == 1
    path = published.cache_folder("cifar10") / cifar.ARCHIVE
    path.write_bytes(path.read_bytes()[:-1])  # damaged: fetched again
    assert len(load("cifar10")[0]) == 60 and len(mirror) == 2


def test_without_a_home_it_is_downloaded_and_not_kept(mirror, monkeypatch):
    monkeypatch.setattr(cache, "cache_dir", lambda: None)
    assert len(load("cifar10")[0]) == len(load("cifar10")[0]) == 60 and len(mirror) == 2


def test_the_network_can_be_switched_off(mirror):
    assert load("auto", auto="cifar10", download=False, limit=5)[0].name == "digits"
    assert mirror == []


@pytest.fixture(scope="module")
def real_folder():
    if not os.environ.get("MINIGAN_DATA"):
        pytest.skip("set MINIGAN_DATA to a folder with cifar10/ to check the real pictures")
    return os.environ["MINIGAN_DATA"]


def test_the_real_horses(real_folder, monkeypatch):
    monkeypatch.setenv("MINIGAN_DATA", real_folder)
    if not cifar.holds(cifar.Path(real_folder)):
        pytest.skip("no CIFAR-10 in MINIGAN_DATA")
    horses, _ = load("cifar10", classes=("horse",))
    assert horses.images.shape == (5000, 32, 32, 3) and 100 < horses.images.mean() < 140

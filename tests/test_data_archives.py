"""Archives of pictures, and what sub-folders mean: read as their folder is, and never trusted."""

import gzip
import io
import os
import tarfile
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from minigan import data
from minigan.data import cache, decode, files, packed
from minigan.errors import UserError

RNG = np.random.default_rng(6)


@pytest.fixture(autouse=True)
def cached(tmp_path, monkeypatch):
    """A cache of its own; the folder where decoded pictures are kept."""
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return cache.cache_dir() / "folders"


def png(side=8):
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (side, side, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


PICTURES = {
    name: png(8 + i)
    for i, name in enumerate(
        ("horse/2.png", "car/1.png", "car/deep/er/0.PNG", "cat/1.png", "horse/10.png")
    )
}
CLASSES = ("car", "cat", "horse")


def write_folder(root, contents=PICTURES):
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_zip(path, contents=PICTURES, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("horse/", b"")
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def write_tar(path, contents=PICTURES):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write(path, contents=PICTURES):
    return (write_zip if path.suffix == ".zip" else write_tar)(path, contents)


def load(path, **options):
    lines = []
    options = dict(size=8, channels=3) | options
    return data.load(path, notify=lines.append, **options), lines


NAMES = ("set.zip", "SET.ZIP", "set.tar", "set.tar.gz", "set.tgz")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", ["", "./", "photos/"])
def test_an_archive_is_its_folder(tmp_path, name, prefix):
    expected, said = load(write_folder(tmp_path / "folder"))
    assert expected.classes == CLASSES and expected.labels.tolist() == [0, 0, 1, 2, 2]
    path = tmp_path / name
    (write_zip if name.lower().endswith("zip") else write_tar)(
        path, {prefix + name: content for name, content in PICTURES.items()}
    )
    for _ in range(2):  # decoded, and from the cache
        loaded, lines = load(path)
        assert np.array_equal(loaded.images, expected.images)
        assert np.array_equal(loaded.labels, expected.labels) and loaded.classes == CLASSES
        assert [f"{prefix}{file}".removeprefix("./") for file in expected.files] == [*loaded.files]
        assert loaded.name == expected.name and str(path) in loaded.source
    assert lines == [f"{path}: 3 classes by sub-folder: car (2), cat (1), horse (2)"]
    assert said[0] == lines[0].replace(str(path), str(tmp_path / "folder"))


@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz"])
def test_a_changed_archive_is_decoded_again(tmp_path, name, cached):
    path = write(tmp_path / name)
    first, _ = load(path)
    changed = {name: png() for name in PICTURES}
    write(path, changed)
    again, lines = load(path)
    assert not np.array_equal(first.images, again.images)
    assert any("decoding 5 pictures" in line for line in lines) and len(list(cached.iterdir())) == 1
    time_of_first = os.stat(path).st_mtime_ns
    os.utime(path, ns=(0, time_of_first + 10**9))
    assert any("decoding" in line for line in load(path)[1])


# What sub-folders mean.


@pytest.mark.parametrize(
    "names, classes",
    [
        (["a.png", "b.png"], [None, None]),
        (["cat/a.png", "dog/b.png"], ["cat", "dog"]),
        (["cat/a.png", "b.png"], ["cat", None]),
        (["cat/a.png", "cat/b.png"], ["cat", "cat"]),
        (["pets/cat/a.png", "pets/dog/b.png"], ["cat", "dog"]),
        (["x/y/cat/a.png", "x/y/dog/b.png"], ["cat", "dog"]),
        (["cat/2019/a.png", "cat/b.png"], ["cat", "cat"]),
        (["cat/old/a.png", "dog/b.png"], ["cat", "dog"]),
    ],
)
def test_a_class_is_a_folder_just_below_the_one_that_holds_all(names, classes):
    assert files.class_names(names) == classes


def test_what_sub_folders_say_is_told_in_a_line(tmp_path):
    mixed, lines = load(write_folder(tmp_path / "mixed", PICTURES | {"lost.png": png()}))
    assert mixed.labels is None and mixed.classes is None and len(mixed) == 6
    assert lines[0] == (
        f"{tmp_path / 'mixed'}: no classes, for 1 of 6 pictures lie beside the sub-folders "
        "car (2), cat (1), horse (2): move them into one"
    )
    (tmp_path / "mixed" / "lost.png").unlink()
    (tmp_path / "mixed" / "dog").mkdir()
    whole, lines = load(tmp_path / "mixed")
    assert whole.classes == CLASSES
    assert lines[-1] == f"{tmp_path / 'mixed'}: skipped 1 of 6 files: dog/ (empty)"
    one, lines = load(tmp_path / "mixed", classes="horse")
    assert one.classes == ("horse",) and one.labels.tolist() == [0, 0]
    assert one.files == ("horse/10.png", "horse/2.png")
    many = {f"{i:02}/a.png": png() for i in range(13)}
    _, lines = load(write_zip(tmp_path / "many.zip", many))
    assert lines[0].endswith("13 classes by sub-folder: " + ", ".join(
        f"{i:02} (1)" for i in range(10)) + " and 3 more")  # fmt: skip


def test_classes_and_limit_decide_what_is_decoded(tmp_path, monkeypatch, cached):
    decoded, read = [], decode.read
    monkeypatch.setattr(
        decode, "read", lambda file, **form: decoded.append(file.name) or read(file, **form)
    )
    path = write_zip(tmp_path / "set.zip")
    loaded, _ = load(path, classes=("horse", 0), limit=3)
    assert sorted(decoded) == ["car/1.png", "horse/10.png", "horse/2.png"]
    assert loaded.classes == ("horse", "car") and loaded.labels.tolist() == [1, 0, 0]
    others = (dict(classes=("car", "horse"), limit=3), dict(size=(8, 9)), dict(channels=4))
    for options in (dict(classes=("horse", "car"), limit=3), *others):
        load(path, **options)
    assert len(list(cached.iterdir())) == 1 + len(others)
    with pytest.raises(UserError, match="set.zip: no class dog: there are car, cat, horse"):
        load(path, classes=("car", "dog"))


# What is in it is left out where it is no picture, and named.


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz"])
def test_nothing_is_left_out_silently(tmp_path, name):
    more = {
        "__MACOSX/._1.png": b"x", "car/broken.jpg": png()[:60], "cat/empty.png": b"",
        "readme.txt": b"hello", "cat/.DS_Store": b"", "horse/raw.cr2": b"raw", "z.csv": b"1",
    }  # fmt: skip
    loaded, lines = load(write(tmp_path / name, PICTURES | more))
    assert len(loaded) == 5 and loaded.labels.tolist() == [0, 0, 1, 2, 2]
    assert lines[-1].startswith(f"{tmp_path / name}: skipped 7 of 12 files: car/broken.jpg (")
    assert lines[-1].endswith(
        "cat/empty.png (empty), __MACOSX/._1.png (hidden), cat/.DS_Store (hidden), "
        "horse/raw.cr2 (not a picture) and 2 more"
    )


def test_no_name_leads_out_of_an_archive(tmp_path):
    names = ("../../up.png", "/etc/root.png", "a\\..\\b.png", "../" * 50 + "etc/far.png")
    before = sorted(tmp_path.rglob("*"))
    for name in ("set.zip", "set.tar"):
        loaded, lines = load(write(tmp_path / name, {name: png() for name in names}))
        assert loaded.files == ("a\\..\\b.png", "etc/root.png")
        assert "skipped 2 of 4 files: ../../../" in lines[-1] and "(hidden)" in lines[-1]
        (tmp_path / name).unlink()
    assert [p for p in sorted(tmp_path.rglob("*")) if "home" not in p.parts] == before


def test_members_that_are_no_files_are_left_out(tmp_path):
    path = write_tar(tmp_path / "set.tar")
    with tarfile.open(path, "a") as archive:
        for name, kind in (("link.png", tarfile.SYMTYPE), ("pipe.png", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    loaded, lines = load(path)
    assert len(loaded) == 5
    assert lines[-1].endswith("skipped 2 of 7 files: link.png (not a file), pipe.png (not a file)")


# Bombs, damage.


def test_a_member_that_is_larger_than_any_picture_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "LARGEST", 10**6)
    bomb = b"\x89PNG\r\n\x1a\n" + bytes(50 * 10**6)
    path = write_zip(tmp_path / "set.zip", PICTURES | {"bomb.png": bomb})
    assert path.stat().st_size < 10**5
    start = time.process_time()
    loaded, lines = load(path)
    assert time.process_time() - start < 2 and len(loaded) == 5
    assert lines[-1].endswith("skipped 1 of 6 files: bomb.png (too large)")


def test_a_gzip_bomb_is_given_up_early(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "set.tar.gz", {"a.bmp": bytes(30 * 10**6)})
    monkeypatch.setattr(packed, "SLACK", 10**5)
    with pytest.raises(UserError, match="set.tar.gz: .* unpacks to more than 200 times its size"):
        load(path)


def test_a_zip_that_lies_about_sizes_costs_a_picture_and_no_more(tmp_path):
    """The size in the directory is made a thousand times larger, and smaller."""
    true = len(PICTURES["cat/1.png"]).to_bytes(4, "little")
    content = write_zip(tmp_path / "set.zip").read_bytes()
    start = content.index(b"PK\x01\x02")
    for size in (10**9, 10):
        lie = content[start:].replace(true, size.to_bytes(4, "little"))
        (tmp_path / "lies.zip").write_bytes(content[:start] + lie)
        loaded, lines = load(tmp_path / "lies.zip")
        assert "cat/1.png" not in loaded.files and "cat/1.png (" in lines[-1]


def test_encrypted_members_are_named(tmp_path):
    content = bytearray(write_zip(tmp_path / "set.zip").read_bytes())
    at = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    content[at + 8] |= 1
    (tmp_path / "set.zip").write_bytes(content)
    loaded, lines = load(tmp_path / "set.zip")
    assert len(loaded) == 4 and "skipped 1 of 5 files: horse/2.png (encrypted)" in lines[-1]


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz"])
def test_a_damaged_archive_is_named(tmp_path, name):
    path = write(tmp_path / name)
    good = path.read_bytes()
    bad_gzip = gzip.compress(bytes(5000))[:-9]
    two = good[: good.find(b"cat/1.png")]  # whole members of a tar, but no end
    for content in (b"", b"<html>", two, good[: len(good) // 2], good[10:], bad_gzip, b"PK\3\4"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: .*damaged or no archive .*folder") as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_one_picture_is_not_a_set(tmp_path):
    path = write_folder(tmp_path, {"a.png": png()}) / "a.png"
    with pytest.raises(UserError, match="a.png: a single picture: give the folder it is in"):
        load(path)

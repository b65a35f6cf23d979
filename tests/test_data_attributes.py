"""Attribute tables: matched by file name, and clear about what does not fit."""

import numpy as np
import pytest

from minigan.data import Dataset, attributes, digits
from minigan.errors import UserError

TABLE = """\
image_id,Blond_Hair,Smiling
c.jpg,1,-1
a.jpg,-1,-1
b.jpg,1,1
"""


def pictures(*files):
    """Pictures whose pixels all hold their number."""
    numbers = np.arange(len(files), dtype=np.uint8)
    images = np.tile(numbers[:, None, None, None], (1, 2, 2, 3))
    return Dataset(images, None, "folder", "made for this test", files=files)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def lines():
    return []


def test_labels_follow_the_names_and_not_the_order(table, lines):
    dataset = attributes.label(
        pictures("a.jpg", "b.jpg", "c.jpg"), "Blond_Hair", table=table, notify=lines.append
    )
    assert dataset.labels.tolist() == [0, 1, 1] and dataset.labels.dtype == np.int64
    assert dataset.classes == ("not_Blond_Hair", "Blond_Hair")
    assert len(dataset) == 3 and dataset.files == ("a.jpg", "b.jpg", "c.jpg")
    assert lines[-1] == "attribute Blond_Hair: 2 pictures have it, 1 have not"


def test_what_is_missing_on_one_side_is_counted_and_left_out(table, lines):
    dataset = pictures("a.jpg", "a2.jpg", "c.jpg", "z.jpg")
    dataset = attributes.label(dataset, "Blond_Hair", table=table, notify=lines.append)
    assert dataset.labels.tolist() == [0, 1] and dataset.files == ("a.jpg", "c.jpg")
    assert dataset.images[:, 0, 0, 0].tolist() == [0, 2]
    assert lines[0] == (
        f"{table}: 2 pictures have a row; 2 pictures without a row are left out, "
        "1 rows have no picture"
    )


def test_folders_may_be_left_out(table, lines):
    dataset = pictures("x/a.jpg", "x/b.jpg", "y/c.jpg")
    labels = attributes.label(dataset, "Smiling", table=table, notify=lines.append).labels
    assert labels.tolist() == [0, 1, 0]
    with pytest.raises(UserError, match=r"a.jpg may be x/a.jpg or y/a.jpg"):
        attributes.label(pictures("x/a.jpg", "y/a.jpg"), "Smiling", table=table)
    table.write_text("image_id,Smiling\nx/a.jpg,1\ny/a.jpg,-1\n")
    dataset = attributes.label(pictures("x/a.jpg", "y/a.jpg"), table=table, notify=lines.append)
    assert dataset.labels.tolist() == [1, 0]


def test_the_only_attribute_needs_no_name(lines):
    dataset = attributes.label(digits.load(size=32, channels=3, limit=20), notify=lines.append)
    assert dataset.classes == ("not_Warm", "Warm")
    np.testing.assert_array_equal(dataset.labels, dataset.attributes["Warm"] > 0)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "should begin with image_id"),
        ("name,Smiling\na.jpg,1\n", "should begin with image_id, it is 'name,Smiling'"),
        ("image_id,Smiling\na.jpg,0\n", "line 2: Smiling of a.jpg is '0': give 1 or -1"),
        ("image_id,Smiling\na.jpg,1\nb.jpg,yes\n", "line 3: Smiling of b.jpg is 'yes'"),
        ("image_id,Smiling\na.jpg,1,1\n", "line 2: 3 values in a table of 2 columns"),
        ("image_id,Smiling\na.jpg\n", "line 2: 1 values in a table of 2 columns"),
        ("image_id,Smiling\na.jpg,1\na.jpg,1\n", "line 3: a.jpg has a row already"),
        ("image_id,Blond_Hair\na.jpg,1\n", "no attribute 'Smiling'; there are Blond_Hair"),
        ("image_id\na.jpg\n", "no attribute 'Smiling'; there are none"),
        ("image_id,Smiling\nz.jpg,1\n", "names none of the pictures: it has z.jpg, the first "),
        ("image_id,Smiling\n", "names none of the pictures: it has no row"),
        ("image_id,Smiling\na.jpg,1\nb.jpg,1\n", "2 of 2 pictures have it; two kinds"),
        ("image_id,Smiling\na.jpg,-1\n", "0 of 1 pictures have it"),
        (b"image_id,Smiling\n\xff\xd8\xff,1\n", "not a CSV file of text"),
        (b"image_id,Smiling\na\x00.jpg,1,2\n", ""),
    ],
)
def test_what_is_wrong_is_said_in_one_line(table, lines, text, words):
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        attributes.label(pictures("a.jpg", "b.jpg"), "Smiling", table=table, notify=lines.append)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_blank_lines_spaces_and_a_byte_order_mark_do_no_harm(table):
    table.write_text("\ufeffimage_id, Smiling\r\n\r\na.jpg, -1\r\nb.jpg, 1\r\n", encoding="utf-8")
    assert attributes.read(table, "Smiling") == ("Smiling", {"a.jpg": -1, "b.jpg": 1})


@pytest.mark.parametrize("attribute, words", [
    (None, "which attribute? there are Blond_Hair, Smiling"),
    ("smiling", "no attribute 'smiling'; there are Blond_Hair, Smiling"),
])  # fmt: skip
def test_attributes_that_are_not_there(table, attribute, words):
    with pytest.raises(UserError) as caught:
        attributes.label(pictures("a.jpg"), attribute, table=table)
    assert words in str(caught.value)


def test_data_without_attributes_or_files(table):
    plain = Dataset(np.zeros((2, 2, 2, 3), np.uint8), None, "plain", "made for this test")
    with pytest.raises(UserError, match="data plain has no attribute 'Smiling'; there are none"):
        attributes.label(plain, "Smiling")
    with pytest.raises(UserError, match="data plain are not files"):
        attributes.label(plain, "Smiling", table=table)
    with pytest.raises(UserError, match="no attribute table at"):
        attributes.label(plain, "Smiling", table=table.with_name("other.csv"))
    with pytest.raises(UserError, match="cannot read"):
        attributes.label(plain, "Smiling", table=table.parent)


def test_find(tmp_path):
    inside, beside = tmp_path / "home" / "pictures" / "in.csv", tmp_path / "home" / "out.csv"
    inside.parent.mkdir(parents=True)
    with pytest.raises(UserError, match="no attribute table"):
        attributes.find(inside.parent)
    beside.write_text(TABLE)
    assert attributes.find(inside.parent) == beside
    inside.write_text(TABLE)
    assert attributes.find(str(inside.parent)) == inside
    inside.with_name("another.csv").write_text(TABLE)
    with pytest.raises(UserError, match=r"several tables: name one of another.csv, in.csv"):
        attributes.find(inside.parent)

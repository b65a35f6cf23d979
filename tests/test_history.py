"""history.csv: exact numbers, torn lines, resume."""

import builtins
import os
import time

import numpy as np
import pytest

from minigan.errors import UserError
from minigan.training.history import BUFFERED_ROWS, History

NAMES = ("d_loss", "g_loss")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "history.csv"


def filled(path, steps):
    history = History(path, NAMES)
    for step in range(1, steps + 1):
        history.append(step, (step - 1) // 4 + 1, {"d_loss": step / 3, "g_loss": -step / 7})
    return history


def test_layout(path):
    history = History(path, NAMES)
    history.append(1, 1, {"g_loss": 2, "d_loss": np.float32(0.1)})
    history.append(2, 1, {"d_loss": 0.1 + 0.2})
    history.flush()
    assert path.read_text() == (
        "step,epoch,d_loss,g_loss\n1,1,0.1,2.0\n2,1,0.30000000000000004,nan\n"
    )


def test_numbers_read_back_exactly(path):
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**63, 500, dtype=np.uint64)
    doubles = bits.view(np.float64)
    singles = (bits % 2**31).astype(np.uint32).view(np.float32)
    history = History(path, NAMES)
    for step, (double, single) in enumerate(zip(doubles, singles)):
        history.append(step, 1, {"d_loss": float(double), "g_loss": single})
    columns = history.columns()
    np.testing.assert_array_equal(columns["d_loss"], doubles)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(columns["g_loss"].astype(np.float32), singles)


def test_columns(path):
    columns = filled(path, 10).columns()
    assert list(columns) == ["step", "epoch", *NAMES]
    assert columns["step"].dtype == columns["epoch"].dtype == np.int64
    assert columns["step"].tolist() == list(range(1, 11))
    assert columns["epoch"].tolist() == [1] * 4 + [2] * 4 + [3] * 2
    np.testing.assert_array_equal(columns["g_loss"], -np.arange(1, 11) / 7)


def test_no_rows(path):
    columns = History(path, NAMES).columns()
    assert {name: column.shape for name, column in columns.items()} == dict.fromkeys(
        ["step", "epoch", *NAMES], (0,)
    )


def test_rows_are_buffered_but_not_for_ever(path):
    history = filled(path, BUFFERED_ROWS - 1)
    assert len(History.read(path)["step"]) == 0
    history.append(BUFFERED_ROWS, 1, {})
    assert len(History.read(path)["step"]) == BUFFERED_ROWS


def test_continues_a_file(path):
    filled(path, 3).flush()
    history = History(path, NAMES)
    history.append(4, 1, {})
    assert history.columns()["step"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("lost", [1, 3, 9])
def test_a_torn_last_line_is_dropped(path, lost):
    filled(path, 3).flush()
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) - lost)
    assert History.read(path)["step"].tolist() == [1, 2]
    history = History(path, NAMES)
    history.append(3, 1, {"d_loss": 5.0})
    assert history.columns()["d_loss"].tolist() == [1 / 3, 2 / 3, 5.0]


@pytest.mark.parametrize("beginning", ["", "st", "step,epoch,d_loss,g_loss"])
def test_a_torn_header_is_written_again(path, beginning):
    path.parent.mkdir()
    path.write_text(beginning)
    assert len(History(path, NAMES).columns()["step"]) == 0


def test_truncate_drops_later_steps_buffered_or_not(path):
    history = filled(path, 6)
    history.flush()
    history.append(7, 2, {})
    history.truncate(4)
    history.append(5, 2, {"d_loss": 9.0})
    assert history.columns()["step"].tolist() == [1, 2, 3, 4, 5]
    assert history.columns()["d_loss"][-1] == 9.0
    assert os.listdir(path.parent) == ["history.csv"]


def test_truncate_keeps_the_text_of_the_rows(path):
    history = filled(path, 6)
    history.flush()
    before = path.read_text()
    history.truncate(6)
    assert path.read_text() == before
    history.truncate(0)
    assert path.read_text() == "step,epoch,d_loss,g_loss\n"


def test_a_missing_file_is_begun(path):
    history = History(path, NAMES)
    history.truncate(100)
    assert len(history.columns()["step"]) == 0
    path.unlink()
    history.append(1, 1, {})
    assert history.columns()["step"].tolist() == [1]


@pytest.mark.parametrize(
    "text, continued",
    [
        ("step,epoch,d_loss\n1,1,2.0\n", "step,epoch,d_loss,g_loss\n1,1,2.0,nan\n2,1,3.5,4.5\n"),
        ("step,epoch,g_loss,d_loss,x\n1,1,2.0,0.1,7\n", None),
        (
            "step,epoch,x\n1,1,2.0\n2,1",
            "step,epoch,x,d_loss,g_loss\n1,1,2.0,nan,nan\n2,1,nan,3.5,4.5\n",
        ),
    ],
)
def test_a_file_of_other_columns_is_continued_with_those_of_both(path, text, continued):
    """As an older version wrote it, or before a column had its first value."""
    path.parent.mkdir()
    path.write_text(text)
    history = History(path, NAMES)
    history.append(2, 1, {"g_loss": 4.5, "d_loss": 3.5})
    assert history.content().decode() == (continued or f"{text}2,1,4.5,3.5,nan\n")
    assert os.listdir(path.parent) == ["history.csv"]


def test_a_column_that_comes_later(path):
    history = filled(path, 2)
    history.add_columns(["g_loss", "norm_dG"])
    history.append(3, 1, {"d_loss": 1.0, "norm_dG": np.float32(0.1)})
    columns = history.columns()
    assert list(columns) == ["step", "epoch", *NAMES, "norm_dG"]
    np.testing.assert_array_equal(columns["norm_dG"], [np.nan, np.nan, 0.1])
    np.testing.assert_array_equal(columns["d_loss"], [1 / 3, 2 / 3, 1.0])


def test_a_history_begun_anew_has_its_own_columns(path):
    """A run that was killed before its first checkpoint leaves its rows to one that begins."""
    filled(path, 60).add_columns(["variety"])
    history = History(path, NAMES)
    history.truncate(0)
    assert history.content() == b"step,epoch,d_loss,g_loss\n"


@pytest.mark.parametrize("text", ["hello", "a,b\n"])
def test_another_file_is_refused(path, text):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match="step,epoch,d_loss,g_loss") as caught:
        History(path, NAMES)
    assert "\n" not in str(caught.value) and text.split("\n")[0] in str(caught.value)
    assert path.read_text() == text


@pytest.mark.parametrize("rows", ["1,1,two\n", "1,1\n", "1,1,1\n1,1\n"])
def test_reading_damaged_rows_is_refused(tmp_path, rows):
    (tmp_path / "file").write_text("step,epoch,x\n" + rows)
    with pytest.raises(UserError, match="damaged") as caught:
        History.read(tmp_path / "file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\x89PNG\n"])
def test_reading_something_else_is_refused(tmp_path, text):
    (tmp_path / "file").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="not a history") as caught:
        History.read(tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_reading_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        History.read(tmp_path / "file")


@pytest.mark.parametrize("names", [("a", "a"), ("step",), ("a,b",), ("a\nb",)])
def test_names_that_a_csv_cannot_hold(path, names):
    with pytest.raises(ValueError, match="columns"):
        History(path, names)
    assert not path.exists()


def test_unknown_names_are_refused(path):
    with pytest.raises(ValueError, match="d_los'"):
        History(path, NAMES).append(1, 1, {"d_los": 1.0})


def test_a_full_disk_leaves_no_half_row_and_loses_none(path, monkeypatch):
    history = filled(path, 2)
    history.flush()
    history.append(3, 1, {})

    class FullDisk:
        def __init__(self, *args):
            self.file = open_file(*args, buffering=0)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[:3])
            raise OSError(28, "No space left on device")

    open_file = open
    monkeypatch.setattr(builtins, "open", FullDisk)
    with pytest.raises(OSError, match="No space"):
        history.flush()
    monkeypatch.undo()
    assert path.read_bytes().endswith(b"\n")
    assert history.columns()["step"].tolist() == [1, 2, 3]


def test_a_long_history_is_quick(path):
    start = time.process_time()
    columns = filled(path, 120_000).columns()
    assert len(columns["step"]) == 120_000
    assert time.process_time() - start < 5  # 0.8 s on an idle core

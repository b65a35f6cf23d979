"""The progress line, on a fake terminal and a fake clock."""

import io
import re
import timeit

import pytest

from minigan.training.progress import REPORT_SECONDS, Progress

VALUES = {"d_loss": 0.5324, "g_loss": 1.25, "d_real": 0.61, "d_fake": 0.33}


class Stream(io.StringIO):
    def __init__(self, terminal, encoding="utf-8"):
        super().__init__()
        self._terminal, self._encoding = terminal, encoding

    encoding = property(lambda self: self._encoding)

    def isatty(self):
        return self._terminal

    def write(self, text):
        text.encode(self.encoding)  # as a real stream would
        return super().write(text)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


def build(stream, clock, total=1000, **options):
    options = {"steps_per_epoch": 100, "batch_size": 64} | options
    return Progress(total, stream=stream, clock=clock, **options)


def run(progress, clock, steps, seconds=0.01):
    for step in steps:
        clock.now += seconds
        progress.update(step, VALUES)


def screen(text, width=10_000):
    """The lines a terminal of `width` columns shows after `text`."""
    lines, column = [[]], 0
    for character in text:
        if character == "\n":
            lines.append([])
            column = 0
        elif character == "\r":
            column = 0
        else:
            if column == width:  # wrapped
                lines.append([])
                column = 0
            lines[-1][column : column + 1] = [character]
            column += 1
    return ["".join(line).rstrip() for line in lines]


def test_the_whole_line(clock):
    stream = Stream(terminal=True)
    run(build(stream, clock), clock, range(1, 426), seconds=0.02)
    (line,) = screen(stream.getvalue())
    assert re.fullmatch(
        r" 42%  █{12}░{18}  epoch 5/10  step 42\d/1000  ETA 0:12  "
        r"d_loss 0.532  g_loss 1.250  D\(x\) 0.610  D\(G\(z\)\) 0.330  3200 images/s",
        line,
    )


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 120])
def test_never_wraps_and_drops_the_least_important(clock, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Stream(terminal=True)
    run(build(stream, clock), clock, range(1, 301))
    (line,) = screen(stream.getvalue(), columns - 1)
    assert len(line) < columns and "29%" in line and "ETA" in line
    assert ("d_loss" in line) == (columns >= 40)
    assert ("░" in line) == (columns >= 80)
    assert ("images/s" in line) == (columns >= 120)


def test_a_narrowed_terminal_does_not_wrap(clock, monkeypatch):
    stream = Stream(terminal=True)
    progress = build(stream, clock)
    run(progress, clock, [1], seconds=1)
    stream.truncate(0), stream.seek(0)
    monkeypatch.setenv("COLUMNS", "50")
    run(progress, clock, [2], seconds=1)
    assert len(screen(stream.getvalue(), 49)) == 1


def test_a_shorter_line_covers_the_longer_one(clock):
    stream = Stream(terminal=True)
    progress = build(stream, clock)
    run(progress, clock, [1], seconds=1)
    clock.now += 1
    progress.update(2, {"d_loss": 1.0})
    (line,) = screen(stream.getvalue())
    assert line.count("images/s") == 1 and "g_loss" not in line


def test_redraws_ten_times_a_second_at_most(clock):
    stream = Stream(terminal=True)
    run(build(stream, clock, total=100_000), clock, range(10_000), seconds=0.001)
    assert 90 <= stream.getvalue().count("\r") <= 101


def test_a_pipe_gets_one_line_an_epoch(clock):
    stream = Stream(terminal=False)
    progress = build(stream, clock, total=250)
    run(progress, clock, range(1, 251))
    progress.close()
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue() and "█" not in stream.getvalue()
    assert [line.split("  ")[1:3] for line in lines] == [
        ["epoch 1/3", "step 100/250"],
        ["epoch 2/3", "step 200/250"],
        ["epoch 3/3", "step 250/250"],
    ]
    assert lines[-1].startswith("100%") and "D(G(z)) 0.330" in lines[-1]


def test_a_pipe_hears_of_every_epoch_when_updates_are_sparse(clock):
    stream = Stream(terminal=False)
    run(build(stream, clock), clock, range(0, 1001, 30))
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[2] for line in lines[:4]] == [
        "step 120/1000",
        "step 210/1000",
        "step 300/1000",
        "step 420/1000",
    ]


def test_a_pipe_hears_from_long_epochs(clock):
    stream = Stream(terminal=False)
    run(build(stream, clock), clock, range(1, 61), seconds=2)
    assert len(stream.getvalue().splitlines()) == 60 * 2 // REPORT_SECONDS


@pytest.mark.parametrize("terminal", [False, True])
def test_notes_do_not_tear_the_bar(clock, terminal):
    stream = Stream(terminal)
    progress = build(stream, clock)
    progress.note("before")
    run(progress, clock, [1, 2, 3], seconds=31)
    progress.note("saved")
    progress.close()
    progress.note("after")
    lines = screen(stream.getvalue())
    assert [line for line in lines if "%" not in line] == ["before", "saved", "after", ""]
    assert lines.index("saved") == len(lines) - (4 if terminal else 3)


def test_close_shows_the_last_state_once(clock):
    stream = Stream(terminal=True)
    progress = build(stream, clock, total=10)
    run(progress, clock, range(1, 11), seconds=0.001)
    clock.now += 64.99
    progress.close()
    progress.close()
    line, rest = screen(stream.getvalue())
    assert line.startswith("100%") and "░" not in line and "took 1:05" in line and rest == ""


def test_eta_ignores_steps_done_before_a_resume(clock):
    stream = Stream(terminal=True)
    run(build(stream, clock, start_step=900), clock, range(901, 911), seconds=1)
    assert "ETA 1:30" in screen(stream.getvalue())[0]


def test_eta_forgets_a_slow_start(clock):
    stream = Stream(terminal=True)
    progress = build(stream, clock, total=10_000)
    run(progress, clock, [1], seconds=20)
    run(progress, clock, range(2, 5001), seconds=0.1)
    assert "ETA 8:20" in screen(stream.getvalue())[0]


def test_eta_is_unknown_at_first_and_hours_are_shown(clock):
    stream = Stream(terminal=True)
    progress = build(stream, clock)
    progress.update(0, {})
    assert "ETA -:--" in screen(stream.getvalue())[0]
    run(progress, clock, [1], seconds=10)
    assert "ETA 2:46:30" in screen(stream.getvalue())[0]


@pytest.mark.parametrize("encoding, bar", [("ascii", "#"), ("cp1252", "#"), ("cp437", "█")])
def test_streams_that_cannot_show_blocks(clock, encoding, bar):
    stream = Stream(terminal=True, encoding=encoding)
    progress = build(stream, clock)
    run(progress, clock, [500], seconds=1)
    progress.note("saved 图.png")
    assert bar * 15 in stream.getvalue() and "saved ?.png" in stream.getvalue()


@pytest.mark.parametrize(
    "value, text",
    [
        (float("nan"), "nan"),
        (-0.71, "-0.710"),
        (0.0, "0.000"),
        (2e-5, "2.00e-05"),
        (1234567.0, "1.23e+06"),
    ],
)
def test_numbers(clock, value, text):
    stream = Stream(terminal=True)
    build(stream, clock).update(1, {"d_loss": value})
    assert f"d_loss {text}  " in stream.getvalue()


def test_nothing_to_do(clock):
    stream = Stream(terminal=True)
    build(stream, clock, total=0).close()
    assert stream.getvalue().startswith("\r100%")


def test_defaults_to_stderr(capsys):
    progress = Progress(2, steps_per_epoch=1, batch_size=4)
    progress.update(1, VALUES)
    out, err = capsys.readouterr()
    assert out == "" and "epoch 1/2" in err


def test_an_update_that_does_not_draw_is_cheap(clock):
    progress = build(Stream(terminal=True), clock)
    progress.update(1, VALUES)
    best = min(timeit.repeat(lambda: progress.update(2, VALUES), number=1000, repeat=5)) / 1000
    assert best < 5e-6

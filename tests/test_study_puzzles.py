"""minigan puzzle: each fault is found by its check, the engine without one passes."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from helpers import run

from minigan import kernels
from minigan.__main__ import main
from minigan.gradcheck import Check, check_all
from minigan.kernels import plain
from minigan.study import judge, puzzle
from minigan.study.puzzles import PUZZLES

pytestmark = pytest.mark.host
NUMBERS = range(1, len(PUZZLES) + 1)
UNSEEN = [number for number in NUMBERS if PUZZLES[number - 1].shows != "gradcheck"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(number):
    path = Path(f"plain_{number:02}.py")
    path.write_text(PUZZLES[number - 1].source(), encoding="utf-8")
    return path


def test_there_are_twenty_and_at_least_five_that_no_gradient_check_sees():
    assert len(PUZZLES) == len({each.title for each in PUZZLES}) == 20
    assert len(UNSEEN) >= 5
    assert all(len(set(each.hints)) == 3 for each in PUZZLES)
    assert {each.shows for each in PUZZLES} == {"gradcheck", "curve", "samples", "number"}


def test_the_engine_without_a_fault_passes():
    failed, count, broken = judge.judge(plain)
    assert not failed and not broken and count > 60


@pytest.mark.parametrize("number", NUMBERS)
def test_every_fault_is_found(number):
    module = judge.load(write(number))
    if number in UNSEEN:
        failed, _, broken = judge.judge(module)
        assert failed and not broken
        assert not any(isinstance(check, Check) for check in failed)
    else:
        with judge.in_place_of_plain(module), np.errstate(all="ignore"):
            assert not all(check.ok for check in check_all())


@pytest.mark.parametrize("number", [7, 10, 20])  # a number, a curve, samples
def test_what_is_seen_of_a_fault_that_no_gradient_check_sees(number):
    shows = PUZZLES[number - 1].shows
    lines = list(puzzle.symptoms(judge.load(write(number)), shows))
    assert lines[0] == "minigan gradcheck: every row is fine"
    if shows == "number":
        assert any(line.startswith("    found ") for line in lines)
    if shows == "curve":  # of the sum over a batch of 16, from its first step on
        ours, good = (float(line.split()[-1]) for line in lines[2:4])
        assert ours > 8 * good
    if shows == "samples":
        assert len(lines) == 3 + 14 and "@" in "".join(lines[3:])


def test_the_fault_is_in_its_process_only_until_the_block_ends():
    module = judge.load(write(5))
    before = dict(kernels.PLAIN), kernels.default
    with pytest.raises(KeyError), judge.in_place_of_plain(module):
        assert kernels.choose()[np.ndarray] is module
        raise KeyError
    assert (dict(kernels.PLAIN), kernels.default) == before


def test_a_puzzle_from_beginning_to_end(capsys):
    def words(*more):
        code = run(main, "puzzle", *more)
        return code, capsys.readouterr().out

    code, listed = words()
    assert code == 0 and len(listed.splitlines()) == 20
    code, told = words(3)
    copy = Path("puzzles/plain_03.py")
    assert code == 0 and copy.read_text(encoding="utf-8") == PUZZLES[2].source()
    assert "LeakyReLU" in told and "FAILED" in told
    assert not any(hint in told for hint in PUZZLES[2].hints)
    for hint in (1, 2, 3):
        assert words(3, "--hint", hint) == (0, PUZZLES[2].hints[hint - 1] + "\n")
    code, told = words(3, "--check")
    assert code == 1 and "not yet" in told
    copy.write_text(inspect.getsource(plain), encoding="utf-8")
    code, told = words(3, "--check")
    assert code == 0 and told.startswith("solved")
    code, told = words(3)  # what has been edited stays
    assert code == 0 and "is kept" in told and "every row is fine" in told


def test_a_file_that_stops_the_checks_is_not_right(capsys):
    copy = Path("puzzles/plain_01.py")
    copy.parent.mkdir()
    copy.write_text(inspect.getsource(plain).replace("def sigmoid(x)", "def sigma(x)"))
    assert run(main, "puzzle", 1, "--check") == 1
    told = capsys.readouterr().out
    assert "AttributeError in" in told and "NameError: name 'sigmoid'" in told
    assert "not yet" in told


@pytest.mark.parametrize("text, words, message", [
    (None, [21], "puzzle 21: there are 20"),
    (None, [0], "argument number: '0' is not an integer of at least 1"),
    (None, [1, "--hint", 4], "--hint 4: there are 3"),
    (None, ["--check"], "which puzzle? give its number"),
    (None, [1, "--check"], "no puzzles/plain_01.py: `minigan puzzle N` writes it"),
    (None, [1, "--out", "file"], "cannot write file/plain_01.py: "),
    ("x = 1\ny = (\n", [1, "--check"], "puzzles/plain_01.py, line 2: "),
    ("import nothing_of_this_name\n", [1, "--check"], "plain_01.py cannot be imported: Module"),
])  # fmt: skip
def test_the_command_refuses(capsys, text, words, message):
    Path("puzzles").mkdir()
    Path("file").write_text("")
    if text:
        Path("puzzles/plain_01.py").write_text(text)
    assert run(main, "puzzle", *words) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and message in captured.err and not captured.out

"""Any words on a command line: what they ask for, or one line that says what is wrong."""

import random

import parity
import pytest
from helpers import run

from minigan.__main__ import main as tools
from minigan.training import Run

VALUES = [
    "--",
    "-",
    "",
    " ",
    "0",
    "-0",
    "1",
    "3",
    "-1",
    "0.5",
    "1.0",
    "0.9999999",
    "0.99999999999999999",
    "1e-320",
    "1e-45",
    "5e-39",
    "1e30",
    "1e400",
    "-1e400",
    "nan",
    "inf",
    "-inf",
    "9" * 400,
    "9" * 5000,
    "0x10",
    "1_0",
    "\u0663",
    "\xb2",
    "\xbd",
    "1e",
    "e1",
    "None",
    "True",
    "auto",
    "mnist",
    "digits",
    "cpu",
    "float32",
    "float64",
    "squash",
    "horse",
    "~",
    "~nosuchuser",
    "~nosuchuser/x.csv",
    "..",
    "/",
    "/dev/null",
    "/dev/zero",
    "/proc/self/mem",
    "/nowhere/at/all",
    "a" * 300,
    "b/" * 3000,
    "new\nline",
    "tab\t",
    "\x1b[31mred",
    "\x00",
    "\udc80",
    "é",
    "名前",
    "%s%d%n",
    "{}",
    "$HOME",
    "*",
]
OPTIONS = {
    "mnist_gan": ["--lr", "--b1", "--bound", "--original", "--lr-schedule", "--init-from"],
    "dcgan": ["--lr-g", "--lr-d", "--dropout", "--flip", "--fit", "--upsample"],
    "cifar_dcgan": ["--classes"],
    "mnist_conv_gan": ["--pretrain"],
    "cgan": ["--attribute", "--attributes", "--critic-steps", "--gp-weight"],
    "wgan_gp": ["--gp-weight", "--r1", "--clip", "--critic-steps"],
    "own_pictures": ["--size", "--channels", "--loss", "--norm", "--upsample", "--penalty"],
    "toy_2d": ["--world", "--loss", "--penalty", "--strength", "--g-lr", "--d-lr", "--d-steps"],
}
COMMON = [
    "--device",
    "--data",
    "--out",
    "--epochs",
    "--steps",
    "--batch-size",
    "--seed",
    "--limit",
    "--resume",
    "--dtype",
    "--average",
    "--sample-every",
    "--summary",
    "--help",
]


class Ready(Exception):
    """A run would begin now."""


@pytest.fixture(autouse=True)
def nothing_trains(monkeypatch, tmp_path):
    """A run ends where it would begin, and a home is empty."""

    def end(self):
        raise Ready

    monkeypatch.setattr(Run, "__iter__", end)
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def words(chance, options):
    """A few options, each with a value in one word or two, or without."""
    for _ in range(chance.randrange(1, 4)):
        option, value = chance.choice(options), chance.choice(VALUES)
        yield from chance.choice([[f"{option}={value}"], [option, value], [option], [value]])


def assert_one_line(code, captured, command):
    lines = captured.err.splitlines()
    assert code in (0, 2), command
    if code == 2:
        assert lines[-1].isprintable() and "error: " in lines[-1] and len(lines[-1]) < 1500, command
    assert all(line.isprintable() for line in lines), command


@pytest.mark.parametrize("script, own", OPTIONS.items(), ids=OPTIONS)
def test_of_an_example(script, own, capsys, tmp_path):
    module, chance = parity.example(script), random.Random(script)
    data = "auto" if script == "toy_2d" else "digits"
    began = 0
    for number in range(80):
        given = list(words(chance, COMMON + own * 3))
        if "--width" not in given:
            given += ["--width", "0.01"]
        if chance.random() < 0.7:
            given += ["--out", str(tmp_path / str(number)), "--data", data, "--limit", "40"]
            given += ["--batch-size", "8"]
        command = [script, *given]
        try:
            code = run(module.main, *given)
        except Ready:
            began += 1
            continue
        finally:
            captured = capsys.readouterr()
        assert_one_line(code, captured, command)
    assert began > 0


def test_of_the_tools(capsys, tmp_path):
    chance = random.Random(0)
    for _ in range(600):
        options = [
            "--count", "--pick", "--between", "--steps", "--seed", "--label", "--straight", "--out",
            "--each", "--to=npz", "--layout", "--network", "--into", "--data", "--device", "--help",
            "sample", "info",
        ]  # fmt: skip
        named = ["sample", "interpolate", "score", "info", "export", "import", "gradcheck", "x"]
        command = [chance.choice(named), *words(chance, options)]
        if command[0] == "gradcheck" and len(command) == 3 and command[1].startswith("--seed"):
            continue  # a check that would really be made
        assert_one_line(run(tools, *command), capsys.readouterr(), command)

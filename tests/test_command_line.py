"""python -m minigan gradcheck | sample | info, and how commands end."""

import importlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers import HERE, environment, python, run, words
from PIL import Image

import minigan as mg
from minigan import training
from minigan.__main__ import main
from minigan.errors import RunFailed, UserError
from minigan.training import options
from minigan.training.pictures import grid, to_uint8


@pytest.fixture
def trained(gan, pictures, tmp_path, capsys):
    """The path of a checkpoint of a short run."""
    assert run(gan.main, *words(pictures, "run", "--steps", 5)) == 0
    capsys.readouterr()  # drop what the run said
    return tmp_path / "run" / "checkpoint.npz"


def sample(checkpoint, out, *more):
    assert run(main, "sample", checkpoint, "--out", out, *more) == 0
    return np.load(out) if out.suffix == ".npy" else np.asarray(Image.open(out))


# sample


@pytest.mark.parametrize("count", [1, 300])  # 300 is more than one batch
def test_sample_as_numbers(trained, tmp_path, count):
    images = sample(trained, tmp_path / "deep" / "x.npy", "--count", count)
    assert images.dtype == np.float32 and images.shape == (count, 28, 28, 1)
    assert -1 <= images.min() < -0.1 and 0.1 < images.max() <= 1
    assert count == 1 or (np.ptp(images, axis=0) > 0).all()  # no two are the same


def test_sample_depends_on_the_seed_alone(trained, tmp_path):
    first, same, other = (
        sample(trained, tmp_path / "x.npy", "--seed", seed) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, same) and len(first) == 16
    assert not np.isclose(first, other).all()


def test_samples_are_those_of_the_loaded_generator_in_evaluation_mode(gan, trained, tmp_path):
    G = mg.load(trained)["generator"]
    z = gan.LATENT.draw(5, seed=4, where="sample")
    images = sample(trained, tmp_path / "x.npy", "--seed", 4, "--count", 5)
    assert np.array_equal(images, G.forward(z, train=False)[0])
    assert not np.array_equal(images, G.forward(z, train=True)[0])


@pytest.mark.parametrize("name", ["sheet.png", "SHEET.PNG"])
def test_sample_as_a_sheet(trained, tmp_path, name):
    images = sample(trained, tmp_path / "x.npy", "--count", 9)
    sheet = sample(trained, tmp_path / name, "--count", 9)
    assert np.array_equal(sheet, grid(to_uint8(images, (-1, 1)))[..., 0])


def test_samples_of_a_float64_run_are_float32(gan, pictures, tmp_path):
    assert run(gan.main, *words(pictures, "run", "--steps", 1, "--dtype", "float64")) == 0
    assert sample(tmp_path / "run" / "checkpoint.npz", tmp_path / "x.npy").dtype == np.float32


@pytest.mark.parametrize("more, message", [
    (["--out", "x.jpg"], "--out x.jpg: the name must end in .png or .npy"),
    (["--out", "x"], "--out x: the name must end in .png or .npy"),
    (["--out", "folder.png"], "cannot write folder.png: Is a directory"),
    (["--out", "run/config.json/x.png"], "cannot write run/config.json/x.png: "),
    (["--out", "x.npy", "--count", 0], "argument --count: '0' is not an integer of at least 1"),
    (["--out", "x.npy", "--seed", -1], "argument --seed: '-1' is not an integer of at least 0"),
    ([], "the following arguments are required: --out"),
])
def test_sample_refuses(trained, tmp_path, capsys, more, message):
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert_refused(capsys, "sample", trained, *more, message=message)
    assert sorted(tmp_path.rglob("*")) == before


def assert_refused(capsys, *command, message):
    assert run(main, *command) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err


@pytest.mark.parametrize("command", ["sample", "info"])
def test_what_is_no_checkpoint(tmp_path, capsys, command):
    more = ["--out", tmp_path / "x.png"] if command == "sample" else []
    (tmp_path / "text.npz").write_text("words")
    for name, message in (("none.npz", "no checkpoint at"), ("text.npz", "is not a minigan")):
        assert_refused(capsys, command, tmp_path / name, *more, message=message)


def test_a_network_alone_has_no_z_to_sample_from(tmp_path, capsys):
    mg.Sequential([mg.Dense(3, 2)], name="generator").save(tmp_path / "net.npz")
    assert_refused(capsys, "sample", tmp_path / "net.npz", "--out", tmp_path / "x.png",
                   message="nothing to sample from")


@pytest.mark.parametrize("command", [["paint"], ["sample"], ["info"]])
def test_unknown_commands(capsys, command):
    assert_refused(capsys, *command, message="python -m minigan")


def test_without_a_command_there_is_help(capsys):
    assert run(main) == 0
    captured = capsys.readouterr()
    assert "draw pictures with a trained generator" in captured.out and not captured.err


def test_the_installed_command_is_there():
    """What pip makes of the project's file: a name, and the function that it calls."""
    text = (HERE.parent / "pyproject.toml").read_text()
    module, name = re.search(r'\[project.scripts\]\nminigan = "([\w.]+):(\w+)"', text).groups()
    assert callable(getattr(importlib.import_module(module), name))


# info


def test_info(trained, capsys):
    assert run(main, "info", trained) == 0
    text = capsys.readouterr().out
    for word in ("Dense(6, 784)", "generator", "6,106", "discriminator", "3,931",
                  "mnist_gan: step 5; data: 43 images mnist", "batch_size: 8"):
        assert word in text


def test_info_of_a_network(tmp_path, capsys):
    network = mg.Sequential([mg.Dense(3, 2)], name="mine")
    network.save(tmp_path / "net.npz")
    assert run(main, "info", tmp_path / "net.npz") == 0
    assert capsys.readouterr().out.rstrip() == network.summary()


# gradcheck


def test_gradcheck_prints_a_table(capsys):
    assert run(main, "gradcheck", "--seed", 2) == 0
    head, limits, *rows, last = capsys.readouterr().out.splitlines()
    assert all(word in head for word in ("verdict", "layer", "mode", "input", "2nd", "parameters"))
    assert "1e-07" in limits and "1e-04" in limits
    for title in ("BatchNorm(10)", "Dropout(0.3)", "Tanh()", "bce_with_logits", "gradient_penalty",
                  "generator_step, G through D"):
        assert any(row.startswith(f"ok       {title}") for row in rows), title
    assert last == f"{len(rows)} checks, 0 failed"


def test_gradcheck_fails_on_a_wrong_layer(capsys, monkeypatch):
    right = mg.Sigmoid.backward
    monkeypatch.setattr(mg.Sigmoid, "backward", lambda *args, **kw: 1.001 * right(*args, **kw))
    assert run(main, "gradcheck", "Sigmoid", "tanh", "Sequential") == 1
    rows = capsys.readouterr().out.splitlines()
    failed = [row.split()[1] for row in rows if row.startswith("FAILED")]
    assert failed == ["Sigmoid()"] * 2 + ["Sequential('network',"] * 2
    assert rows[-1] == "6 checks, 4 failed"
    assert sum("the first wrong layer is 2, Sequential('network'" in row for row in rows) == 2


def test_gradcheck_of_what_is_not_there(capsys):
    assert_refused(capsys, "gradcheck", "Sigmoid", "more", message="called 'more': there are Dense,")


# How commands end.


@pytest.mark.parametrize("error, code, line", [
    (UserError("no such file"), 2, "program: error: no such file"),
    (RunFailed("step 3: d_loss is nan"), 1, "program: step 3: d_loss is nan"),
    (MemoryError("9 TiB"), 2,
     "program: error: out of memory (9 TiB): ask for fewer images at a time"),
    (KeyboardInterrupt(), 130, "program: interrupted"),
])
def test_errors_become_a_line_and_a_code(capsys, error, code, line):
    def fail(argv):
        raise error

    assert run(fail) == code
    assert capsys.readouterr().err == line + "\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ValueError, match="shape"):
        training.command(lambda: np.zeros(3).reshape(2))


def test_messages_name_the_program(tmp_path):
    for command, name in (
        (["-m", "minigan", "info", "none.npz"], "python -m minigan: error: "),
        ([HERE / "narrow_gan.py", "--data", "none"], "narrow_gan.py: error: "),
    ):
        result = subprocess.run(python(*command), env=environment(tmp_path), cwd=tmp_path,
                                capture_output=True, text=True)
        assert result.returncode == 2 and result.stdout == ""
        assert result.stderr.startswith(name) and result.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE to be like")
@pytest.mark.parametrize("program, stream", [
    ("gradcheck", "stdout"), ("help", "stdout"), ("run", "stdout"), ("run", "stderr"),
])
def test_a_reader_that_stops_reading_ends_the_program_quietly(pictures, tmp_path, program, stream):
    command = python(*{
        "gradcheck": ["-m", "minigan", "gradcheck"],
        "help": ["-m", "minigan", "--help"],
        "run": [HERE / "narrow_gan.py", *words(pictures, "out", "--steps", 1)],
    }[program])
    reader, writer = os.pipe()
    os.close(reader)
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE) | {stream: writer}
    result = subprocess.run(command, env=environment(tmp_path), cwd=tmp_path, **streams)
    os.close(writer)
    assert result.returncode == 141
    assert b"rror" not in (result.stderr or b"")


@pytest.mark.parametrize("system, line", [
    ("posix", "python examples/gan.py --resume --out 'my runs/it'\"'\"'s one'"),
    ("nt", "python examples/gan.py --resume --out \"my runs/it's one\""),
])
def test_command_lines_are_quoted_as_the_system_wants(monkeypatch, system, line):
    monkeypatch.setattr(options.os, "name", system)
    command = ["python", "examples/gan.py", "--resume", "--out", "my runs/it's one"]
    assert options.command_line(command) == line

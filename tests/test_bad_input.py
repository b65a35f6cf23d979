"""Bad input: one line that says what is wrong, exit code 2, and nothing lost.

A run that cannot go on (losses that are not finite) ends with exit code 1 instead.
"""

import errno
import gzip
import itertools
import os
import shutil
import stat
import struct
import subprocess
import sys

import narrow_gan
import numpy as np
import pytest
from helpers import (
    HERE,
    IMAGES_NAME,
    arrays,
    assert_same_results,
    at_step,
    environment,
    idx_bytes,
    npz_bytes,
    python,
    run,
    words,
    write_idx,
)

import minigan as mg
from minigan.training import checkpoint
from minigan.training.history import History


@pytest.fixture
def refused(gan, capsys):
    """refused(words..., message): the command ends with 2 and one line that has `message`."""

    def check(*command, message):
        capsys.readouterr()  # drop what earlier runs said
        assert run(gan.main, *command) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1, captured.err
        assert message in captured.err

    return check


@pytest.fixture
def begun(gan, pictures, tmp_path):
    """The folder of a run of one epoch."""
    assert run(gan.main, *words(pictures, tmp_path / "begun", "--epochs", 1)) == 0
    return tmp_path / "begun"


# The command line.

NOT_SIZES = ["0", "-3", "1.5", "many", "nan", "inf", "1e3", ""]


@pytest.mark.parametrize(
    "option, values",
    [
        ("--batch-size", NOT_SIZES),
        ("--epochs", NOT_SIZES),
        ("--steps", NOT_SIZES),
        ("--limit", NOT_SIZES),
        ("--seed", ["-1", "0.5", "x"]),
        ("--lr", ["0", "-0.1", "nan", "inf", "-inf", "1e400", "1.01", "fast", ""]),
        ("--b1", ["-0.1", "1", "nan", "x"]),
        ("--bound", ["-1", "0.5", "101", "inf", "x"]),
        ("--device", ["tpu", "GPU", ""]),
        ("--dtype", ["float16", "int8"]),
    ],
)
def test_values_out_of_range(refused, capsys, option, values, tmp_path):
    for value in values:
        refused(f"{option}={value}", "--out", tmp_path / "out", message=f"argument {option}: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command, message",
    [
        (["--momentum", 1], "unrecognized arguments: --momentum 1"),
        (["--lr"], "argument --lr: expected one argument"),
        (["more"], "unrecognized arguments: more"),
    ],
)
def test_unknown_words(refused, command, message):
    refused(*command, message=message)


@pytest.mark.parametrize(
    "more, message",
    [
        (["--batch-size", 44], "--batch-size 44 is above the 43 images there are"),
        (["--limit", 5], "--batch-size 8 is above the 5 images there are"),
        (["--limit", 44], "limit 44 is not a number of pictures in mnist"),
    ],
)
def test_more_than_there_is(refused, pictures, tmp_path, more, message):
    refused(*words(pictures, tmp_path / "out", *more), message=message)


def test_gpu_without_cupy(refused, pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    refused(
        *words(pictures, tmp_path / "out", "--device", "gpu"),
        message="CuPy is not installed; pip install 'minigan[gpu]'",
    )


def test_auto_without_cupy_takes_the_cpu(stand_in, gan, pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert run(gan.main, *words(pictures, tmp_path / "out", "--device", "auto")) == 0


# The data.

IMAGES = idx_bytes(20)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "empty"),
        (IMAGES[:9], "too short"),
        (IMAGES[:-1], "truncated"),
        (IMAGES + b"\0", "trailing bytes"),
        (struct.pack(">I", 0x0801) + IMAGES[4:], "magic number"),
        (struct.pack(">4I", 0x0803, 21, 28, 28) + IMAGES[16:], "truncated"),
        (struct.pack(">4I", 0x0803, 20, 14, 56) + IMAGES[16:], "14x56 pixels, expected 28x28"),
        (struct.pack(">4I", 0x0803, 0, 28, 28), "no images in it"),
        (gzip.compress(IMAGES)[:-9], "gzip"),
        (gzip.compress(IMAGES)[:40] + b"damaged" + gzip.compress(IMAGES)[47:], "gzip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damaged_data(refused, tmp_path, content, message):
    (tmp_path / IMAGES_NAME).write_bytes(content)
    for place in (tmp_path, tmp_path / IMAGES_NAME):
        refused(*words(place, tmp_path / "out"), message=message)


def test_missing_data(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(*words(tmp_path / "none", tmp_path / "out"), message="no such file or folder")
    refused(*words(tmp_path / "empty", tmp_path / "out"), message=f"no {IMAGES_NAME}")


def test_unreadable_data(refused, tmp_path):
    folder = write_idx(tmp_path / "idx", 20)
    (tmp_path / "idx" / IMAGES_NAME).chmod(0)
    if os.access(tmp_path / "idx" / IMAGES_NAME, os.R_OK):
        pytest.skip("this user may read everything")
    refused(*words(folder, tmp_path / "out"), message="cannot be read (Permission denied)")


# The folder of results.


def test_out_is_or_lies_under_a_file(refused, pictures, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/out"):
        refused(*words(pictures, tmp_path / out), message="is, or lies under, a file")
    assert (tmp_path / "file").read_text() == "mine"


def test_out_that_cannot_be_made(refused, pictures):
    if not os.path.isdir("/proc/self"):
        pytest.skip("needs a folder in which nobody can make one")
    refused(*words(pictures, "/proc/out"), message="cannot make --out /proc/out: ")


def test_out_that_cannot_be_written(refused, pictures, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.access(tmp_path / "out", os.W_OK):
        pytest.skip("this user may write everywhere")
    refused(*words(pictures, tmp_path / "out"), message="is not writable")
    refused(*words(pictures, tmp_path / "out" / "deep"), message="cannot make --out")


def test_a_new_run_into_the_folder_of_another(refused, pictures, tmp_path, whole):
    shutil.copytree(whole, tmp_path / "out")
    refused(*words(pictures, tmp_path / "out"), message="holds a run already: add --resume")
    assert_same_results(tmp_path / "out", whole)


# Resume.


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda whole: None, "no checkpoint at"),
        (lambda whole: b"", "not a minigan checkpoint"),
        (lambda whole: whole[: len(whole) // 2], "truncated or damaged"),
        (lambda whole: whole[:-1], "truncated or damaged"),
        (lambda whole: b"words\n", "not a minigan checkpoint"),
        (lambda whole: npz_bytes(params=np.zeros(3)), "not a minigan checkpoint"),
        (lambda whole: npz_bytes(params=np.array([{}], object)), "pickled Python objects"),
    ],
    ids=["none", "empty", "half", "one byte short", "text", "foreign", "pickled"],
)
def test_resume_from_what_is_no_checkpoint(refused, begun, change, message):
    path = begun / "checkpoint.npz"
    content = change(path.read_bytes())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    refused("--resume", "--out", begun, message=message)
    assert (path.read_bytes() if path.exists() else None) == content


def test_resume_from_a_network_and_from_another_program(refused, begun):
    path = begun / "checkpoint.npz"
    stored = checkpoint.Checkpoint(path)
    for run_stored in (None, stored.run | {"name": "other_gan"}):
        checkpoint.save(path, stored.networks(), run=run_stored)
        refused("--resume", "--out", begun, message="was not written by this program")


@pytest.mark.parametrize(
    "more, message",
    [
        (["--seed", 1], "another configuration: seed is 0 there, 1 here"),
        (
            ["--limit", 20, "--batch-size", 9],
            "another configuration: batch_size is 8 there, 9 here; limit is None there, 20 here",
        ),
        (["--original"], "original is False there, True here"),
        (["--dtype", "float64"], "dtype is float32 there, float64 here"),
        (["--limit", 40], "limit is None there, 40 here"),
        (["--steps", 4], "up to step 4: it is at step 5 already; give more --epochs or --steps"),
    ],
)
def test_resume_with_another_configuration(refused, begun, more, message):
    before = (begun / "checkpoint.npz").read_bytes()
    refused("--resume", "--out", begun, *more, message=message)
    assert (begun / "checkpoint.npz").read_bytes() == before


def test_the_same_configuration_said_again_is_no_other(gan, pictures, begun, whole):
    assert run(gan.main, "--resume", *words(pictures, begun, "--seed", 0)) == 0
    assert_same_results(begun, whole)


@pytest.mark.parametrize(
    "count, seed, message",
    [
        (42, 0, "other data: 43 images mnist there, 42 images mnist here"),
        (43, 1, "43 images mnist here, but with other pixels"),
    ],
)
def test_resume_with_other_data(refused, begun, tmp_path, count, seed, message):
    folder = write_idx(tmp_path / "idx", count, seed=seed)
    refused("--resume", "--out", begun, "--data", folder, message=message)


@pytest.mark.parametrize("changed", ["generator", "discriminator"])
def test_resume_with_another_architecture(gan, refused, begun, changed, monkeypatch):
    def other(options):
        layers = getattr(narrow_gan, changed)(options).layers
        return mg.Sequential([*layers, mg.Tanh()], name=changed)

    monkeypatch.setattr(gan, changed, other)
    refused("--resume", "--out", begun, message=f"holds another {changed} than this program")


# Disks that fill up.


def test_a_disk_that_is_full_from_any_write_on(gan, pictures, tmp_path, capsys, monkeypatch, whole):
    replace = os.replace

    def full_after(writes):
        """An os.replace that works so many times."""
        left = itertools.repeat(None, writes)

        def replace_or_fail(*paths):
            if next(left, "none left"):
                raise OSError(errno.ENOSPC, "No space left on device")
            replace(*paths)

        return replace_or_fail

    for writes in itertools.count():
        out = tmp_path / f"full{writes}"
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full_after(writes))
            code = run(gan.main, *words(pictures, out, "--epochs", 1))
        line = capsys.readouterr().err.splitlines()[-1]
        if code == 0:
            break
        assert code == 2 and "No space left on device; " in line
        assert not list(out.rglob("*.tmp"))
        if (out / "checkpoint.npz").exists():
            step = checkpoint.Checkpoint(out / "checkpoint.npz").run["step"]
            assert f"the last good checkpoint is that of step {step}; go on with: " in line
            assert run(gan.main, "--resume", "--out", out, "--epochs", 2) == 0
        else:
            assert line.endswith("no checkpoint was written yet")
            assert run(gan.main, *words(pictures, out)) == 0
        assert_same_results(out, whole)
    # Config, sheet, checkpoint; history twice, sheet, losses, checkpoint; GIF, report.
    assert writes == 10


@pytest.mark.host
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_disk_that_is_full_in_the_middle_of_a_checkpoint(gan, pictures, tmp_path, begun, whole):
    import resource

    good = (begun / "checkpoint.npz").read_bytes()
    for limit in (len(good) - 100, len(good) * 3 // 4):
        command = python(HERE / "narrow_gan.py", "--resume", *words(pictures, begun))
        result = subprocess.run(
            command,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            preexec_fn=lambda limit=limit: resource.setrlimit(
                resource.RLIMIT_FSIZE, (limit, limit)
            ),
        )
        assert result.returncode == 2 and "Traceback" not in result.stderr, result.stderr
        assert result.stderr.splitlines()[-1].startswith(
            f"narrow_gan.py: error: cannot write {begun}: File too large; "
            "the last good checkpoint is that of step 5; go on with: python "
        )
        assert (begun / "checkpoint.npz").read_bytes() == good
        assert not list(begun.rglob("*.tmp"))
    assert run(gan.main, "--resume", *words(pictures, begun)) == 0
    assert_same_results(begun, whole)


# Training that goes wrong.


def spoil_param(G, D, opt_g, opt_d):
    G.layers[2].weight[3, 4] = np.inf


def spoil_buffer(G, D, opt_g, opt_d):
    G.layers[0].layers[1].moving_variance[2] = np.nan


def spoil_optimizer(G, D, opt_g, opt_d):
    opt_d.state["v"][5] = np.inf


@pytest.mark.parametrize(
    "spoil, step, message",
    [
        (
            spoil_param,
            7,
            "step 7: d_loss is nan, g_loss is nan, d_fake is nan, norm_dfake is nan; first tensor "
            "that is not finite: generator 0.sequential.0.dense.weight (parameter)",
        ),
        (spoil_buffer, 10, "not finite: generator/buffers"),
        (spoil_optimizer, 10, "not finite: discriminator/optimizer/v"),
    ],
)
def test_losses_and_results_that_are_not_finite(
    gan, pictures, tmp_path, capsys, begun, spoil, step, message
):
    out = tmp_path / "out"
    at_step(gan, 7, spoil)
    assert run(gan.main, *words(pictures, out)) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"program: step {step}: ") and message in line
    assert "the last good checkpoint is that of step 5; a lower learning rate may help" in line

    good, expected = (arrays(folder / "checkpoint.npz") for folder in (out, begun))
    for name in expected.keys() - {"description"}:
        assert np.array_equal(good[name], expected[name]), name
    steps = History.read(out / "history.csv")["step"]
    assert steps.tolist() == list(range(1, step + (spoil is not spoil_param)))


def test_a_learning_rate_that_is_too_high(gan, pictures, tmp_path, capsys):
    def speed(G, D, opt_g, opt_d):
        opt_g.lr = opt_d.lr = 1e38

    at_step(gan, 7, speed)
    assert run(gan.main, *words(pictures, tmp_path / "out")) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("program: step 7: ") and " is nan; first tensor that is not" in line

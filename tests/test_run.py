"""Runs: what they leave behind, and that nothing which stops one changes its results."""

import csv
import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess

import numpy as np
import pytest
from helpers import (
    BATCH,
    EPOCHS,
    HERE,
    IMAGES_NAME,
    LAST_STEP,
    STEPS_PER_EPOCH,
    arrays,
    assert_same_results,
    at_step,
    environment,
    python,
    run,
    words,
)
from kill_and_resume import kill_and_resume
from narrow_gan import example
from PIL import Image

import minigan as mg
from minigan import training
from minigan.data import Dataset
from minigan.training import interrupts
from minigan.training.checkpoint import Checkpoint
from minigan.training.lock import locked
from minigan.training.pictures import grid, to_uint8


def saved_step(out):
    return Checkpoint(out / "checkpoint.npz").run["step"]


def history(out):
    """The rows of history.csv as dicts of numbers."""
    with open(out / "history.csv", newline="") as file:
        return [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]


# What a run leaves behind.


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results(gan, pictures, tmp_path, capsys, dtype):
    out = tmp_path / "out"
    assert run(gan.main, *words(pictures, out, "--dtype", dtype, "--lr", "0.003")) == 0
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {
        ".lock",
        "checkpoint.npz",
        "config.json",
        "history.csv",
        "losses.png",
        "report.html",
        "samples.gif",
        *(os.path.join("samples", f"epoch_{epoch:03d}.png") for epoch in range(EPOCHS + 1)),
    }

    rows = history(out)
    assert [row["step"] for row in rows] == list(range(1, LAST_STEP + 1))
    assert [row["epoch"] for row in rows] == sorted([*range(1, EPOCHS + 1)] * STEPS_PER_EPOCH)
    seldom = {"norm_dG", "norm_dD"}
    assert list(rows[0]) == [
        "step", "epoch", "d_loss", "g_loss", "d_real", "d_fake", "norm_dfake", "norm_dG", "norm_dD"
    ]  # fmt: skip
    for row in rows:
        missing = {name for name, value in row.items() if np.isnan(value)}
        assert missing == (set() if row["step"] == 10 else seldom)

    config = json.loads((out / "config.json").read_text())
    assert config["lr"] == 0.003 and config["dtype"] == dtype and config["data"] == pictures
    assert config["parameters"] == {"generator": 6106, "discriminator": 3931}

    with Image.open(out / "samples.gif") as gif, Image.open(out / "losses.png") as plot:
        assert gif.n_frames == EPOCHS + 1
        assert plot.size == (1000, 859)

    stored = arrays(out / "checkpoint.npz")
    texts = {name for name, array in stored.items() if array.dtype == np.uint8}
    assert texts == {"description", "history"}
    assert {stored[name].dtype.name for name in stored.keys() - texts} == {dtype}
    assert "generator/optimizer/m" in stored and "generator/buffers" in stored
    assert str(out / "samples.gif") in capsys.readouterr().out


def test_of_short_epochs_the_curve_is_drawn_seldom_and_last_of_all(
    gan, pictures, tmp_path, monkeypatch
):
    """Of few images an epoch takes less time than its curve."""
    drawn = []
    monkeypatch.setattr(
        training.run, "loss_curve", lambda path, columns: drawn.append(len(columns["step"]))
    )
    short = ["--batch-size", 40, "--epochs", 40, "--width", 0.1]  # an epoch is a step
    assert run(gan.main, *words(pictures, tmp_path / "out", *short)) == 0
    assert drawn[:11] == [*range(1, 12)] and drawn[-1] == 40
    assert len(drawn) == len({*drawn}) < 25


def test_the_same_command_gives_the_same_bytes(gan, pictures, tmp_path, whole):
    assert run(example().main, *words(pictures, tmp_path / "again")) == 0
    assert_same_results(tmp_path / "again", whole)


def test_another_seed_gives_other_results(gan, pictures, tmp_path, whole):
    assert run(gan.main, *words(pictures, tmp_path / "other", "--seed", 1)) == 0
    found, before = (arrays(folder / "checkpoint.npz") for folder in (tmp_path / "other", whole))
    for name in ("generator/params", "discriminator/params", "generator/optimizer/v"):
        assert not np.isclose(found[name], before[name]).all(), name
    for name in ("history.csv", "samples/epoch_000.png"):
        assert (tmp_path / "other" / name).read_bytes() != (whole / name).read_bytes()


@pytest.mark.parametrize("epochs", [1, 2])
def test_samples_show_the_same_z_in_evaluation_mode(gan, pictures, tmp_path, epochs):
    assert run(gan.main, *words(pictures, tmp_path, "--epochs", epochs)) == 0
    G = Checkpoint(tmp_path / "checkpoint.npz").networks()["generator"]
    z = gan.LATENT.draw(16, seed=0, where="samples")  # without a step: always the same

    def sheet(train):
        return grid(to_uint8(G.forward(z, train=train)[0], (-1, 1)))[..., 0]

    with Image.open(tmp_path / "samples" / f"epoch_{epochs:03d}.png") as image:
        found = np.asarray(image)
    assert np.array_equal(found, sheet(train=False))
    assert not np.array_equal(found, sheet(train=True))


@pytest.mark.parametrize(
    "more, steps, epochs",
    [
        ([], 10, 2),
        (["--limit", 20], 4, 2),
        (["--limit", 8], 2, 2),
        (["--steps", 3], 3, 1),
        (["--steps", 12], 12, 3),  # beyond --epochs: --steps says how many in all
        (["--batch-size", 43], 2, 2),
    ],
)
def test_limit_steps_and_batch_size(gan, pictures, tmp_path, more, steps, epochs):
    assert run(gan.main, *words(pictures, tmp_path, *more)) == 0
    assert saved_step(tmp_path) == len(history(tmp_path)) == steps
    assert len(list((tmp_path / "samples").iterdir())) == epochs + 1


@pytest.mark.host
def test_every_epoch_shows_each_image_at_most_once_in_a_new_order(gan, pictures, tmp_path):
    seen = []
    train_step = gan.train_step

    def watched_step(G, D, opt_g, opt_d, real, *z):
        assert real.shape == (BATCH, 28, 28, 1) and real.dtype == np.float32
        seen.extend(np.rint((real + 1) * 127.5).astype(np.uint8)[..., 0])
        return train_step(G, D, opt_g, opt_d, real, *z)

    gan.train_step = watched_step
    assert run(gan.main, *words(pictures, tmp_path)) == 0
    images = np.fromfile(os.path.join(pictures, IMAGES_NAME), np.uint8, offset=16)
    number = {image.tobytes(): n for n, image in enumerate(images.reshape(-1, 28, 28))}
    orders = np.array([number[image.tobytes()] for image in seen]).reshape(EPOCHS, -1)
    assert [len(set(order)) for order in orders] == [40, 40]
    assert (orders[0] != orders[1]).any() and (np.diff(orders[0]) < 0).any()


# Stopping and going on.


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("step", [1, 5, 7, 10])
def test_interrupt_saves_and_says_how_to_go_on(
    gan, pictures, tmp_path, capsys, whole, number, code, step
):
    out = tmp_path / "a folder's name"
    at_step(gan, step, lambda *_: signal.raise_signal(number))
    assert run(gan.main, *words(pictures, out)) == code
    assert saved_step(out) == step
    message = capsys.readouterr().out.splitlines()[-1]
    assert message.startswith(f"stopped after step {step}, saved; go on with: python ")
    if os.name == "posix":
        assert shlex.split(message)[-3:] == ["--resume", "--out", str(out)]
    assert run(gan.main, "--resume", "--out", out) == 0
    assert_same_results(out, whole)


def test_an_interrupt_after_a_step_with_pictures(gan, pictures, tmp_path):
    every = ["--sample-every", 3]
    assert run(gan.main, *words(pictures, tmp_path / "whole", *every)) == 0
    at_step(gan, 6, lambda *_: signal.raise_signal(signal.SIGINT))
    assert run(gan.main, *words(pictures, tmp_path / "out", *every)) == 130
    assert run(gan.main, "--resume", "--out", tmp_path / "out") == 0
    assert_same_results(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize("step", [1, 7])
def test_a_hammered_ctrl_c_is_one(gan, pictures, tmp_path, capsys, whole, step):
    at_step(gan, step, lambda *_: [signal.raise_signal(signal.SIGINT) for _ in range(10)])
    assert run(gan.main, *words(pictures, tmp_path / "out")) == 130
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].startswith(f"stopped after step {step}, saved; ")
    assert "interrupted" not in captured.err and saved_step(tmp_path / "out") == step
    assert run(gan.main, "--resume", "--out", tmp_path / "out") == 0
    assert_same_results(tmp_path / "out", whole)


def test_a_second_ctrl_c_stops_at_once(gan, pictures, tmp_path, capsys, monkeypatch, whole):
    def twice(*_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(interrupts, "SAME_PRESS", 0)
    at_step(gan, 7, twice)
    assert run(gan.main, *words(pictures, tmp_path / "out")) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "program: interrupted"
    assert saved_step(tmp_path / "out") == 5
    assert run(gan.main, "--resume", "--out", tmp_path / "out") == 0
    assert_same_results(tmp_path / "out", whole)


@pytest.mark.parametrize(
    "whole_words, legs",
    [
        ([], [["--steps", 7], ["--epochs", 2]]),
        (["--steps", 8], [["--steps", 2], ["--steps", 3], ["--steps", 5], ["--steps", 8]]),
        (["--epochs", 3], [["--epochs", 1], ["--epochs", 3]]),
        (["--sample-every", 3], [["--sample-every", 3, "--steps", 6], ["--epochs", 2]]),
        # Past step 50, at which the variety of the pictures is measured.
        (["--batch-size", 2, "--steps", 52], [["--batch-size", 2, "--steps", 49], ["--steps", 52]]),
    ],
)
def test_a_run_in_legs_is_the_run_in_one_go(gan, pictures, tmp_path, whole_words, legs):
    whole, out = tmp_path / "whole", tmp_path / "legs"
    assert run(gan.main, *words(pictures, whole, *whole_words)) == 0
    assert run(gan.main, *words(pictures, out, *legs[0])) == 0
    for leg in legs[1:]:
        assert run(gan.main, "--resume", "--out", out, *leg) == 0
    assert_same_results(out, whole)


def test_resuming_a_finished_run_changes_nothing(gan, tmp_path, capsys, whole):
    shutil.copytree(whole, tmp_path / "out")
    assert run(gan.main, "--resume", "--out", tmp_path / "out") == 0
    assert "nothing left to do after step 10" in capsys.readouterr().err
    assert_same_results(tmp_path / "out", whole)


def test_a_run_killed_between_any_two_writes_goes_on(gan, pictures, tmp_path, monkeypatch, whole):
    # What a kill leaves is what is on the disk at that moment, so a copy stands for it.
    # Files change when a temporary one takes their place: copy the folder before each.
    # Only the history is also appended to, which can leave half a row.
    out, copies, replace = tmp_path / "out", [], os.replace

    def copy_then_replace(*arguments):
        copies.append(shutil.copytree(out, tmp_path / f"killed{len(copies)}"))
        replace(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", copy_then_replace)
        assert run(gan.main, *words(pictures, out)) == 0
    assert len(copies) > 3 * EPOCHS
    for copy in copies:
        assert list(copy.rglob(".*.tmp")), "no write was under way"
        if (copy / "history.csv").exists():
            with open(copy / "history.csv", "a") as file:
                file.write("16,4,0.69")
        begun = (copy / "checkpoint.npz").exists()
        again = ["--resume", "--out", copy] if begun else words(pictures, copy)
        assert run(gan.main, *again) == 0, copy
        assert_same_results(copy, whole)


def test_twenty_kills_at_random_moments_leave_no_trace(pictures, tmp_path):
    kill_and_resume(tmp_path, pictures, 20)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to whole consoles only")
def test_ctrl_c_in_a_terminal(pictures, tmp_path):
    """The example as a user runs it: from another folder, without a home, killed by hand."""
    out = tmp_path / "my results"
    example_path = HERE.parent / "examples" / "mnist_gan.py"
    variables = environment(tmp_path)
    del variables["HOME"]
    settings = dict(
        cwd=tmp_path, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    command = python(example_path, *words(pictures, "my results", "--epochs", 10**6))
    with subprocess.Popen(command, **settings) as process:
        while "parameters" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in stderr, stderr
    step = saved_step(out)
    go_on = stdout.partition("go on with: ")[2]
    assert shlex.split(go_on) == ["python", str(example_path), "--resume", "--out", "my results"]
    command = python(*shlex.split(go_on)[1:], "--steps", step + 2)
    result = subprocess.run(command, **settings, timeout=60)
    assert result.returncode == 0, result.stderr
    assert len(history(out)) == saved_step(out) == step + 2


# Leaving the loop.


class Run(training.Run):
    """The run of the example, at hand for what its training step does."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        Run.last = self


def leaving(gan, monkeypatch, body):
    """The example, with body(run, real, step) in place of its loop's, to return True for a break.

    step(real) is the example's own.
    """
    monkeypatch.setattr(gan.training, "Run", Run)
    train_step, log = gan.train_step, Run.log

    class Left(Exception):
        pass

    def main(argv):
        def own_step(G, D, opt_g, opt_d, real, z_d, z_g):
            def step():
                values = train_step(G, D, opt_g, opt_d, real, z_d, z_g)
                log(Run.last, **values)

            if body(Run.last, step):
                raise Left
            return {}

        monkeypatch.setattr(gan, "train_step", own_step)
        monkeypatch.setattr(Run, "log", lambda self, **values: None)
        try:
            return gan.main(argv)
        except Left:
            return 0
        finally:
            monkeypatch.setattr(gan, "train_step", train_step)
            monkeypatch.setattr(Run, "log", log)

    return main


@pytest.mark.parametrize("when, saved", [("before", 6), ("after", 7), ("half", 5), ("passed", 6)])
def test_leaving_the_loop_saves_what_is_done(
    gan, pictures, tmp_path, capsys, monkeypatch, whole, when, saved
):
    """Left in step 7 of 10, the last epoch's end being step 5; half a step is no step."""

    def body(run, step):
        if run.step == 6:
            if when == "after":
                step()
            elif when == "half":
                G, D = run.networks.values()
                G.params += 1
                run.optimizers["discriminator"].step()
            elif when == "passed":  # a pass moves the averages of BatchNorm
                run.networks["generator"].forward(run.draw_latent("D step"))
            return True
        step()

    out = tmp_path / "out"
    assert run(leaving(gan, monkeypatch, body), *words(pictures, out)) == 0
    assert saved_step(out) == saved
    line = f"left after step {saved}, saved; go on with: python "
    assert (line in capsys.readouterr().err) == (saved > 5)
    assert run(gan.main, "--resume", "--out", out) == 0
    assert_same_results(out, whole)


def test_leaving_the_loop_where_nothing_can_be_written(
    gan, pictures, tmp_path, capsys, monkeypatch
):
    def body(run, step):
        step()
        if run.step == 6:
            monkeypatch.setattr(os, "replace", full)
            return True

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert run(leaving(gan, monkeypatch, body), *words(pictures, tmp_path / "out")) == 0
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("not saved: cannot write ") and "that of step 5; go on with" in line
    assert saved_step(tmp_path / "out") == 5


@pytest.mark.parametrize("after", [False, True])
def test_save_in_the_body(gan, pictures, tmp_path, monkeypatch, whole, after):
    def body(run, step):
        if after:
            step()
        if run.step == 7 - 1:
            run.save()
            saved.append(saved_step(tmp_path / "out"))
        if not after:
            step()

    saved = []
    assert run(leaving(gan, monkeypatch, body), *words(pictures, tmp_path / "out")) == 0
    assert saved == [6 + after]
    assert_same_results(tmp_path / "out", whole)


def test_save_refuses_half_a_step_and_to_work_outside_the_loop(
    gan, pictures, tmp_path, monkeypatch
):
    def body(run, step):
        if run.step == 6:
            run.optimizers["generator"].step()
            with pytest.raises(RuntimeError, match="middle of a step"):
                run.save()
            return True
        step()

    with pytest.raises(RuntimeError, match="body of the loop"):
        options = gan.training.parse(
            gan.training.parser("", name="x", epochs=1, batch_size=2), ["--out", str(tmp_path)]
        )
        networks = {"generator": mg.Sequential([mg.Dense(2, 4)])}
        data = Dataset(np.zeros((4, 2, 2, 1), np.uint8), None, "x", "nowhere")
        training.Run(options, data, networks, {}, latent=training.Latent(2)).save()
    assert run(leaving(gan, monkeypatch, body), *words(pictures, tmp_path / "out")) == 0
    with pytest.raises(RuntimeError, match="body of the loop"):
        Run.last.save()


# The folder.


def test_only_our_own_leftovers_are_removed(gan, pictures, tmp_path):
    ours = [".checkpoint.npz.77.tmp", ".losses.png.123456.tmp", "samples/.epoch_002.png.9.tmp"]
    theirs = [".notes.txt.77.tmp", "notes.tmp", "samples/.notes.txt.9.tmp"]
    (tmp_path / "samples").mkdir()
    for name in (*ours, *theirs):
        (tmp_path / name).write_text("half")
    assert run(gan.main, *words(pictures, tmp_path, "--steps", 1)) == 0
    assert [name for name in (*ours, *theirs) if (tmp_path / name).exists()] == theirs


DAMAGES = {
    "missing": lambda rows: None,
    "cut in its header": lambda rows: rows[:30],
    "halved": lambda rows: rows[: len(rows) // 2],
    "doubled": lambda rows: rows.replace(b"\n", b"\n\n") + rows,
    "another row": lambda rows: rows.replace(b"\n3,1,", b"\n3,7,"),
    "no numbers": lambda rows: rows.replace(b"\n3,1,", b"\nx,y,"),
    "a binary tail": lambda rows: rows[:200] + bytes(range(256)),
    "another header": lambda rows: rows.replace(b"d_real", b"d_ideal"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_history_is_restored_on_resume(gan, pictures, tmp_path, capsys, whole, damage):
    out = tmp_path / "out"
    assert run(gan.main, *words(pictures, out, "--steps", 7)) == 0
    path = out / "history.csv"
    rows = damage(path.read_bytes())
    path.unlink()
    if rows is not None:
        path.write_bytes(rows)
    assert run(gan.main, "--resume", "--out", out, "--epochs", EPOCHS) == 0
    assert "had lost or changed rows" in capsys.readouterr().err
    assert_same_results(out, whole)


def test_a_foreign_history_is_not_written_over(gan, pictures, tmp_path, capsys):
    assert run(gan.main, *words(pictures, tmp_path, "--steps", 2)) == 0
    (tmp_path / "history.csv").write_text("year,event\n1815,Waterloo\n")
    assert run(gan.main, "--resume", "--out", tmp_path, "--steps", 3) == 2
    assert "history.csv is not a history: move it away" in capsys.readouterr().err
    assert (tmp_path / "history.csv").read_text().startswith("year")


def test_saving_at_once_after_a_resume_keeps_the_history(gan, pictures, tmp_path, monkeypatch):
    def body(run, step):
        run.save()
        step()

    assert run(gan.main, *words(pictures, tmp_path, "--steps", 7)) == 0
    main = leaving(gan, monkeypatch, body)
    assert run(main, "--resume", "--out", tmp_path, "--steps", 8) == 0
    content = Checkpoint(tmp_path / "checkpoint.npz").history
    assert content == (tmp_path / "history.csv").read_bytes() and content.count(b"\n") == 9


def test_a_checkpoint_without_history_goes_on_with_the_file(gan, pictures, tmp_path, whole):
    """So older versions wrote them."""
    out = tmp_path / "out"
    assert run(gan.main, *words(pictures, out, "--steps", 7)) == 0
    stored = {name: v for name, v in arrays(out / "checkpoint.npz").items() if name != "history"}
    np.savez(out / "checkpoint.npz", **stored)
    with open(out / "history.csv", "a") as file:
        file.write("8,2,1.5,0.5,0.5,0.5,0.1\n9,2,1.")
    assert run(gan.main, "--resume", "--out", out, "--epochs", EPOCHS) == 0
    assert_same_results(out, whole)


def test_a_run_of_an_older_version_goes_on_with_more_columns(gan, pictures, tmp_path, whole):
    out = tmp_path / "out"
    assert run(gan.main, *words(pictures, out, "--steps", 7)) == 0
    lines = (out / "history.csv").read_text().splitlines()
    old = "".join(",".join(line.split(",")[:6]) + "\n" for line in lines)
    stored = arrays(out / "checkpoint.npz")
    stored["history"] = np.frombuffer(old.encode(), np.uint8)
    np.savez(out / "checkpoint.npz", **stored)
    (out / "history.csv").write_text(old)
    assert run(gan.main, "--resume", "--out", out, "--epochs", EPOCHS) == 0
    for found, expected in zip(history(out), history(whole), strict=True):
        lost = ["norm_dfake"] if found["step"] <= 7 else []
        np.testing.assert_equal(found, expected | dict.fromkeys(lost, np.nan))


@pytest.mark.parametrize("content", [b"", b"words", None, "other size"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_bad_sheet_is_drawn_again_or_left_out(
    gan, pictures, tmp_path, capsys, whole, content, finished
):
    out = tmp_path / "out"
    assert run(gan.main, *words(pictures, out, "--steps", 10 if finished else 7)) == 0
    capsys.readouterr()
    for name in ("epoch_000.png", "epoch_002.png"):
        sheet = out / "samples" / name
        if content == "other size":
            Image.new("RGB", (9, 7)).save(sheet)
        elif content is None:
            sheet.write_bytes(sheet.read_bytes()[:300])
        else:
            sheet.write_bytes(content)
    assert run(gan.main, "--resume", "--out", out, "--epochs", EPOCHS) == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert "left out of samples.gif: " in line and "epoch_000.png" in line
    assert (out / "samples/epoch_002.png").read_bytes() == (
        whole / "samples/epoch_002.png"
    ).read_bytes()
    with Image.open(out / "samples.gif") as gif:
        assert gif.n_frames == 2


def test_a_run_that_has_not_begun_to_train_may_be_begun_anew(gan, pictures, tmp_path, capsys):
    """The advice after a batch that did not fit: another --batch-size in the same folder."""

    def full(*_):
        raise MemoryError

    step = gan.train_step
    gan.train_step = full
    assert run(gan.main, *words(pictures, tmp_path)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--batch-size 4 would fit" in line
    gan.train_step = step
    assert run(gan.main, *words(pictures, tmp_path, "--batch-size", 4)) == 0
    assert saved_step(tmp_path) == 20


def test_the_slower_of_two_runs_does_not_replace_what_the_quicker_has_done(
    gan, pictures, tmp_path, capsys, monkeypatch, whole
):
    """Both have looked at the folder before either took the lock."""
    out, load = tmp_path / "out", gan.data.load

    def slow_load(*arguments, **keywords):
        monkeypatch.setattr(gan.data, "load", load)
        assert run(example().main, *words(pictures, out)) == 0
        return load(*arguments, **keywords)

    monkeypatch.setattr(gan.data, "load", slow_load)
    assert run(gan.main, *words(pictures, out, "--seed", 1)) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert_same_results(out, whole)


def test_a_resume_notices_that_the_run_has_become_another(
    gan, pictures, tmp_path, capsys, monkeypatch, whole
):
    out, load = tmp_path / "out", gan.data.load
    assert run(gan.main, *words(pictures, out, "--steps", 2, "--seed", 1)) == 0

    def slow_load(*arguments, **keywords):
        monkeypatch.setattr(gan.data, "load", load)
        shutil.rmtree(out)
        assert run(example().main, *words(pictures, out)) == 0
        return load(*arguments, **keywords)

    monkeypatch.setattr(gan.data, "load", slow_load)
    assert run(gan.main, "--resume", "--out", out, "--steps", 12) == 2
    assert "seed is 0 there, 1 here" in capsys.readouterr().err
    assert_same_results(out, whole)


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "history.csv",
        "losses.png",
        "report.html",
        "samples.gif",
        "samples/epoch_000.png",
    ],
)
def test_what_is_not_ours_is_never_written_over(gan, pictures, tmp_path, capsys, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    for content in ("", "mine", '{"version": "of something else"}'):
        path.write_text(content)
        assert run(gan.main, *words(pictures, tmp_path / "out")) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert str(path) in line and "move it away, or give another --out" in line
        assert path.read_text() == content


def test_a_checkpoint_that_is_a_link_stays_one(gan, pictures, tmp_path, whole):
    out, place = tmp_path / "out", tmp_path / "elsewhere"
    assert run(gan.main, *words(pictures, out, "--steps", 7)) == 0
    place.mkdir()
    (out / "checkpoint.npz").rename(place / "mine.npz")
    (out / "checkpoint.npz").symlink_to(place / "mine.npz")
    (place / ".mine.npz.7.tmp").write_text("half")
    assert run(gan.main, "--resume", "--out", out, "--epochs", EPOCHS) == 0
    assert (out / "checkpoint.npz").is_symlink()
    assert os.listdir(place) == ["mine.npz"] and saved_step(out) == 10
    assert_same_results(out, whole)


def test_two_runs_in_one_folder(gan, pictures, tmp_path, capsys, whole):
    def second(*_):
        for again in (["--resume", "--out", out], words(pictures, out)):
            codes.append(run(example().main, *again))

    out, codes = tmp_path / "out", []
    at_step(gan, 7, second)
    assert run(gan.main, *words(pictures, out)) == 0
    assert codes == [2, 2]
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert [re.sub(r".*error: ", "", line) for line in errors] == [
        f"another run is writing into {out}: wait for it, or give another --out",
        f"{out} holds a run already: add --resume to go on with it, or give another --out",
    ]
    assert_same_results(out, whole)


def test_the_lock_ends_with_its_block_and_guards_a_folder_without_checkpoint(
    gan, pictures, tmp_path, capsys
):
    with locked(tmp_path):
        assert run(gan.main, *words(pictures, tmp_path)) == 2
    assert "another run is writing into" in capsys.readouterr().err
    assert run(gan.main, *words(pictures, tmp_path, "--steps", 1)) == 0


def test_default_folders_are_numbered_and_resume_takes_the_last_saved(gan, pictures, tmp_path):
    short = ["--data", pictures, "--batch-size", BATCH, "--steps", 2]
    for name in ("mnist_gan", "mnist_gan-2", "mnist_gan-3"):
        assert run(gan.main, *short) == 0
        assert sorted(os.listdir(tmp_path / "runs"))[-1] == name
    assert run(gan.main, "--resume", "--steps", 3) == 0
    folders = [tmp_path / "runs" / name for name in sorted(os.listdir(tmp_path / "runs"))]
    assert [saved_step(folder) for folder in folders] == [2, 2, 3]
    assert run(gan.main, "--resume", "--steps", 3, "--out", folders[0]) == 0
    assert run(gan.main, "--resume", "--steps", 4) == 0
    assert [saved_step(folder) for folder in folders] == [4, 2, 3]


def test_the_pictures_of_auto_are_remembered(gan, tmp_path, monkeypatch, pictures):
    """What --data auto found is what resume looks for, even if auto would now find better."""
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    out = tmp_path / "out"
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    assert run(gan.main, *words("auto", out, "--limit", 40, "--steps", 2)) == 0
    assert json.loads((out / "config.json").read_text())["data"] == "digits"
    monkeypatch.setenv("MINIGAN_DATA", pictures)
    assert run(gan.main, "--resume", "--steps", 4, "--out", out) == 0
    assert saved_step(out) == 4

"""Without a command line: at a prompt, in Python, in a notebook's own kernel."""

import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import HERE, assert_same_results, run, words
from PIL import Image
from pretend_mpi import Communicator

import minigan as mg
from minigan import data, processes, training
from minigan.errors import Interrupted, RunFailed, UserError
from minigan.training.prompt import at_a_prompt

PAGE = HERE.parent / "docs" / "notebook.md"


def page():
    """The cells of the page, with fewer pictures, and the one that trains."""
    text = PAGE.read_text("utf-8").replace("limit=5000", "limit=320")
    cells = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return cells, next(cell for cell in cells if "training.Run(" in cell)


@pytest.fixture
def prompt(monkeypatch):
    """What a kernel looks like from within."""
    monkeypatch.setattr(sys, "ps1", "In : ", raising=False)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# The page.


def test_the_page_trains_in_fifteen_lines():
    _, training_cell = page()
    assert len([line for line in training_cell.splitlines() if line.strip()]) <= 15


@pytest.mark.host
def test_the_page_runs(capsys):
    names = {}
    for cell in page()[0]:
        exec(compile(cell, PAGE.name, "exec"), names)
    assert names["run"].step == names["run"].total_steps
    assert "100%" in capsys.readouterr().err


@pytest.mark.host
def test_the_page_in_a_kernel(monkeypatch):
    """Its cells; then the one that trains again, with a mistake, and interrupted."""
    for package in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(package, reason="pip install 'minigan[notebook]' runs a kernel")
    import nbclient
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(HERE.parent))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # small networks, and other tests beside it
    with open("script.py", "w") as file:
        file.write(
            "from minigan import training\n"
            "print(training.parse(training.parser('', name='x', batch_size=3)).epochs)\n"
        )
    on_the_page, trains = page()
    assert "epochs=10" in trains and "resume=True" in trains and trains.count("    run.log(") == 1
    longer = trains.replace("epochs=10", "epochs=12")
    more = [
        longer,
        longer.replace("resume=True", "resume=False"),
        longer.replace("epochs=12", "epochs='x'"),
        longer.replace("epochs=12", "epochs=10**6").replace(
            "    run.log(",
            "    import os, signal\n"
            "    if run.step == 73: os.kill(os.getpid(), signal.SIGINT)\n"
            "    run.log(",
        ),
        "print(run.step, run.saved_step)",
        "%run script.py --epochs 3",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in (*on_the_page, *more)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", allow_errors=True
    ).execute()

    outputs = [cell.outputs for cell in cells]
    shown, (again, refused, mistaken, stopped, after, script) = outputs[: -len(more)], outputs[-6:]
    assert not [o for cell in shown for o in cell if o.output_type == "error"]
    assert sum("image/png" in o.get("data", {}) for cell in shown for o in cell) >= 2
    said = text(shown[on_the_page.index(trains)])
    assert "\r" not in said and "epoch 10/10" in said.splitlines()[-2]
    assert "resuming after step" in text(again) and "epoch 12/12" in text(again)
    assert error(refused).startswith("UserError: runs/mine holds a run already: give resume=True")
    assert error(mistaken) == "UserError: argument --epochs: 'x' is not an integer of at least 1"
    assert error(stopped) == (
        "Interrupted: stopped after step 74, saved; go on with: settings(..., resume=True)"
    )
    assert text(after) == "74 74\n" and text(script) == "3\n"


def text(outputs):
    """What a cell has printed, all of it to stdout: Jupyter shows stderr on red."""
    assert {o.name for o in outputs if o.output_type == "stream"} == {"stdout"}
    return "".join(o.text for o in outputs if o.output_type == "stream")


def error(outputs):
    """The one line that a cell shows of an error."""
    (line,) = outputs[-1].traceback
    return line


# The command line at a prompt.


def test_a_prompt_is_none_where_a_script_runs(prompt, monkeypatch):
    assert at_a_prompt()
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "script.py", raising=False)
    assert not at_a_prompt()  # IPython's %run
    monkeypatch.undo()
    assert not at_a_prompt()


def test_the_words_of_a_kernel_are_not_read(prompt):
    parser = training.parser("", name="own", epochs=3, batch_size=4)
    options = training.parse(parser)
    assert options.epochs == 3 and options.command.split() == ["--resume", "--out", "runs/own"]
    assert training.parse(parser, ["--epochs", "5"]).epochs == 5


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--epochs", "x"], "argument --epochs: 'x' is not an integer of at least 1"),
        (["--epochs"], "argument --epochs: expected one argument"),
        (["--epochs=--"], "--epochs"),
        (["--momentum", "3"], "unrecognized arguments: --momentum 3"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
        (["--resume", "--out", "none"], "no checkpoint at none"),
    ],
)
@pytest.mark.parametrize("at", ["prompt", "program"])
def test_wrong_words_never_exit(request, argv, message, at):
    if at == "prompt":
        request.getfixturevalue("prompt")
    with pytest.raises(UserError) as caught:
        training.parse(training.parser("", name="own", epochs=3, batch_size=4), argv)
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", [UserError, RunFailed, Interrupted])
def test_a_notebook_shows_one_printable_line(kind):
    error = kind("a\nb\x1b[31m")
    assert error._render_traceback_() == [f"{kind.__name__}: a\\nb\\x1b[31m"]
    long = str(kind("begins" + 9999 * "x" + "ends"))
    assert len(long) < 1010 and long.startswith("begins") and long.endswith("ends")


# Options in Python.


@pytest.mark.host
def test_options_are_those_of_the_command_line():
    argv = ["--epochs", "7", "--batch-size", "8", "--dtype", "float64", "--mirror"]
    typed = training.parse(training.parser("", name="own", batch_size=64), argv)
    told = training.settings(
        "own", epochs=7, batch_size=8, dtype="float64", mirror=True, limit=None, summary=False
    )
    typed.command = told.command
    assert vars(told) == vars(typed)
    default = training.settings("own")
    assert (default.epochs, default.steps, default.batch_size) == (10, None, 64)


@pytest.mark.parametrize(
    "values, message",
    [
        (dict(epochs="x"), "'x' is not an integer"),
        (dict(epochs=-1), "'-1' is not an integer"),
        (dict(learning_rate=3), "unrecognized arguments: --learning-rate=3"),
        (dict(out="file"), "--out file is, or lies under, a file"),
    ],
)
def test_options_that_are_refused(tmp_path, values, message):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=re.escape(message)):
        training.settings("own", **values)


def cell(epochs, *, resume=False, channels=1, last=()):
    """A run in Python, not begun, of pictures that are not square.  last: layers of G."""
    size = 12 * channels
    G = mg.Sequential(
        [mg.Dense(4, size), mg.Tanh(), mg.Reshape((2, 6, channels)), *last], name="generator"
    )
    D = mg.Sequential([mg.Flatten(), mg.Dense(size, 1)], name="discriminator")
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 6, channels), np.uint8)
    return training.Run(
        training.settings("own", epochs=epochs, batch_size=4, resume=resume),
        data.from_arrays(images),
        {"generator": G, "discriminator": D},
        {"generator": mg.Adam(G, 0.01), "discriminator": mg.Adam(D, 0.01)},
        latent=training.Latent(4),
    )


def train(run, stop_at=None):
    """Its loop, with a Ctrl-C in a step; the Run."""
    (G, D), (opt_g, opt_d) = run.networks.values(), run.optimizers.values()
    for real in run:
        if run.step == stop_at:
            signal.raise_signal(signal.SIGINT)
        z = run.draw_latent("z")
        run.log(**training.gan_step(G, D, opt_g, opt_d, real, z, z))
    return run


def test_a_cell_whose_first_step_has_failed_is_run_again_with_other_data(tmp_path):
    failing = cell(4, resume=True, channels=3)
    with pytest.raises(ZeroDivisionError):
        for _ in failing:
            raise ZeroDivisionError
    assert (tmp_path / "runs" / "own" / "checkpoint.npz").exists()
    assert train(cell(4, resume=True)).step == 20
    with pytest.raises(UserError, match="arrays here: of 2x6x1 there, 2x6x3 here"):
        train(cell(8, resume=True, channels=3))


@pytest.fixture
def uninterrupted(tmp_path):
    """The folder of a run of four epochs in one go."""
    train(cell(4))
    return (tmp_path / "runs" / "own").rename(tmp_path / "whole")


def test_a_cell_again_goes_on_or_says_how(uninterrupted, tmp_path, capsys):
    train(cell(3, resume=True))  # nothing there yet: it begins
    with pytest.raises(UserError, match="runs/own holds a run already: give resume=True to go on"):
        cell(4)
    capsys.readouterr()
    train(cell(4, resume=True))
    assert "resuming after step 15 of 20" in capsys.readouterr().err
    assert_same_results(tmp_path / "runs" / "own", uninterrupted)


@pytest.mark.parametrize("again", ["cell", "loop"])
def test_an_interrupt_at_a_prompt_saves_and_is_a_line(
    prompt, uninterrupted, tmp_path, capsys, again
):
    run = cell(4)
    with pytest.raises(Interrupted, match=r"^stopped after step 8, saved; go on with: settings\("):
        train(run, stop_at=7)
    assert mg.load("runs/own").run["step"] == 8 and issubclass(Interrupted, KeyboardInterrupt)
    captured = capsys.readouterr()
    assert captured.err == "" and "stopped" not in captured.out
    train(cell(4, resume=True) if again == "cell" else run)
    assert_same_results(tmp_path / "runs" / "own", uninterrupted)


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_all_that_a_run_draws_has_the_channels_of_its_pictures(channels, mode):
    run = train(cell(1, channels=channels))
    with Image.open("runs/own/samples/epoch_001.png") as written:
        assert written.mode == run.sheet().mode == mg.load("runs/own").sheet().mode == mode
        assert written.width == pytest.approx(3 * written.height, rel=0.1)
        with Image.open("runs/own/samples.gif") as gif:
            assert gif.size == written.size and gif.n_frames == 2


def test_a_sheet_in_the_loop_is_all_of_one_process(monkeypatch):
    """Its samples are of no batch, of which each process would have a part."""
    sheets, run = [], cell(1, last=[mg.Dropout(0.5, always=True)])
    for _ in run:
        for here in (processes.here, processes.Together(Communicator(1, [None] * 2, None))):
            run.networks["generator"].begin_step(run.step)
            here.begin_batch(14)
            with monkeypatch.context() as several:
                several.setattr(processes, "here", here)
                sheets.append(np.asarray(run.sheet()))
        break
    np.testing.assert_array_equal(*sheets)


def test_the_sheet_of_this_moment(gan, pictures, monkeypatch):
    """A Pillow image, the one that is written at the end of an epoch; drawing changes nothing."""
    runs = []
    made = gan.training.Run

    class Watched(made):
        def log(self, **values):
            runs[:] = [self]
            self.sheet()
            super().log(**values)

    run(gan.main, *words(pictures, "plain"))
    monkeypatch.setattr(gan.training, "Run", Watched)
    run(gan.main, *words(pictures, "watched"))
    assert_same_results(Path("watched"), Path("plain"))
    with Image.open("watched/samples/epoch_002.png") as written:
        sheet = runs[0].sheet()
        assert sheet.mode == written.mode
        np.testing.assert_array_equal(np.asarray(sheet), np.asarray(written))

"""The commands, sample, info and gradcheck among them, and how they end."""

import importlib
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import HERE, environment, python, run, words
from PIL import Image

import minigan as mg
from minigan import training
from minigan.__main__ import THEMES, main
from minigan.errors import RunFailed, UserError
from minigan.training import options
from minigan.training.checkpoint import Checkpoint
from minigan.training.interrupts import Interrupts
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
    first, same, other = (sample(trained, tmp_path / "x.npy", "--seed", seed) for seed in (0, 0, 1))
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


@pytest.mark.parametrize(
    "more, message",
    [
        (["--out", "x.jpg"], "--out x.jpg: the name must end in .png or .npy"),
        (["--out", "x"], "--out x: the name must end in .png or .npy"),
        (["--out", "folder.png"], "cannot write folder.png: Is a directory"),
        (["--out", "run/config.json/x.png"], "cannot write run/config.json/x.png: "),
        (["--out", "x.npy", "--count", 0], "argument --count: '0' is not an integer of at least 1"),
        (["--out", "x.npy", "--seed", -1], "argument --seed: '-1' is not an integer of at least 0"),
        ([], "where to? give --out FILE.png, --out FILE.npy or --each DIR"),
    ],
)
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
    assert_refused(
        capsys,
        "sample",
        tmp_path / "net.npz",
        "--out",
        tmp_path / "x.png",
        message="nothing to sample from",
    )


@pytest.mark.parametrize(
    "command, message",
    [
        ("paint", "argument COMMAND: invalid choice: 'paint'"),
        ("sample", "the following arguments are required: checkpoint"),
        ("info", "the following arguments are required: checkpoint"),
    ],
)
def test_unknown_commands(capsys, command, message):
    assert_refused(capsys, command, message=message)


def test_without_a_command_there_is_help(capsys):
    assert run(main) == 0
    captured = capsys.readouterr()
    assert not captured.err
    listed = re.findall(r"^  (\w+) +\w", captured.out, re.MULTILINE)
    themes = re.findall(r"^(\w.*):$", captured.out, re.MULTILINE)
    assert {"sample", "interpolate", "info", "export", "puzzle", "gradcheck"} <= {*listed}
    assert len(listed) == len({*listed}) and themes == [*THEMES, "options"]
    assert max(map(len, captured.out.splitlines())) <= 80


def test_the_options_of_an_example_are_listed_by_theme(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = training.parser("", name="own", epochs=3, batch_size=4)
    parser.add_argument("--own", help="what an example adds")
    text = parser.format_help()
    titles = re.findall(r"^(\w.*):$", text, re.MULTILINE)
    _, *sections = re.split(r"^\w.*:$", text, flags=re.MULTILINE)
    listed = {title: re.findall(r"^  .*(--[\w-]+)", part, re.MULTILINE)
              for title, part in zip(titles, sections)}  # fmt: skip
    assert listed.pop("of this example") == ["--help", "--own"]
    assert len(listed) == 5 and all(len(options) >= 2 for options in listed.values())
    assert max(map(len, text.splitlines())) <= 80


def test_the_installed_command_is_there():
    """What pip makes of the project's file: a name, and the function that it calls."""
    text = (HERE.parent / "pyproject.toml").read_text()
    module, name = re.search(r'\[project.scripts\]\nminigan = "([\w.]+):(\w+)"', text).groups()
    assert callable(getattr(importlib.import_module(module), name))


# info


def test_info(trained, capsys):
    assert run(main, "info", trained) == 0
    text = capsys.readouterr().out
    for word in (
        "Dense(6, 784)",
        "generator",
        "6,106",
        "discriminator",
        "3,931",
        "mnist_gan: step 5; data: 43 images mnist",
        "batch_size: 8",
    ):
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
    for title in (
        "BatchNorm(10)",
        "Dropout(0.3)",
        "Tanh()",
        "bce_with_logits",
        "gradient_penalty",
        "generator_step, G through D",
    ):
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
    assert_refused(
        capsys, "gradcheck", "Sigmoid", "more", message="called 'more': there are Dense,"
    )


# How commands end.


@pytest.mark.parametrize(
    "error, code, line",
    [
        (UserError("no such file"), 2, "program: error: no such file"),
        (RunFailed("step 3: d_loss is nan"), 1, "program: step 3: d_loss is nan"),
        (
            MemoryError("9 TiB"),
            2,
            "program: error: out of memory (9 TiB): ask for fewer images at a time",
        ),
        (KeyboardInterrupt(), 130, "program: interrupted"),
    ],
)
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
        result = subprocess.run(
            python(*command),
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 2 and result.stdout == ""
        assert result.stderr.startswith(name) and result.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE to be like")
@pytest.mark.parametrize(
    "program, stream",
    [
        ("gradcheck", "stdout"),
        ("help", "stdout"),
        ("run", "stdout"),
        ("run", "stderr"),
    ],
)
def test_a_reader_that_stops_reading_ends_the_program_quietly(pictures, tmp_path, program, stream):
    command = python(
        *{
            "gradcheck": ["-m", "minigan", "gradcheck"],
            "help": ["-m", "minigan", "--help"],
            "run": [HERE / "narrow_gan.py", *words(pictures, "out", "--steps", 1)],
        }[program]
    )
    reader, writer = os.pipe()
    os.close(reader)
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE) | {stream: writer}
    result = subprocess.run(command, env=environment(tmp_path), cwd=tmp_path, **streams)
    os.close(writer)
    assert result.returncode == 141
    assert b"rror" not in (result.stderr or b"")


needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")


def train(home, pictures, *more, **streams):
    """The finished process of a short run, its streams in text where they are pipes."""
    command = python(HERE / "narrow_gan.py", *words(pictures, "out", "--steps", 7, *more))
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return subprocess.run(
        command, env=environment(home), cwd=home, text=True, timeout=120, **pipes | streams
    )


def saved_step(home):
    return Checkpoint(home / "out" / "checkpoint.npz").run["step"]


@needs_full
def test_a_full_stdout_is_a_line_and_a_code_after_saving(pictures, tmp_path):
    with open("/dev/full", "w") as full:
        result = train(tmp_path, pictures, stdout=full)
    assert result.returncode == 2 and saved_step(tmp_path) == 7
    assert result.stderr.splitlines()[-1] == (
        "narrow_gan.py: error: cannot write to standard output: No space left on device"
    )
    assert (tmp_path / "out" / "samples.gif").exists()


@needs_full
@pytest.mark.parametrize("more, code", [([], 0), (["--lr", "1.5"], 2)])
def test_a_full_stderr_stops_nothing_and_keeps_the_code(pictures, tmp_path, more, code):
    with open("/dev/full", "w") as full:
        result = train(tmp_path, pictures, *more, stderr=full)
    assert result.returncode == code
    assert code or (saved_step(tmp_path) == 7 and result.stdout.startswith("done: "))


@needs_full
def test_the_tools_into_a_full_device(trained):
    for words_given in (["info", trained], ["gradcheck"]):
        with open("/dev/full", "w") as full:
            result = subprocess.run(
                python("-m", "minigan", *words_given),
                env=environment(trained.parent),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE to be like")
def test_progress_into_a_pipe_that_closes_ends_the_run_after_saving(pictures, tmp_path):
    command = python(HERE / "narrow_gan.py", *words(pictures, "out", "--epochs", 10**6))
    with subprocess.Popen(
        command,
        env=environment(tmp_path),
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while "step" not in process.stderr.readline():
            assert process.poll() is None
        process.stderr.close()
        said = process.stdout.read()
    assert process.returncode == 141
    assert said.startswith(f"stopped after step {saved_step(tmp_path):,}, saved; go on with: ")
    assert saved_step(tmp_path) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal to close")
def test_a_terminal_that_closes_saves(pictures, tmp_path):
    """The terminal's process goes, the kernel hangs up, and nothing can be written any longer."""
    import pty

    command = python(HERE / "narrow_gan.py", *words(pictures, "out", "--epochs", 10**6))
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execve(command[0], command, environment(tmp_path))
    said = b""
    while b"ETA" not in said:
        said += os.read(terminal, 1000)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert saved_step(tmp_path) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to whole consoles only")
@pytest.mark.parametrize("where", ["loading", "training"])
def test_ten_quick_ctrl_c_print_one_line(pictures, tmp_path, where):
    waits_for = {"loading": "decoding", "training": "parameters"}[where]
    if where == "loading":
        (tmp_path / "photos").mkdir()
        for number in range(300):
            noise = np.random.default_rng(number).integers(0, 256, (300, 300, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "photos" / f"{number}.png")
        pictures = "photos"
    command = python(HERE / "narrow_gan.py", *words(pictures, "out", "--epochs", 10**6))
    with subprocess.Popen(
        command,
        env=environment(tmp_path),
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while waits_for not in process.stderr.readline():
            assert process.poll() is None
        for _ in range(10):
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in errors, errors
    assert said.count("stopped after") + errors.count("interrupted") == 1, (said, errors)


# Ctrl-C, pressed ten times, when a module is looked for.
PRESSING = """
import signal, sys

class Finder:
    def find_spec(name, *_):
        if name == sys.argv[1]:
            for _ in range(10):
                signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder)
import minigan.__main__
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("module", ["numpy", "minigan.layers", "json", "minigan.training.options"])
def test_ctrl_c_during_imports(tmp_path, module):
    assert_interrupted(python("-c", PRESSING, module), tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_ctrl_c_while_a_module_runs(tmp_path):
    (tmp_path / "csv.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    assert_interrupted(python("-c", "import minigan.data"), tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_ctrl_c_in_code_that_is_no_import_keeps_its_traceback(tmp_path):
    code = "import minigan; exec('raise KeyboardInterrupt', {})"
    result = subprocess.run(
        python("-c", code), env=environment(tmp_path), capture_output=True, text=True
    )
    assert result.stderr.startswith("Traceback") and result.stderr.endswith("KeyboardInterrupt\n")
    assert result.stderr.count("Traceback") == 1


def assert_interrupted(command, folder):
    result = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    assert result.returncode == -signal.SIGINT  # a shell says 130
    assert result.stdout == "" and result.stderr == "interrupted\n"


# Ctrl-C, pressed ten times where no exception gets out, while modules are imported or a command
# runs, or once where a library catches everything and once more a second later.
LOSING = """
import os, signal, sys, threading, time

def press():
    os.kill(os.getpid(), signal.SIGINT)

class Pressed:
    def __del__(self):
        for _ in range(10):
            press()

class Finder:
    def find_spec(name, *_):
        if name == sys.argv[1]:
            Pressed()

def main():
    if sys.argv[1] == "running":
        Pressed()
    if sys.argv[1] == "caught":
        threading.Timer(1.2, press).start()
        try:
            press()
        except BaseException:
            pass
    time.sleep(30)
    print("not interrupted")

sys.meta_path.insert(0, Finder)
from minigan.training import command
command(main, "program")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("where", ["minigan.layers", "running", "caught"])
def test_a_lost_ctrl_c_is_not_lost(tmp_path, where):
    result = subprocess.run(
        python("-c", LOSING, where), env=environment(tmp_path), capture_output=True, text=True
    )
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr == "program: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_signal_that_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGTERM)
            assert interrupts.signal is None
            signal.raise_signal(signal.SIGINT)
            assert interrupts.signal == signal.SIGINT
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
@pytest.mark.parametrize("name", ["résumé", "a\nb", "\x1b[31m", b"\xff\xfe"])
def test_names_that_the_terminal_cannot_print(pictures, tmp_path, name):
    out = os.fsdecode(name) if isinstance(name, bytes) else name
    command = python(HERE / "narrow_gan.py", *words(pictures, out, "--steps", 1))
    variables = environment(tmp_path) | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    result = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True)
    assert result.returncode == 0, result.stderr
    for said in (result.stdout, result.stderr):
        assert said.decode("ascii").replace("\n", "").isprintable()
    assert result.stdout.count(b"\n") == 1
    command = python("-m", "minigan", "info", os.path.join(out, "checkpoint.npz"))
    result = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True)
    assert result.returncode == 0 and result.stderr == b""


@pytest.mark.parametrize(
    "system, line",
    [
        ("posix", "python examples/gan.py --resume --out 'my runs/it'\"'\"'s one'"),
        ("nt", 'python examples/gan.py --resume --out "my runs/it\'s one"'),
    ],
)
def test_command_lines_are_quoted_as_the_system_wants(monkeypatch, system, line):
    monkeypatch.setattr(options.os, "name", system)
    command = ["python", "examples/gan.py", "--resume", "--out", "my runs/it's one"]
    assert options.command_line(command) == line

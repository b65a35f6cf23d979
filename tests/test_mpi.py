"""Several processes under a real MPI: the same training, one writer, one end."""

import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigan.data import once
from minigan.errors import UserError
from minigan.training import together as meeting
from minigan.training.history import History

pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'minigan[mpi]'")
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec to start processes with"),
]
ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
ENVIRONMENT = os.environ | {"MINIGAN_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
SMALL = ("--steps 5 --batch-size 12 --limit 60 --dtype float64 --data digits").split()


def start(size, program, *words, **variables):
    """`size` processes of a program; (exit code, stdout and stderr)."""
    ended = subprocess.run(
        [MPIEXEC, "-n", str(size), sys.executable, program, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        env=ENVIRONMENT | variables,
    )  # fmt: skip
    return ended.returncode, ended.stdout


def train(size, example, out, *words, **variables):
    code, text = start(size, EXAMPLES / example, *SMALL, "--out", out, *words, **variables)
    assert code == 0, text
    return text


def assert_same(left, right, atol=1e-10):
    """The checkpoints and histories of two runs, to rounding."""
    ours, theirs = (np.load(folder / "checkpoint.npz") for folder in (left, right))
    assert ours.files == theirs.files
    for name in ours.files:
        if ours[name].dtype.kind == "f":
            np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=atol, err_msg=name)
    ours, theirs = (History.read(folder / "history.csv") for folder in (left, right))
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.parametrize(
    ("example", "width", "size", "atol"),
    [
        ("mnist_gan.py", 0.1, 2, 1e-10),
        # Biases in front of a BatchNorm have no gradient but rounding, by which Adam moves them.
        ("mnist_dcgan.py", 0.1, 3, 1e-8),
        ("dcgan.py", 0.12, 4, 1e-10),
        ("wgan_gp.py", 0.12, 2, 1e-10),
        ("cgan.py", 0.12, 3, 1e-10),
    ],
)
def test_any_number_of_processes_train_as_one(tmp_path, example, width, size, atol):
    words = ["--width", width, "--mirror"]
    train(1, example, tmp_path / "one", *words)
    text = train(size, example, tmp_path / "several", *words)
    assert f"{size} processes" in text and text.count("results in") == 1
    assert_same(tmp_path / "one", tmp_path / "several", atol)


def test_points_are_the_same_and_so_is_what_is_found_of_them(tmp_path):
    """z of every process are its own part, and the modes are those of all samples."""
    words = "--data auto --g-lr 0.03 --d-lr 0.03 --steps 20 --limit 4800 --batch-size 240".split()
    for size in (1, 2):
        train(size, "toy_2d.py", tmp_path / str(size), *words)
    assert max(History.read(tmp_path / "1" / "history.csv")["modes"]) > 1
    assert_same(tmp_path / "1", tmp_path / "2", 1e-8)


def test_one_process_trains_the_classifier_that_scores(tmp_path):
    """Nobody else answers what it says meanwhile: the others wait for its figures."""
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(15):
            pixels = np.random.default_rng(i).integers(level, level + 50, (16, 16), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    words = ["--data", tmp_path / "data", "--limit", 30, "--size", 16, "--width", 0.05]
    words += ["--channels", 1, "--loss", "hinge", "--score-every", 1, "--keep-best", "kernel"]
    for size in (1, 2):
        cache = {"XDG_CACHE_HOME": str(tmp_path / f"cache {size}")}
        train(size, "own_pictures.py", tmp_path / str(size), *words, **cache)
        assert (tmp_path / f"cache {size}" / "minigan" / "judges").exists()
        assert (tmp_path / str(size) / "best.npz").exists()
    assert_same(tmp_path / "1", tmp_path / "2")


def test_statistics_of_each_process_are_resumed_bit_for_bit(tmp_path):
    """This generator draws for D by its moving statistics, which a checkpoint has of one alone."""
    words = ["--width", 0.02, "--local-batchnorm", "--lr-g", 0.01, "--pretrain", 0]
    train(2, "mnist_conv_gan.py", tmp_path / "one", *words)
    train(2, "mnist_conv_gan.py", tmp_path / "parts", *words, "--steps", 3)
    train(2, "mnist_conv_gan.py", tmp_path / "parts", "--resume", "--steps", 5)
    assert_same(tmp_path / "one", tmp_path / "parts", 0)


def test_an_interruption_waits_until_the_processes_have_met(monkeypatch):
    came, before = [], signal.signal(signal.SIGINT, lambda *_: came.append("after"))

    def meet():
        os.kill(os.getpid(), signal.SIGINT)
        came.append("met")

    monkeypatch.setattr(meeting, "_meet", meet)
    monkeypatch.setenv("PMI_RANK", "0")
    try:
        meeting.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == ["met", "after"]


def test_a_run_goes_on_with_another_number(tmp_path):
    words = ["--width", 0.1]
    train(1, "mnist_gan.py", tmp_path / "one", *words)
    train(4, "mnist_gan.py", tmp_path / "parts", *words, "--steps", 2)
    train(2, "mnist_gan.py", tmp_path / "parts", "--resume", "--steps", 4)
    train(1, "mnist_gan.py", tmp_path / "parts", "--resume", "--steps", 5)
    assert_same(tmp_path / "one", tmp_path / "parts")


BROKEN = f"""
import os, sys
sys.path.insert(0, {str(EXAMPLES)!r})
import mnist_gan
from minigan import processes, training
from minigan.training import together

fault, whole_step, steps = sys.argv.pop(1), mnist_gan.train_step, []
together.SILENCE = float(os.environ.get("SILENCE", together.SILENCE))

def train_step(G, *rest):
    steps.append(1)
    if len(steps) == 3 and processes.here.rank == 1:
        if fault == "exception":
            raise RuntimeError("a" " bug")
        if fault == "memory":
            raise MemoryError
        if fault == "not finite":
            G.params[...] = float("nan")
        if fault.isdigit():
            os.kill(os.getpid(), int(fault))
    return whole_step(G, *rest)

mnist_gan.train_step = train_step
training.command(mnist_gan.main)
"""


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("exception", 1, "RuntimeError: a bug"),
        ("memory", 2, "process 1 of 2: error: out of memory"),
        ("not finite", 1, "step 3: d_loss is nan"),
        ("15", 143, "stopped after step 3, saved"),
        ("9", 9, ""),
    ],
)
def test_when_one_ends_all_do(tmp_path, fault, code, message):
    program, out = tmp_path / "program.py", tmp_path / "run"
    program.write_text(BROKEN)
    found, text = start(2, program, fault, *SMALL, "--width", 0.05, "--out", out)
    assert found == code and message in text, text
    assert text.count(message) == 1 or not message
    train(2, "mnist_gan.py", out, "--resume")


def test_nobody_waits_for_ever(tmp_path):
    """A process that stops is what a machine without its network is to the others."""
    program, out = tmp_path / "program.py", tmp_path / "run"
    program.write_text(BROKEN)
    fault = int(signal.SIGSTOP)
    code, text = start(2, program, fault, *SMALL, "--width", 0.05, "--out", out, SILENCE="3")
    assert code == 1 and text.count("no word from the others for") == 1, text
    train(2, "mnist_gan.py", out, "--resume")


def test_a_disk_that_fills_up_at_the_writer(tmp_path):
    """The others know nothing of it, and are ended after a while, without a word."""
    program, out = tmp_path / "program.py", tmp_path / "run"
    program.write_text(
        f"import errno, sys\nsys.path.insert(0, {str(EXAMPLES)!r})\nimport mnist_gan\n"
        "from minigan import training\nfrom minigan.training import run\n"
        "def full(*_):\n    raise OSError(errno.ENOSPC, 'disk full')\nrun.save = full\n"
        "training.command(mnist_gan.main)\n"
    )
    code, text = start(2, program, *SMALL, "--width", 0.05, "--out", out)
    assert code == 2 and text.count("disk full; no checkpoint") == 1, text
    assert "Traceback" not in text, text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--batch-size", 10],
            "--batch-size 10: a batch of 10 cannot be shared out evenly among 3",
        ),
        (["--data", "nowhere"], "data nowhere: no such file or folder"),
        (["--lr", "x"], "argument --lr"),
    ],
)
def test_bad_use_is_one_line(tmp_path, words, message):
    code, text = start(3, EXAMPLES / "mnist_gan.py", *SMALL, "--out", tmp_path / "run", *words)
    assert code == 2 and text.count("error") == 1 and message in text, text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sys.argv += ['--lr', f'0.{rank}1']", "lr 0.11, process 0 has 0.01"),
        (
            "sys.argv += ['--width', '0.1'] * rank",
            "a generator of 90,059 numbers, process 0 has 43,822",
        ),
        ("training.parser = called(f'gan_{rank}')", "a run called gan_1, process 0 has gan_0"),
    ],
)
def test_processes_that_differ_are_refused(tmp_path, change, message):
    program = tmp_path / "program.py"
    program.write_text(
        f"import os, sys\nsys.path.insert(0, {str(EXAMPLES)!r})\nimport mnist_gan\n"
        "from minigan import training\n"
        "rank, made = int(os.environ['PMI_RANK']), training.parser\n"
        "def called(new):\n    return lambda *args, **more: made(*args, **(more | {'name': new}))\n"
        f"{change}\ntraining.command(mnist_gan.main)\n"
    )
    code, text = start(2, program, *SMALL, "--width", 0.05, "--out", tmp_path / "run")
    assert code == 2 and message in text and "start all with the same" in text, text


def test_a_launcher_of_another_mpi(tmp_path):
    """Each of its processes is the only one to MPI, and would train the whole by itself."""
    launched = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
    ended = subprocess.run(
        [sys.executable, EXAMPLES / "mnist_gan.py", *SMALL, "--out", tmp_path / "run"],
        capture_output=True, text=True, timeout=60, env=ENVIRONMENT | launched,
    )  # fmt: skip
    assert ended.returncode == 2 and not (tmp_path / "run").exists()
    assert "the launcher has started 2 processes, and to MPI this one is alone" in ended.stderr


def test_too_little_shared_memory(monkeypatch):
    monkeypatch.setattr(once.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=10**6))
    once._check_room(10**6)
    with pytest.raises(UserError, match="take 2 MB .* /dev/shm has 1 MB left: enlarge it"):
        once._check_room(2 * 10**6)


def test_without_mpi4py(tmp_path):
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ended = subprocess.run(
        [MPIEXEC, "-n", "2", sys.executable, EXAMPLES / "mnist_gan.py"],
        capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert ended.returncode == 2 and ended.stderr.count("pip install 'minigan[mpi]'") == 1

"""What the tests of whole runs share: data on disk, commands, comparing results."""

import contextlib
import io
import itertools
import os
import signal
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from minigan.training import command

HERE = Path(__file__).parent
IMAGES_NAME = "train-images-idx3-ubyte"
BATCH, STEPS_PER_EPOCH, EPOCHS = 8, 5, 2  # of the 43 images of the fixture `pictures`
LAST_STEP = STEPS_PER_EPOCH * EPOCHS


def words(pictures, out, *more):
    """The command line of a run of EPOCHS epochs; of an option said twice the last one holds."""
    return ["--data", pictures, "--out", out, "--batch-size", BATCH, "--epochs", EPOCHS, *more]


def idx_bytes(count, *, seed=0):
    """An IDX file of `count` random images of 28 x 28."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)
    return struct.pack(">4I", 0x0803, *pixels.shape) + pixels.tobytes()


def write_idx(folder, count, *, seed=0):
    """Write IDX images of random pixels into a new folder; returns it as the word for --data."""
    folder.mkdir()
    (folder / IMAGES_NAME).write_bytes(idx_bytes(count, seed=seed))
    return str(folder)


def run(main, *words):
    """Run a command line in this process; returns its exit code."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        command(lambda: main([str(word) for word in words]), "program")
    except SystemExit as end:
        return end.code or 0
    finally:
        signal.signal(signal.SIGINT, handler)  # a program that has ended heeds no Ctrl-C


def parser_of(example, monkeypatch):
    """The parser of an example's options, which its `main` makes."""
    parsers = []
    with monkeypatch.context() as patch:
        patch.setattr(example.training, "parse", lambda parser, argv: parsers.append(parser))
        with pytest.raises(AttributeError):  # it has no options
            example.main([])
    (parser,) = parsers
    return parser


def environment(home):
    """Variables for a program that finds no data, no network and an empty home."""
    system = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return system | {
        "HOME": str(home),
        "LOCALAPPDATA": str(home),
        "MINIGAN_OFFLINE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE.parent),
    }


def python(*words):
    """A command that runs this Python, with warnings as errors."""
    return [sys.executable, "-W", "error", *map(str, words)]


def npz_bytes(**stored):
    """The content of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **stored)
    return file.getvalue()


def arrays(path):
    """All arrays of an .npz file."""
    with np.load(path) as file:
        return dict(file)


def assert_same_results(folder, expected):
    """Assert that two folders hold the same results, bit for bit, and nothing else."""
    names, expected_names = (
        sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        for root in (folder, expected)
    )
    assert names == expected_names
    for name in names:
        if name.endswith(".npz"):  # a zip file also tells the time
            found, there = arrays(folder / name), arrays(expected / name)
            assert found.keys() == there.keys()
            for key in there:
                assert found[key].dtype == there[key].dtype, key
                assert np.array_equal(found[key], there[key]), f"{key} differs in {name}"
        else:
            assert (folder / name).read_bytes() == (expected / name).read_bytes(), name


def at_step(module, step, act):
    """Let the example call act(G, D, opt_g, opt_d) before its training step number `step`."""
    train_step, calls = module.train_step, itertools.count(1)

    def watched_step(*arguments):
        if next(calls) == step:
            act(*arguments[:4])
        return train_step(*arguments)

    module.train_step = watched_step


class FixedCores:
    """Stands in for the BLAS and its number of threads."""

    def __init__(self, cores):
        self.cores = cores

    @contextlib.contextmanager
    def single_threaded(self):
        yield self.cores

    def forget_users(self):
        """It has none."""


def hash32(counter, key):
    """The hash of the dropout masks on a GPU: mixes uint32 `counter` (in place) with `key`."""
    for word in (key, key ^ np.uint32(0x9E3779B9)):
        counter ^= word
        counter ^= counter >> 16
        counter *= np.uint32(0x7FEB352D)
        counter ^= counter >> 15
        counter *= np.uint32(0x846CA68B)
        counter ^= counter >> 16
    return counter

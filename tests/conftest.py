"""Fixtures of the tests of whole runs."""

import itertools
import signal
import sys

import host_cublas
import host_kernels
import narrow_gan
import on_device
import pytest
import strict_array_module
from helpers import run, words, write_idx

from minigan import random
from minigan.arrays import array_module
from minigan.errors import UserError
from minigan.kernels.gpu import cublas
from minigan.training import plot

NO_DEVICE = (  # files of tests
    "test_any_words", "test_benchmarks", "test_data_archives", "test_data_arrays",
    "test_data_attributes", "test_data_builtin",
    "test_data_cifar", "test_data_digits", "test_data_folder", "test_data_mnist",
    "test_data_numbers", "test_docs", "test_download", "test_geometry", "test_history",
    "test_pictures", "test_progress", "test_report", "test_shortage",
)  # fmt: skip


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """43 images, as the word for --data: five batches of 8 and a remainder."""
    return write_idx(tmp_path_factory.mktemp("pictures") / "idx", 43)


@pytest.fixture
def coarse_plots(monkeypatch):
    """A coarse plot takes a tenth of the time."""
    monkeypatch.setattr(plot, "OVERSAMPLING", 1)


@pytest.fixture
def gan(tmp_path, monkeypatch, coarse_plots):
    """The narrow example as a fresh module, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return narrow_gan.example()


@pytest.fixture
def whole(gan, pictures, tmp_path):
    """The folder of a run that nothing stopped."""
    assert run(gan.main, *words(pictures, tmp_path / "whole")) == 0
    return tmp_path / "whole"


def pytest_addoption(parser):
    parser.addoption(
        "--device", choices=("cpu", "gpu", "stand-in"), default="cpu",
        help="where the engine computes; stand-in is the GPU's code on the CPU",
    )  # fmt: skip


def pytest_configure():
    """What all processes of a run share; and Ctrl-C and the end of a terminal, which those in the
    background ignore, and whatever they start."""
    host_kernels.folder()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # unknown to Windows
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config, items):
    """Without a GPU nothing runs with --device gpu, and with one not what is about others; on the
    stand-in no more runs than what it makes a difference to.

    A warning is an error in a test, but not while plugins that happen to be installed start, as it
    would be with `filterwarnings` in pyproject.toml: one of theirs then ends the whole session.
    """
    device = config.getoption("--device")
    reasons = {}  # what a test has, a mark or a fixture -> why it is skipped
    if device != "cpu":
        reasons["host"] = "is about the CPU, looks within a call, or needs the CPU's masks"
        reasons |= dict.fromkeys(NO_DEVICE, "is about files and words, which no device changes")
    if device == "stand-in":
        reasons |= dict.fromkeys(("gpu", "stand_in"), "has the stand-in without --device too")
    if device == "gpu":
        reasons["stand_in"] = "is about the stand-in"
        try:
            array_module("gpu")
        except UserError as error:
            reasons = {"": str(error)}
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("error"), append=False)  # a test's own go first
        marks = (mark.name for mark in item.iter_markers())
        has = ["", *item.fixturenames, *marks, item.path.stem]
        for reason in {reasons[name] for name in has if name in reasons}:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def interrupts_as_before():
    """A command that has ended heeds no Ctrl-C, but the tests behind it send some."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def stand_in(monkeypatch):
    """The stand-in in CuPy's place, with empty lists of host traffic and launches."""
    monkeypatch.setitem(sys.modules, "cupy", strict_array_module)
    strict_array_module.host_traffic.clear()
    strict_array_module.launches.clear()
    library = host_cublas.HostCublas(strict_array_module._do)
    monkeypatch.setattr(cublas, "_library", lambda xp: library)
    cublas._multiplier.cache_clear()
    return strict_array_module


@pytest.fixture
def compiler():
    """What runs the GPU's kernels on the stand-in."""
    if not host_kernels.COMPILER:
        pytest.skip(host_kernels.NO_COMPILER)


@pytest.fixture
def gpu(request):
    """CuPy with --device gpu, else the stand-in.  A real GPU tells nothing of its traffic."""
    if request.config.getoption("--device") == "gpu":
        return array_module("gpu")
    request.getfixturevalue("compiler")
    return request.getfixturevalue("stand_in")


@pytest.fixture
def traffic(gpu):
    """What crossed between host and device, as far as known."""
    return getattr(gpu, "host_traffic", [])


@pytest.fixture(autouse=True)
def as_in_a_fresh_process(monkeypatch):
    """What is drawn without a step is what it would be had no test come before."""
    monkeypatch.setattr(random, "_unaddressed", itertools.count())


@pytest.fixture(autouse=True)
def device(request, monkeypatch):
    """The engine computes where --device says, unless the test has its own."""
    asked = request.config.getoption("--device")
    if asked != "cpu" and not {"gpu", "stand_in"} & {*request.fixturenames}:
        if asked == "stand-in":
            request.getfixturevalue("gpu")
        on_device.install(monkeypatch)
    return asked

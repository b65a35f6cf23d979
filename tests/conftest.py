"""Fixtures of the tests of whole runs."""

import sys

import narrow_gan
import pytest
import strict_array_module
from helpers import run, words, write_idx

from minigan.training import plot


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """43 images, as the word for --data: five batches of 8 and a remainder."""
    return write_idx(tmp_path_factory.mktemp("pictures") / "idx", 43)


@pytest.fixture
def gan(tmp_path, monkeypatch):
    """The narrow example as a fresh module, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plot, "OVERSAMPLING", 1)  # a coarse plot takes a tenth of the time
    return narrow_gan.example()


@pytest.fixture
def whole(gan, pictures, tmp_path):
    """The folder of a run that nothing stopped."""
    assert run(gan.main, *words(pictures, tmp_path / "whole")) == 0
    return tmp_path / "whole"


@pytest.fixture
def gpu(monkeypatch):
    """The stand-in in CuPy's place, with empty lists of host traffic and launches."""
    monkeypatch.setitem(sys.modules, "cupy", strict_array_module)
    strict_array_module.host_traffic.clear()
    strict_array_module.launches.clear()
    return strict_array_module

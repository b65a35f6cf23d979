"""A run that begins with the weights of another."""

import json

import numpy as np
import pytest
from helpers import arrays, assert_same_results, run, words
from narrow_gan import example

import minigan as mg
from minigan import training
from minigan.errors import UserError
from minigan.training.checkpoint import TRAINED, Checkpoint, save


@pytest.fixture
def source(gan, pictures, tmp_path):
    """The folder of a run of one epoch that had an average."""
    more = ["--epochs", 1, "--seed", 7, "--average", 0.5]
    assert run(gan.main, *words(pictures, tmp_path / "source", *more)) == 0
    return tmp_path / "source"


def refused(capsys, module, *command):
    """What a command that is bad input says, one line."""
    capsys.readouterr()
    assert run(module.main, *command) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("average, place", [(0, ""), (0.5, "checkpoint.npz")])
def test_a_run_begins_where_the_other_was(
    gan, pictures, source, tmp_path, capsys, monkeypatch, average, place
):
    """Not before its first step, as a checkpoint shows, and with optimizers of its own."""
    monkeypatch.setattr(training.Run, "_begin_step", stop)
    command = words(pictures, tmp_path / "new", "--init-from", source / place, "--average", average)
    with pytest.raises(Stopped):
        run(gan.main, *command)
    begun, there = arrays(tmp_path / "new" / "checkpoint.npz"), arrays(source / "checkpoint.npz")
    for name in ("generator", "discriminator", *[TRAINED] * bool(average)):
        for vector in ("params", "buffers"):
            original = TRAINED if name == "generator" else name
            expected = there[f"{original}/{vector}"]
            assert np.array_equal(begun[f"{name}/{vector}"], expected), name
    assert (there["generator/params"] != there[f"{TRAINED}/params"]).any()
    assert not begun["generator/optimizer/m"].any() and there["generator/optimizer/m"].any()
    stored = Checkpoint(tmp_path / "new")
    assert stored.description["optimizer_steps"] == {"generator": 0, "discriminator": 0}
    assert stored.run["step"] == 0
    assert stored.run["options"]["init_from"] == str(source / place)
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert config["init_from"] == str(source / place)
    said = capsys.readouterr().err
    assert f"begins with 12 tensors from {source / 'checkpoint.npz'}\n" in said


class Stopped(Exception):
    """Before the first step."""


def stop(run):
    raise Stopped


def test_it_resumes_bit_for_bit_without_the_other(gan, pictures, source, tmp_path):
    """And may say again from where it came, as a notebook's cell does that is run again."""
    whole, legs = tmp_path / "whole", tmp_path / "legs"
    for out, epochs in ((whole, 2), (legs, 1)):
        command = words(pictures, out, "--init-from", "source", "--epochs", epochs)
        assert run(example().main, *command) == 0
    (source / "checkpoint.npz").unlink()
    assert run(example().main, "--resume", *words(pictures, legs, "--init-from", "source")) == 0
    assert_same_results(legs, whole)


def test_with_resume_it_is_refused(gan, pictures, source, tmp_path, capsys, whole):
    before = (whole / "checkpoint.npz").read_bytes()
    said = refused(capsys, gan, "--resume", "--out", whole, "--init-from", source)
    assert f"--init-from {source} is for a run that begins, and {whole}" in said
    assert "leave it out, or give another --out without --resume" in said
    assert (whole / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize(
    "name, message",
    [
        ("nowhere", "no checkpoint at "),
        ("words.npz", "is not a minigan checkpoint"),
        ("", "argument --init-from: '' is no name of a file or folder"),
    ],
)
def test_what_is_no_checkpoint(gan, tmp_path, capsys, name, message):
    """Before the data are looked for."""
    (tmp_path / "words.npz").write_text("words")
    command = words(tmp_path / "no data", tmp_path / "out", f"--init-from={name}")
    assert message in refused(capsys, gan, *command)


# The function.


def generator(inputs=4, width=6, colours=3):
    inner = mg.Sequential([mg.Dense(inputs, width), mg.BatchNorm(width)])
    return mg.Sequential([inner, mg.ReLU(), mg.Dense(width, colours)], seed=1, name="generator")


def critic():
    return mg.Sequential([mg.Dense(3, 2), mg.Dense(2, 1)], seed=2, name="critic")


@pytest.fixture
def file(tmp_path):
    """A file of a generator and a critic whose numbers are 0, 1, 2 ..."""
    networks = {"generator": generator(), "critic": critic()}
    for network in networks.values():
        network.params = np.arange(network.params.size)
        network.buffers = 100 + np.arange(network.buffers.size)
    save(tmp_path / "file.npz", networks)
    return tmp_path / "file.npz"


def test_all_that_fits_is_taken_and_the_rest_is_named(file):
    before = generator(inputs=5, colours=1)
    network = before.clone()
    line = training.init_from({"generator": network, "discriminator": critic()}, file)
    assert line == (
        f"begins with 5 tensors from {file}; not taken: "
        "generator 0.sequential.0.dense.weight (5, 6), there (4, 6); "
        "generator 2.dense.weight (6, 1), there (6, 3); "
        "generator 2.dense.bias (1,), there (3,); all of discriminator, there none"
    )
    (dense, norm), last = network.layers[0].layers, network.layers[2]
    there = mg.load(file)["generator"]
    assert np.array_equal(dense.bias, there.layers[0].layers[0].bias)
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        assert np.array_equal(getattr(norm, name), getattr(there.layers[0].layers[1], name))
    assert np.array_equal(dense.weight, before.layers[0].layers[0].weight)
    assert np.array_equal(last.params, before.layers[2].params)


def test_a_layer_that_is_not_there(file):
    network = mg.Sequential([*critic().layers, mg.LeakyReLU(0.1), mg.Dense(1, 1)])
    line = training.init_from({"critic": network}, file)
    assert line.endswith(
        ": critic 3.dense.weight (1, 1), there none; critic 3.dense.bias (1,), there none"
    )
    assert np.array_equal(network.layers[0].params, np.arange(8))


def test_of_another_precision(file):
    network = critic().clone("float64")
    assert training.init_from({"critic": network}, file) == f"begins with 4 tensors from {file}"
    assert network.dtype == np.float64 and np.array_equal(network.params, np.arange(11))


def test_on_a_gpu(gpu, file):
    network = generator().to("gpu")
    training.init_from({"generator": network}, file)
    assert isinstance(network.params, gpu.ndarray)
    assert np.array_equal(mg.to_host(network.params), np.arange(network.param_count))
    assert np.array_equal(mg.to_host(network.buffers), 100 + np.arange(network.buffer_count))


def test_nothing_fits(file):
    with pytest.raises(UserError, match="file.npz fits this run: all of D, there none"):
        training.init_from({"D": critic()}, file)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused_and_nothing_is_written(tmp_path, value):
    there = critic().clone("float64")
    there.layers[1].bias = [value]
    there.save(tmp_path / "file.npz")
    network = critic()
    before = network.params.copy()
    with pytest.raises(UserError, match=r"file.npz: its critic 1.dense.bias is not finite"):
        training.init_from({"critic": network}, tmp_path / "file.npz")
    assert np.array_equal(network.params, before)


class Own(mg.layers.Layer):
    """A user's own layer."""

    def __init__(self):
        super().__init__()
        self.declare("gain", (3,), mg.init.Constant(1.0))


def test_layers_of_ones_own(tmp_path):
    there = mg.Sequential([Own()], name="generator")
    there.params = [1, 2, 3]
    there.save(tmp_path / "file.npz")
    network = mg.Sequential([Own()])
    with pytest.raises(UserError, match="unknown class 'Own'"):
        training.init_from({"generator": network}, tmp_path / "file.npz")
    training.init_from({"generator": network}, tmp_path / "file.npz", custom=[Own])
    assert network.params.tolist() == [1, 2, 3]

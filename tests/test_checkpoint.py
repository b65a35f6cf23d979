"""Checkpoints: networks come back whole, and no file that is not one gets in."""

import errno
import io
import json
import os

import numpy as np
import pytest
from helpers import arrays, npz_bytes

import minigan as mg
from minigan import archive, init, rebuild
from minigan.errors import UserError
from minigan.training import checkpoint


class Scale(mg.layers.Layer):
    """A user's own layer: y = scale x, one number a feature, moved along by a shift."""

    def __init__(self, features, *, scale_init=None):
        super().__init__()
        self.features, self.scale_init = features, scale_init or Steps(0.5)
        self.declare("scale", (features,), self.scale_init)

    def forward(self, x, train=True):
        return x * self.scale, x


class Steps(init.Initializer):
    """A user's own initialiser: 0, size, 2 size ..."""

    def __init__(self, size):
        self.size = size

    def __call__(self, shape, generator):
        return self.size * np.arange(float(np.prod(shape))).reshape(shape)


OWN = [Scale, Steps]
RUN = {
    "name": "net",
    "options": {"lr": 0.1, "limit": None, "original": False, "data": "digits"},
    "data": {"name": "digits", "count": 9, "shape": [28, 28, 1], "crc32": 7},
    "latent": {"size": 4, "kind": "uniform", "low": -1.0, "high": 1.0, "classes": []},
    "value_range": [-1.0, 1.0],
    "step": 3,
}

NETWORKS = {
    "dense": lambda: [mg.Dense(4, 3, use_bias=False), mg.LeakyReLU(0.3)],
    "initialisers": lambda: [
        mg.Dense(4, 3, weight_init=init.TruncatedNormal(0.7), bias_init=init.Constant(0.25)),
        mg.Dense(3, 2, weight_init=init.UniformFanIn(fan_in=9), bias_init=init.Normal(2.0)),
    ],
    "norms": lambda: [mg.BatchNorm(4, momentum=0.5, eps=0.01), mg.LayerNorm(4), mg.Sigmoid()],
    "shapes": lambda: [mg.Reshape((2, 2, 1)), mg.LayerNorm((2, 2, 1)), mg.Flatten()],
    "nested": lambda: [
        mg.Sequential([mg.Dense(4, 3), mg.Sequential([mg.BatchNorm(3)], name="deep")]),
        mg.ReLU(),
    ],
    "images": lambda: [
        mg.Reshape((2, 2, 1)),
        mg.RandomShift(0.5),
        mg.UpSample2d(),
        mg.Conv2d(1, 2, 3),
        mg.LeakyReLU(0.1),
        mg.ConvTranspose2d(2, 1, (4, 2), stride=2),
        mg.Flatten(),
    ],
    "spectral": lambda: [mg.SpectralNorm(mg.Dense(4, 3, use_bias=False)), mg.Tanh()],
    "always": lambda: [mg.Dropout(0.5, always=True), mg.Tanh()],
    "own": lambda: [Scale(4), Scale(4, scale_init=Steps(2)), mg.Sequential([Scale(4)])],
}


def build(layers, dtype="float32"):
    """A network that has seen two batches: its moving averages are not their first values."""
    network = mg.Sequential(NETWORKS[layers](), name="net", seed=3, dtype=dtype)
    for step in range(2):
        network.forward(mg.random.normal((5, 4), seed=1, where="x", step=step, dtype=dtype))
    return network


@pytest.fixture
def saved(tmp_path):
    """The path of a small saved network."""
    build("norms").save(tmp_path / "net.npz")
    return tmp_path / "net.npz"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", NETWORKS)
def test_a_network_comes_back(tmp_path, layers, dtype):
    network = build(layers, dtype)
    network.save(tmp_path / "deep" / "net.npz")
    ((name, loaded),) = mg.load(tmp_path / "deep" / "net.npz", custom=OWN).items()
    assert name == loaded.name == "net" and loaded.dtype == dtype
    assert repr(loaded.layers) == repr(network.layers) and loaded.summary() == network.summary()
    assert np.array_equal(loaded.params, network.params)
    assert np.array_equal(loaded.buffers, network.buffers)
    x = mg.random.normal((5, 4), seed=2, where="x", dtype=dtype)
    for train in (False, True):
        for net in (network, loaded):
            net.begin_step(7)  # of the dropout masks, which are the network's place and seed
        assert np.array_equal(loaded.forward(x, train)[0], network.forward(x, train)[0])


def test_describe_is_undone_by_rebuild():
    for layers in NETWORKS:
        network = build(layers)
        text = json.dumps(archive.describe(network))
        assert archive.describe(rebuild.rebuild(json.loads(text), OWN)) == json.loads(text)


def test_own_classes_must_be_given(tmp_path):
    build("own").save(tmp_path / "net.npz")
    for custom, missing in (([], "Steps|Scale"), ([Scale], "Steps"), ([Steps], "Scale")):
        with pytest.raises(UserError, match=rf"unknown class '({missing})'.*custom=\["):
            mg.load(tmp_path / "net.npz", custom)


def test_optimizers_come_back(tmp_path):
    def train(network, optimizers, steps):
        for step in steps:
            x = mg.random.normal((5, 4), seed=1, where="x", step=step)
            y, cache = network.forward(x)
            network.zero_grad()
            network.backward(y - 1, cache)
            for optimizer in optimizers:
                optimizer.step()

    for make in (
        lambda n: mg.Adam(n, 0.1),
        lambda n: mg.RMSProp(n, 0.1),
        lambda n: mg.SGD(n, 0.1, momentum=0.9),
    ):
        network = build("dense")
        optimizer = make(network)
        train(network, [optimizer], range(3))
        checkpoint.save(tmp_path / "c.npz", {"n": network}, {"n": optimizer}, run=RUN)
        train(network, [optimizer], range(3, 6))

        resumed = build("dense")
        other = make(resumed)
        stored = checkpoint.Checkpoint(tmp_path / "c.npz")
        stored.restore({"n": resumed}, {"n": other})
        assert stored.run == RUN and other.t == 3
        train(resumed, [other], range(3, 6))
        assert np.array_equal(resumed.params, network.params), type(optimizer).__name__


# Files that are no checkpoint, or no longer.


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def described(**changes):
    """A file with a description as ours, apart from the changes."""
    right = {
        "format": archive.FORMAT,
        "version": archive.VERSION,
        "networks": {},
        "optimizer_steps": {},
        "run": None,
    }
    return npz_bytes(description=np.frombuffer(json.dumps(right | changes).encode(), np.uint8))


DENSE = {
    "class": "Sequential",
    "layers": [{"class": "Dense", "inputs": 2, "outputs": 0}],
    "name": "d",
    "seed": 0,
    "dtype": "float32",
}

FOREIGN = {
    "empty": (b"", "not a minigan checkpoint"),
    "text": (b"step,epoch\n", "not a minigan checkpoint"),
    "npy": (npy(np.zeros(3)), "not a minigan checkpoint"),
    "other npz": (npz_bytes(a=np.zeros(3)), "not a minigan checkpoint"),
    "no arrays": (npz_bytes(), "not a minigan checkpoint|truncated"),
    "pickled": (npz_bytes(a=np.array([{}], object)), "pickled Python objects.*refused"),
    "pickled description": (npz_bytes(description=np.array(["{}"], object)), "pickled"),
    "no JSON": (npz_bytes(description=np.zeros(9, np.uint8)), "not a minigan checkpoint"),
    "JSON list": (npz_bytes(description=np.frombuffer(b"[1]", np.uint8)), "not a minigan check"),
    "other format": (described(format="other"), "not a minigan checkpoint"),
    "later version": (described(version=99), "version 99.*update minigan"),
    "no parameters": (described(networks={"d": {**DENSE, "layers": []}}), "d/params.*nothing"),
    "unknown class": (
        described(networks={"d": {"class": "os.system"}}),
        "networks.d is no network",
    ),
    "unknown layer": (
        described(networks={"d": {**DENSE, "layers": [{"class": "os.system"}]}}),
        "unknown class",
    ),
    "bad size": (described(networks={"d": DENSE}), r"d.layers\[0\].outputs is 0, expected"),
    "odd argument": (
        described(networks={"d": {**DENSE, "layers": [], "depth": 1}}),
        "networks.d has an unknown 'depth'",
    ),
}


@pytest.mark.parametrize("content, message", FOREIGN.values(), ids=FOREIGN)
def test_foreign_files_are_refused(tmp_path, content, message):
    path = tmp_path / "file.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        mg.load(path)
    assert str(path) in str(error.value) or "unknown class" in message
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, message",
    [
        ("absent.npz", "no checkpoint at .*/absent.npz"),
        ("", "no checkpoint at .*/checkpoint.npz"),
        ("run", "cannot read checkpoint .*/run/checkpoint.npz"),
    ],
)
def test_no_file(tmp_path, name, message):
    (tmp_path / "run" / "checkpoint.npz").mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        mg.load(tmp_path / name)


def test_a_truncated_file_is_refused_wherever_it_ends(saved):
    content = saved.read_bytes()
    for size in [*range(0, len(content), 37), len(content) - 1]:
        saved.write_bytes(content[:size])
        with pytest.raises(UserError, match="truncated or damaged|not a minigan checkpoint"):
            mg.load(saved)


def test_a_damaged_file_is_refused_or_still_right(saved):
    """Any one bit wrong: a checksum, the format or the description tells; else it is unused."""
    content, right = saved.read_bytes(), arrays(saved)
    refused = 0
    for position in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        saved.write_bytes(damaged)
        try:
            network = mg.load(saved)["net"]
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert np.array_equal(network.params, right["net/params"])
            assert np.array_equal(network.buffers, right["net/buffers"])
    assert refused > len(content) / 3 / 2


def test_saving_is_all_or_nothing(saved, monkeypatch):
    content = saved.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        build("dense").save(saved)
    assert saved.read_bytes() == content and len(list(saved.parent.iterdir())) == 1

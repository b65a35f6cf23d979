"""ONNX files: onnxruntime draws what the network draws, to rounding."""

import json

import numpy as np
import parity
import pytest
from helpers import run
from reference_networks import MODELS, assert_same_outputs, moved, networks, samples

import minigan as mg
from minigan import export
from minigan.__main__ import main

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.host

LAYERS = {
    "dense": ((6,), mg.Dense(6, 4)),
    "dense of pixels": ((3, 4, 2), mg.Dense(2, 5, use_bias=False)),
    "conv": ((9, 8, 2), mg.Conv2d(2, 3, 3)),
    "conv, one side": ((9, 8, 2), mg.Conv2d(2, 3, (4, 5), stride=2)),
    "conv, stride over the kernel": ((9, 8, 2), mg.Conv2d(2, 3, 2, stride=3, use_bias=False)),
    "conv, valid": ((9, 8, 2), mg.Conv2d(2, 3, (2, 4), stride=(2, 1), padding="valid")),
    "conv, own zeros": ((9, 8, 2), mg.Conv2d(2, 3, 3, padding=((0, 2), (1, 3)))),
    "transposed": ((5, 4, 2), mg.ConvTranspose2d(2, 3, 4, stride=2)),
    "transposed, one side": ((5, 4, 2), mg.ConvTranspose2d(2, 3, (5, 3), stride=2)),
    "transposed, short kernel": ((5, 4, 2), mg.ConvTranspose2d(2, 3, (2, 1), stride=(3, 4))),
    "transposed, valid": (
        (1, 1, 6), mg.ConvTranspose2d(6, 3, (4, 2), padding="valid", use_bias=False)
    ),
    "transposed, own zeros": (
        (5, 4, 2), mg.ConvTranspose2d(2, 3, 4, stride=(2, 3), padding=((0, 2), (1, 3)))
    ),
    "spectral norm": ((9, 8, 2), mg.SpectralNorm(mg.Conv2d(2, 3, 4, stride=2))),
    "upsample": ((2, 3, 2), mg.UpSample2d(3)),
    "batchnorm of vectors": ((6,), mg.BatchNorm(6)),
    "batchnorm of rows": ((3, 4), mg.BatchNorm(4)),
    "batchnorm of channels": ((3, 4, 2), mg.BatchNorm(2, eps=0.1)),
    "batchnorm of lines": ((3, 4, 2), mg.BatchNorm(3, axis=1)),
    "batchnorm of columns": ((3, 4, 2), mg.BatchNorm(4, axis=-2)),
    "layernorm of vectors": ((6,), mg.LayerNorm(6, eps=0.1)),
    "layernorm of images": ((3, 4, 2), mg.LayerNorm((3, 4, 2))),
    "layernorm of channels": ((3, 4, 2), mg.LayerNorm(2)),
    "relu": ((6,), mg.ReLU()),
    "leaky relu": ((3, 4, 2), mg.LeakyReLU(0.3)),
    "sigmoid": ((6,), mg.Sigmoid()),
    "tanh": ((6,), mg.Tanh()),
    "dropout": ((6,), mg.Dropout(0.5)),
    "random shift": ((3, 4, 2), mg.RandomShift()),
    "flatten": ((3, 4, 2), mg.Flatten()),
    "reshape": ((3, 4, 2), mg.Reshape((6, 4))),
}  # fmt: skip


def session(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return runtime.InferenceSession(path, providers=["CPUExecutionProvider"])


def assert_the_same_in_onnxruntime(network, shape, path):
    made = export.write_onnx(path, network, shape)
    (y,) = session(path).run(None, {"input": samples(network, shape).astype(np.float32)})
    exact = network.clone("float64")  # or our own rounding would count as well
    x = samples(network, shape).astype("float64")
    ours = exact.forward(x, train=False)[0]
    assert made == ours.shape[1:]
    assert_same_outputs(y, ours.astype(np.float32), 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer(name, dtype, tmp_path):
    shape, layer = LAYERS[name]
    network = moved(mg.Sequential([layer.clone()], dtype=dtype))
    assert_the_same_in_onnxruntime(network, shape, tmp_path / "x.onnx")


def test_every_layer_is_among_them():
    assert {type(layer) for _, layer in LAYERS.values()} == {
        getattr(mg.layers, name) for name in mg.layers.__all__ if name != "Layer"
    }


@pytest.mark.parametrize("key", MODELS)
def test_the_networks_of_the_examples(key, tmp_path):
    for network, shape in networks(key):
        assert_the_same_in_onnxruntime(network, shape, tmp_path / f"{network.name}.onnx")


def test_layers_behind_each_other_that_want_their_axes_otherwise(tmp_path):
    layers = [
        mg.Conv2d(2, 3, 3), mg.LayerNorm(3), mg.BatchNorm(4, axis=1), mg.UpSample2d(),
        mg.Sequential([mg.BatchNorm(6, axis=2), mg.Sequential([mg.Conv2d(3, 4, 3)])]),
        mg.Tanh(), mg.Flatten(), mg.Dense(192, 6), mg.Reshape((1, 3, 2)), mg.BatchNorm(2),
    ]  # fmt: skip
    network = moved(mg.Sequential(layers, dtype="float64"))
    assert_the_same_in_onnxruntime(network, (4, 3, 2), tmp_path / "x.onnx")


def test_the_axes_of_a_generator_are_exchanged_twice_alone(tmp_path):
    (G, shape), _ = networks("m5")
    export.write_onnx(tmp_path / "x.onnx", G, shape)
    operators = [node.op_type for node in onnx.load(tmp_path / "x.onnx").graph.node]
    assert operators.count("Transpose") == 2 and operators[-1] == "Transpose"


def test_any_number_of_samples_and_what_the_file_says(tmp_path):
    (G, shape), _ = networks("digits")
    export.write_onnx(tmp_path / "x.onnx", G, shape, {"note": "mine"})
    model, run = onnx.load(tmp_path / "x.onnx"), session(tmp_path / "x.onnx")
    assert [(i.domain, i.version) for i in model.opset_import] == [("", 17)]
    assert (model.producer_name, model.producer_version) == ("minigan", mg.__version__)
    about = run.get_modelmeta().custom_metadata_map
    assert about == {"minigan_version": mg.__version__, "note": "mine"}
    (read,), (made,) = run.get_inputs(), run.get_outputs()
    assert (read.name, read.shape, read.type) == ("input", ["N", 74], "tensor(float)")
    assert (made.name, made.shape) == ("output", ["N", 28, 28, 1])
    for count in (1, 7, 0):
        assert run.run(None, {"input": np.zeros((count, 74), np.float32)})[0].shape[0] == count


def test_dropout_that_is_always_on_stays_on(tmp_path):
    network = mg.Sequential([mg.Dropout(0.25, always=True)])
    export.write_onnx(tmp_path / "x.onnx", network, (20_000,))
    (y,) = session(tmp_path / "x.onnx").run(None, {"input": np.ones((1, 20_000), np.float32)})
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example = "--data", "digits", "--limit", 8, "--batch-size", 4, "--steps", 1, "--width", 0.1
    assert run(parity.example("mnist_cgan").main, *example, "--out", "run") == 0
    networks = mg.load("run/checkpoint.npz")
    for name, shape in (("generator", (74,)), ("discriminator", (28, 28, 11))):
        capsys.readouterr()
        command = "export", "run/checkpoint.npz", "--to", "onnx", "--network", name
        assert run(main, *command, "--out", tmp_path / "new" / "x.onnx") == 0
        sizes = f"({', '.join(map(str, ('N', *shape)))}) -> "
        assert f"{name}, {sizes}" in capsys.readouterr().out
        x, file = samples(networks[name], shape), session(tmp_path / "new" / "x.onnx")
        (y,) = file.run(None, {"input": x})
        assert_same_outputs(y, networks[name].forward(x, train=False)[0], 1e-5)
        about = file.get_modelmeta().custom_metadata_map
        assert json.loads(about["value_range"]) == [-1, 1]
        assert json.loads(about["latent"]) == {
            "size": 64, "kind": "normal", "low": -1, "high": 1, "classes": [*"0123456789"]
        }  # fmt: skip


class Capped(mg.ReLU):
    """A layer of somebody's own, which is a ReLU no more."""

    def forward(self, x, train=True):
        return np.clip(x, 0, 6), x


class Doubled(mg.Sequential):
    """A network of somebody's own, which is a chain no more."""

    def forward(self, x, train=True, trace=None):
        return super().forward(2 * x, train, trace)


@pytest.mark.parametrize(
    "layers, shape, message",
    [
        ([Doubled([mg.Tanh()])], (4,), "is more than a chain of layers"),
        ([mg.Dense(3, 2)], (4,), r"got an input of shape \(1, 4\)"),
        ([mg.Conv2d(3, 2, 3)], (8, 8, 4), "must have 3 elements"),
        ([mg.Sequential([Capped()])], (4,), r"Capped\(\) .* is no layer that ONNX"),
    ],
)
def test_it_refuses(layers, shape, message, tmp_path):
    network = mg.Sequential([layer.clone() for layer in layers])
    with pytest.raises(ValueError, match=message):
        export.write_onnx(tmp_path / "x.onnx", network, shape)
    assert not list(tmp_path.iterdir())


def test_it_refuses_what_an_onnx_file_cannot_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(export.onnx_file, "LARGEST", 100)
    with pytest.raises(ValueError, match="too large for an ONNX file"):
        export.write_onnx(tmp_path / "x.onnx", mg.Sequential([mg.Dense(5, 5)]), (5,))

"""minigan export and import: named tensors out of a checkpoint and back, and what is refused."""

import json
import sys

import narrow_gan
import numpy as np
import pytest
from helpers import arrays, run, words
from reference_networks import MODELS, moved, networks
from test_checkpoint import RUN

import minigan as mg
from minigan import export
from minigan.__main__ import main
from minigan.training import checkpoint


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    """The path of a checkpoint of a short run."""
    out = tmp_path_factory.mktemp("trained") / "run"
    main = narrow_gan.example().main
    assert run(main, *words(pictures, out, "--steps", 5, "--average", 0.5)) == 0
    return out / "checkpoint.npz"


NAMES = {
    "minigan": {
        "generator.0.0.dense.weight": (100, 6),
        "generator.0.0.dense.bias": (6,),
        "generator.0.1.batchnorm.gamma": (6,),
        "generator.0.1.batchnorm.beta": (6,),
        "generator.0.1.batchnorm.moving_mean": (6,),
        "generator.0.1.batchnorm.moving_variance": (6,),
        "generator.2.dense.weight": (6, 784),
        "generator.2.dense.bias": (784,),
    },
    "torch": {
        "generator.0.0.weight": (6, 100),
        "generator.0.0.bias": (6,),
        "generator.0.1.weight": (6,),
        "generator.0.1.bias": (6,),
        "generator.0.1.running_mean": (6,),
        "generator.0.1.running_var": (6,),
        "generator.2.weight": (784, 6),
        "generator.2.bias": (784,),
    },
}


@pytest.mark.parametrize("layout", NAMES)
def test_tensors_have_names(trained, tmp_path, capsys, layout):
    command = (
        "export",
        trained,
        "--to",
        "npz",
        "--layout",
        layout,
        "--out",
        tmp_path / "d" / "x.npz",
    )
    assert run(main, *command) == 0
    assert f"8 tensors of generator, layout {layout}" in capsys.readouterr().out
    found = arrays(tmp_path / "d" / "x.npz")
    assert {name: array.shape for name, array in found.items()} == NAMES[layout]
    G = mg.load(trained)["generator"]
    weight = found[[*NAMES[layout]][6]]
    assert np.array_equal(weight if layout == "minigan" else weight.T, G.layers[2].weight)
    variance = found[[*NAMES[layout]][5]]
    assert np.array_equal(variance, G.layers[0].layers[1].moving_variance)


@pytest.mark.parametrize("layout", NAMES)
@pytest.mark.parametrize("network", ["generator", "generator/trained", "discriminator"])
def test_a_checkpoint_comes_back_bit_for_bit(trained, tmp_path, layout, network):
    given = "--to", "npz", "--network", network, "--layout", layout
    assert run(main, "export", trained, *given, "--out", tmp_path / "x.npz") == 0
    start = tmp_path / "start.npz"  # the same checkpoint with that network at 0
    content = arrays(trained)
    for vector in ("params", "buffers"):
        content[f"{network}/{vector}"] = 0 * content[f"{network}/{vector}"]
    np.savez(start, **content)
    back = tmp_path / "back.npz"
    assert run(main, "import", tmp_path / "x.npz", "--into", start, "--out", back) == 0
    expected, found = arrays(trained), arrays(back)
    assert found.keys() == expected.keys()
    for name in expected.keys() - {"description"}:
        assert found[name].dtype == expected[name].dtype
        assert found[name].tobytes() == expected[name].tobytes(), name
    described = [json.loads(c["description"].tobytes()) for c in (expected, found)]
    assert described[0] == described[1]


@pytest.mark.parametrize("layout", NAMES)
@pytest.mark.parametrize("key", MODELS)
def test_the_networks_of_the_examples_come_back(key, layout):
    for network, shape in networks(key):
        found = export.tensors(network, layout, shape)
        assert sum(map(np.size, found.values())) == network.param_count + network.buffer_count
        blank = network.unbuilt()
        export.fill(blank, found, shape)
        assert np.array_equal(blank.params, network.params)
        assert np.array_equal(blank.buffers, network.buffers)


def test_a_network_on_the_device(gpu):
    network = moved(mg.Sequential([mg.Dense(3, 4), mg.BatchNorm(4)]))
    here = export.tensors(network)
    blank = network.unbuilt().to("gpu")
    export.fill(blank, here)
    assert isinstance(blank.params, gpu.ndarray)
    there = export.tensors(blank)
    assert all(np.array_equal(there[name], here[name]) for name in here)


IMAGE = (2, 3, 4)


@pytest.mark.parametrize(
    "layers, shape, place",
    [
        ([mg.Reshape(IMAGE)], (24,), "0.reshape"),
        ([mg.Tanh(), mg.Reshape(IMAGE), mg.Conv2d(4, 2, 3)], (24,), "1.reshape"),
        ([mg.Reshape((4, 3, 2))], IMAGE, "0.reshape"),
        ([mg.Conv2d(4, 4, 3), mg.Flatten(), mg.ReLU()], IMAGE, "its end"),
        ([mg.Flatten(), mg.Reshape((6, 4))], IMAGE, "1.reshape"),
    ],
)
def test_an_order_that_torch_does_not_have(layers, shape, place):
    network = mg.Sequential([layer.clone() for layer in layers])
    with pytest.raises(ValueError, match=f"{place}.* in another order in PyTorch"):
        export.tensors(network, "torch", shape)
    assert len(export.tensors(network)) == len(list(network.named_tensors()))


class Halved(mg.Dense):
    """A layer of somebody's own, which is a Dense no more."""

    def forward(self, x, train=True):
        return x @ self.weight / 2, x


class Doubled(mg.Sequential):
    """A network of somebody's own, which is a chain no more."""

    def forward(self, x, train=True, trace=None):
        return super().forward(2 * x, train, trace)


def test_layers_of_ones_own_have_names_but_no_counterpart():
    network = mg.Sequential([Halved(3, 2, use_bias=False)])
    assert list(export.tensors(network)) == ["0.halved.weight"]
    with pytest.raises(ValueError, match=r"Halved\(3, 2, .*\) .* no counterpart"):
        export.tensors(network, "torch", (3,))
    network = Doubled([mg.Dense(3, 2)])
    assert list(export.tensors(network)) == ["0.dense.weight", "0.dense.bias"]
    with pytest.raises(ValueError, match="is more than a chain of layers"):
        export.tensors(network, "torch", (3,))


def test_layouts_are_two():
    network = mg.Sequential([mg.Dense(3, 2)])
    with pytest.raises(ValueError, match="layout 'keras' is none of minigan, torch"):
        export.tensors(network, "keras")
    with pytest.raises(ValueError, match="layout torch needs the input_shape"):
        export.tensors(network, "torch")


def assert_refused(capsys, *command, message):
    assert run(main, *command) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err


@pytest.mark.parametrize(
    "more, message",
    [
        (["--to", "npz", "--out", "x.onnx"], "--out x.onnx: the name must end in .npz"),
        (["--to", "onnx", "--out", "x"], "--out x: the name must end in .onnx"),
        (["--to", "onnx", "--layout", "torch", "--out", "x.onnx"], "for --to npz"),
        (["--to", "npz", "--network", "critic", "--out", "x.npz"],
         "checkpoint.npz has generator, discriminator"),
        (["--to", "npz", "--out", "folder.npz"], "cannot write folder.npz: Is a directory"),
        (["--to", "tf", "--out", "x.npz"], "invalid choice: 'tf'"),
        (["--to", "npz"], "the following arguments are required: --out"),
    ],
)  # fmt: skip
def test_export_refuses(trained, tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert_refused(capsys, "export", trained, *more, message=message)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_package_that_is_missing(trained, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    command = "export", trained, "--to", "onnx", "--out", "x.onnx"
    assert_refused(capsys, *command, message="pip install 'minigan[onnx]'")


def test_a_network_of_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mg.Sequential([mg.Dense(3, 2)], name="generator").save("G.npz")
    assert run(main, "export", "G.npz", "--to", "npz", "--out", "x.npz") == 0
    assert run(main, "import", "x.npz", "--into", "G.npz", "--out", "H.npz") == 0
    capsys.readouterr()
    command = "export", "G.npz", "--to", "npz", "--layout", "torch", "--out", "y.npz"
    assert_refused(capsys, *command, message="G.npz is of no run")


def test_a_run_whose_networks_read_something_else(tmp_path, monkeypatch, capsys):
    """A checkpoint that somebody forged: its z is longer than what its generator reads."""
    monkeypatch.chdir(tmp_path)
    layers = [mg.Flatten(), mg.Dense(3, 2)]
    checkpoint.save("forged.npz", {"generator": mg.Sequential(layers)}, run=RUN)
    command = "export", "forged.npz", "--to", "npz", "--layout", "torch", "--out", "x.npz"
    assert_refused(capsys, *command, message="cannot export generator of forged.npz: ")


GOOD = {name: np.ones(shape, np.float32) for name, shape in NAMES["minigan"].items()}
BIAS, WEIGHT = "generator.2.dense.bias", "generator.2.dense.weight"
FORGED = {
    "a missing tensor": ({BIAS: None}, "2.dense.bias is missing"),
    "another shape": ({BIAS: np.ones(783, np.float32)},
                      "2.dense.bias should be float32 (784,), found float32 (783,)"),
    "another order": ({WEIGHT: np.ones((784, 6), np.float32)}, "found float32 (784, 6)"),
    "another dtype": ({BIAS: np.ones(784)}, "found float64 (784,)"),
    "a number": ({BIAS: np.float32(1)}, "found float32 ()"),
    "one too many": ({"generator.3.tanh.bias": np.ones(1, np.float32)},
                     "3.tanh.bias is no tensor of"),
    "not finite": ({BIAS: np.full(784, np.nan, np.float32)},
                   "a number of its generator is not finite"),
    "another network": ({"critic.0.dense.bias": np.ones(1, np.float32)},
                        "critic.0.dense.bias is of none of generator, "),
    "counts": ({"generator.0.1.num_batches_tracked": np.int64(3)}, "is int64 ()"),
    "objects": ({BIAS: np.array([{}], object)}, "damaged, or not what numpy.savez writes"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_import_refuses(trained, tmp_path, capsys, name):
    changes, message = FORGED[name]
    content = {key: array for key, array in (GOOD | changes).items() if array is not None}
    np.savez(tmp_path / "x.npz", **content)
    command = "import", tmp_path / "x.npz", "--into", trained, "--out", tmp_path / "y.npz"
    assert_refused(capsys, *command, message=message)
    assert not (tmp_path / "y.npz").exists()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda path: path.unlink(), "cannot read"),
        (lambda path: path.write_bytes(b""), "damaged, or not what numpy.savez writes"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "damaged, or not"),
        (lambda path: np.savez(path), "it is empty"),
        (lambda path: np.savez_compressed(path, **GOOD), "is compressed"),
    ],
)
def test_import_refuses_a_file_that_is_none(trained, tmp_path, capsys, damage, message):
    np.savez(tmp_path / "x.npz", **GOOD)
    damage(tmp_path / "x.npz")
    command = "import", tmp_path / "x.npz", "--into", trained, "--out", tmp_path / "y.npz"
    assert_refused(capsys, *command, message=message)


def test_import_replaces_no_file(trained, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", **GOOD)
    before = trained.read_bytes()
    command = "import", tmp_path / "x.npz", "--into", trained, "--out", trained
    assert_refused(capsys, *command, message="is there already: give the name of a new file")
    assert trained.read_bytes() == before


def test_tensors_stored_by_columns(trained, tmp_path):
    """As NumPy stores the transpose of a PyTorch weight."""
    weight = np.arange(6 * 784, dtype=np.float32).reshape(6, 784)
    np.savez(tmp_path / "x.npz", **GOOD | {WEIGHT: np.asfortranarray(weight)})
    new = tmp_path / "y.npz"
    assert run(main, "import", tmp_path / "x.npz", "--into", trained, "--out", new) == 0
    assert np.array_equal(mg.load(new)["generator"].layers[2].weight, weight)

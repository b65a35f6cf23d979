"""The GPU path without a GPU: the engine on a strict stand-in for CuPy.

Same numbers as on NumPy, no implicit copies, and nothing in a training step that waits
for the device.  The stand-in's own rules are tested first: a lenient one proves nothing.
"""

import csv
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import parity
import pytest
import strict_array_module as strict
from helpers import arrays as arrays_in
from test_training_step import batch, discriminator, generator

import minigan as mg
from minigan import arrays, gradcheck, losses, random
from minigan.errors import UserError

CLOSE = dict(rtol=1e-12, atol=1e-12)
RNG = np.random.default_rng(5)
VECTORS, IMAGES = RNG.standard_normal((5, 6)), RNG.standard_normal((3, 4, 2, 6))


def assert_close(on_device, on_host, what=""):
    assert not isinstance(on_device, np.ndarray), f"{what} is not on the device"
    np.testing.assert_allclose(on_device.get(), on_host, err_msg=what, **CLOSE)


def assert_near(on_device, on_host, what):
    """After steps of Adam, which makes 1e-9 of a gradient that is zero up to rounding."""
    np.testing.assert_allclose(on_device.get(), on_host, rtol=1e-9, atol=1e-9, err_msg=what)


@pytest.mark.usefixtures("stand_in")
class TestTheStandIn:
    """It refuses what CuPy refuses."""

    x = strict.asarray(np.arange(6.0).reshape(2, 3))
    host = np.ones((2, 3))

    @pytest.mark.parametrize(
        "mistake",
        [
            lambda x, host: x + host,
            lambda x, host: host * x,
            lambda x, host: x @ host.T,
            lambda x, host: host.T @ x,
            lambda x, host: x.__iadd__(host),
            lambda x, host: host.__iadd__(x),
            lambda x, host: np.multiply(x, host),
            lambda x, host: np.exp(x, out=host),
            lambda x, host: np.exp(host, out=x),
            lambda x, host: np.matmul(host.T, x),
            lambda x, host: np.where(x > 0, x, host),
            lambda x, host: np.clip(x, host, 1.0),
            lambda x, host: np.einsum("ab,ab->a", x, host),
            lambda x, host: np.full_like(x, host),
            lambda x, host: np.asarray(x),
            lambda x, host: np.copyto(host, x),
            lambda x, host: np.concatenate([x, host]),
            lambda x, host: strict.concatenate([x, host]),
            lambda x, host: strict.maximum(x, host),
            lambda x, host: strict.exp([1.0, 2.0]),
            lambda x, host: strict.sqrt(x, out=host),
            lambda x, host: x[host[:, 0].astype(int)],
            lambda x, host: x[x > 2],
            lambda x, host: x.__setitem__(..., host),
            lambda x, host: x.__setitem__(..., np.array(1.0)),
            lambda x, host: host.__setitem__(..., x),
            lambda x, host: x.fill(np.array(1.0)),
        ],
    )
    def test_host_and_device_do_not_mix(self, mistake):
        with pytest.raises(TypeError):
            mistake(self.x, self.host)

    def test_numpy_scalars_are_scalars_and_keep_their_dtype(self):
        x = self.x.astype("float32")
        assert (x * 2.0).dtype == "float32" and (2 * x).dtype == "float32"
        assert (np.float64(2) * x).dtype == "float64" and (x * np.float32(2)).dtype == "float32"

    @pytest.mark.parametrize(
        "formula",
        [
            lambda x: np.exp(x),
            lambda x: np.abs(-x) ** 2,
            lambda x: np.log(np.sqrt(x + 1.0)),
            lambda x: np.log1p(np.tanh(x)),
            lambda x: np.maximum(x, 2.0) / np.minimum(3.0, x + 1),
            lambda x: np.multiply(np.float64(2), x, out=x.copy()),
            lambda x: np.where(x > 2, x, 0.0),
            lambda x: np.clip(x, 1, 3) - x.clip(2, 4),
            lambda x: np.concatenate([x, x], axis=1),
            lambda x: np.zeros_like(x, shape=(3, 1)) + np.ones_like(x, shape=(2,)),
            lambda x: np.zeros_like(x, dtype=np.float32),
            lambda x: np.full_like(np.empty_like(x, shape=(4, 2), dtype="float32"), 3.0),
            lambda x: np.pad(x, ((1, 0), (0, 2))),
            lambda x: np.repeat(x, 2, axis=1),
            lambda x: np.broadcast_to(x[:1], (4, 3)),
            lambda x: np.einsum("ac,bc->ab", x, x),
            lambda x: np.matmul(x, x.swapaxes(0, 1)),
            lambda x: x.mean(axis=0, dtype=np.float32, keepdims=True) - x.argmax(axis=1)[0],
        ],
    )
    def test_numpys_functions_become_those_of_the_device(self, formula, traffic):
        """To CuPy they hand themselves over: formulas in plain NumPy run on device arrays."""
        host = self.x.get()
        traffic.clear()
        got, expected = formula(self.x), formula(host)
        assert isinstance(got, strict.ndarray) and traffic == []
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got.get(), expected)

    def test_functions_that_the_device_has_not_are_refused(self):
        for function in (np.linalg.norm, np.sinc, np.exp2, np.add.reduce, np.median):
            with pytest.raises(TypeError):
                function(self.x)

    def test_reductions_and_single_elements_are_0d_arrays(self):
        for value in (self.x.sum(), self.x.mean(), self.x[1, 2], self.x.max(axis=0)[0]):
            assert isinstance(value, strict.ndarray) and value.shape == ()

    def test_slices_are_views(self):
        x = strict.zeros_like(self.x)
        x[1, 1:][...] = 7.0
        x[0, 0] += 1.0
        np.testing.assert_array_equal(x.get(), [[1, 0, 0], [0, 7, 7]])

    def test_reads_and_uploads_are_listed(self, gpu, traffic):
        x = gpu.asarray(1.0)
        assert float(x) == 1 and bool(x) and x.get() == 1
        assert traffic == ["upload", "float", "bool", "get"]

    def test_memory_is_not_shared_with_the_host(self, gpu):
        host = np.ones(3)
        x = gpu.asarray(host)
        x += 1.0
        np.testing.assert_array_equal(host, 1)

    def test_unknown_functions_are_named(self):
        with pytest.raises(AttributeError, match="tensordot"):
            strict.tensordot  # noqa: B018


LAYERS = [
    (mg.Dense(6, 4), IMAGES),
    (mg.Dense(6, 4, use_bias=False), VECTORS),
    (mg.BatchNorm(6), VECTORS),
    (mg.BatchNorm(6, momentum=0.7), IMAGES),
    (mg.BatchNorm(2, axis=2), IMAGES),
    (mg.LayerNorm((2, 6)), IMAGES),
    (mg.ReLU(), VECTORS),
    (mg.LeakyReLU(0.2), IMAGES),
    (mg.Sigmoid(), VECTORS),
    (mg.Tanh(), VECTORS),
    (mg.Dropout(0.0), VECTORS),
    (mg.Flatten(), IMAGES),
    (mg.Reshape((6, 8)), IMAGES),
    (mg.UpSample2d(2), IMAGES),
    (mg.Conv2d(6, 3, 3), IMAGES),
    (mg.Conv2d(6, 3, (4, 2), padding="valid", use_bias=False), IMAGES),
    (mg.ConvTranspose2d(6, 2, 4, stride=2), IMAGES),
    (mg.SpectralNorm(mg.Conv2d(6, 3, 3)), IMAGES),
    (mg.Sequential([mg.Dense(6, 4), mg.Tanh(), mg.Sequential([mg.BatchNorm(4)])]), VECTORS),
]


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("layer", "x"), LAYERS, ids=[repr(layer) for layer, _ in LAYERS])
def test_layers_agree_with_numpy(gpu, layer, x, train, traffic):
    here = (layer.clone() if layer.params is not None else layer.clone().build()).clone("float64")
    here.params += 0.1 * RNG.standard_normal(here.params.shape)
    there = here.clone().to("gpu")
    y, cache = here.forward(x, train)
    dy, dx_bar = RNG.standard_normal(y.shape), RNG.standard_normal(x.shape)
    dx = here.backward(dy, cache)
    dy_bar, x_bar = here.double_backward(dx_bar, dy, cache)

    x, dy, dx_bar = (gpu.asarray(array) for array in (x, dy, dx_bar))
    traffic.clear()
    y_there, cache = there.forward(x, train)
    dx_there = there.backward(dy, cache)
    dy_bar_there, x_bar_there = there.double_backward(dx_bar, dy, cache)
    assert traffic == []

    assert_close(y_there, y, "y")
    assert_close(dx_there, dx, "dx")
    assert_close(dy_bar_there, dy_bar, "dy_bar")
    assert (x_bar is None) == (x_bar_there is None)
    if x_bar is not None:
        assert_close(x_bar_there, x_bar, "x_bar")
    assert_close(there.grads, here.grads, "grads")
    assert_close(there.buffers, here.buffers, "buffers")


def test_the_numeric_check_runs_on_the_device(gpu):
    check = gradcheck.check_layer(mg.BatchNorm(6).build().to("gpu"), VECTORS)
    assert check.ok, check


class TestDropout:
    def address(self, **changes):
        return dict(seed=1, where="here", step=2, call=3) | changes

    def mask(self, gpu, shape, *, seed, where, step, call):
        """The mask of a Dropout layer that keeps 0.7, at an address."""
        layer = mg.Dropout(0.3).build().to("gpu")
        layer.place(seed, where)
        layer.begin_step(step)
        layer.calls[True] = call
        return layer.forward(gpu.asarray(np.ones(shape)))[1][0].get()

    def test_keep_mask_is_addressed(self, gpu):
        def mask(**changes):
            return self.mask(gpu, (40, 50), **self.address(**changes))

        same = mask()
        assert same.dtype == bool
        np.testing.assert_array_equal(mask(), same)
        for change in (dict(seed=2), dict(where="there"), dict(step=3), dict(call=4)):
            assert 0.3 < (mask(**change) != same).mean() < 0.54, change  # 2 * 0.7 * 0.3 = 0.42

    def test_keep_mask_keeps_its_share(self, gpu):
        """100,000 elements: four standard deviations are 0.006; neighbours are independent."""
        mask = self.mask(gpu, (100_000,), **self.address())
        assert abs(mask.mean() - 0.7) < 0.006
        assert abs((mask[1:] & mask[:-1]).mean() - 0.49) < 0.008

    def test_the_layers_masks_are_addressed(self, gpu):
        layer = mg.Dropout(0.3).build(seed=1).to("gpu")
        ones = gpu.asarray(np.ones((40, 50), "float32"))

        def masks(step):
            layer.begin_step(step)
            return [layer.forward(ones)[0].get() > 0 for _ in range(2)]

        first, second = masks(4)
        np.testing.assert_array_equal(masks(4), [first, second])
        for other in (second, *masks(5)):
            assert 0.3 < (other != first).mean() < 0.54

    def test_the_layer_uses_one_mask_both_ways(self, gpu, traffic):
        layer = mg.Dropout(0.3).build(dtype="float64").to("gpu")
        ones = gpu.asarray(np.ones((30, 40)))
        traffic.clear()
        y, cache = layer.forward(ones)
        dx = layer.backward(ones, cache)
        assert traffic == []
        y = y.get()
        np.testing.assert_array_equal(dx.get(), y)
        np.testing.assert_allclose(y[y > 0], 1 / random.kept_share(0.7))
        assert 0.6 < (y > 0).mean() < 0.8


SCORES = 3 * RNG.standard_normal((6, 1))
TARGETS = RNG.uniform(size=(6, 1))
LOSSES = {
    "bce_with_logits": (lambda x, t: losses.bce_with_logits(x, t), SCORES, TARGETS),
    "bce_with_logits, soft": (lambda x, t: losses.bce_with_logits(x, 0.9), SCORES, TARGETS),
    "bce": (lambda x, t: losses.bce(x, t), TARGETS, TARGETS[::-1].copy()),
    "softmax of classes": (losses.softmax_cross_entropy, VECTORS, np.arange(5)),
    "softmax of shares": (losses.softmax_cross_entropy, VECTORS, np.abs(VECTORS)),
    "wasserstein": (lambda x, t: losses.wasserstein(x, -1), SCORES, TARGETS),
    "hinge": (lambda x, t: losses.hinge(x, -1), SCORES, TARGETS),
    "least_squares": (lambda x, t: losses.least_squares(x, t), SCORES, TARGETS),
    "non_saturating": (lambda x, t: losses.non_saturating(x), SCORES, TARGETS),
    "minimax": (lambda x, t: losses.minimax(x), SCORES, TARGETS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_agree_with_numpy(gpu, name, traffic):
    loss, x, target = LOSSES[name]
    on_device = gpu.asarray(x), gpu.asarray(target)
    traffic.clear()
    results = loss(*on_device)
    assert traffic == []
    for got, expected, what in zip(results, loss(x, target), ("loss", "gradient")):
        assert_close(got, expected, what)


def test_labels_agree_with_numpy(gpu):
    noisy = dict(low=0.9, high=1.0, seed=3, step=4)
    labels = losses.labels(gpu.asarray(SCORES), **noisy)
    assert_close(labels, losses.labels(SCORES, **noisy))
    flipped = losses.labels(gpu.asarray(np.zeros((1000, 1))), 1.0, flip=0.25, step=0).get()
    assert set(flipped.ravel()) == {0.0, 1.0} and 0.2 < (flipped == 0).mean() < 0.3


@pytest.mark.parametrize(
    "make",
    [
        lambda net: mg.SGD(net, 0.1, momentum=0.9),
        lambda net: mg.RMSProp(net, 0.01),
        lambda net: mg.Adam(net, 0.01, b1=0.5),
    ],
    ids=["SGD", "RMSProp", "Adam"],
)
def test_optimizers_agree_with_numpy(gpu, make, traffic):
    here = generator()
    there = here.clone().to("gpu")
    opt_here, opt_there = make(here), make(there)
    gradients = RNG.standard_normal((3, here.grads.size))
    uploads = [gpu.asarray(gradient) for gradient in gradients]
    traffic.clear()
    for gradient, uploaded in zip(gradients, uploads):
        here.grads[...] = gradient
        there.grads[...] = uploaded
        opt_here.step()
        opt_there.step()
    assert traffic == []
    assert_close(there.params, here.params, "params")
    for slot, state in opt_here.state.items():
        assert_close(opt_there.state[slot], state, slot)


class TestTrainingStep:
    """`train_step` of examples/mnist_gan.py, as it is."""

    train_step = staticmethod(parity.example("mnist_gan").train_step)

    def trained(self, device, drop, steps=3):
        """(networks and optimizers after some steps, the last step's values, host traffic)."""
        G, D = generator().to(device), discriminator(drop=drop).to(device)
        opt_g, opt_d = mg.Adam(G, 0.01, b1=0.5), mg.Adam(D, 0.01, b1=0.5)
        inputs = [mg.to_device(array, device) for array in batch()]
        strict.host_traffic.clear()
        for step in range(steps):
            G.begin_step(step)
            D.begin_step(step)
            values = self.train_step(G, D, opt_g, opt_d, *inputs)
        return (G, D, opt_g, opt_d), values, list(strict.host_traffic)

    def test_agrees_with_numpy(self, gpu):
        (G, D, opt_g, opt_d), values, _ = self.trained("gpu", drop=0.0)
        (G_here, D_here, opt_g_here, opt_d_here), values_here, _ = self.trained("cpu", drop=0.0)
        for there, here in ((G, G_here), (D, D_here)):
            for vector in ("params", "grads", "buffers"):
                assert_near(getattr(there, vector), getattr(here, vector), f"{here.name} {vector}")
        for there, here in ((opt_g, opt_g_here), (opt_d, opt_d_here)):
            for slot, state in here.state.items():
                assert_near(there.state[slot], state, slot)
        for name, value in values_here.items():
            assert_near(values[name], value, name)

    def test_never_waits_for_the_device(self, gpu):
        (G, D, *_), _, traffic = self.trained("gpu", drop=0.3)
        assert traffic == []
        assert np.isfinite(G.params.get()).all() and np.isfinite(D.params.get()).all()


class TestMoving:
    def test_to_gpu_and_back(self, gpu):
        net = generator()
        params, buffers = net.params.copy(), net.buffers.copy()
        optimizer = mg.Adam(net, 0.01)
        assert net.to("gpu") is net and optimizer.to("gpu") is optimizer
        for array in (net.params, net.grads, net.buffers, *optimizer.state.values()):
            assert isinstance(array, gpu.ndarray)
        assert mg.get_array_module(net.params) is gpu
        net.layers[0].weight[0, 0] = 9.0  # the named tensors are views on the device too
        assert net.params.get()[0] == 9.0
        assert gpu.asarray(net.params) is net.to("gpu").params  # there already: nothing moves
        net.to("cpu")
        params[0] = 9.0
        np.testing.assert_array_equal(net.params, params)
        np.testing.assert_array_equal(net.buffers, buffers)
        assert net.clone().params.flags.owndata

    def test_new_networks_start_equal(self, gpu):
        """Initial weights are drawn on the host: a seed means the same on both devices."""
        net = generator()
        there = net.clone().to("gpu")
        net.initialize()
        there.initialize()
        np.testing.assert_array_equal(there.params.get(), net.params)

    def test_a_checkpoint_does_not_know_its_device(self, gpu, tmp_path):
        net = generator()
        z = batch()[1]
        expected, _ = net.forward(z, train=False)
        net.to("gpu").save(tmp_path / "net.npz")
        loaded = mg.load(tmp_path / "net.npz")["generator"]
        np.testing.assert_array_equal(loaded.forward(z, train=False)[0], expected)


class TestTheExample:
    """Some steps of examples/mnist_gan.py with --device gpu, with narrow networks."""

    @pytest.fixture
    def train(self, gpu, gan, pictures, tmp_path):
        """A function that runs the example; returns its folder."""

        def train(folder, *words):
            out = tmp_path / folder
            gan.main(["--data", pictures, "--out", str(out), "--batch-size", "8", *words])
            return out

        return train

    @pytest.fixture
    def without_dropout(self, gan):
        """The masks of Dropout are the one thing that differs between devices."""
        make = gan.discriminator

        def discriminator(options):
            D = make(options)
            for layer in D.layers:
                if isinstance(layer, mg.Dropout):
                    layer.rate = 0.0
            return D

        gan.discriminator = discriminator

    def test_a_run_with_dropout(self, train):
        folder = train("out", "--device", "gpu", "--steps", "3")
        assert {path.name for path in folder.iterdir()} >= {
            "config.json", "history.csv", "losses.png", "samples", "samples.gif", "checkpoint.npz",
        }  # fmt: skip
        with open(folder / "history.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["step"] for row in rows] == ["1", "2", "3"]
        assert all(np.isfinite(float(value)) for row in rows for value in row.values())

    def test_a_run_agrees_with_numpy(self, train, without_dropout):
        words = ("--dtype", "float64", "--steps", "7", "--device")
        self.assert_same_end(train("there", *words, "gpu"), train("here", *words, "cpu"))

    def test_a_gpu_run_goes_on_without_one(self, train, without_dropout):
        words = ("--dtype", "float64", "--device")
        whole = train("whole", *words, "cpu", "--steps", "7")
        train("parts", *words, "gpu", "--steps", "3")
        parts = train("parts", *words, "cpu", "--steps", "7", "--resume")
        self.assert_same_end(parts, whole)

    def assert_same_end(self, folder, expected):
        got, want = (arrays_in(run / "checkpoint.npz") for run in (folder, expected))
        assert set(got) == set(want)
        for name in set(want) - {"description", "history"}:
            np.testing.assert_allclose(got[name], want[name], 1e-9, 1e-9, err_msg=name)


@pytest.mark.usefixtures("stand_in")
class TestNoGPU:
    """One line says which of the three is missing, and `auto` does without."""

    def cuda_status(self, monkeypatch, status):
        """The CUDA runtime answers with an error."""

        def fail():
            raise strict.CUDARuntimeError(status)

        monkeypatch.setattr(strict.cuda.runtime, "getDeviceCount", fail)

    def check(self, *words):
        """The message has these words, is one line, and names the way out; auto is the CPU."""
        with pytest.raises(UserError) as caught:
            mg.Dense(2, 3).build().to("gpu")
        message = str(caught.value)
        assert "\n" not in message
        for word in ("no GPU", "--device cpu", *words):
            assert word in message, message
        assert arrays.resolve_device("auto") == "cpu"
        with pytest.raises(UserError):
            arrays.resolve_device("gpu")

    def test_no_cupy(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "cupy", None)  # by Python's rules: it cannot be imported
        self.check("CuPy is not installed", "pip install 'minigan[gpu]'")

    def test_no_driver(self, stand_in, monkeypatch):
        self.cuda_status(monkeypatch, 35)
        self.check("driver", "nvidia-smi", "cudaErrorInsufficientDriver")

    def test_no_device(self, stand_in, monkeypatch):
        """CUDA says so by an error: with a driver and CUDA_VISIBLE_DEVICES= it is this one."""
        self.cuda_status(monkeypatch, 100)
        self.check("no device", "CUDA_VISIBLE_DEVICES")

    def test_no_toolkit(self, stand_in, monkeypatch):
        """CuPy's wheels bring no compiler: they look for one at the first kernel."""

        def missing():
            raise RuntimeError('Failure finding "libnvrtc.so.12"\nand more lines')

        monkeypatch.setattr(strict.cuda.nvrtc, "getVersion", missing)
        self.check("CUDA toolkit", "pip install 'minigan[gpu]'", "libnvrtc.so.12")

    def test_a_device_count_of_zero(self, stand_in, monkeypatch):
        monkeypatch.setattr(strict.cuda.runtime, "getDeviceCount", lambda: 0)
        self.check("no device", "CUDA_VISIBLE_DEVICES")

    def test_auto_takes_a_gpu_that_works(self, stand_in):
        assert arrays.resolve_device("auto") == "gpu"

    def test_importing_minigan_leaves_cupy_alone(self, tmp_path):
        """Where CuPy can be imported but has no GPU, its import alone may fail."""
        (tmp_path / "cupy.py").write_text("raise RuntimeError('CuPy was imported')")
        path = os.pathsep.join([str(tmp_path), str(Path(mg.__file__).parents[1])])
        code = "import minigan.data, minigan.gradcheck, minigan.training, minigan.__main__"
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def test_unknown_devices(self):
        with pytest.raises(UserError, match="'cuda'"):
            mg.Dense(2, 3).build().to("cuda")

    def test_arrays_of_no_known_module(self):
        with pytest.raises(TypeError, match="list"):
            mg.get_array_module([1.0])
        with pytest.raises(TypeError, match="SimpleNamespace"):
            mg.get_array_module(types.SimpleNamespace())

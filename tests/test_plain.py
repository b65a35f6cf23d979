"""The fast kernels are the plain formulas: function by function, and over whole trajectories."""

import inspect
from itertools import pairwise

import numpy as np
import parity
import pytest
from helpers import arrays, run
from test_gpu_runs import EXAMPLES, SMALL

import minigan as mg
from minigan import kernels, threads
from minigan.kernels import cpu, geometry, plain
from minigan.kernels.cpu import convolution

TOLERANCE = {"float32": 3e-5, "float64": 1e-12}
# What no formula stands for alone: see test_network.py.
FUSIONS = {"gate", "gate_backward"}
GPU_FUSIONS = {"normalize_leaky", "normalize_leaky_backward"}
PUBLIC = {name for name, value in vars(plain).items() if inspect.isfunction(value)}


def functions(module):
    """The functions that an implementation offers: dict name -> function."""
    return {name: f for name, f in vars(module).items() if inspect.isfunction(f)}


class Draw:
    """Random arguments.  Sizes are small; `large` ones go over the cores in several blocks."""

    def __init__(self, seed, dtype, large=False):
        self.rng, self.dtype, self.large = np.random.default_rng(seed), dtype, large

    def size(self, most=6):
        return int(self.rng.integers(1, most + 1))

    def normal(self, *shape):
        return self.rng.standard_normal(shape).astype(self.dtype)

    def uniform(self, *shape):
        return self.rng.uniform(0.01, 0.99, shape).astype(self.dtype)

    def batch(self):
        """x (N, C), (N, H, C) or (N, H, W, C)."""
        n = 300 if self.large else self.size()
        return self.normal(n, *(self.size() for _ in range(self.size(3) - 1)), 40 * self.size())

    def images(self):
        """x (N, H, W, C), small."""
        return self.normal(*(self.size() for _ in range(4)))

    def like(self, x):
        return self.normal(*x.shape)

    def vector(self):
        return self.normal(600_000 if self.large else self.size(50))

    def geometry(self):
        """A geometry that minimal filtering has, or any."""
        kernels_strides = [(4, 2), (3, 1), (4, 1), (5, 2), (3, 2), ((2, 3), (3, 1)), (1, 1)]
        kernel, stride = kernels_strides[self.rng.integers(len(kernels_strides))]
        size = tuple(int(n) for n in self.rng.integers(5, 12, 2))
        return geometry(size, kernel, stride, ["same", "valid", 1][self.rng.integers(3)])

    def conv(self):
        """(x, w, dy, geometry)."""
        g, n, c, k = self.geometry(), self.size(), self.size(10), self.size(10)
        return (
            self.normal(n, *g.size, c),
            self.normal(*g.kernel, c, k),
            self.normal(n, *g.output, k),
            g,
        )

    def norm(self):
        """(dy, x, mean, scale, gamma, beta, axes) of features last, or of another axis."""
        x = self.batch()
        axis = x.ndim - 1 if self.rng.integers(3) else int(self.rng.integers(1, x.ndim))
        axes = tuple(a for a in range(x.ndim) if a != axis)
        one = [1] * x.ndim
        one[axis] = x.shape[axis]
        mean, scale, gamma, beta = (self.normal(*one) for _ in range(4))
        return self.like(x), x, mean, abs(scale) + 1, gamma, beta, axes


ADDRESS = dict(seed=1, where="here", step=2, call=3)


def dense(d):
    i, o = d.size(80), d.size(80)
    x = d.normal(*((d.size(), 300) if d.large else (d.size(), d.size())), i)
    return x, d.normal(i, o), d.normal(*x.shape[:-1], o), d.normal(o)


CASES = {  # name -> arguments, given a Draw
    "dense": lambda d: (lambda x, w, dy, b: (x, w, [None, b][d.size(2) - 1]))(*dense(d)),
    "dense_dx": lambda d: (lambda x, w, dy, b: (dy, w))(*dense(d)),
    "dense_dw": lambda d: (lambda x, w, dy, b: (x, dy))(*dense(d)),
    "dense_dx_dw": lambda d: (lambda x, w, dy, b: (x, dy, w))(*dense(d)),
    "add_bias": lambda d: (lambda y: (y, d.normal(y.shape[-1])))(d.batch()),
    "sum_rows": lambda d: (d.batch(),),
    "relu": lambda d: (d.batch(),),
    "relu_backward": lambda d: (lambda y: (d.like(y), y))(d.batch()),
    "leaky_relu": lambda d: (d.batch(), 0.2),
    "leaky_relu_backward": lambda d: (lambda y: (d.like(y), y, 0.2))(d.batch()),
    "sigmoid": lambda d: (9 * d.batch(),),
    "sigmoid_backward": lambda d: (lambda y: (d.like(y), y))(d.batch()),
    "tanh_backward": lambda d: (lambda y: (d.like(y), y))(d.batch()),
    "dropout": lambda d: (d.batch(), 0.75, ADDRESS),
    "dropout_backward": lambda d: (lambda y: (d.like(y), y > 0, 0.75))(d.batch()),
    "keep_mask": lambda d: (d.batch().shape, 0.75, 1, "here", 2, 3),
    "bce_with_logits": lambda d: (lambda x: (x, d.uniform(*x.shape)))(9 * d.normal(d.size(), 1)),
    "softmax_cross_entropy": lambda d: (lambda x: (x, d.uniform(*x.shape)))(
        9 * d.normal(d.size(), d.size())
    ),
    "softplus": lambda d: (9 * d.batch(),),
    "batch_statistics": lambda d: (lambda dy, x, mean, scale, gamma, beta, axes: (
        x, axes, 1e-3, mean.reshape(-1), scale.reshape(-1), 0.9))(*d.norm()),
    "normalize": lambda d: (lambda dy, x, mean, scale, gamma, beta, axes: (
        x, mean, scale, gamma, beta))(*d.norm()),
    "normalize_backward": lambda d: (lambda dy, x, mean, scale, gamma, beta, axes: (
        dy, x, *true_statistics(x, axes), gamma, axes, axes))(*d.norm()),
    "conv": lambda d: (lambda x, w, dy, g: (x, w, g))(*d.conv()),
    "conv_dx": lambda d: (lambda x, w, dy, g: (dy, w, g))(*d.conv()),
    "conv_dw": lambda d: (lambda x, w, dy, g: (x, dy, g))(*d.conv()),
    "conv_y_dw": lambda d: (lambda x, w, dy, g: (x, dy, w, g))(*d.conv()),
    "conv_dx_dw": lambda d: (lambda x, w, dy, g: (x, dy, w, g))(*d.conv()),
    "upsample": lambda d: (d.normal(d.size(), 3, 4, d.size()), 3),
    "upsample_backward": lambda d: (d.normal(d.size(), 6, 9, d.size()), 3),
    "move": lambda d: (lambda x: (x, d.rng.integers(-3, 4, (len(x), 2))))(d.images()),
    "steps_aside": lambda d: (lambda x: (x.shape, d.rng.random((len(x), 2)), 0.4))(d.images()),
    "join": lambda d: (lambda x: (x, d.normal(len(x), d.size(20))))(d.batch()),
    "sgd": lambda d: (lambda p: (p, d.like(p), d.like(p), 0.1, 0.9))(d.vector()),
    "rmsprop": lambda d: (lambda p: (p, d.like(p), d.like(p) ** 2, 0.1, 0.9, 1e-8))(d.vector()),
    "adam": lambda d: (lambda p: (p, d.like(p), d.like(p), d.like(p) ** 2)
                       + (3, 0.1, 0.5, 0.99, 1e-3, 2))(d.vector()),
    "average": lambda d: (lambda p: (p, d.like(p), 0.9))(d.vector()),
    "from_pixels": lambda d: (d.rng.integers(0, 256, (3, 5, 4, 1), np.uint8), -1.0, 1.0, d.dtype),
}  # fmt: skip


def true_statistics(x, axes):
    return plain.statistics(x, axes, 1e-3)


def outcome(function, arguments):
    """What a call returns and what it has written, of its own copies of the arguments."""
    own = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    returned = function(*own)
    returned = returned if isinstance(returned, tuple) else (returned,)
    # A bias is added to what the caller gives away.
    written = [] if function.__name__ == "add_bias" else [a for a in own if hasattr(a, "shape")]
    return [np.asarray(a) for a in (*returned, *written) if a is not None]


def assert_equal(found, expected, name):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype and a.size == b.size, name
        scale = max(1.0, np.abs(b).max(initial=0))
        tolerance = TOLERANCE.get(a.dtype.name, 0)
        np.testing.assert_allclose(
            a.reshape(-1), b.reshape(-1), rtol=0, atol=tolerance * scale, err_msg=name
        )


@pytest.mark.host
class TestFunctionByFunction:
    @pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
    @pytest.mark.parametrize("dtype", TOLERANCE)
    @pytest.mark.parametrize("name", CASES)
    def test_the_cpu_s(self, name, dtype, large, monkeypatch):
        monkeypatch.setattr(convolution, "LEAST_WINDOWS", 0)
        monkeypatch.setattr(convolution, "LEAST_MULTIPLICATIONS", 0)
        if not large:
            monkeypatch.setattr(threads, "FEW", 0)
        for seed in range(3 if large else 20):
            arguments = CASES[name](Draw(seed, dtype, large))
            found = outcome(getattr(cpu, name), arguments)
            assert_equal(found, outcome(getattr(plain, name), arguments), f"{name}, seed {seed}")

    @pytest.mark.parametrize("dtype", TOLERANCE)
    @pytest.mark.parametrize("name", sorted(set(CASES) - {"keep_mask", "dropout"}))
    def test_the_gpu_s(self, name, dtype, gpu):
        """And the plain formula itself on device arrays.  (Masks are the device's own.)"""

        def there(function):
            def run(*arguments):
                up = [gpu.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
                returned = function(*up)
                for here, a in zip(arguments, up):
                    if isinstance(here, np.ndarray):
                        here[...] = a.get()
                returned = returned if isinstance(returned, tuple) else (returned,)
                return tuple(a if a is None else a.get() for a in returned)

            run.__name__ = function.__name__
            return run

        from minigan.kernels import gpu as implementation

        for seed in range(10):
            arguments = CASES[name](Draw(seed, dtype))
            expected = outcome(getattr(plain, name), arguments)
            for module in (implementation, plain):
                found = outcome(there(getattr(module, name)), arguments)
                assert_equal(found, expected, f"{module.__name__}.{name}, seed {seed}")


def test_all_offer_one_list_of_functions():
    from minigan.kernels import gpu

    used = set(functions(cpu))
    assert used - FUSIONS <= PUBLIC
    assert set(functions(gpu)) | {"keep_mask"} == used | GPU_FUSIONS  # masks are the host's
    # What an implementation has of its own is compared above.
    for module in (cpu, gpu):
        own = {name for name, f in functions(module).items() if f is not getattr(plain, name, f)}
        assert own <= set(CASES), own - set(CASES)


def idle(network):
    """Dict of masks: the biases before a BatchNorm in `params`, its moving mean in `buffers`.

    It takes those biases out again, so that their gradient is rounding alone, of which Adam makes
    steps, and the moving mean goes along.  The network's numbers are lost.
    """
    network.params[:], network.buffers[:] = 0, 0
    for layer, following in pairwise(network.layers):
        biased = getattr(layer, "use_bias", False)
        if biased and isinstance(following, mg.BatchNorm) and following.axis == -1:
            layer.bias[:], following.moving_mean[:] = 1, 1
    return {"params": network.params > 0, "buffers": network.buffers > 0}


@pytest.mark.host
@pytest.mark.usefixtures("coarse_plots")
@pytest.mark.parametrize("script, words", [(script, words) for script, *words in EXAMPLES])
def test_thirty_steps_of_every_example(script, words, tmp_path):
    """In float64, to 1e-11 of the largest number of each kind: the history and the checkpoint.

    What is idle may be off by what 30 of Adam's steps make of rounding.
    """
    words = [*SMALL, "--dtype", "float64", "--steps", 30, *words]
    results = {}
    for kind in ("plain", "fast"):
        folder = tmp_path / kind
        assert run(parity.example(script).main, "--out", folder, *words, "--kernels", kind) == 0
        stored = arrays(folder / "checkpoint.npz")
        stored["history"] = np.genfromtxt(folder / "history.csv", delimiter=",", skip_header=1)
        results[kind] = stored
    assert len(results["plain"]["history"]) == 30
    masks = {name: idle(network) for name, network in mg.load(folder).items()}
    for name in set(results["plain"]) - {"description"}:
        found, expected = results["fast"][name], results["plain"][name]
        tolerance = np.full(expected.shape, 1e-11)
        if name != "history":
            kind = "buffers" if name.endswith("buffers") else "params"  # or Adam's m and v of these
            tolerance[masks[name.split("/")[0]][kind]] = 1e-8
        tolerance *= np.nanmax(np.abs(expected), initial=1e-30)
        far = ~np.isclose(found, expected, rtol=0, atol=tolerance, equal_nan=True)
        assert not far.any(), (name, np.flatnonzero(far), found[far], expected[far])


class TestTheChoice:
    def test_by_name(self):
        assert kernels.choose("plain") is kernels.PLAIN
        assert kernels.choose() is kernels.default
        with pytest.raises(ValueError, match="'quick' are not 'fast' or 'plain'"):
            kernels.choose("quick")

    def test_by_array(self):
        assert kernels.FAST[np.ndarray] is cpu and kernels.PLAIN[np.ndarray] is plain
        assert kernels.FAST[np.memmap] is cpu
        with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got list"):
            kernels.FAST[list]

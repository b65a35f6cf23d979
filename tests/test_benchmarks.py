"""The benchmarks measure the models themselves, and count the work of a step right."""

import importlib
import inspect
import math
import multiprocessing
import os
from functools import partial
from pathlib import Path

import numpy as np
import parity
import pytest
from helpers import run

import minigan as mg
from minigan.training import pictures

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """A function that imports benchmarks/<name>.py, as the benchmarks import each other."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def narrow_steps(script, monkeypatch):
    module = script("steps_minigan")
    monkeypatch.setattr(module.OPTIONS, "width", 0.05)
    return module


class TestTheToyTable:
    """Modes and good samples of games in the plane, over seeds, and the gate."""

    def test_it_goes_on_where_it_was_stopped(self, script, tmp_path, monkeypatch, capsys):
        module, kept = script("toy_table"), tmp_path / "rows.csv"
        wanted = [("ring", "hinge", "r1", seed) for seed in range(2)]
        first = module.rows(wanted[:1], 1, kept)
        made = []
        monkeypatch.setattr(module, "trained", lambda *run: made.append(run) or (8, 0.5, 1.0))
        found = module.rows(wanted, 1, kept)
        assert made == [(*wanted[1], 1)]
        assert found == first | {wanted[1]: (8, 0.5)} == module.rows(wanted, 1, kept)

    def test_a_run_is_a_duel_with_these_settings(self, script):
        module = script("toy_table")
        duel = module.Duel(module.Settings(loss="hinge", penalty="r1", seed=3))
        duel.train(module.WORLDS["grid"], 2)
        modes, good = module.WORLDS["grid"].quality(duel.samples())
        assert module.trained("grid", "hinge", "r1", 3, 2)[:2] == (modes, good)

    def test_its_lines(self, script):
        runs = {
            ("ring", "hinge", "r1", 0): (8, 0.5), ("grid", "hinge", "r1", 0): (24, 0.31),
            ("ring", "hinge", "r1", 1): (7, 0.75), ("grid", "hinge", "r1", 1): (24, 0.31),
            ("ring", "hinge", "r1", 2): (8, 1.0), ("grid", "hinge", "r1", 2): (24, 0.31),
        }  # fmt: skip
        [line] = [*script("toy_table").table(runs)][2:]
        assert line == "| hinge | r1 | 8 (7 to 8) | 75 (50 to 100) | 24 | 31 |"

    @pytest.mark.parametrize("ring, grid, passed", [
        ([(8, 0.6)] * 4 + [(5, 0.9)], [(24, 0.1)] * 4 + [(20, 0.1)], True),
        ([(8, 0.6)] * 3 + [(7, 0.9)] * 2, [(25, 0.9)] * 5, False),
        ([(8, 0.59)] * 3 + [(8, 0.9)] * 2, [(25, 0.9)] * 5, False),
        ([(8, 0.9)] * 5, [(24, 0.9)] * 3 + [(23, 0.9)] * 2, False),
    ])  # fmt: skip
    def test_the_gate(self, script, ring, grid, passed):
        found = {
            (world, "wasserstein", "wgan-gp", seed): result
            for world, results in (("ring", ring), ("grid", grid))
            for seed, result in enumerate(results)
        }
        assert script("toy_table").passes(found) is passed


@pytest.mark.host
@pytest.mark.parametrize("name", [f"m{number}" for number in range(1, 9)])
def test_flops_are_those_of_the_products_of_a_step(narrow_steps, name, monkeypatch):
    """Each pass of a layer with weights is one product for y, for dx and for dW."""
    counts = []

    def count(layer, x):
        taps = math.prod(layer.weight.shape)
        if isinstance(layer, mg.Conv2d):
            taps *= math.prod(layer.output_shape(x.shape[1:])[:2])
        elif isinstance(layer, mg.ConvTranspose2d):
            taps *= math.prod(x.shape[1:3])
        counts.append(2 * len(x) * taps)

    def watch(kind):
        forward, backward, double_backward = kind.forward, kind.backward, kind.double_backward

        def counted_forward(layer, x, train=True):
            count(layer, x)
            y, cache = forward(layer, x, train)
            return y, (x, cache)

        def counted_backward(layer, dy, cache, params=True, inputs=True):
            x, cache = cache
            for _ in range(bool(params) + inputs):
                count(layer, x)
            return backward(layer, dy, cache, params, inputs)

        def counted_double_backward(layer, dx_bar, dy, cache):
            x, cache = cache
            for _ in range(2):  # dy_bar and dW
                count(layer, x)
            return double_backward(layer, dx_bar, dy, cache)

        monkeypatch.setattr(kind, "forward", counted_forward)
        monkeypatch.setattr(kind, "backward", counted_backward)
        monkeypatch.setattr(kind, "double_backward", counted_double_backward)

    step = getattr(narrow_steps, name)(4)
    for kind in (mg.Dense, mg.Conv2d, mg.ConvTranspose2d):
        watch(kind)
    step(0)
    assert sum(counts) == narrow_steps.flops(name, 4)


class TestTheRivals:
    def test_every_one_has_its_step(self, script):
        pytest.importorskip("torch")
        for case in script("bench").CASES.values():
            for module, more in case.rivals.values():
                step = getattr(script(module), case.model)
                inspect.signature(step).bind(case.batch, *more)

    @pytest.mark.parametrize("one_pass", [True, False])
    def test_jax_takes_the_steps_of_the_example(self, script, one_pass, monkeypatch):
        """From the same weights, without dropout, the losses are the same but for rounding."""
        jax = pytest.importorskip("jax")
        steps, module = script("steps_jax"), parity.example("mnist_gan")
        monkeypatch.setattr(mg, "Dropout", lambda _rate, dropout=mg.Dropout: dropout(0))
        options = parity.example_options(width=1 / 32)
        G, D = module.generator(options), module.discriminator(options)
        opt_g, opt_d = (mg.Adam(net, steps.LR, b1=steps.B1, b2=steps.B2) for net in (G, D))
        state = [steps.start(layers_of(network)) for network in (G, D)]
        step = jax.jit(partial(steps.train_step, one_pass=one_pass, rate=0.0), donate_argnums=0)
        keys, rng = list(jax.random.split(jax.random.key(0), 3)), np.random.default_rng(0)
        for _ in range(10):
            real, z_d, z_g = (rng.uniform(-1, 1, (8, n)).astype("f4") for n in (784, 100, 100))
            images = real.reshape(8, 28, 28, 1)
            ours = module.train_step(G, D, opt_g, opt_d, images, z_d, z_g)
            state, theirs = step(state, real, z_d, z_g, keys)
            wanted = ours["d_loss"], ours["g_loss"]
            np.testing.assert_allclose(theirs, wanted, rtol=2e-5)

    def test_jax_draws_and_drops(self, script, monkeypatch):
        pytest.importorskip("jax")
        steps = script("steps_jax")
        monkeypatch.setattr(steps, "G_SIZES", (100, 4, 784))
        monkeypatch.setattr(steps, "D_SIZES", (784, 4, 1))
        step = steps.m1(2, True)
        first, second = step(0), step(1)
        assert np.isfinite([first, second]).all() and first != second


def layers_of(network):
    """A network of dense layers as steps_jax has one: copies of [(w, b), ...]."""
    tensors = [np.array(tensor) for _, tensor, _ in network.named_tensors()]
    return list(zip(tensors[::2], tensors[1::2], strict=True))


class TestTheTable:
    def found(self, bench, **ratios):
        return {name: bench.Found(ratio / 100, ratio, 400.0) for name, ratio in ratios.items()}

    def test_the_fastest_of_all_counts(self, script):
        bench = script("bench")
        own = bench.Found(0.01, 1.0, 100.0)
        words = bench.row("m1", 0.005, own, self.found(bench, JAX=0.9, eager=1.2)).split()
        assert words == "m1 10.0 12.0 9.0 0.90 5.0 100 400 0.25 JAX; eager 1.20".split()

    def test_where_there_is_no_jax(self, script):
        bench = script("bench")
        line = bench.row("m5", 0.01, bench.Found(0.01, 1.0, 100.0), self.found(bench, eager=1.2))
        assert line.split() == "m5 10.0 12.0 - 1.20 10.0 100 400 0.25 eager".split()


def say_cores(pipe):
    pipe.send(os.sched_getaffinity(0))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no such thing")
class TestTheState:
    """Fewer cores, and busy processes: the same for all sides."""

    def test_it_is_that_of_every_process(self, script, monkeypatch, capsys):
        bench, before = script("bench"), os.sched_getaffinity(0)
        own, others = bench.Found(0.01, 1.0, 100.0), set(multiprocessing.active_children())

        def compare(case, rounds):
            assert len(set(multiprocessing.active_children()) - others) == 2
            assert len(bench.Peer(say_cores).answer()) == 1 and rounds == 3
            return own, {"eager": own}

        monkeypatch.setattr(bench, "sgemm_rate", lambda: 1e11)
        monkeypatch.setattr(bench, "compare", compare)
        try:
            bench.main(["m1 batch 100", "--rounds", "3", "--cores", "1", "--beside", "2"])
        finally:
            os.sched_setaffinity(0, before)
        assert "2 busy processes beside" in capsys.readouterr().out

    def test_more_cores_than_there_are(self, script, capsys):
        with pytest.raises(SystemExit):
            script("bench").main(["--cores", "1000"])
        assert "--cores 1000: there are " in capsys.readouterr().err

    def test_a_busy_process_ends_with_its_parent(self, script):
        peer = script("bench").Peer(script("bench").spin)
        assert peer.process.is_alive()
        peer.pipe.close()
        peer.process.join(60)
        assert peer.process.exitcode == 0


def test_the_networks_that_grow_are_those_of_m5_at_its_size(script):
    module, options = parity.example("dcgan"), parity.example_options()
    own = (module.generator(options), module.discriminator(options))
    for grown, network in zip(script("growth").networks(64, 1.0), own, strict=True):
        assert [repr(layer) for layer in grown.layers] == [repr(layer) for layer in network.layers]


def answer_once(pipe, name):
    """What a process does that dies before its second answer, or at once."""
    if name == "at once":
        os._exit(7)
    pipe.send("ready")
    pipe.recv()
    os._exit(7)


class TestAProcessThatDies:
    """It ends the comparison: nobody waits for its answer."""

    @pytest.mark.parametrize("name", ["at once", "later"])
    def test_is_named(self, script, name):
        peer = script("peer").Peer(answer_once, name)
        with pytest.raises(SystemExit, match=rf"the process of {name} died \(exit code 7"):
            assert peer.answer() == "ready"
            peer.ask("more")

    def test_both_benchmarks_notice(self, script):
        """One's worker finds no such step, the other's neither CuPy nor PyTorch for a GPU."""
        with pytest.raises(SystemExit, match=r"the process of steps_minigan m0 .* died"):
            script("bench").Worker("steps_minigan", "m0", (4,), warm_up=1)
        with pytest.raises(SystemExit, match="the process of nobody False died"):
            script("bench_gpu").Worker("nobody", False)


@pytest.mark.parametrize("name", ["m1", "m5", "m7"])
def test_our_side_of_the_comparison_on_a_gpu(
    compiler, stand_in, script, narrow_steps, monkeypatch, name
):
    monkeypatch.setenv("CUPY_TF32", "0")  # as it was, afterwards
    step = getattr(script("gpu_sides").Minigan(tf32=False), name)(4)
    stand_in.launches.clear()
    step(0)
    assert stand_in.launches


def test_the_pictures_of_the_results(script, tmp_path, monkeypatch, capsys):
    """Sheets of a run at its start, end and in between, the last one again in the row of all."""
    module, folder = script("results"), tmp_path / "run"
    words = ["--data", "digits", "--limit", 8, "--batch-size", 4, "--width", 0.05]
    words += ["--epochs", 8, "--sample-every", 1, "--out", folder]
    assert run(parity.example("mnist_gan").main, *words) == 0
    monkeypatch.setattr(module, "IMAGES", tmp_path)
    capsys.readouterr()
    module.main([f"m1={folder}"])
    assert capsys.readouterr().out == "m1: after 0, 2, 4, 8, 16 steps\n"
    sheets = [
        pictures.read(folder / f"samples/epoch_{n:03d}.png")[::2, ::2] for n in (0, 1, 2, 4, 8)
    ]
    strip, last = (pictures.read(tmp_path / name) for name in ("results/m1.png", "results.png"))
    width = sheets[0].shape[1]
    for index, sheet in enumerate(sheets):
        left = index * (width + module.GAP)
        part = strip[:, left : left + width, 0].astype(int)
        assert abs(part - sheet).mean() < 2  # a palette, and twice two pixels for one
    assert abs(last[..., 0].astype(int) - sheets[-1]).mean() < 2
    assert (tmp_path / "results/m1_losses.png").stat().st_size > 5000


class TestTheCheckOfAGPU:
    PARTS = ("pointwise", "normalisation", "products", "convolutions")

    def test_all_is_as_the_plain_formulas_say(self, gpu, script, capsys):
        assert script("gpu_smoke").main(["--small", *self.PARTS]) == 0, capsys.readouterr().out

    def test_a_wrong_kernel_is_named(self, gpu, script, monkeypatch, capsys):
        smoke = script("gpu_smoke")
        right = smoke.gpu.tanh_backward
        monkeypatch.setattr(smoke.gpu, "tanh_backward", lambda dy, y: right(dy, y) * 1.00001)
        monkeypatch.setattr(smoke.gpu, "normalize", lambda *arrays: 1 / 0)
        assert smoke.main(["--small", *self.PARTS[:2]]) == 1
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == "FAILED: tanh_backward float32, tanh_backward float64, normalisation"

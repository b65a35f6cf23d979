"""The moving average of a network: its formula, and its place in a run."""

import copy

import numpy as np
import parity
import pytest
from helpers import STEPS_PER_EPOCH, arrays, assert_same_results, run, words

import minigan as mg
from minigan.kernels.cpu import blocks
from minigan.training.checkpoint import TRAINED, Checkpoint


def small(dtype="float64", width=7):
    return mg.Sequential(
        [mg.Dense(5, width), mg.BatchNorm(width), mg.Dense(width, 2)], seed=3, dtype=dtype
    )


def formula(values, decay):
    """The average after values[0] at the start and values[t] at step t, as its docstring says it.

    After ten steps, every tenth counts for ten.
    """
    average = values[0]
    for t in [*range(1, 11), *range(20, len(values), 10)]:
        for _ in range(1 if t <= 10 else 10):
            keep = min(decay, (1 + t) / (10 + t))
            average = keep * average + (1 - keep) * values[t]
    return average


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("width", [7, blocks.BLOCK // 3])  # within one block; more than two
def test_against_the_formula(decay, width):
    net, rng = small(width=width), np.random.default_rng(0)
    average = mg.MovingAverage(net, decay)
    params, buffers = [net.params.copy()], [net.buffers.copy()]
    for t in range(1, 32):
        net.params += rng.standard_normal(net.params.size)
        net.buffers += rng.standard_normal(net.buffers.size)
        params.append(net.params.copy())
        buffers.append(net.buffers.copy())
        average.update(t)
        np.testing.assert_array_equal(net.params, params[-1], "update() changed its source")
    np.testing.assert_allclose(average.network.params, formula(params, decay), atol=1e-12)
    np.testing.assert_allclose(average.network.buffers, formula(buffers, decay), atol=1e-12)


def test_the_beginning_is_forgotten():
    net = small()
    average = mg.MovingAverage(net, 0.9999)
    net.params[:] += 1
    for t in range(1, 11):
        average.update(t)
    np.testing.assert_allclose(average.network.params, net.params, atol=0.01)


def test_it_is_a_network_of_its_own_like_the_source():
    net = small("float32")
    average = mg.MovingAverage(net, 0.9)
    assert repr(average.network) == repr(net) and average.network.dtype == np.float32
    before = net.params.copy()
    average.network.params[:] = 0
    np.testing.assert_array_equal(net.params, before)


def test_a_copy_follows_the_copy():
    net = small()
    twin, average = copy.deepcopy((net, mg.MovingAverage(net, 0.5)))
    assert average.source is twin
    twin.params[:] = 3.0
    for t in range(1, 30):
        average.update(t)
    np.testing.assert_allclose(average.network.layers[0].weight, 3.0, rtol=1e-3)
    assert not (net.params == 3).any()


@pytest.mark.parametrize("decay", [-0.1, 1, float("nan")])
def test_a_decay_out_of_range(decay):
    with pytest.raises(ValueError, match=r"MovingAverage: decay=.* is outside \[0, 1\)"):
        mg.MovingAverage(small(), decay)


def test_on_a_gpu(gpu):
    host, device = small(), small().to("gpu")
    averages = [mg.MovingAverage(net, 0.9) for net in (host, device)]
    for t in range(1, 31):
        host.params *= 1.01
        device.params *= 1.01
        for average in averages:
            average.update(t)
    found = mg.to_host(averages[1].network.params)
    np.testing.assert_allclose(found, averages[0].network.params, rtol=1e-12)


# In a run.

STEPS = ["--steps", 5 * STEPS_PER_EPOCH]  # half of the way to the update of step 30


def test_a_run_draws_with_the_average_and_trains_without(gan, pictures, tmp_path):
    seen, train_step = [], gan.train_step

    def watched_step(G, *rest):
        if not seen:
            seen.append(mg.to_device(G.params.copy(), "cpu"))
        result = train_step(G, *rest)
        seen.append(mg.to_device(G.params.copy(), "cpu"))
        return result

    gan.train_step = watched_step
    with_it, without = tmp_path / "with", tmp_path / "without"
    assert run(gan.main, *words(pictures, without, *STEPS, "--average", 0)) == 0
    seen.clear()
    assert run(gan.main, *words(pictures, with_it, *STEPS, "--average", 0.8)) == 0
    plain, averaged = (arrays(out / "checkpoint.npz") for out in (without, with_it))
    assert not [name for name in plain if name.startswith(TRAINED)]
    np.testing.assert_array_equal(averaged[f"{TRAINED}/params"], plain["generator/params"])
    np.testing.assert_array_equal(averaged[f"{TRAINED}/params"], seen[-1])
    np.testing.assert_allclose(averaged["generator/params"], formula(seen, 0.8), atol=1e-6)
    assert np.abs(averaged["generator/params"] - seen[-1]).max() > 1e-4
    for name in ("history.csv", "samples/epoch_000.png"):
        assert (with_it / name).read_bytes() == (without / name).read_bytes()
    last = "samples/epoch_005.png"
    assert (with_it / last).read_bytes() != (without / last).read_bytes()


def test_a_run_in_legs_has_the_same_average(gan, pictures, tmp_path):
    whole, legs = tmp_path / "whole", tmp_path / "legs"
    assert run(gan.main, *words(pictures, whole, *STEPS)) == 0
    assert run(gan.main, *words(pictures, legs, "--steps", 7)) == 0
    for steps in (12, *STEPS[1:]):
        assert run(gan.main, "--resume", "--out", legs, "--steps", steps) == 0
    assert_same_results(legs, whole)


@pytest.mark.parametrize("more, original", [([], False), (["--original"], True)])
@pytest.mark.parametrize("script, decay", [
    ("mnist_gan", 0.998), ("mnist_dcgan", 0.995), ("cifar_dcgan", 0.99), ("dcgan", 0.99),
    ("anime_dcgan", 0.99),
])  # fmt: skip
def test_the_default_has_an_average_and_the_tutorial_had_none(
    script, decay, pictures, tmp_path, more, original
):
    few = ["--steps", 1, "--width", 0.02, *more]
    assert run(parity.example(script).main, *words(pictures, tmp_path / "out", *few)) == 0
    checkpoint = Checkpoint(tmp_path / "out" / "checkpoint.npz")
    assert checkpoint.run["options"]["average"] == (0 if original else decay)
    assert (TRAINED in checkpoint.networks()) is not original

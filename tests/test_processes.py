"""Processes that share a batch compute what one does with all of it."""

import numpy as np
import pytest
from pretend_mpi import Communicator, together

import minigan as mg
from minigan import processes, random
from minigan.losses import bce_with_logits, labels, non_saturating

N = 12  # samples of the whole batch: for 1, 2, 3 and 4 processes
REAL = np.random.default_rng(0).uniform(-1, 1, (N, 8, 8, 2))


def networks(kernels=None):
    def normalised(channels, axis=-1):
        return [mg.BatchNorm(channels, axis=axis, momentum=0.9), mg.LeakyReLU(0.2)]

    G = mg.Sequential(
        [mg.Dense(5, 96, use_bias=False), mg.Reshape((4, 4, 6)), *normalised(6), mg.UpSample2d(2)]
        + [mg.ConvTranspose2d(6, 2, 3, padding="same"), *normalised(8, axis=1), mg.Tanh()],
        name="generator", dtype="float64", kernels=kernels,
    )  # fmt: skip
    D = mg.Sequential(
        [mg.RandomShift(0.25), mg.Conv2d(2, 6, 4, stride=2), mg.LeakyReLU(0.2), mg.Dropout(0.3)]
        + [mg.Flatten(), mg.Dense(96, 7, use_bias=False), *normalised(7), mg.Dropout(0.2)]
        + [mg.Dense(7, 1)],
        name="discriminator", dtype="float64", kernels=kernels,
    )  # fmt: skip
    return G, D


@pytest.mark.filterwarnings("ignore:discriminator has BatchNorm")
def train(kernels=None, steps=4):
    """Some steps of a whole batch, of which this process has its part: all numbers at the end."""
    G, D = networks(kernels)
    opt_g, opt_d = mg.Adam(G, 1e-3, b1=0.5), mg.Adam(D, 1e-3, b1=0.5)
    here, losses = processes.here, []
    for step in range(steps):
        for network in (G, D):
            network.begin_step(step)
        here.begin_batch(N)
        real = here.rows(REAL)
        n, address = len(real), dict(seed=3, step=step)
        z = random.of_batch(random.normal, (n, 5), where="z", dtype="float64", **address)
        fake, g_cache = G.forward(z)
        logits, cache = D.forward(np.concatenate([real, fake]))
        targets = labels(logits[:n], 0.8, 1.0, flip=0.2, **address)
        real_loss, d_real = bce_with_logits(logits[:n], targets)
        fake_loss, d_fake = bce_with_logits(logits[n:], 0.0)
        D.zero_grad()
        D.backward(np.concatenate([d_real, d_fake]), cache, need_dx=False)
        penalty = mg.penalty.gradient_penalty(D, real, fake, **address)
        opt_d.step()
        logits, d_cache = D.forward(fake)
        g_loss, dlogits = non_saturating(logits)
        G.zero_grad()
        G.backward(D.backward(dlogits, d_cache, params=False), g_cache, need_dx=False)
        opt_g.step()
        here.end_batch()
        losses.append(here.mean(np.array([real_loss, fake_loss, penalty, g_loss])))
    return {
        "losses": np.array(losses), "G": G.params, "D": D.params,
        "moving G": G.buffers, "moving D": D.buffers,
    }  # fmt: skip


@pytest.mark.host
@pytest.mark.filterwarnings("ignore:discriminator has BatchNorm")
@pytest.mark.parametrize("kernels", ["fast", "plain"])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_any_number_of_processes_train_as_one(monkeypatch, size, kernels):
    alone = train(kernels)
    for process in together(monkeypatch, size, lambda: train(kernels)):
        for name, values in process.items():
            np.testing.assert_allclose(values, alone[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.host
@pytest.mark.filterwarnings("ignore:discriminator has BatchNorm")
def test_moments_of_each_process_train_otherwise(monkeypatch):
    def by_their_own_moments():
        processes.here.keep_moments()
        return train(steps=1)

    alone, first = train(steps=1), together(monkeypatch, 2, by_their_own_moments)
    assert abs(first[0]["G"] - alone["G"]).max() > 1e-6
    np.testing.assert_array_equal(first[0]["G"], first[1]["G"])


@pytest.mark.host
def test_a_mask_is_the_same_in_parts_of_any_size(monkeypatch):
    """Over the borders of the blocks that have a stream of bits each, too."""
    monkeypatch.setattr("minigan.kernels.plain.MASK_BLOCK", 64)
    address = dict(seed=1, where="mask", step=2)
    whole = random.keep_mask((3 * 12, 5, 3), 0.7, **address).reshape(3, 12, 15)
    for size in (1, 2, 3, 4, 6):
        n = 12 // size
        for rank in range(size):
            for k in (mg.kernels.FAST[np.ndarray], mg.kernels.PLAIN[np.ndarray]):
                part = k.keep_mask((3 * n, 5, 3), 0.7, **address, share=(n, rank, size))
                expected = whole[:, rank * n : (rank + 1) * n]
                np.testing.assert_array_equal(part.reshape(expected.shape), expected)


@pytest.mark.host
@pytest.mark.parametrize("kernels", ["fast", "plain"])
@pytest.mark.parametrize("size", [2, 3])
def test_a_mask_of_evaluation_is_drawn_by_place(monkeypatch, size, kernels):
    """Of a Dropout that stays on, by itself and behind a LeakyReLU, in a step and between steps."""
    z = np.random.default_rng(1).standard_normal((N, 5))

    def work():
        network = mg.Sequential(
            [mg.Dense(5, 7), mg.LeakyReLU(0.2), mg.Dropout(0.5, always=True)]
            + [mg.Dense(7, 6), mg.Tanh(), mg.Dropout(0.3, always=True)],
            dtype="float64", kernels=kernels,
        )  # fmt: skip
        here = processes.here
        here.begin_batch(N)
        in_a_step = here.whole(network.forward(here.rows(z), train=False)[0])
        here.end_batch()
        return in_a_step, network.forward(z[:5], train=False)[0]

    alone = work()
    for process in together(monkeypatch, size, work):
        for found, expected in zip(process, alone, strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_what_is_no_part_of_a_batch_gets_no_mask(monkeypatch):
    layer = mg.Dropout(0.5, always=True).build(dtype="float64")

    def work():
        processes.here.begin_batch(N)
        layer.forward(np.ones((5, 3)), train=False)

    with pytest.raises(ValueError, match="got 5 samples in a step where each process has 6 of"):
        together(monkeypatch, 2, work)


@pytest.mark.parametrize("shape", [(12,), (12, 5), (36, 2, 3)])
def test_the_whole_of_all_rows(monkeypatch, shape):
    expected = np.random.default_rng(0).standard_normal(shape)

    def work():
        processes.here.begin_batch(12)
        return processes.here.whole(processes.here.rows(expected))

    for found in together(monkeypatch, 3, work):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.host
@pytest.mark.filterwarnings("ignore:discriminator has BatchNorm")
def test_what_one_does_by_itself_asks_nobody(monkeypatch):
    class Nobody(Communicator):
        def allgather(self, value):
            raise AssertionError("nobody answers")

    here = processes.Together(Nobody(0, [None] * 2, None))
    monkeypatch.setattr(processes, "here", here)
    with processes.by_itself():
        values = train(steps=1)
    assert processes.here is here
    monkeypatch.setattr(processes, "here", processes.Alone())
    np.testing.assert_array_equal(values["G"], train(steps=1)["G"])


@pytest.mark.parametrize(("samples", "fits"), [(10, "take 8 or 12"), (3, "take 4")])
def test_a_batch_that_cannot_be_shared_evenly_is_refused(monkeypatch, samples, fits):
    with pytest.raises(ValueError, match=f"a batch of {samples} .* 4 processes: {fits}$"):
        together(monkeypatch, 4, lambda: processes.here.begin_batch(samples))


def test_a_process_alone_has_the_whole_batch():
    here = processes.Alone()
    here.begin_batch(5)
    values = np.arange(5.0)
    assert here.share is None and here.rows(values) is values and here.mean(values) is values
    assert here.largest(7) == 7


def test_a_gpus_mask_is_the_same_in_parts(gpu):
    k, address = mg.kernels.FAST[gpu.ndarray], dict(seed=1, where="mask", step=2, call=0)
    whole = (
        k.dropout(gpu.asarray(np.ones((24, 5, 3), "float32")), 0.7, address)[1]
        .get()
        .reshape(2, 12, 15)
    )
    for rank in range(3):
        x = gpu.asarray(np.ones((2 * 4, 5, 3), "float32"))
        part = k.dropout(x, 0.7, address | dict(share=(4, rank, 3)))[1].get()
        np.testing.assert_array_equal(part.reshape(2, 4, 15), whole[:, rank * 4 :][:, :4])


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 3)])
def test_a_gpus_normalisation_takes_means_across(gpu, axes):
    """What stands for another process here doubles every mean."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 4, 3, 3, 3))
    gamma = rng.standard_normal(3).reshape([1 if axis in axes else 3 for axis in range(4)])
    found, moving = [], [np.zeros(3), np.ones(3)]
    for xp, k in ((np, mg.kernels.PLAIN[np.ndarray]), (gpu, mg.kernels.FAST[gpu.ndarray])):
        a, da, g, *m = (xp.asarray(array.copy()) for array in (x, dy, gamma, *moving))
        mean, scale = k.batch_statistics(a, axes, 1e-3, *m, 0.9, lambda mean: 2 * mean)
        mean, scale = mean.reshape(g.shape), scale.reshape(g.shape)
        grads = k.normalize_backward(da, a, mean, scale, g, axes, axes, lambda mean: 2 * mean)
        found.append(
            [np.asarray(v.get() if xp is gpu else v).ravel() for v in (*m, mean, scale, *grads)]
        )
    for expected, got in zip(*found):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)

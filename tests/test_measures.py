"""What every run measures: norms of gradients, and how far G's pictures are apart."""

import numpy as np
import pytest
from helpers import LAST_STEP, run, words

import minigan as mg
from minigan.data import Dataset
from minigan.training import Latent
from minigan.training.batches import Batches
from minigan.training.history import History
from minigan.training.measures import FEWEST, MOST, Measures, spread

RNG = np.random.default_rng(0)


def batches(images, size=8, labels=None, classes=0):
    dataset = Dataset(images, labels, "test", "here", classes=tuple("abc"[:classes]) or None)
    how = dict(seed=0, classes=classes, value_range=(-1, 1), dtype="float64", xp=np)
    return Batches(dataset, size, **how)


def networks(latent=5):
    def network(inputs, outputs, name, *more):
        return mg.Sequential([*more, mg.Dense(inputs, outputs)], name=name, dtype="float64")

    G = network(latent, 12, "generator")
    return {"generator": G, "critic": network(12, 1, "critic")}


@pytest.fixture
def images():
    return RNG.integers(0, 256, (90, 2, 2, 3), np.uint8)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_spread_is_the_mean_distance_of_pairs(offset):
    x = RNG.standard_normal((7, 2, 3, 1)) + offset
    pairs = [np.linalg.norm(x[i] - x[j]) for i in range(7) for j in range(7) if i != j]
    np.testing.assert_allclose(spread(x), np.mean(pairs), 1e-6)
    assert spread(np.repeat(x[:1], 5, axis=0)) < 1e-9 * max(offset, 1)


def test_what_is_measured_and_when(images):
    players = networks()
    G, D = players.values()
    measures = Measures(batches(images, 30), Latent(5), players, seed=0)
    G.grads, D.grads = RNG.standard_normal(G.param_count), np.full(D.param_count, 2.0)
    found = {step: measures.of(step) for step in range(1, 101)}
    assert {step for step, values in found.items() if values} == set(range(10, 101, 10))
    assert {step for step, values in found.items() if "variety" in values} == {50, 100}
    np.testing.assert_allclose(found[10]["norm_dG"], np.linalg.norm(G.grads))
    np.testing.assert_allclose(found[10]["norm_dD"], 2 * np.sqrt(D.param_count))
    G.params *= 2
    np.testing.assert_allclose(measures.of(50)["variety"], 2 * found[50]["variety"])


def test_a_generator_that_draws_the_data_has_a_variety_of_one(images):
    for size, count in ((4, FEWEST), (30, 30), (80, MOST)):
        taken = batches(images, size)
        measures = Measures(taken, Latent(5), networks(), seed=0)
        real, labels = taken.sample(count, where="variety")
        assert labels is None and len(np.unique(real.reshape(count, -1), axis=0)) == count
        assert measures._z.shape == (count, 5)
        np.testing.assert_allclose(measures._of_data, spread(real))


def test_pictures_of_a_kind_are_compared_with_as_many_of_the_data(images):
    labels = RNG.integers(0, 3, len(images))
    taken = batches(images, 30, labels, 3)
    measures = Measures(taken, Latent(2, classes="abc"), networks(), seed=0)
    _, kinds = taken.sample(30, where="variety")
    np.testing.assert_array_equal(measures._z[:, 2:], np.eye(3)[kinds])


@pytest.mark.parametrize("count", [1, 20])
def test_data_without_variety_have_none_to_compare_with(count):
    taken = batches(np.full((count, 2, 2, 3), 7, np.uint8), 1)
    measures = Measures(taken, Latent(5), networks(), seed=0)
    assert set(measures.of(50)) == {"norm_dG", "norm_dD"}


def test_a_run_measures_the_gradients_that_the_optimizers_have_seen(gan, pictures, tmp_path):
    seen, step = {}, gan.train_step

    def watched(G, D, opt_g, opt_d, *more):
        for name, optimizer, network in (("norm_dG", opt_g, G), ("norm_dD", opt_d, D)):

            def noting(k, p, g, name=name, update=type(optimizer).update, self=optimizer, **state):
                seen[name] = np.linalg.norm(mg.to_host(g).astype(float))
                update(self, k, p, g, **state)

            optimizer.update = noting
        return step(G, D, opt_g, opt_d, *more)

    gan.train_step = watched
    assert run(gan.main, *words(pictures, tmp_path)) == 0
    last = {name: values[-1] for name, values in History.read(tmp_path / "history.csv").items()}
    assert last["step"] == LAST_STEP
    for name, norm in seen.items():
        np.testing.assert_allclose(last[name], norm, 1e-5)

"""The duel of two small networks: its settings, its step in stages, and the step's gradients."""

import warnings
from dataclasses import fields

import numpy as np
import pytest

from minigan import random
from minigan.arrays import to_host
from minigan.gradcheck import numeric_errors
from minigan.study.duel import GAMES, PENALTIES, STAGES, Duel, Settings
from minigan.study.worlds import WORLDS

SMALL = dict(d_steps=1, g_layers=2, d_layers=2, g_width=6, d_width=7, noise_size=3, average=0.0)
REAL = WORLDS["moons"].sample(8, seed=5, dtype="float64")


def duel(**settings):
    return Duel(Settings(**SMALL | dict(dtype="float64", seed=1) | settings))


def lively(made):
    """Move all tensors off their initial 0 and 1, which hide a wrong factor or a lost sum."""
    for network in (made.G, made.D):
        network.params += 0.2 * random.normal(
            network.params.shape, seed=0, where=network.name, dtype="float64", xp=network.xp
        )
    return made


class Recorder:
    """In an optimizer's place: keeps the gradients, and moves to prescribed parameters."""

    def __init__(self, network, shift):
        self.network, self.after = network, to_host(network.params) + shift

    def step(self):
        self.grads = {name: to_host(grad).copy() for name, _, grad in self.network.named_tensors()}
        self.network.params[...] = self.network.xp.asarray(self.after)


class TestGradients:
    """Of the whole step against differences of the losses that it reports."""

    @pytest.mark.parametrize("penalty", PENALTIES)
    @pytest.mark.parametrize("loss", GAMES)
    def test_d_step(self, loss, penalty):
        batchnorm = penalty in ("none", "clip")
        self.check("D", "d_loss", loss=loss, penalty=penalty, d_batchnorm=batchnorm)

    @pytest.mark.parametrize("loss", GAMES)
    def test_g_step(self, loss):
        self.check("G", "g_loss", loss=loss, g_batchnorm=True)

    def check(self, player, reported, **settings):
        made = lively(duel(strength=0.7, activation="tanh", **settings))
        made.opt_d, made.opt_g = Recorder(made.D, -0.02), Recorder(made.G, 0.0)
        real = made.G.xp.asarray(REAL)

        def step():
            before = made.D.params.copy()  # as the check has moved them
            values = made.step(real, 3)
            made.D.params[...] = before
            return values

        step()
        recorder = getattr(made, f"opt_{player.lower()}")
        grads = recorder.grads
        tensors = {name: param for name, param, _ in recorder.network.named_tensors()}
        errors = numeric_errors(lambda: step()[reported], tensors, grads)
        assert errors and max(errors.values()) <= 5e-7, errors


def softplus(x):
    return np.log1p(np.exp(x))


# Of real and of generated scores: what D minimises, and what G does; from the papers.
FORMULAS = {
    "non-saturating": (lambda r, f: softplus(-r) + softplus(f), lambda f: softplus(-f)),
    "minimax": (lambda r, f: softplus(-r) + softplus(f), lambda f: -softplus(f)),
    "hinge": (lambda r, f: np.maximum(0, 1 - r) + np.maximum(0, 1 + f), lambda f: -f),
    "least-squares": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda f: (f - 1) ** 2 / 2),
    "wasserstein": (lambda r, f: f - r, lambda f: -f),
}


@pytest.mark.parametrize("loss", GAMES)
def test_the_reported_losses(loss):
    """In the formulas' own words; D's was of the weights before its update, G's of those after."""
    made = lively(duel(loss=loss, penalty="none"))
    old, (for_d, for_g) = made.D.clone(), FORMULAS[loss]
    seen = {stage.name: stage.values for stage in made.stages(REAL, 0)}
    first, last = seen["D forward"], seen["through D"]
    real, fake = old.forward(REAL)[0], old.forward(first["fake"])[0]
    assert first["d_loss"] == pytest.approx(for_d(real, fake).mean())
    fake = made.D.forward(seen["G forward"]["fake"])[0]
    assert last["g_loss"] == pytest.approx(for_g(fake).mean())


class TestStages:
    def test_step_is_its_stages(self):
        """The same bits, and the names in their order, as often as D plays."""
        whole, parts = duel(d_steps=2, average=0.9), duel(d_steps=2, average=0.9)
        for step in range(3):
            values = whole.step(REAL, step)
            stages = [*parts.stages(REAL, step)]
            assert [stage.name for stage in stages] == [*STAGES[:4] * 2, *STAGES[4:]]
            seen = {}
            for stage in stages:
                seen |= stage.values
            assert seen.keys() == values.keys()
            assert all(np.array_equal(seen[name], values[name]) for name in seen)
        for network in ("G", "D", "generator"):
            a, b = getattr(whole, network), getattr(parts, network)
            assert np.array_equal(a.params, b.params)

    def test_what_they_show(self):
        made = duel()
        seen = {stage.name: stage.values for stage in made.stages(REAL, 0)}
        shapes = {
            "real": (8, 2), "z": (8, 3), "fake": (8, 2), "real_scores": (8, 1),
            "fake_scores": (8, 1), "dreal_scores": (8, 1), "dfake_scores": (8, 1), "dfake": (8, 2),
            "d_grads": (made.D.param_count,), "d_params": (made.D.param_count,),
            "g_grads": (made.G.param_count,), "g_params": (made.G.param_count,),
            "d_loss": (), "g_loss": (), "penalty": (),
        }  # fmt: skip
        for values in seen.values():
            for name, value in values.items():
                assert value.shape == shapes.pop(name, value.shape), name
        assert not shapes, "nobody showed them"

    def test_each_part_moves_only_what_it_says(self):
        """Parameters change in the updates; D's gradients rest while G plays."""
        made, before = duel(), {}
        d_grads = None
        for stage in made.stages(REAL, 0):
            now = {"D update": made.D.params.copy(), "G update": made.G.params.copy()}
            for name, params in now.items():
                if name in before:
                    assert np.array_equal(before[name], params) == (name != stage.name), stage.name
            before = now
            if stage.name == "D update":
                d_grads = made.D.grads.copy()
        assert np.array_equal(d_grads, made.D.grads) and d_grads.any()

    def test_the_penalty_is_seen_on_its_own(self):
        """Its stage adds to the gradients of the stage before, and to the loss."""
        seen = {}
        for stage in duel(strength=3.0).stages(REAL, 0):
            seen[stage.name] = {name: value.copy() for name, value in stage.values.items()}
        plain, punished = seen["D backward"], seen["penalty"]
        assert punished["penalty"] > 0
        assert punished["d_loss"] == seen["D forward"]["d_loss"] + punished["penalty"]
        assert not np.allclose(plain["d_grads"], punished["d_grads"])
        for penalty in ("none", "clip"):
            assert "penalty" not in [stage.name for stage in duel(penalty=penalty).stages(REAL, 0)]

    @pytest.mark.parametrize("alone, still", [(dict(g=False), "G"), (dict(d=False), "D")])
    def test_one_player_alone(self, alone, still):
        made = duel()
        before = made.G.params.copy(), made.D.params.copy()
        values = made.step(REAL, 0, **alone)
        moved = {"G": (before[0] != made.G.params).any(), "D": (before[1] != made.D.params).any()}
        assert moved == {"G": still != "G", "D": still != "D"}
        assert ("g_loss" in values, "d_loss" in values) == (still != "G", still != "D")

    def test_a_step_is_a_function_of_its_number(self):
        """Nothing else of the past than parameters and moments: the same step, the same bits."""
        first, again, other = (duel().step(REAL, step) for step in (7, 7, 8))
        assert all(np.array_equal(first[name], again[name]) for name in first)
        assert (first["z"] != other["z"]).all() and first["penalty"] != other["penalty"]

    def test_every_z_is_new(self):
        zs = [stage.values["z"] for stage in duel(d_steps=3).stages(REAL, 0) if "z" in stage.values]
        assert len(zs) == 4 and len({z[0, 0] for z in zs}) == 4


class TestSettings:
    def test_reach_the_networks(self):
        made = duel(activation="relu", g_batchnorm=True, d_layers=1, d_width=5, noise="uniform",
                    g_lr=0.5, d_lr=0.25, b1=0.1, b2=0.2)  # fmt: skip
        assert [type(layer).__name__ for layer in made.G.layers] == [
            *("Dense", "BatchNorm", "ReLU") * 2, "Dense",
        ]  # fmt: skip
        assert [(layer.inputs, layer.outputs) for layer in made.D.layers[::2]] == [(2, 5), (5, 1)]
        assert (made.opt_g.lr, made.opt_d.lr, made.opt_d.b1, made.opt_d.b2) == (0.5, 0.25, 0.1, 0.2)
        assert np.abs(made.noise(100, "z", 0)).max() <= 1
        assert np.abs(duel(noise="normal").noise(100, "z", 0)).max() > 1
        assert made.G.kernels.name == made.D.kernels.name == "plain"
        assert type(duel(optimizer="rmsprop").opt_g).__name__ == "RMSProp"
        assert type(duel(optimizer="sgd").opt_d).__name__ == "SGD"

    @pytest.mark.parametrize("penalty", ["clip", "none"])
    def test_clipping_bounds_the_weights(self, penalty):
        made = duel(penalty=penalty, strength=0.05)
        made.step(REAL, 0)
        assert (np.abs(made.D.params).max() <= 0.05) == (penalty == "clip")

    def test_average(self):
        """The generator that draws is the mean of G's way: after a step d = (1 + 1) / (10 + 1)."""
        made = duel(average=0.9)
        before = made.G.params.copy()
        made.step(REAL, 0)
        mean = before * 2 / 11 + made.G.params * 9 / 11
        np.testing.assert_allclose(made.generator.params, mean)
        assert not np.array_equal(made.samples(n=4), made.samples(made.G, n=4))
        assert duel().generator.params.any() and duel().average is None

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("penalty", PENALTIES)
    def test_the_dtype_is_kept(self, dtype, penalty):
        for name, value in duel(dtype=dtype, penalty=penalty).step(REAL.astype(dtype), 0).items():
            assert value.dtype == dtype, name

    @pytest.mark.parametrize("wrong, problem", [
        (dict(loss="Wasserstein"), "loss='Wasserstein' is not one of non-saturating, "),
        (dict(penalty=None), "penalty=None is not one of none, wgan-gp"),
        (dict(noise="cauchy"), "noise='cauchy'"),
        (dict(loss=["hinge"]), r"loss=\['hinge'\]"),
        (dict(g_width=0), "g_width=0 is not between 1 and 1024"),
        (dict(g_width=64.0), "g_width=64.0 is not int: give one such as"),
        (dict(d_layers=True), "d_layers=True is not int"),
        (dict(d_batchnorm=1), "d_batchnorm=1 is not bool"),
        (dict(g_lr="1e-3"), "g_lr='1e-3' is not float"),
        (dict(d_lr=float("nan")), "d_lr=nan is not between"),
        (dict(d_lr=0), "d_lr=0 is not between"),
        (dict(strength=0.0), "strength=0.0 is not between"),
        (dict(seed=-1), "seed=-1 is not between"),
        (dict(b1=1.0), "b1=1.0 is not between"),
        (dict(d_batchnorm=True, penalty="r1"), "penalty='r1' with d_batchnorm=True"),
    ])  # fmt: skip
    def test_refused(self, wrong, problem):
        with pytest.raises(ValueError, match=problem) as error:
            Settings(**wrong)
        assert "\n" not in str(error.value)

    def test_whole_numbers_are_numbers(self):
        assert Settings(strength=1, average=0).strength == 1

    def test_every_setting_has_a_check(self):
        """What a page sends is judged here: a list is no value of any setting."""
        for setting in fields(Settings):
            with pytest.raises(ValueError, match=f"^{setting.name}="):
                Settings(**{setting.name: [1]})


def test_d_with_batchnorm_sees_each_kind_by_itself():
    """No warning either: where there is no penalty, BatchNorm in D is no mistake."""
    made = duel(penalty="none", d_batchnorm=True, g_batchnorm=True, loss="hinge")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = made.step(REAL, 0)["real_scores"]
    alone, _ = duel(penalty="none", d_batchnorm=True, g_batchnorm=True).D.forward(REAL)
    np.testing.assert_allclose(scores, alone)


@pytest.mark.parametrize("penalty", ["wgan-gp", "clip"])
def test_on_the_device(gpu, penalty):
    """The host's numbers, but for rounding."""
    settings = dict(penalty=penalty, loss="wasserstein", average=0.9, g_batchnorm=True)
    here, there = duel(**settings), duel(**settings).to("gpu")
    real = gpu.asarray(REAL)
    for step in range(2):
        here.step(REAL, step)
        there.step(real, step)
    for network in ("G", "D", "generator"):
        params = getattr(there, network).params
        assert isinstance(params, gpu.ndarray)
        np.testing.assert_allclose(to_host(params), getattr(here, network).params, 1e-6, 1e-9)
    np.testing.assert_allclose(there.samples(n=5), here.samples(n=5), rtol=1e-6)

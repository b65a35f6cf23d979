"""A training step as a CUDA graph: the same numbers, or the launches as before and a line."""

import numpy as np
import parity
import pytest
from helpers import arrays, run
from test_gpu_runs import SMALL

import minigan as mg
from minigan.arrays import to_host
from minigan.losses import bce_with_logits
from minigan.training import graph

pytestmark = pytest.mark.usefixtures("coarse_plots")

EXAMPLES = [
    ("mnist_gan",),
    ("cifar_dcgan",),
    ("mnist_conv_gan", "--pretrain", 4),
    ("dcgan", "--flip", 0.1),
    ("dcgan", "--upsample", "--simultaneous"),
    ("wgan_gp",),
    ("wgan_gp", "--clip", 0.01),
    ("cgan",),
    ("own_pictures", "--size", 16, "--loss", "wgan-gp", "--norm", "spectral"),
]
ONE, NONE = "one CUDA graph from now on", "no CUDA graph ("


def train(script, folder, *words):
    assert run(parity.example(script).main, "--out", folder, *SMALL, "--device", "gpu", *words) == 0
    return arrays(folder / "checkpoint.npz")


@pytest.mark.parametrize("script, words", [(script, words) for script, *words in EXAMPLES])
def test_a_recorded_run_is_the_run(script, words, gpu, tmp_path, capsys):
    """Bit for bit, with masks, noisy labels, epsilons and a schedule, over six steps."""
    words = [*words, "--steps", 6, "--lr-schedule", "linear"]
    want = train(script, tmp_path / "eager", *words)
    assert "CUDA graph" not in capsys.readouterr().err
    got = train(script, tmp_path / "graph", *words, "--cuda-graph")
    said = capsys.readouterr().err
    refused = "--clip" in words or "spectral" in words  # RMSProp; a product of CuPy's own
    assert (NONE in said) == refused and (refused or ONE in said), said
    assert set(got) == set(want)
    for name in set(want) - {"description"}:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


@pytest.mark.host
def test_it_is_for_a_gpu(gan, pictures, capsys):
    assert run(gan.main, "--data", pictures, "--steps", 1, "--cuda-graph") == 2
    assert "--cuda-graph is for a GPU: give --device gpu too" in capsys.readouterr().err


class Training:
    """A small network on the GPU, its optimizer and a step; `said` has the lines of a graph."""

    def __init__(self, gpu, recorded=True, within=lambda loss: None):
        layers = [mg.Dense(3, 8), mg.BatchNorm(8), mg.LeakyReLU(0.1), mg.Dropout(0.4)]
        self.D = mg.Sequential([*layers, mg.Dense(8, 1)], name="D", seed=3).to("gpu")
        self.optimizer, self.now, self.said = mg.Adam(self.D, 0.01), 0, []
        self.gpu, self.within, self.function = gpu, within, self.train_step
        if recorded:
            self.function = graph.Recorded(self.train_step, lambda: self.now, self.said.append)

    def train_step(self, D, optimizer, x, extra=None):
        y, cache = D.forward(x)
        loss, dy = bce_with_logits(y, 1.0)
        D.zero_grad()
        D.backward(dy, cache)
        self.within(loss)
        optimizer.step()
        return {"loss": loss, "all": [y]}

    def steps(self, count, rows=lambda step: 5, extra=lambda step: None):
        """What each of so many steps returns, on the host."""
        found = []
        for _ in range(count):
            self.D.begin_step(self.now)
            x = np.random.default_rng(self.now).standard_normal((rows(self.now), 3), np.float32)
            x = self.gpu.asarray(x)
            values = self.function(self.D, self.optimizer, x, extra(self.now))
            found += [to_host(values["loss"]), to_host(values["all"][0])]
            self.now += 1
        return found

    def state(self):
        vectors = self.D.params, self.D.buffers, *self.optimizer.state.values()
        return [to_host(vector) for vector in vectors] + [self.optimizer.t]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_of_other_sizes_have_graphs_of_their_own(gpu):
    plain, recorded = Training(gpu, recorded=False), Training(gpu)
    sizes = dict(rows=lambda step: 4 + step % 2)
    assert_same(recorded.steps(12, **sizes), plain.steps(12, **sizes))
    assert_same(recorded.state(), plain.state())
    assert recorded.said == [f"train_step: {ONE}"] * 2


def test_what_was_returned_stays(gpu):
    """The next launch writes into the graph's own memory."""
    training = Training(gpu)
    training.steps(5)
    x = gpu.asarray(np.ones((5, 3), np.float32))
    before = training.function(training.D, training.optimizer, x, None)["all"][0]
    kept = to_host(before)
    training.steps(1)
    np.testing.assert_array_equal(to_host(before), kept)


def test_a_pass_behind_a_launch_has_the_mask_that_is_due(gpu):
    plain, recorded = Training(gpu, recorded=False), Training(gpu)
    x = gpu.asarray(np.ones((5, 3), np.float32))
    for training in (plain, recorded):
        training.steps(6)
    assert_same(*([to_host(training.D.forward(x)[0])] for training in (plain, recorded)))


def test_the_stand_in_launches(stand_in, compiler):
    """The stand-in does in a launch what was recorded, and nothing while it is recorded."""
    training = Training(stand_in)
    training.steps(6)
    del stand_in.launches[:]
    training.steps(3)
    assert stand_in.launches.count("graph") == 3 and "leaky_relu" not in stand_in.launches


@pytest.mark.parametrize("fault", ["waits", "uploads", "other kinds", "host"])
def test_what_cannot_be_recorded_goes_on_as_before(fault, gpu, request):
    if fault == "uploads":  # CuPy may take it; what comes of it is tried
        request.getfixturevalue("stand_in")
    host = np.ones(2)
    within = {"waits": float, "uploads": lambda loss: gpu.asarray(host)}.get(fault, id)
    extra = {"other kinds": str, "host": lambda step: host}.get(fault, lambda step: None)
    plain, recorded = (Training(gpu, which, within) for which in (False, True))
    assert_same(recorded.steps(20, extra=extra), plain.steps(20, extra=extra))
    assert_same(recorded.state(), plain.state())
    [line] = recorded.said
    assert line.startswith(f"train_step: {NONE}")


def test_numbers_that_python_keeps_are_found_out(gpu):
    """A loss that is weighed by a count of calls: the graph has the weight of its recording."""
    count = []

    def within(_):
        count.append(1)
        training.D.grads *= float(len(count))

    training = Training(gpu, within=within)
    training.steps(8)
    assert training.said == [f"train_step: {NONE}launched again it does something else)"]


def test_an_error_of_the_step_is_its_own(gpu):
    def within(_):
        if training.now == 2:
            raise ValueError("mine")

    training = Training(gpu, within=within)
    with pytest.raises(ValueError, match="mine"):
        training.steps(5)
    assert training.said == [f"train_step: {NONE}mine)"] and training.optimizer.t == 2

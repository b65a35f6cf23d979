"""Runs of the examples on the GPU: the numbers of the CPU, no waiting, nothing lost."""

import numpy as np
import parity
import pytest
from helpers import arrays, assert_same_results, at_step, run

import minigan as mg
from minigan.training import feed

pytestmark = pytest.mark.usefixtures("coarse_plots")

SMALL = ["--data", "digits", "--limit", 14, "--batch-size", 4, "--width", 0.02]  # 3 steps an epoch
EXAMPLES = [
    ("mnist_gan",),
    ("mnist_gan", "--original"),
    ("mnist_dcgan",),
    ("cifar_dcgan",),
    ("mnist_conv_gan",),
    ("mnist_conv_gan", "--original", "--pretrain", 4),
    ("dcgan", "--flip", 0.1),
    ("dcgan", "--upsample", "--simultaneous"),
    ("anime_dcgan",),
    ("anime_dcgan", "--original"),
    ("wgan_gp",),
    ("wgan_gp", "--r1", 5),
    ("wgan_gp", "--clip", 0.01),
    ("cgan",),
    ("mnist_cgan",),
    ("own_pictures", "--size", "16x21"),
    ("own_pictures", "--size", 16, "--loss", "r1", "--upsample", "nearest"),
    ("own_pictures", "--size", 16, "--loss", "wgan-gp", "--norm", "spectral"),
]
STEPS = ("train_step", "simultaneous_step", "critic_step", "generator_step", "d_step", "g_step")


@pytest.fixture
def without_dropout(monkeypatch):
    """Its masks are the one thing that differs between the devices."""
    monkeypatch.setattr(mg.Dropout, "next_address", lambda self, x, train: None)


def train(module, folder, *words):
    assert run(module.main, "--out", folder, *words) == 0
    return folder


def watched(module, lists, seen):
    """The example, its step functions reporting what they add to some lists."""
    for name in STEPS:
        if hasattr(module, name):
            step = getattr(module, name)

            def watching(*args, step=step, **kw):
                before = [len(items) for items in lists]
                result = step(*args, **kw)
                seen.append([items[n:] for items, n in zip(lists, before, strict=False)])
                return result

            setattr(module, name, watching)
    return module


@pytest.mark.parametrize("script, words", [(script, words) for script, *words in EXAMPLES])
def test_a_trajectory_agrees_with_the_cpu(script, words, traffic, without_dropout, tmp_path):
    """In float64, to 1e-9; and within a step nothing waits for the device."""
    words = [*SMALL, "--dtype", "float64", "--steps", 2, *words]
    here = train(parity.example(script), tmp_path / "here", *words)
    seen = []
    module = watched(parity.example(script), [traffic], seen)
    there = train(module, tmp_path / "there", *words, "--device", "gpu")
    assert seen and all(set(crossed) <= {"upload"} for [crossed] in seen), seen
    got, want = arrays(there / "checkpoint.npz"), arrays(here / "checkpoint.npz")
    assert set(got) == set(want)
    for name in set(want) - {"description", "history"}:
        np.testing.assert_allclose(got[name], want[name], 1e-9, 1e-9, err_msg=name)


class TestOneExample:
    @pytest.fixture
    def gan(self, gpu):
        return parity.example("mnist_gan")

    def test_resume_is_the_uninterrupted_run(self, gan, tmp_path):
        """With dropout, to the bit: every kernel adds up in one order."""
        words = [*SMALL, "--device", "gpu"]
        whole = train(gan, tmp_path / "whole", *words, "--steps", 5)
        train(gan, tmp_path / "parts", *words, "--steps", 2)
        parts = train(gan, tmp_path / "parts", "--resume", "--steps", 5)
        assert_same_results(parts, whole)

    def test_images_that_do_not_fit_are_streamed(self, gan, gpu, monkeypatch, tmp_path):
        words = [*SMALL, "--device", "gpu", "--steps", 4]
        resident = train(gan, tmp_path / "resident", *words)
        monkeypatch.setattr(feed, "SHARE", 0)
        streamed = train(gan, tmp_path / "streamed", *words)
        assert_same_results(streamed, resident)

    @pytest.mark.parametrize("share, resident", [(1, True), (0, False)])
    def test_what_fits_is_resident(self, gpu, monkeypatch, share, resident):
        monkeypatch.setattr(feed, "SHARE", share)
        images = np.arange(24, dtype=np.uint8).reshape(6, 2, 2, 1)
        images_there = feed.Feed(images, gpu)
        assert images_there.resident == resident
        chosen = np.array([4, 1])
        taken = images_there.take(gpu.asarray(chosen), chosen)
        np.testing.assert_array_equal(taken.get(), images[chosen])

    def test_out_of_device_memory(self, gan, gpu, monkeypatch, tmp_path, capsys):
        words = [*SMALL, "--device", "gpu"]
        whole = train(gan, tmp_path / "whole", *words, "--steps", 6)

        def full(*_):
            raise gpu.cuda.memory.OutOfMemoryError(512, 9)

        step = gan.train_step
        at_step(gan, 5, full)
        capsys.readouterr()
        assert run(gan.main, "--out", tmp_path / "out", *words, "--steps", 6) == 2
        [line] = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert "out of memory (Out of memory allocating 512 bytes" in line
        # Only the step was told that memory is full: half the batch does fit.
        assert ": --batch-size 2 would fit; the last good checkpoint is that of step 4; " in line
        gan.train_step = step
        train(gan, tmp_path / "out", "--resume", "--steps", 6)  # from the last whole step
        assert_same_results(tmp_path / "out", whole)


@pytest.mark.parametrize("script, steps", [
    ("mnist_gan", {"train_step": 108}),
    ("dcgan", {"train_step": 366}),
    ("wgan_gp", {"critic_step": 216, "generator_step": 142}),
])  # fmt: skip
def test_launches_of_a_step(script, steps, compiler, stand_in, tmp_path):
    """As docs/performance.md has them; each costs the host ten microseconds or more.

    At a quarter of the width every layer takes the path that it takes at full width.
    """
    seen = []
    module = watched(parity.example(script), [stand_in.launches], seen)
    words = ["--data", "digits", "--limit", 2, "--batch-size", 2, "--width", 0.25, "--steps", 1]
    train(module, tmp_path, *words, "--device", "gpu")
    assert {len(launches) for [launches] in seen} == set(steps.values())

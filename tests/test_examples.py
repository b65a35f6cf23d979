"""Every example, end to end: a few steps of narrow networks on the built-in pictures."""

import json
import re

import numpy as np
import parity
import pytest
from helpers import arrays, assert_same_results, run
from PIL import Image

import minigan as mg

pytestmark = pytest.mark.usefixtures("coarse_plots")

SMALL = ["--data", "digits", "--limit", 14, "--batch-size", 4, "--width", 0.02]  # 3 steps an epoch
STEPS, STOP = 5, 2  # a run stopped within its first epoch ends within its second

# (script, its words, size of its images, their range)
RUNS = [
    ("mnist_gan", [], (28, 28, 1), (-1, 1)),
    ("mnist_dcgan", [], (28, 28, 1), (-1, 1)),
    ("mnist_dcgan", ["--original"], (28, 28, 1), (-1, 1)),
    ("mnist_dcgan", ["--original", "--average", 0.9], (28, 28, 1), (-1, 1)),
    ("cifar_dcgan", [], (32, 32, 3), (-1, 1)),
    ("cifar_dcgan", ["--original"], (32, 32, 3), (-1, 1)),
    ("mnist_conv_gan", ["--pretrain", 10], (28, 28, 1), (0, 1)),
    ("mnist_conv_gan", ["--pretrain", 10, "--original"], (28, 28, 1), (0, 1)),
    ("dcgan", ["--flip", 0.1], (64, 64, 1), (-1, 1)),
    ("dcgan", ["--upsample", "--simultaneous"], (64, 64, 1), (-1, 1)),
    ("dcgan", ["--original"], (64, 64, 1), (-1, 1)),
    # Its rates fall over all steps of a run, and the first leg is to have those of the whole.
    ("anime_dcgan", ["--lr-schedule", "constant"], (96, 96, 3), (-1, 1)),
    ("anime_dcgan", ["--original"], (96, 96, 3), (-1, 1)),
]


def train(script, folder, *words):
    """Run an example into a folder; returns the folder."""
    assert run(parity.example(script).main, "--out", folder, *words) == 0
    return folder


@pytest.mark.parametrize("script, words, shape, value_range", RUNS)
def test_a_run_and_its_resume(script, words, shape, value_range, tmp_path):
    whole = train(script, tmp_path / "whole", *SMALL, *words, "--steps", STEPS)
    found = {str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()}
    sheets = {f"samples/epoch_00{epoch}.png" for epoch in range(3)}
    rest = {"config.json", "history.csv", "losses.png", "samples.gif", "checkpoint.npz"}
    assert found >= sheets | rest

    G = mg.load(whole / "checkpoint.npz")["generator"]
    images = G.forward(np.zeros((2, 100), np.float32), train=False)[0]
    low, high = value_range
    assert images.shape[1:] == shape
    assert low <= images.min() < images.max() <= high
    with Image.open(whole / "samples" / "epoch_002.png") as sheet:
        assert sheet.mode == ("RGB" if shape[2] == 3 else "L")

    train(script, tmp_path / "parts", *SMALL, *words, "--steps", STOP)
    parts = train(script, tmp_path / "parts", "--resume", "--steps", STEPS)
    assert_same_results(parts, whole)


@pytest.mark.parametrize("script, option, words", [
    ("mnist_gan", "average", ["--average", 0]),
    ("mnist_gan", "bound", ["--bound", 0]),
    ("anime_dcgan", "original", ["--original"]),
    ("cifar_dcgan", "shift", ["--shift", 0]),
    ("wgan_gp", "drift", ["--drift", 0]),
    ("cgan", "drift", ["--drift", 0]),
])  # fmt: skip
def test_a_run_from_before_there_was_an_option_goes_on_as_it_was(script, option, words, tmp_path):
    whole = train(script, tmp_path / "whole", *SMALL, *words, "--epochs", 2)
    old = train(script, tmp_path / "old", *SMALL, *words, "--epochs", 1)
    stored = arrays(old / "checkpoint.npz")
    description = json.loads(stored["description"].tobytes())
    del description["run"]["options"][option]
    stored["description"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    np.savez(old / "checkpoint.npz", **stored)
    train(script, old, "--resume", "--epochs", 2)
    assert_same_results(old, whole)


def test_the_width_is_part_of_the_run(tmp_path):
    """A resume takes it from there, and refuses another."""
    train("dcgan", tmp_path / "out", *SMALL, "--steps", 1)
    main = parity.example("dcgan").main
    assert run(main, "--out", tmp_path / "out", "--resume", "--steps", 2) == 0
    assert run(main, "--out", tmp_path / "out", "--resume", "--steps", 3, "--width", 0.03) == 2


def test_samples_every_few_steps(tmp_path):
    out = train("mnist_dcgan", tmp_path, *SMALL, "--steps", STEPS, "--sample-every", 2)
    names = sorted(path.name for path in (out / "samples").iterdir())
    epochs = [f"epoch_00{epoch}.png" for epoch in range(3)]
    assert names == [*epochs, "step_000002.png", "step_000004.png"]
    with Image.open(out / "samples.gif") as gif:
        assert gif.n_frames == 5
        gif.seek(1)
        with Image.open(out / "samples" / "step_000002.png") as sheet:
            assert np.array_equal(np.asarray(gif.convert("L")), np.asarray(sheet))


@pytest.mark.parametrize("words, steps", [([], 7), (["--epochs", 2], 6), (["--steps", 2], 2)])
def test_steps_of_an_example_that_counts_in_steps(words, steps, tmp_path, monkeypatch):
    """Its own number of steps is only for those who ask for none, nor for epochs."""
    module = parity.example("mnist_dcgan")
    parser = module.training.parser
    monkeypatch.setattr(
        module.training, "parser", lambda *args, **kw: parser(*args, **kw | dict(steps=7))
    )
    assert run(module.main, "--out", tmp_path, *SMALL, *words) == 0
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + steps


class TestSamplingWithDropout:
    """Evaluation mode is without G's dropout; the original's samples were with it."""

    def images(self, original):
        options = parity.example_options(width=0.1, original=original)
        G = parity.example("mnist_dcgan").generator(options)
        z = np.ones((1, 100), np.float32)
        return [G.forward(z, train=False)[0] for _ in range(2)]

    def test_it_is_off(self):
        first, second = self.images(original=False)
        assert np.array_equal(first, second)

    def test_the_original_left_it_on(self):
        first, second = self.images(original=True)
        assert not np.array_equal(first, second)


class TestPretraining:
    @pytest.mark.host
    def test_d_learns_and_g_does_not(self):
        module = parity.example("mnist_conv_gan")
        options = parity.example_options(width=0.05)
        G, D = module.generator(options), module.discriminator(options)
        before = G.params.copy(), G.buffers.copy()
        real = mg.random.uniform((160, 28, 28, 1), seed=0, where="real").round()
        z = module.LATENT.draw(160, seed=0, where="z")
        right, loss = module.pretrain(G, D, mg.Adam(D, 3e-3), real, z, seed=0)
        assert right == 320
        assert loss < 0.1
        assert np.array_equal(G.params, before[0]) and np.array_equal(G.buffers, before[1])

    def test_its_line(self, tmp_path, capsys):
        train("mnist_conv_gan", tmp_path, *SMALL, "--pretrain", 10, "--steps", 1)
        [(right, count)] = re.findall(
            r"D alone: (\d+) of (\d+) right, mean loss \d\.\d{3}\n", capsys.readouterr().out
        )
        assert count == "20"  # as many of G's as real ones
        assert 0 <= int(right) <= 20
        train("mnist_conv_gan", tmp_path, "--resume", "--steps", 2)
        assert "D alone" not in capsys.readouterr().out

    def test_it_is_in_the_first_checkpoint(self, tmp_path, monkeypatch):
        """A run killed before its first step has D's weights and Adam's moments."""
        module = parity.example("mnist_conv_gan")

        def killed(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(module, "train_step", killed)
        assert run(module.main, "--out", tmp_path, *SMALL, "--pretrain", 10) == 130
        assert arrays(tmp_path / "checkpoint.npz")["discriminator/optimizer/m"].any()


def test_labels_are_noisy(tmp_path):
    """In [0.9, 1) and [0, 0.1), others every step; the original's lay beyond 0 and 1."""
    module = parity.example("dcgan")
    logits = np.zeros((500, 1), np.float32)

    def drawn(step=0, **changes):
        def address(where):
            return dict(seed=0, where=where, step=step)

        labels = module.noisy_labels(parity.example_options(**changes), address)
        return [draw(logits) for draw in labels]

    def spans(labels):
        return [(round(float(x.min()), 2), round(float(x.max()), 2)) for x in labels]

    assert spans(drawn()) == [(0.9, 1.0), (0.0, 0.1)]
    assert spans(drawn(original=True)) == [(1.0, 1.1), (-0.1, 0.0)]
    assert not np.array_equal(drawn()[0], drawn(step=1)[0])
    swapped = (drawn(flip=0.2)[0] < 0.5).mean()
    assert 0.1 < swapped < 0.3

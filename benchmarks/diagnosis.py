"""Does the diagnosis know the ill from the healthy?  Ten runs of each, their verdicts, the errors.

    python benchmarks/diagnosis.py [--seed 0] [--only WORD] [--keep FOLDER]

Each ill run is driven into its state by one setting; the healthy ones are the examples at a quarter
of their width or less, too short for good pictures and long enough to see that they learn.
MNIST and horses are taken where $MINIGAN_DATA has them, else built-in pictures.  Minutes.
"""

import argparse
import contextlib
import io
import runpy
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import data, training
from minigan.losses import bce_with_logits, minimax, non_saturating, sigmoid
from minigan.training.examine import examine

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(script, *words):
    """A run of an example: a function of its folder and seed."""

    def run(out, seed):
        arguments = ["--out", out, "--seed", seed, *words]
        runpy.run_path(str(EXAMPLES / f"{script}.py"))["main"]([str(word) for word in arguments])

    return run


def small(
    out,
    seed,
    *,
    steps=200,
    batch=32,
    lr_g=1e-3,
    lr_d=1e-3,
    b1=0.5,
    dropout=0.3,
    loss=non_saturating,
    last=mg.init.HeNormal(),
    lead=0,
    turns=1,
):
    """Two layers each on the built-in digits, with all that can be set wrong.

    last: initialiser of G's last layer.  lead: steps of D alone, on G's first pictures.
    turns: steps of G for each of D.
    """
    G = mg.Sequential(
        [
            mg.Dense(32, 64, weight_init=mg.init.HeNormal()),
            mg.LeakyReLU(0.2),
            mg.Dense(64, 784, weight_init=last),
            mg.Tanh(),
            mg.Reshape((28, 28, 1)),
        ],
        name="generator",
        seed=seed,
    )
    D = mg.Sequential(
        [
            mg.Flatten(),
            mg.Dense(784, 64, weight_init=mg.init.HeNormal()),
            mg.LeakyReLU(0.2),
            mg.Dropout(dropout),
            mg.Dense(64, 1),
        ],
        name="discriminator",
        seed=seed,
    )
    opt_g, opt_d = mg.Adam(G, lr_g, b1=b1), mg.Adam(D, lr_d, b1=b1)
    digits = data.load("digits", limit=6400)
    _train(
        out, seed, digits, G, D, opt_g, opt_d, training.Latent(32), steps, batch, loss, lead, turns
    )


def dirac(out, seed, *, optimizer, steps=600):
    """The Dirac-GAN (Mescheder et al. 2018): data in one point, G a point, D a line through 0."""
    G = mg.Sequential(
        [
            mg.Dense(1, 1, weight_init=mg.init.Constant(0.0), bias_init=mg.init.Constant(1.0)),
            mg.Reshape((1, 1, 1)),
        ],
        name="generator",
        seed=seed,
    )
    D = mg.Sequential(
        [mg.Flatten(), mg.Dense(1, 1, use_bias=False)], name="discriminator", seed=seed
    )
    point = data.Dataset(np.full((9600, 1, 1, 1), 128, np.uint8), None, "point", "one grey value")
    opt_g, opt_d = optimizer(G), optimizer(D)
    _train(out, seed, point, G, D, opt_g, opt_d, training.Latent(1), steps, 64, non_saturating)


def _train(out, seed, dataset, G, D, opt_g, opt_d, latent, steps, batch, loss, lead=0, turns=1):
    parser = training.parser("", name="small", batch_size=batch, steps=steps)
    options = training.parse(parser, ["--out", str(out), "--seed", str(seed)])
    networks = {"generator": G, "discriminator": D}
    optimizers = {"generator": opt_g, "discriminator": opt_d}
    run = training.Run(options, dataset, networks, optimizers, latent=latent)
    for real in run:
        n = len(real)
        for turn in range(1 + (lead if run.step == 0 else 0)):
            D.begin_step(run.step)
            fake, _ = G.forward(run.draw_latent(f"D step {turn}"))
            logits, cache = D.forward(np.concatenate([real, fake]))
            real_loss, d_real = bce_with_logits(logits[:n], 1.0)
            fake_loss, d_fake = bce_with_logits(logits[n:], 0.0)
            D.zero_grad()
            D.backward(np.concatenate([d_real, d_fake]), cache, need_dx=False)
            opt_d.step()

        for turn in range(turns):
            fake, g_cache = G.forward(run.draw_latent(f"G step {turn}"))
            fake_logits, d_cache = D.forward(fake)
            g_loss, dlogits = loss(fake_logits)
            dfake = D.backward(dlogits, d_cache, params=False)
            G.zero_grad()
            G.backward(dfake, g_cache, need_dx=False)
            opt_g.step()
        run.log(
            d_loss=real_loss + fake_loss,
            g_loss=g_loss,
            d_real=sigmoid(logits[:n]).mean(),
            d_fake=sigmoid(logits[n:]).mean(),
            norm_dfake=mg.norm(dfake),
        )


# name -> (the run, the verdict that must be among those found)
ILL = {
    "M1, Adam's b1 0.9": (
        example("mnist_gan", "--width", 0.25, "--batch-size", 32, "--b1", 0.9, "--steps", 600),
        "D has won",
    ),
    "small, D's rate times 3, G's a tenth": (
        partial(small, lr_d=3e-3, lr_g=1e-4, dropout=0.0),
        "D has won",
    ),
    "M5, D's rate times 10, G's a tenth": (
        example("dcgan", "--width", 0.1, "--batch-size", 16, "--lr-d", 2e-3, "--dropout", 0,
                "--lr-g", 2e-5, "--steps", 150),
        "D has won",
    ),
    "small, minimax loss, D ahead": (
        partial(small, loss=minimax, lead=200, lr_g=1e-4, dropout=0.0),
        "G starves",
    ),
    "small, ten steps of G for one of D": (
        partial(small, steps=250, turns=10, lr_g=3e-3, lr_d=1e-4, dropout=0.0),
        "Collapse",
    ),
    "M1, rate times 2, b1 0.9": (
        example("mnist_gan", "--width", 0.25, "--batch-size", 32, "--lr", 2e-3, "--b1", 0.9,
                "--steps", 600),
        "Collapse",
    ),
    "Dirac, Adam's b1 0.9": (
        partial(dirac, optimizer=partial(mg.Adam, lr=0.05, b1=0.9)),
        "Circling",
    ),
    "Dirac, descent with momentum": (
        partial(dirac, optimizer=partial(mg.SGD, lr=0.02, momentum=0.5)),
        "Circling",
    ),
    "small, G's last weights of size 5": (
        partial(small, last=mg.init.Normal(5.0)),
        "Saturated output",
    ),
    "M7, hardly a penalty, rate times 10": (
        example("wgan_gp", "--width", 0.05, "--batch-size", 8, "--gp-weight", 1e-5, "--lr", 2e-3,
                "--steps", 150),
        "Divergence",
    ),
}  # fmt: skip

HEALTHY = {
    "M1": example("mnist_gan", "--width", 0.25, "--batch-size", 32, "--steps", 600),
    "M1 on built-in digits": example(
        "mnist_gan", "--data", "digits", "--width", 0.25, "--batch-size", 64, "--steps", 400),
    "M2": example("mnist_dcgan", "--width", 0.25, "--batch-size", 32, "--steps", 300),
    "M3": example("cifar_dcgan", "--width", 0.25, "--batch-size", 32, "--steps", 300),
    "M4": example(
        "mnist_conv_gan", "--width", 0.1, "--batch-size", 32, "--pretrain", 1000, "--steps", 250),
    "M5": example("dcgan", "--width", 0.15, "--batch-size", 16, "--steps", 250),
    "M5 --upsample": example(
        "dcgan", "--width", 0.15, "--batch-size", 16, "--upsample", "--steps", 250),
    "M7": example("wgan_gp", "--width", 0.15, "--batch-size", 16, "--steps", 200),
    "M7 --r1 10": example(
        "wgan_gp", "--width", 0.15, "--batch-size", 16, "--r1", 10, "--steps", 200),
    "M8 of digits": example("mnist_cgan", "--width", 0.25, "--batch-size", 32, "--steps", 400),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of all runs")
    parser.add_argument("--only", default="", help="the runs with this in their name")
    parser.add_argument("--keep", type=Path, help="leave the runs in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table(options.keep or Path(folder), options.seed, options.only)


def table(folder, seed, only):
    """Train what is asked for and print a line a run, then the errors."""
    runs = [(name, run, wanted) for name, (run, wanted) in ILL.items()]
    runs += [(name, run, None) for name, run in HEALTHY.items()]
    right = alarms = ill = healthy = 0
    for number, (name, run, wanted) in enumerate(runs):
        if only not in name:
            continue
        out, start = folder / f"{number:02d}", time.perf_counter()
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            run(out, seed)
        seconds = time.perf_counter() - start
        verdicts = examine(out)[2]
        found = [verdict.name for verdict in verdicts if verdict.ill]
        if wanted:
            ill, right = ill + 1, right + (wanted in found)
        else:
            healthy, alarms = healthy + 1, alarms + bool(found)
        said = ", ".join(found or [verdict.name for verdict in verdicts])
        mark = "" if (wanted in found if wanted else not found) else "   WRONG"
        print(f"{name:38} {wanted or 'healthy':17} {said}{mark}   ({seconds:.0f} s)", flush=True)
    print(f"{right} of {ill} ill runs named right, {alarms} false alarms on {healthy} healthy ones")


if __name__ == "__main__":
    main()

"""What is dissected: two networks and the batches of their game.

From the checkpoint of any run whose networks are Sequentials of ours, or, without one, a narrow
M1 (the fully connected GAN of examples/mnist_gan.py) that has just been made.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import data, init, layers
from ..condition import join
from ..errors import UserError
from ..network import Sequential
from ..optim import Adam
from ..training.batches import Batches, things
from ..training.checkpoint import TRAINED, Checkpoint
from ..training.latent import Latent
from .game import LOSSES, d_pass, g_pass

BATCH = 16
PICTURES = 512  # of the data, enough for the batches of a dissection


@dataclass
class Subject:
    """Two networks and their batches.

    name, facts: for people, one line each.  G, D: Sequentials on the CPU.  lr: of D's Adam.
    loss: the name of the game they have played, as in `game.LOSSES`.
    batches: a `Batches`, images (N, H, W, C) or (images, codes).  latent: G's `Latent`.
    """

    name: str
    facts: str
    G: Any
    D: Any
    lr: float
    loss: str
    batches: Any
    latent: Any

    def batch(self, step):
        """(real, code, z): code is None where there are no classes; z is what G reads."""
        real, code = self.batches.at(step), None
        if self.latent.classes:
            real, code = real
        z = self.latent.draw(len(real), seed=0, where="anatomy", step=step, dtype=real.dtype)
        return real, code, z if code is None else np.concatenate([z, code], axis=1)


def from_checkpoint(path, words=None, *, seed=0):
    """The Subject in a checkpoint, in float32, with the data of its run.

    words: for --data, where the data is elsewhere now.  Raises UserError for a checkpoint of no
    run of two networks, and for data that cannot be had.
    """
    checkpoint = Checkpoint(path)
    networks, run = checkpoint.networks(), checkpoint.run
    G = networks.pop(TRAINED, None) or networks.get("generator")
    networks.pop("generator", None)
    if G is None or len(networks) != 1 or not run:
        raise UserError(f"{path} is not of a run with a generator and one judge of its pictures")
    if things(run["data"]["shape"]) != "images":
        raise UserError(f"{path} is of a run on points: this page shows pictures")
    (name, D), options = networks.popitem(), run["options"]
    latent, shape = Latent(**run["latent"]), run["data"]["shape"]
    dataset = _data(words or options["data"], run, latent)
    if list(dataset.images.shape[1:]) != shape:
        raise UserError(f"{path} was trained on pictures of shape {tuple(shape)}, "
                        f"data {dataset.name} has {dataset.images.shape[1:]}")  # fmt: skip
    subject = Subject(
        name=run["name"],
        facts=f"{path.name} after {run['step']:,} steps; data: {dataset.name}; "
              f"G {G.param_count:,}, {name} {D.param_count:,} parameters",
        G=G.clone("float32"),
        D=D.clone("float32"),
        lr=options.get("lr_d") or options.get("lr") or 2e-4,
        loss="Wasserstein" if "critic_steps" in options else "non-saturating",
        batches=_batches(dataset, latent, run["value_range"], seed),
        latent=latent,
    )  # fmt: skip
    try:
        real, code, z = subject.batch(0)
        for images in (real, subject.G.clone().forward(z)[0]):
            subject.D.clone().forward(images if code is None else join(images, code))
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path}: its networks do not play G(z), D(pictures): {error}") from error
    return subject


def _data(words, run, latent):
    options, (*size, channels) = run["options"], run["data"]["shape"]
    settings = {name: options[name] for name in ("classes", "fit") if name in options}
    try:
        dataset = data.load(
            words, size=size, channels=channels, limit=min(run["data"]["count"], PICTURES),
            notify=_silent, **settings,
        )  # fmt: skip
        if latent.classes and "attribute" in options:
            table = options["attributes"]
            if table is None and dataset.files is not None:
                table = data.attributes.find(words)
            dataset = data.attributes.label(
                dataset, options["attribute"], table=table, notify=_silent
            )
    except UserError as error:
        raise UserError(f"the data of the run is not here: {error} (--data says where)") from error
    return dataset


def _silent(line):
    """A page has no use for a loader's notes."""


def _batches(dataset, latent, value_range, seed):
    return Batches(
        dataset, min(BATCH, len(dataset)), seed=seed, classes=len(latent.classes),
        value_range=value_range, dtype="float32", xp=np,
    )  # fmt: skip


def first(steps, *, seed=0, words="digits"):
    """A narrow M1 after `steps` steps of training, non-saturating, as a Subject.

    words: for --data.
    """
    G, D = (
        Sequential(layers, name=name, seed=seed)
        for name, layers in (("generator", _generator()), ("discriminator", _discriminator()))
    )
    dataset = data.load(words, auto="digits", limit=PICTURES, notify=_silent)
    subject = Subject(
        name="a fully connected GAN",
        facts=f"M1 at a quarter of its width after {steps:,} steps; data: {dataset.name}; "
              f"G {G.param_count:,}, D {D.param_count:,} parameters",
        G=G, D=D, lr=1e-3, loss=LOSSES[0].name, latent=Latent(100),
        batches=_batches(dataset, Latent(100), (-1.0, 1.0), seed),
    )  # fmt: skip
    for _ in train(subject, steps):
        pass
    return subject


def train(subject, steps):
    """Train on the non-saturating game; yields (D's loss, G's loss) of each step."""
    G, D, loss = subject.G, subject.D, LOSSES[0]
    opt_g, opt_d = Adam(G, subject.lr, b1=0.5), Adam(D, subject.lr, b1=0.5)
    for step in range(steps):
        for network in (G, D):
            network.begin_step(step)
        real, code, z = subject.batch(step)
        fake = G.forward(z)[0]
        D.zero_grad()
        d_loss = d_pass(D, loss.real, real, code).loss + d_pass(D, loss.fake, fake, code).loss
        opt_d.step()
        g_loss = g_pass(G, D, loss, z, code).loss
        opt_g.step()
        yield d_loss, g_loss


def _dense(inputs, outputs):
    return layers.Dense(inputs, outputs, weight_init=init.HeNormal())


def _generator(sizes=(100, 64, 128, 256)):
    hidden = [
        layer
        for inputs, outputs in itertools.pairwise(sizes)
        for layer in (_dense(inputs, outputs), layers.LeakyReLU(0.2))
    ]
    return [*hidden, _dense(sizes[-1], 784), layers.Tanh(), layers.Reshape((28, 28, 1))]


def _discriminator(sizes=(784, 256, 128, 64)):
    hidden = [
        layer
        for inputs, outputs in itertools.pairwise(sizes)
        for layer in (_dense(inputs, outputs), layers.LeakyReLU(0.2), layers.Dropout(0.3))
    ]
    return [layers.Flatten(), *hidden, _dense(sizes[-1], 1)]

"""Chapter 7: what bounds a critic's slope, and how it then looks."""

import numpy as np
from figure import BLUE, GREEN, INK, ORANGE, PINK, RED, Figure, publish

import minigan as mg
from minigan.losses import bce_with_logits, wasserstein


def critic_on(x, bound):
    """A critic's scores on a line after 400 steps, real around 1.5 and fakes around -1.5."""
    layers = [mg.Dense(1, 32), mg.Tanh(), mg.Dense(32, 32), mg.Tanh(), mg.Dense(32, 1)]
    critic = mg.Sequential(layers, name="critic", kernels="plain", dtype="float64", seed=1)
    optimizer = mg.Adam(critic, 2e-3, b1=0.5)
    for step in range(400):
        real, fake = mg.random.normal((2, 64, 1), seed=0, where="x", step=step, dtype="float64")
        real, fake = 1.5 + 0.3 * real, -1.5 + 0.3 * fake
        scores, cache = critic.forward(np.concatenate([real, fake]))
        critic.zero_grad()
        if bound == "R1":  # whose home is the cross-entropy
            slopes = bce_with_logits(scores[:64], 1.0)[1], bce_with_logits(scores[64:], 0.0)[1]
        else:
            slopes = wasserstein(scores[:64], -1)[1], wasserstein(scores[64:], +1)[1]
        critic.backward(np.concatenate(slopes), cache, need_dx=False)
        if bound == "WGAN-GP":
            mg.penalty.gradient_penalty(critic, real, fake, weight=10.0, step=step)
        if bound == "R1":
            mg.penalty.r1(critic, real, weight=1.0)
        optimizer.step()
        if bound == "clipped":
            mg.penalty.clip_weights(critic, 0.05)
    scores = critic.forward(x)[0]
    return scores[:, 0] - scores.mean()


def numbers():
    x = np.linspace(-3, 3, 121)
    return {"x": x} | {
        name: critic_on(x[:, None], name) for name in ("no bound", "clipped", "WGAN-GP", "R1")
    }


def draw(n):
    figure = Figure(900, 340)
    panel = figure.panel(
        (50, 46, 880, 280),
        (-3, 3),
        (-6, 6),
        "the critic's score, less its mean",
        x_ticks=range(-3, 4),
        y_ticks=(-6, -3, 0, 3, 6),
        x_label="x",
    )
    for name, colour, x, y in (
        ("no bound: off the scale", INK, -1.3, 5.4),
        ("clipped", ORANGE, 2.3, 0.8),
        ("WGAN-GP", GREEN, 1.5, 2.5),
        ("R1", PINK, 2.3, 5.0),
    ):
        panel.curve(n["x"], n[name.split(":")[0]], colour)
        panel.note(x, y, name, colour, size=14)
    spread = np.linspace(-0.5, 0.5, 12)
    for name, colour, mean in (("real", BLUE, 1.5), ("fake", RED, -1.5)):
        panel.dots(mean + spread, 0 * spread - 5.6, colour)
        panel.note(mean, -4.9, name, colour, 0.5, 14)
    return figure


if __name__ == "__main__":
    publish(__file__, numbers, draw)

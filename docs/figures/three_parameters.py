"""Chapter 2: a GAN of three parameters, before and after D's first step, and G's answer."""

import numpy as np
from figure import BLUE, GREEN, PALE_INK, RED, Figure, publish

from minigan.kernels import plain

REAL, Z, LR = np.array([[1.5], [2.5]]), np.array([[-1.0], [1.0]]), 0.5


def numbers():
    w, b, v = np.array([[1.0]]), np.array([0.0]), np.array([[0.0]])
    fake = plain.dense(Z, w, b)
    d_real = plain.bce_with_logits(plain.dense(REAL, v), 1.0)[1]
    d_fake = plain.bce_with_logits(plain.dense(fake, v), 0.0)[1]
    v = v - LR * (plain.dense_dw(REAL, d_real) + plain.dense_dw(fake, d_fake))
    dlogits = plain.bce_with_logits(plain.dense(fake, v), 1.0)[1]
    dfake = plain.dense_dx(dlogits, v)
    new = plain.dense(Z, w - LR * plain.dense_dw(Z, dfake), b - LR * plain.sum_rows(dfake))
    x = np.linspace(-3, 5, 200)[:, None]
    return dict(x=x, fake=fake, dfake=dfake, new=new, d=plain.sigmoid(plain.dense(x, v)))


def draw(n):
    figure = Figure(900, 330)
    panel = figure.panel(
        (60, 50, 870, 270),
        (-3, 5),
        (0, 1),
        "D(x), the probability of real",
        x_ticks=range(-3, 6),
        y_ticks=(0, 0.5, 1),
        x_label="x",
    )
    panel.curve([-3, 5], [0.5, 0.5], PALE_INK)
    panel.curve(n["x"][:, 0], n["d"][:, 0], GREEN)
    panel.note(-2.9, 0.545, "D before its step: v = 0", PALE_INK)
    panel.note(2.2, 0.68, "D after it: v = 0.5", GREEN)
    panel.dots(REAL[:, 0], [0, 0], BLUE, radius=7)
    panel.dots(n["fake"][:, 0], [0, 0], RED, radius=7)
    for x, pull, new in zip(n["fake"][:, 0], -n["dfake"][:, 0], n["new"][:, 0], strict=True):
        panel.arrow((x, 0.12), (x + 8 * pull, 0.12), RED, width=3, head=11)
        panel.note(x, 0.22, f"-dfake = {pull:.4f}", RED)
        panel.note(x, 0.31, f"{x:g} to {new:.4f}", RED)
    panel.note(2.5, 0.06, "real", BLUE, -0.35)
    panel.note(-1, 0.06, "fake", RED, -0.35)
    panel.note(1, 0.06, "fake", RED, 1.35)
    return figure


if __name__ == "__main__":
    publish(__file__, numbers, draw)

"""Chapter 1: the two halves of a step, with the sizes of what flows."""

import runpy

import numpy as np
from figure import BLUE, DOCS, GREEN, INK, ORANGE, PALE_INK, RED, Figure, publish

from minigan import data


def numbers():
    nothing = runpy.run_path(DOCS.parent / "examples/from_nothing.py")
    forward, backward = nothing["forward"], nothing["backward"]
    rng, n = np.random.default_rng(0), 100
    G, D = nothing["network"](100, 256, 512, 1024, 784), nothing["network"](784, 1024, 512, 256, 1)
    real = data.load("digits", limit=n).images.reshape(n, 784).astype(np.float32) / 127.5 - 1
    z_d, z_g = rng.standard_normal((2, n, 100)).astype(np.float32)
    fake = np.tanh(forward(G, z_d)[0])
    logits, kept = forward(D, np.concatenate([real, fake]))
    dlogits_d = (1 / (1 + np.exp(-logits)) - np.repeat([1, 0], n)[:, None]) / n
    y, kept_g = forward(G, z_g)
    logits, kept_d = forward(D, np.tanh(y))
    dlogits_g = (1 / (1 + np.exp(-logits)) - 1) / n
    dfake, _ = backward(D, dlogits_g, kept_d)
    _, grads_g = backward(G, dfake * (1 - np.tanh(y) ** 2), kept_g)
    _, grads_d = backward(D, dlogits_d, kept)
    return dict(
        dlogits_d=rms(dlogits_d),
        dlogits_g=rms(dlogits_g),
        dfake=rms(dfake),
        grads_g=rms(*flat(grads_g)),
        grads_d=rms(*flat(grads_d)),
    )


def flat(grads):
    return [g for layer in grads for g in layer]


def rms(*arrays):
    return float(np.sqrt(sum((a * a).sum() for a in arrays) / sum(a.size for a in arrays)))


def draw(n):
    figure = Figure(900, 430)
    figure.text(20, 20, "D's step: D changes", size=16)
    box(figure, 120, 110, "G", BLUE)
    box(figure, 510, 110, "D", GREEN)
    figure.text(20, 110, "z (100, 100)")
    flow(figure, 104, 118, 102)
    flow(figure, 212, 508, 102, "fake (100, 784)")
    figure.text(360, 56, "real (100, 784)", align=0.5)
    flow(figure, 416, 508, 72, start_y=56)
    flow(figure, 602, 708, 102, "logits")
    figure.text(724, 110, "L_D, (200, 1) logits")
    back(figure, 708, 602, 122, f"rms {n['dlogits_d']:.4f}")
    figure.text(555, 168, f"dW, db of D: rms {n['grads_d']:.5f}, to Adam", RED, 0.5)
    figure.text(360, 132, "no gradient goes to G", PALE_INK, 0.5)

    figure.text(20, 240, "G's step: G changes, D only passes the gradient on", size=16)
    box(figure, 120, 320, "G", BLUE)
    box(figure, 510, 320, "D", GREEN)
    figure.text(20, 320, "z (100, 100)")
    flow(figure, 104, 118, 312)
    flow(figure, 212, 508, 312, "fake (100, 784)")
    flow(figure, 602, 708, 312, "logits")
    figure.text(724, 320, "L_G, (100, 1) logits")
    back(figure, 708, 602, 332, f"rms {n['dlogits_g']:.4f}")
    back(figure, 508, 212, 332, f"dfake (100, 784): rms {n['dfake']:.5f}")
    figure.text(165, 380, f"dW, db of G: rms {n['grads_g']:.5f}, to Adam", RED, 0.4)
    figure.text(555, 380, "D's dW, db: not used", PALE_INK, 0.5)
    figure.text(
        880, 416, "the gradients at the start of from_nothing.py, without dropout", ORANGE, 1.0, 13
    )
    return figure


def box(figure, x, y, name, colour):
    corners = [(x, y - 34), (x + 90, y - 34), (x + 90, y + 34), (x, y + 34), (x, y - 34)]
    figure.line(corners, colour, 3)
    figure.text(x + 45, y, name, colour, 0.5, 28)


def flow(figure, start, end, y, text="", start_y=None):
    figure.arrow((start, y if start_y is None else start_y), (end, y), INK, 2, 10)
    figure.text((start + end) / 2, y - 14, text, align=0.5)


def back(figure, start, end, y, text):
    figure.arrow((start, y), (end, y), RED, 3, 12)
    figure.text((start + end) / 2, y + 16, text, RED, 0.5)


if __name__ == "__main__":
    publish(__file__, numbers, draw)

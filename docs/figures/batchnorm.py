"""Chapter 5: one feature of real and fake samples, as BatchNorm makes it apart and together."""

import numpy as np
from figure import BLUE, PALE_INK, RED, Figure, page, publish


def numbers():
    n = page("batchnorm")
    (a_real, a_fake), (t_real, t_fake) = n["apart"], n["together"]
    return dict(
        real=n["real"], fake=n["fake"], a_real=a_real, a_fake=a_fake, t_real=t_real, t_fake=t_fake
    )


def draw(n):
    figure = Figure(900, 350)
    titles = {
        "": "the feature x: fakes are shifted by 3",
        "a_": "apart: D cannot tell them",
        "t_": "together: D sees the shift",
    }
    jitter = np.random.default_rng(0).uniform(0.1, 0.9, 64)
    for row, (prefix, title) in enumerate(titles.items()):
        top = 28 + 106 * row
        panel = figure.panel((20, top, 880, top + 56), (-3, 7), (0, 1), title, x_ticks=range(-3, 8))
        panel.dots(n[f"{prefix}real"][:, 0], jitter, BLUE, "real", radius=3)
        panel.dots(n[f"{prefix}fake"][:, 0], jitter, RED, "fake", radius=3)
        for name, colour in (("real", BLUE), ("fake", RED)):
            mean = n[prefix + name].mean()
            panel.curve([mean, mean], [0, 1], colour)
    figure.text(880, 338, "lines: the means", PALE_INK, 1.0, 13)
    return figure


if __name__ == "__main__":
    publish(__file__, numbers, draw)

"""Chapter 10: a healthy run, and six that are not.  They take a minute."""

import numpy as np
from figure import BLUE, GREEN, ORANGE, RED, Figure, grey, page, publish

import minigan as mg

RUNS = {
    "healthy": {},
    "1  b1 0.9": dict(b1=0.9),
    "2  lr 0.02": dict(lr=0.02),
    "3  lr 1e-5": dict(lr=1e-5),
    "4  original": dict(original=True, lr=2e-4, b1=0.9),
    "5  batch 2": dict(batch=2),
    "6  limit 64": dict(limit=64),
}
TEST = dict(steps=5)  # training is chaotic: another machine ends elsewhere, so a test only draws


def numbers(steps=600):
    run, result = page("reading_a_run")["run"], {}
    z = mg.random.normal((8, 100), seed=1, where="z")
    for name, settings in RUNS.items():
        G, _, history = run(steps=steps, width=0.25, **settings)
        result |= {f"{name} {key}": values for key, values in history.items()}
        result[f"{name} samples"] = G.forward(z, train=False)[0]
    return result


def draw(n):
    figure, width = Figure(900, 312), 112
    for index, name in enumerate(RUNS):
        left = 24 + index * (width + 14)
        first = index == 0
        losses = figure.panel(
            (left, 36, left + width, 136),
            (0, 1),
            (0, 6),
            name,
            y_ticks=(0, 2, 4, 6) if first else (),
        )
        verdicts = figure.panel(
            (left, 160, left + width, 230), (0, 1), (0, 1), y_ticks=(0, 1) if first else ()
        )
        for panel, key, colour in (
            (losses, "d_loss", BLUE),
            (losses, "g_loss", RED),
            (verdicts, "d_real", GREEN),
            (verdicts, "d_fake", ORANGE),
        ):
            values = smooth(n[f"{name} {key}"])
            x = np.linspace(0, 1, len(values))
            panel.curve(x, np.minimum(values, 6), colour, width=1.4)
        for sample, picture in enumerate(grey(n[f"{name} samples"])[..., 0]):
            figure.picture((left + sample % 4 * 28, 246 + sample // 4 * 29), picture, 1)
    return figure


def smooth(values, window=10):
    window = min(window, len(values))
    return np.convolve(values, np.ones(window) / window, "valid")


if __name__ == "__main__":
    publish(__file__, numbers, draw)

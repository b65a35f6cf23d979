"""The page of the plane: where two games are after 3,000 steps on the grid."""

import numpy as np
from figure import PALE_INK, Figure, publish
from PIL import Image

from minigan.study import plane
from minigan.study.duel import Duel, Settings
from minigan.study.worlds import WORLDS

TEST = dict(steps=1)  # the whole way takes half a minute, and a GAN parts on another machine
GAMES = [("wasserstein", "wgan-gp"), ("non-saturating", "none")]
SIDE = 300


def numbers(steps=3000):
    grid, drawings = WORLDS["grid"], {}
    for loss, penalty in GAMES:
        duel = Duel(Settings(loss=loss, penalty=penalty))
        duel.train(grid, steps)
        fake = duel.samples()
        modes, good = grid.quality(fake)
        title = f"{loss}, {penalty}: {modes:.0f} modes, {good:.0%} good"
        drawings[title] = plane.drawing(duel.D, duel.game, grid.sample(500, seed=0), fake)
    return drawings


def draw(n):
    figure = Figure(2 * SIDE + 24, SIDE + 52)
    for index, (title, pixels) in enumerate(n.items()):
        left = 6 + index * (SIDE + 12)
        figure.text(left, 16, title, size=13)
        small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        figure.picture((left, 30), np.asarray(small))
    legend = "blue: real; orange: generated; arrows: -dfake; the surface: D's score, blue high"
    figure.text(SIDE + 12, SIDE + 42, legend, PALE_INK, 0.5, 13)
    return figure


if __name__ == "__main__":
    publish(__file__, numbers, draw)

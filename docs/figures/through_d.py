"""Chapter 3: fakes, dfake over them, and where following it leads."""

import numpy as np
from figure import PALE_INK, Figure, grey, page, publish, red_blue

SCALE, GAP = 4, 3


def numbers():
    names = page("through_d")
    return {name: names[name] for name in ("fake", "dfake", "moved")}


def draw(n):
    figure = Figure(8 * (28 * SCALE + GAP), 3 * (28 * SCALE + 26))
    limit = np.quantile(np.abs(n["dfake"]), 0.995)
    rows = (
        ("the fakes", grey(n["fake"])[..., 0]),
        ("- dfake over them: red wants more ink, blue less", over(-n["dfake"], n["fake"], limit)),
        ("the fakes after a hundred steps along it", grey(n["moved"])[..., 0]),
    )
    for row, (title, pictures) in enumerate(rows):
        top = row * (28 * SCALE + 26)
        figure.text(0, top + 12, title, PALE_INK)
        for column, picture in enumerate(pictures):
            figure.picture((column * (28 * SCALE + GAP), top + 24), picture, SCALE)
    return figure


def over(slope, pictures, limit):
    """Red and blue on a pale print of the pictures."""
    ink = (pictures + 1) / 2
    return np.rint(red_blue(slope[..., 0], limit) * (1 - 0.35 * ink)).astype(np.uint8)


if __name__ == "__main__":
    publish(__file__, numbers, draw)

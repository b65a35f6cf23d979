"""The plane as a picture: how D judges it, the real points, G's, and where D's gradient sends them.

Drawn with NumPy and Pillow: D's scores in nine bands with contours between them, points and arrows
enlarged and then reduced, which smooths their edges.
"""

import numpy as np

from ..arrays import to_host
from ..training.plot import COLOURS, INK, PALE_INK
from .duel import loss
from .worlds import EXTENT

SIDE = 480  # pixels of the plane
MARGIN = 30  # above it for the caption, below it for the legend
OVERSAMPLING = 3
SCORES = 96  # a side of the grid on which D is asked
BANDS = 9
POINTS, ARROWS = 500, 80  # real and generated ones that are shown; arrows
LONGEST = 0.2  # arrow, in units of the plane

REAL, FAKE, ARROW = *COLOURS[:2], INK
LOW, HIGH = np.array((255, 226, 196)), np.array((199, 224, 243))  # of D's scores; white between


def picture(D, game, real, fake, caption):
    """The picture of a moment with a caption above and a legend below, uint8 (540, 480, 3).

    The other arguments are those of `drawing`.
    """
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("RGB", (SIDE, SIDE + 2 * MARGIN), "white")
    sheet.paste(Image.fromarray(drawing(D, game, real, fake)), (0, MARGIN))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    draw.text((8, MARGIN / 2), caption, INK, font, anchor="lm")
    x, below = 8, SIDE + 1.5 * MARGIN
    for colour, label in ((REAL, "real"), (FAKE, "generated"), (ARROW, "-dfake")):
        start, end = np.array([(x, below), (x + 12, below)])
        mark = _arrow(start, end) if colour == ARROW else _dot(*(start + end) / 2, radius=4)
        _stamp(sheet, colour, [mark])
        draw.text((x + 18, below), label, PALE_INK, font, anchor="lm")
        x += 34 + font.getlength(label)
    draw.text((SIDE - 8, below), "D's score: blue high, orange low", PALE_INK, font, anchor="rm")
    return np.asarray(sheet)


def drawing(D, game, real, fake):
    """The plane at a moment, uint8 (480, 480, 3).

    D: the discriminator; game: a `Loss`, whose gradient for G gives the arrows, -dfake, the longest
    of one length.  real, fake: points (n, 2) on the host, of which the first 500 are shown, as far
    as they lie within the picture.
    """
    from PIL import Image

    real, fake = (
        points[:POINTS][(np.abs(points[:POINTS]) <= EXTENT).all(axis=1)] for points in (real, fake)
    )
    canvas = Image.fromarray(surface(scores_on_grid(D)))
    for points, colour, radius in ((fake, FAKE, 1.8), (real, REAL, 1.1)):
        _stamp(canvas, colour, [_dot(x, y, radius) for x, y in _pixels(points)])
    if len(start := fake[:ARROWS]):
        _stamp(canvas, ARROW, _arrows(start, -gradient(D, game, start)))
    return np.asarray(canvas)


def scores_on_grid(D, side=SCORES):
    """D's scores on a grid over the plane, (side, side): row 0 is the top, as in a picture."""
    ticks = (np.arange(side) + 0.5) / side * 2 * EXTENT - EXTENT
    x, y = np.meshgrid(ticks, -ticks)
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(D.dtype)
    return to_host(D.forward(D.xp.asarray(points), train=False)[0]).reshape(side, side)


def gradient(D, game, fake):
    """dfake (n, 2) on the host: the gradient of G's loss at points of G's, as in G's step."""
    scores, cache = D.forward(D.xp.asarray(fake), train=False)
    return to_host(D.backward(loss(game.generator, scores)[1], cache, params=False))


def surface(scores):
    """Scores (h, w) in flat bands of colour with thin lines between, uint8 (SIDE, SIDE, 3)."""
    from PIL import Image

    field = Image.fromarray(scores.astype(np.float32)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    low, high = np.quantile(scores, (0.01, 0.99))
    level = (np.asarray(field) - low) / max(high - low, 1e-9) * BANDS
    share = np.clip(np.floor(level), 0, BANDS - 1)[..., None] * (2 / (BANDS - 1)) - 1  # -1 to 1
    colours = 255 + np.abs(share) * (np.where(share < 0, LOW, HIGH) - 255)
    # Pixels to the nearest contour: the distance in levels over the levels a pixel.
    slope = np.hypot(*np.gradient(level)) + 1e-9
    nearest = np.clip(np.rint(level), 1, BANDS - 1)
    line = np.clip(1.2 - np.abs(level - nearest) / slope, 0, 1)[..., None]
    return np.rint(colours * (1 - 0.25 * line)).astype(np.uint8)


def _pixels(points):
    """Points of the plane (n, 2) as pixels: y grows downwards."""
    return (points * (1, -1) + EXTENT) * (SIDE / (2 * EXTENT))


def _dot(x, y, radius):
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1)


def _arrows(start, direction):
    """The arrows from points (n, 2) of the plane; the longest direction is LONGEST there."""
    longest = np.hypot(*direction.T).max(initial=0) or 1.0
    ends = zip(_pixels(start), _pixels(start + direction * (LONGEST / longest)))
    return [_arrow(tail, tip) for tail, tip in ends if np.hypot(*(tip - tail)) > 1]


def _arrow(tail, tip, width=1.0, head=5.0):
    length = np.hypot(*(tip - tail))
    along = (tip - tail) / length
    neck = tip - along * min(head, length)
    across = np.array([-along[1], along[0]]) / 2
    thin, wide = across * width, across * min(head, length)
    return np.array([tail + thin, neck + thin, neck + wide, tip, neck - wide, neck - thin,
                     tail - thin])  # fmt: skip


def _stamp(canvas, colour, polygons):
    """Polygons, arrays (n, 2) in pixels, drawn enlarged into a mask through which colour falls."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", tuple(OVERSAMPLING * size for size in canvas.size))
    draw = ImageDraw.Draw(mask)
    for polygon in polygons:
        draw.polygon((polygon * OVERSAMPLING).ravel().tolist(), fill=255)
    canvas.paste(colour, (0, 0), mask.reduce(OVERSAMPLING))

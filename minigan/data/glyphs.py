"""The ways of writing the ten digits, as strokes of a pen.

A way of writing is a row of control points joined by a smooth curve (a Catmull-Rom spline).
Such a curve is linear in its control points, curve = basis @ controls, so that whoever moves
the points a little gets a new handwriting for the price of one product (`digits.py`).
"""

import functools

import numpy as np

POINTS = 56  # along a curve: closer together than the pen is wide
FINE = 40  # points between two control points before `POINTS` of them are chosen

# One string is one way of writing: points "x,y" on a grid about 7 wide and 10 high, y downwards,
# in the order the pen passes them; "!" makes a corner, "/" lifts the pen.  The ways of a class
# are used equally often, so a common one has near relatives here.
GLYPHS = {
    0: [
        "4,0 1.6,1 0,5 1.4,8.8 4,10 6.4,8.8 7.6,5 6.2,1 3.8,0",
        "5,.5 2.8,.2 .8,3 .5,7 2.2,9.8 4.8,9.2 6.8,6 6.8,2.4 4.8,.3 3,1",
        "6,.8 3,.5 .6,4 .8,8.2 3,10 5.6,8.6 7,5 6.2,1.6 4,.2",
        "2.4,1.4 .2,5 1,8.6 3.4,10 6,8.6 7.2,5 6,1.2 3.6,0 1.8,2",
    ],
    1: [
        "3.5,0 3.5,10",
        "3.6,0 3.4,10",
        "3.4,0 3.5,5 3.6,10",
        "3.3,0 3.6,3.3 3.6,6.7 3.3,10",
        "1.8,2.2 3.6,0! 3.6,5 3.5,10",
        "1.6,2.4 3.6,0! 3.6,5 3.5,10 / 1.4,10 3.6,9.9 5.8,10",
    ],
    2: [
        "1,2.6 3.4,0 6.2,1.6 5.4,5 3,7.8 .4,10! 4,9.8 7.4,9.8",
        "1,2 3.8,0 6.4,2 5.4,5.4 2.6,8.8 .7,9.6 .6,8 2.2,7.7 4.6,9.2 7.6,9.4",
        "1.2,1 4,0 6.6,1.6 5,5 1.2,9.7! 4,9.4 7.2,9.6",
        "1,1.6 3.4,.2 5.6,1.6 5,5 3,8.6 1,9.6 .4,8.6 2,8 4.6,9 7.4,8.2",
        "0,1.6 3,.2 5.6,1.8 4.8,5.2 .6,9.4! 3,8.6 5,9.4 7.6,10",
        "1.2,1.6 3.4,0 5.2,1.8 4.4,5 2.2,8.6 .4,9 0,7.4 2,6.8 4.4,8.4 8.6,9.2",
        "2,2.4 3.6,.2 6.2,.8 6,3.8 3.4,7 0,9! 3,9.2 8.4,8.6",
    ],
    3: [
        "1,1.2 4,0 6.2,1.8 5.2,4 3,4.8! 6,5.6 6.6,8 4.2,10 .6,8.8",
        "1.2,0 4,.2 6.6,.2! 3.4,4! 6.4,6 6.2,9 3.2,10 .6,9",
        "1,1 4.4,0 6.2,2 5,4.2 3,5 2.7,4.5 3.6,4.3 6,5.6 6.8,8 4,10 .6,8.6",
        "1.4,.6 4.4,.2 5.8,2.2 4.6,4.2 2.6,4.7! 5.2,5.4 5.8,7.6 3.6,9.6 .4,10",
    ],
    4: [
        "1.5,.4 .7,4.4 1.2,5.6 4,5.6 7,5 / 6,.2 5.8,5 5.2,10",
        "5,10 5.4,6 5.8,0! 3,3.5 .2,6.8! 4,6.6 7.4,6.4",
        "1.8,0 .5,5.6! 3.6,5.6 7,5.2 / 5.6,1 5.4,5.4 5.2,10",
        "1,.6 .9,4 2.8,5.4 5.8,4.4 6.6,.2! 6,5 5.2,10",
        "1,1.2 .6,4.6 2.4,5.4 5.6,4.2 / 6.4,0 5.6,4.6 4.6,10",
        "4.2,.4 2.4,3 .8,5.2! 3.8,5 7.2,4.6 / 5.4,1.8 4.6,6 4,10",
    ],
    5: [
        "6.4,0 2.2,.2! 1.4,4.2! 4,3.8 6.4,5.6 5.8,8.8 3.4,10 .4,9",
        "1.9,.4 1.3,4.3! 4.4,4 6.4,6.4 5.2,9.2 2.8,10 .4,9 / 2,.4 4.2,.3 7.2,0",
        "7,.3 4,.3 1.9,1.6 2.4,4 4.8,5.4 5.8,7.4 4.4,9.6 2,10 .3,9.2",
        "7.4,0 3.6,.6! 2.2,4.2! 4.4,5 5.2,7.4 3.4,9.6 .4,9.4",
        "6.8,.2 2.6,.6! 2,4.4! 3.8,3.8 5.4,5 5,8 2.6,10 .6,9.4 1.2,8.4",
        "8.8,.2 4.2,.8! 2.6,4! 4.6,4.6 5.2,7 3.2,9.4 0,9.6",
        "3,1 2,4.6! 4.4,5 5,7.6 3,9.8 .2,9 / 3,1 5.6,.8 8.8,.2",
    ],
    6: [
        "5.2,0 2.4,3 .8,7 2.4,10 5.4,9.4 6.4,7.2 4.6,5.5 2.2,6.4 1.1,8.2",
        "4,0 1.6,4.5 1,8 3,10 5.4,8.8 5.3,6.6 3.5,5.8 1.3,7.6",
        "6.2,.7 4.2,0 1.8,2.2 .6,6 1.6,9.3 4,10 6.2,8.4 5.6,5.8 3.4,5.3 1.1,7",
        "5.6,.2 2.6,3.4 1,7 1.8,9.7 4.2,9.4 5.4,7 4.4,5.9 2.4,7.4 1.6,9.4",
    ],
    7: [
        "0,.8 3.4,.4 7,0! 5,4.6 3.4,10",
        "0,.8 3.4,.5 6.8,.2! 5,4.8 3.4,10 / 1.8,5.3 4.2,5 6.8,4.8",
        ".3,2.2 .6,.6! 3.6,.5 6.6,.2! 5,4.4 4,10",
        "0,1 3,.2 5.8,.1 6.6,1.2 5.4,4.4 3.6,10",
        ".2,1.4 2.2,.2 4.4,1 6.4,.4! 5.6,4.6 5,10",
    ],
    8: [
        "6.2,1.6 4,0 1.6,1.4 2.2,3.7 4.8,5.6 6.2,7.9 3.8,10 1.2,8.2 2.4,5.8 5,3.8 6.4,1.4",
        "5.4,2.2 3.8,.2 1.8,2 3.2,4.4 5,6.6 4.6,9.2 2.4,9.8 1.4,7.8 3,5.4 5.2,3.2 6,.8",
        "3.6,4.6 1.6,3 2.4,.5 5,.2 5.8,2.6 3.6,4.6 1.2,6.8 1.8,9.5 4.8,9.8 6,7 3.8,4.6",
        "4.2,4.4 2,4 1.8,1 4.4,0 6.2,1.8 4.8,4.2 2,6.4 1,8.6 3,10 5.2,8.6 5,6 2.8,3.8",
        "6.4,.8 3.6,.2 1.6,2 3.4,4.4 4.8,7 3.2,9.8 .8,9 1.6,6.4 4.2,4 7,.6",
        "6,1.4 4.2,0 1.8,1 2.2,3.6 4.6,5 5.2,8 2.8,10 .6,8.4 2,5.6 5.6,3.2 6.2,1",
    ],
    9: [
        "6,1.8 4,0 1.2,1.5 1,4.2 3.4,5.2 5.6,3.6 6.2,1! 5.9,5 5.2,10",
        "5.8,1.6 3.6,.2 1,2 1.2,4.6 3.4,5 5.6,3 6.2,1! 6.3,5 5.6,8.4 3.6,10 1.4,9.4",
        "6,1.4 3.4,.4 1,2.8 2,4.8 4.4,4 6,1.4! 5,5.6 3.6,10",
        "5,3.8 2.4,5 1,3 2.6,.4 5,.4 5.8,2.6 5,6 3.8,10",
        "5.6,.8 3,.2 1,2.4 1.6,4.5 3.8,4.3 5.8,1.4! 5.7,5.4 5.8,10",
    ],
}


@functools.cache
def traced():
    """Every glyph ready for use, all classes in one table of V ways and at most M points.

    Returns (first, ways, controls, bases, drawn): the ways of class c are the `ways[c]` rows
    from `first[c]` on, both int64 (10,); controls float64 (V, M, 2) as (x, y); bases float64
    (V, POINTS, M); drawn bool (V, POINTS - 1), False where the pen is lifted between two points.
    """
    glyphs = [glyph for ways in GLYPHS.values() for glyph in ways]
    most = max(glyph.count(",") for glyph in glyphs)
    controls, bases, drawn = (np.stack(parts) for parts in zip(*(_trace(g, most) for g in glyphs)))
    ways = np.array([len(ways) for ways in GLYPHS.values()])
    return np.cumsum(ways) - ways, ways, controls, bases, drawn


def _trace(glyph, most):
    """Controls (most, 2), basis (POINTS, most) and drawn (POINTS - 1,) of one glyph."""
    controls, unit = np.zeros((most, 2)), np.eye(most)
    pieces, strokes, at = [], [], 0
    for number, stroke in enumerate(glyph.split("/")):
        words = stroke.split()
        last = len(words) - 1
        for i, word in enumerate(words):
            controls[at + i] = [float(v) for v in word.rstrip("!").split(",")]
        ends = [0, *(i for i, word in enumerate(words) if word.endswith("!")), last]
        for start, stop in zip(ends, ends[1:]):  # smooth from corner to corner
            for i in range(start, stop):
                near = at + np.clip([i - 1, i, i + 1, i + 2], start, stop)
                pieces.append(_spline() @ unit[near])
        strokes += [number] * (FINE * last)
        at += len(words)
    fine, strokes = np.concatenate(pieces), np.array(strokes)

    # Keep POINTS of them, evenly spaced along the ink; a lift of the pen has no length.
    steps = np.linalg.norm(np.diff(fine @ controls, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(steps * (np.diff(strokes) == 0))])
    chosen = np.searchsorted(along, np.linspace(0, along[-1], POINTS))
    return controls, fine[chosen], np.diff(strokes[chosen]) == 0


def _spline():
    """Weights (FINE, 4) of the control points before, at, after and beyond a piece of curve."""
    powers = np.linspace(0, 1, FINE)[:, None] ** np.arange(4)
    return powers @ [[0, 1, 0, 0], [-0.5, 0, 0.5, 0], [1, -2.5, 2, -0.5], [-0.5, 1.5, -1.5, 0.5]]

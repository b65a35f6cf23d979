"""losses.png: the curves of a run, drawn with Pillow alone.

Losses above; below them the norms of the gradients, on a scale of powers of ten; and shares such
as D(x), D(G(z)) and the variety of G's pictures, and whatever else there is.  Dashed lines are
where a D that tells nothing apart stays: ln 4 is its loss over real and generated images, ln 2
their mean and G's non-saturating loss, 0.5 its verdict.  A long run shows its values faintly and
their moving average boldly.  A few spikes do not flatten the rest: they leave the scale and are
marked at its edge.
"""

import math

import numpy as np

from .history import LABELS, NORMS
from .pictures import save_png

WIDTH, PANEL = 1000, 197  # of the picture, and the height of one of its panels
LEFT, RIGHT, TOP, BOTTOM = 72, 28, 88, 56  # margins around the panels
LEGEND_GAP = 24  # between two entries
PANEL_GAP = 62  # between two panels, with room for the legend of the lower one
OVERSAMPLING = 3
TEXT_SIZE = 14

INK, PALE_INK, GRID = (35, 35, 35), (105, 105, 105), (229, 229, 229)
# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
]

SHARES = ("d_real", "d_fake", "variety", "precision", "recall", "density", "coverage")
DASH = 6  # pixels

SMOOTH_FROM = 200  # points; a shorter series is drawn as it is
FAINT = 75  # opacity of raw values under their average, of 255


def loss_curve(path, history, *, title="Training"):
    """Draw a run's history into a PNG 1000 pixels wide, written atomically.

    history: mapping name -> (T,) array, with the key "step"; "epoch" is left out.  nan is no
        point.  T may be 0.

    Raises OSError if the file cannot be written.
    """
    steps = np.asarray(history["step"], dtype=float)
    panels = groups(history) or {"": []}
    x_range = (0.0, max(steps.max(initial=0.0), 1.0))
    height = TOP + BOTTOM + len(panels) * (PANEL + PANEL_GAP) - PANEL_GAP
    canvas = _Canvas(height)
    canvas.text(LEFT, 30, title, INK, size=20)
    canvas.text((LEFT + WIDTH - RIGHT) / 2, height - 16, "step", PALE_INK, align=0.5)
    for index, (heading, group) in enumerate(panels.items()):
        top = TOP + index * (PANEL + PANEL_GAP)
        series = {LABELS.get(name, name): _points(steps, history[name]) for name in group}
        box = (LEFT, top, WIDTH - RIGHT, top + PANEL)
        if heading == "gradients":
            panel = _LogPanel(canvas, box, x_range, series)
        else:
            y_range = _y_range(series, unit=heading not in ("loss", "others"))
            panel = _Panel(canvas, box, x_range, y_range, series)
        panel.draw(heading, balance(heading, history))
    save_png(path, canvas.finish())


def groups(names):
    """The panels of a run's columns: dict heading -> names, none of them empty."""
    found = {"loss": [], "gradients": [], "shares": [], "others": []}
    for name in names:
        if name in NORMS:
            found["gradients"].append(name)
        elif name in SHARES:
            found["shares"].append(name)
        elif name not in ("step", "epoch"):
            found["loss" if "loss" in name else "others"].append(name)
    return {heading: group for heading, group in found.items() if group}


def balance(heading, names):
    """Where a D that tells nothing apart stays: dict text -> height; of a critic, nowhere."""
    if "d_real" not in names:
        return {}
    losses = {"ln 4": math.log(4), "ln 2": math.log(2)}
    return {"loss": losses, "shares": {"0.5": 0.5}}.get(heading, {})


class _Canvas:
    """A white picture.  Coordinates are pixels of the result.

    Shapes are drawn enlarged and then reduced, which smooths their edges; text
    is drawn last and at its final size, where the font itself smooths it better.
    """

    def __init__(self, height):
        from PIL import Image, ImageDraw

        self._size = (WIDTH * OVERSAMPLING, height * OVERSAMPLING)
        self._image = Image.new("RGB", self._size, "white")
        self._draw = ImageDraw.Draw(self._image)
        self._texts = []

    def lines(self, pieces, colour, width, opacity=255):
        """Polylines, each an array (n, 2) of x, y; a single point becomes a dot.

        Where they cross each other they are no darker: the opacity is that of
        the whole drawing.
        """
        from PIL import Image, ImageDraw

        mask = Image.new("L", self._size)
        draw = ImageDraw.Draw(mask)
        for piece in pieces:
            points = np.round(piece * OVERSAMPLING)
            if len(points) > 1:
                draw.line(points.ravel().tolist(), opacity, width * OVERSAMPLING, joint="curve")
            else:
                (x, y), radius = points[0], (width + 1) * OVERSAMPLING
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=opacity)
        if box := mask.getbbox():  # a part of the picture: pasting it all is most of the time
            self._image.paste(colour, box, mask.crop(box))

    def rule(self, x0, y0, x1, y1, colour, width=1):
        """One straight line, horizontal or vertical, on whole pixels."""
        corners = np.array([x0, y0, x1, y1]).round() * OVERSAMPLING
        corners[2:] += width * OVERSAMPLING - 1
        self._draw.rectangle(corners.tolist(), fill=colour)

    def triangle(self, x, y, size, colour):
        """A mark with its tip at (x, y): it points up, or down for a negative size."""
        corners = [(x, y), (x - abs(size) / 2, y + size), (x + abs(size) / 2, y + size)]
        self._draw.polygon([(a * OVERSAMPLING, b * OVERSAMPLING) for a, b in corners], fill=colour)

    def text(self, x, y, text, colour, *, align=0.0, size=TEXT_SIZE):
        """A line of text, centred on y; align: 0 begins at x, 0.5 is centred, 1 ends there."""
        self._texts.append((x, y, text, colour, align, size))

    def finish(self):
        """The picture, uint8 (height, WIDTH, 3)."""
        from PIL import ImageDraw

        image = self._image.reduce(OVERSAMPLING)
        draw = ImageDraw.Draw(image)
        for x, y, text, colour, align, size in self._texts:
            font = _font(size)
            _, top, _, bottom = font.getbbox("0")
            corner = (round(x - align * font.getlength(text)), round(y - (top + bottom) / 2))
            draw.text(corner, text, colour, font)
        return np.asarray(image)


class _Panel:
    """One pair of axes with its lines and legend.

    box: (left, top, right, bottom) in pixels.
    x_range, y_range: the limits of the axes; points above or below are marked.
    series: label -> (x, y), two (n,) arrays.
    """

    def __init__(self, canvas, box, x_range, y_range, series):
        self.canvas, self.box, self.series = canvas, box, series
        self.x_range, self.y_range = x_range, y_range
        self.colours = dict(zip(series, COLOURS * len(series)))

    def draw(self, heading, dashed):
        """dashed: text -> height of dashed lines."""
        self._draw_axes()
        self._draw_dashed(dashed)
        self._draw_lines()
        self._draw_legend(heading, self._mark_off_scale())

    def _draw_axes(self):
        left, top, right, bottom = self.box
        ticks, texts = _ticks(*self.x_range, count=8, whole=True)
        for x, text in zip(self._x(ticks), texts):
            self.canvas.rule(x, top, x, bottom, GRID)
            self.canvas.text(x, bottom + 16, text, PALE_INK, align=0.5)
        ticks, texts = self._y_ticks(max(3, (bottom - top) / 40))
        for y, text in zip(self._y(ticks), texts):
            self.canvas.rule(left, y, right, y, GRID)
            self.canvas.text(left - 10, y, text, PALE_INK, align=1.0)
        self.canvas.rule(left, top, left, bottom, PALE_INK)
        self.canvas.rule(left, bottom, right, bottom, PALE_INK)

    def _y_ticks(self, count):
        return _ticks(*self.y_range, count=count)

    def _draw_dashed(self, lines):
        left, _, right, bottom = self.box
        for text, height in lines.items():
            if self.y_range[0] < height < self.y_range[1]:
                y = self._y(height)
                for x in np.arange(left, right, 2 * DASH):
                    self.canvas.rule(x, y, min(x + DASH, right), y, PALE_INK)
                below = height < max(lines.values()) and y + 16 < bottom  # the two may be near
                beside = y + 9 if below else y - 9
                self.canvas.text(right - 4, beside, text, PALE_INK, align=1.0, size=12)

    def _draw_lines(self):
        bold = {}
        for label, (x, y) in self.series.items():
            # Clipped before it is averaged: one huge value must not lift its neighbours.
            bold[label] = np.clip(y, *self.y_range)
            if len(y) >= SMOOTH_FROM:
                self.canvas.lines(self._pieces(x, bold[label]), self.colours[label], 1, FAINT)
                bold[label] = _moving_average(bold[label], len(y) // 50)
        for label, (x, _) in self.series.items():  # last, so that no faint line covers them
            self.canvas.lines(self._pieces(x, bold[label]), self.colours[label], 2)

    def _pieces(self, x, y):
        """Points -> unbroken polylines in pixels; a line breaks where points are missing."""
        if len(x) < 2:
            return [np.stack([self._x(x), self._y(y)], axis=1)] * len(x)
        spacing = np.diff(x)
        points = np.stack([self._x(x), self._y(y)], axis=1)
        # Wider than usual, and wide enough to be seen: values may come every few steps only.
        breaks = (spacing > 1.5 * np.median(spacing)) & (np.diff(points[:, 0]) > 2)
        piece = np.concatenate([[0], np.cumsum(breaks)])
        shown = _extremes(points)
        points, piece = points[shown], piece[shown]
        return np.split(points, np.flatnonzero(np.diff(piece)) + 1)

    def _mark_off_scale(self):
        """Mark at the edges the points beyond them; True if there are any."""
        low, high = self.y_range
        found = False
        for label, (x, y) in self.series.items():
            for beyond, edge, size in ((y > high, high, 7), (y < low, low, -7)):
                places = self._x(x[beyond])
                _, first = np.unique(places // 8, return_index=True)  # marks need room
                for place in places[first]:
                    self.canvas.triangle(place, self._y(edge), size, self.colours[label])
                    found = True
        return found

    def _draw_legend(self, heading, off_scale):
        """The heading above the left end of the panel, the entries from its right end on."""
        left, top, right, _ = self.box
        y, x = top - 18, right
        if off_scale:
            x = self._entry(x, y, "off scale", PALE_INK)
            self.canvas.triangle(x + 10, y - 3, 7, PALE_INK)
            x -= LEGEND_GAP
        for label in reversed(self.series):
            x = self._entry(x, y, label, INK)
            self.canvas.rule(x, y - 1, x + 20, y - 1, self.colours[label], width=3)
            x -= LEGEND_GAP
        self.canvas.text(left, y, heading, PALE_INK)

    def _entry(self, right, y, text, colour):
        """Write a legend entry that ends at `right`; returns where its 20 pixel key begins."""
        self.canvas.text(right, y, text, colour, align=1.0)
        return right - _font().getlength(text) - 28

    def _x(self, x):
        left, _, right, _ = self.box
        low, high = self.x_range
        return left + (x - low) * ((right - left) / (high - low))

    def _y(self, y):
        _, top, _, bottom = self.box
        low, high = self.y_range
        return bottom - (y - low) * ((bottom - top) / (high - low))


class _LogPanel(_Panel):
    """A panel of positive numbers whose axis has powers of ten; what is not positive is not drawn.

    It draws the logarithms to base ten.
    """

    def __init__(self, canvas, box, x_range, series):
        logs = {label: (x[y > 0], np.log10(y[y > 0])) for label, (x, y) in series.items()}
        low, high = _y_range(logs, unit=False)
        if high - low < 1:  # at least a power of ten, so that noise looks like noise
            low, high = (low + high - 1) / 2, (low + high + 1) / 2
        super().__init__(canvas, box, x_range, (low, high), logs)

    def _y_ticks(self, count):
        low, high = self.y_range
        apart = max(1, math.ceil((high - low) / count))
        ticks = np.arange(math.ceil(low / apart), math.floor(high / apart) + 1) * apart
        return ticks, [f"{10.0**tick:g}" for tick in ticks]


def _points(steps, values):
    """The finite points of a series: (x, y)."""
    values = np.asarray(values, dtype=float)
    finite = np.isfinite(values)
    return steps[finite], values[finite]


def _y_range(series, unit):
    """Limits that show all values, or all but the few that are far from the others.

    unit: values within [0, 1], or not far above, are given the whole of it.
    """
    values = np.sort(np.concatenate([y for _, y in series.values()] or [np.zeros(0)]))
    if len(values) == 0 or (unit and values[0] >= 0 and values[-1] <= 1.5):
        return -0.03, max(1.03, 1.03 * values.max(initial=0))
    low, high = values[0], values[-1]
    if len(values) >= 10:
        last = len(values) - 1
        usual_low, usual_high = values[math.ceil(0.02 * last)], values[math.floor(0.98 * last)]
        span = usual_high - usual_low
        if span > 0:
            low, high = max(low, usual_low - span), min(high, usual_high + span)
    size = max(abs(low), abs(high))
    # A constant series has no span to take a share of.
    margin = 0.04 * (high - low) if high - low > 1e-6 * size else 0.5 * max(size, 1e-6)
    return low - margin, high + margin


def _ticks(low, high, *, count, whole=False):
    """About `count` round numbers (1, 2 or 5 times a power of ten) in [low, high], and their texts.

    whole: whole numbers only.
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.7 * rough)
    if whole:
        step = max(step, 1.0)
    ticks = np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1) * step

    largest = np.abs(ticks).max(initial=0.0)
    units = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
    unit, suffix = next((pair for pair in units if largest >= 10 * pair[0]), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    form = f".{decimals}f" if decimals <= 4 and largest < 1e13 else ".1e"
    return ticks, [f"{tick / unit:{form}}{suffix}" if tick else "0" for tick in ticks]


def _moving_average(y, window):
    """The mean over about `window` neighbours of each point, fewer at the ends."""
    half, index = window // 2, np.arange(len(y))
    begin, end = np.maximum(index - half, 0), np.minimum(index + half + 1, len(y))
    total = np.concatenate([[0.0], np.cumsum(y)])
    return (total[end] - total[begin]) / (end - begin)


def _extremes(points):
    """Indices, in order, of the highest and the lowest point of every column of pixels."""
    column, y = points[:, 0].astype(int), points[:, 1]
    # Sorted by column and height as one number, which is quicker than by two.
    order = np.argsort(column * (np.ptp(y) + 1) + (y - y.min()))
    last = np.append(np.flatnonzero(np.diff(column[order])), len(order) - 1)
    first = np.append(0, last[:-1] + 1)
    return np.union1d(order[first], order[last])


def _font(size=TEXT_SIZE):
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError):  # Pillow 10.0, or one without FreeType: a bitmap font
        return ImageFont.load_default()

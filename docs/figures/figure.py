"""What the book's pictures are drawn with: Pillow, and three kinds of marks.

    figure = Figure(900, 300)
    panel = figure.panel((60, 40, 440, 260), (0, 10), (-1, 1), "title")
    panel.curve(x, y, BLUE, "label")
    figure.picture((480, 40), red_blue(dfake), scale=4)

A script has two functions: `numbers()`, a dict of arrays that the engine computes, and
`draw(numbers)`, a Figure of them.  `python docs/figures/NAME.py` writes docs/images/NAME.png.
"""

import json
import re
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from minigan.training.plot import COLOURS, GRID, INK, PALE_INK

DOCS = Path(__file__).parent.parent
BLUE, RED, GREEN, PINK, ORANGE, SKY = COLOURS
OVERSAMPLING = 3  # shapes are drawn this much enlarged, then reduced


class Figure:
    """A white picture.  Coordinates are pixels of the result, from the top left."""

    def __init__(self, width, height):
        self.image = Image.new("RGB", (width * OVERSAMPLING, height * OVERSAMPLING), "white")
        self.shapes = ImageDraw.Draw(self.image)
        self.late = []  # what is drawn last and at its final size: text and pictures

    def panel(self, box, x_range, y_range, title="", **labels):
        return Panel(self, box, x_range, y_range, title, **labels)

    def line(self, points, colour, width=2):
        points = (np.asarray(points, float) * OVERSAMPLING).round()
        self.shapes.line(points.ravel().tolist(), colour, round(width * OVERSAMPLING), "curve")

    def rule(self, points, colour):
        """A horizontal or vertical line of one pixel."""
        (x0, y0), (x1, y1) = (np.round(points) * OVERSAMPLING).tolist()
        grown = OVERSAMPLING - 1
        self.shapes.rectangle((x0, y0, x1 + grown, y1 + grown), fill=colour)

    def dot(self, x, y, colour, radius=4):
        box = [(a + sign * radius) * OVERSAMPLING for sign in (-1, 1) for a in (x, y)]
        self.shapes.ellipse(box, fill=colour)

    def arrow(self, start, end, colour, width=2, head=8):
        start, end = np.asarray(start, float), np.asarray(end, float)
        length = np.hypot(*(end - start))
        if length < 1:
            return
        along = (end - start) / length
        head = min(head, 0.7 * length)
        across, neck = np.array([-along[1], along[0]]) * head / 2, end - head * along
        self.line([start, neck], colour, width)
        corners = np.array([end, neck + across, neck - across]) * OVERSAMPLING
        self.shapes.polygon(corners.ravel().tolist(), fill=colour)

    def text(self, x, y, text, colour=INK, align=0.0, size=14):
        """A line of text, centred on y; align: 0 begins at x, 0.5 is centred, 1 ends there."""
        font = ImageFont.load_default(size)
        _, top, _, bottom = font.getbbox("0")
        corner = round(x - align * font.getlength(text)), round(y - (top + bottom) / 2)
        self.late.append(lambda image: ImageDraw.Draw(image).text(corner, text, colour, font))

    def picture(self, corner, pixels, scale=1):
        """uint8 (H, W) or (H, W, 3), each pixel a square of `scale`."""
        pixels = np.asarray(pixels).repeat(scale, axis=0).repeat(scale, axis=1)
        at = tuple(map(round, corner))
        self.late.append(lambda image: image.paste(Image.fromarray(pixels), at))

    def save(self, path, numbers):
        """Write a PNG of few colours, which carries a digest of the numbers that it shows."""
        image = self.image.reduce(OVERSAMPLING)
        for draw in self.late:
            draw(image)
        info = PngImagePlugin.PngInfo()
        info.add_text("numbers", json.dumps(digest(numbers)))
        image = image.quantize(96, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        image.save(path, optimize=True, pnginfo=info)


class Panel:
    """One pair of axes.  box: (left, top, right, bottom) in pixels; the ranges are its limits."""

    def __init__(
        self,
        figure,
        box,
        x_range,
        y_range,
        title="",
        *,
        x_ticks=(),
        y_ticks=(),
        x_label="",
        form="{:g}",
    ):
        self.figure, self.box, self.x_range, self.y_range = figure, box, x_range, y_range
        left, top, right, bottom = box
        for x in x_ticks:
            at = self.at(x, y_range[0])[0]
            figure.rule([(at, top), (at, bottom)], GRID)
            figure.text(at, bottom + 14, form.format(x), PALE_INK, 0.5, 13)
        for y in y_ticks:
            at = self.at(x_range[0], y)[1]
            figure.rule([(left, at), (right, at)], GRID)
            figure.text(left - 8, at, form.format(y), PALE_INK, 1.0, 13)
        for corners in (((left, top), (left, bottom)), ((left, bottom), (right, bottom))):
            figure.rule(corners, PALE_INK)
        figure.text(left, top - 18, title, INK)
        figure.text(
            (left + right) / 2, bottom + (32 if x_ticks else 16), x_label, PALE_INK, 0.5, 13
        )
        self.entries = 0

    def at(self, x, y):
        """Values to pixels, (..., 2)."""
        left, top, right, bottom = self.box
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        across = left + (np.asarray(x, float) - x0) / (x1 - x0) * (right - left)
        up = bottom - (np.asarray(y, float) - y0) / (y1 - y0) * (bottom - top)
        return np.stack(np.broadcast_arrays(across, up), axis=-1)

    def curve(self, x, y, colour, label="", width=2):
        """A line through (x, y), with gaps where it is beyond the limits."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        inside = (x >= self.x_range[0]) & (x <= self.x_range[1])
        inside &= (y >= self.y_range[0]) & (y <= self.y_range[1])
        changes = np.flatnonzero(np.diff(inside)) + 1
        for piece, shown in zip(
            np.split(self.at(x, y), changes), np.split(inside, changes), strict=True
        ):
            if shown[0] and len(piece) > 1:
                self.figure.line(piece, colour, width)
        self.label(label, colour)

    def dots(self, x, y, colour, label="", radius=4):
        for point in self.at(x, y).reshape(-1, 2):
            self.figure.dot(*point, colour, radius)
        self.label(label, colour)

    def arrow(self, start, end, colour, **style):
        self.figure.arrow(self.at(*start), self.at(*end), colour, **style)

    def label(self, text, colour):
        """An entry of the legend, inside the panel at its right, from the top down."""
        if text:
            self.figure.text(
                self.box[2] - 6, self.box[1] + 10 + 18 * self.entries, text, colour, 1.0
            )
            self.entries += 1

    def note(self, x, y, text, colour=INK, align=0.0, size=13):
        self.figure.text(*self.at(x, y), text, colour, align, size)


def red_blue(values, limit=None):
    """Numbers to colours, uint8 (..., 3): red above zero, white at it, blue below."""
    values = np.asarray(values, float)
    share = np.clip(values / (limit or np.abs(values).max()), -1, 1)[..., None]
    colours = np.where(share > 0, (178, 24, 43), (33, 102, 172))
    return np.rint(255 + np.abs(share) * (colours - 255)).astype(np.uint8)


def grey(images):
    """Pictures in [-1, 1] to bytes."""
    return np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)


def blocks(name):
    """(language, content) of the fenced blocks of a page."""
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@cache
def run_page(name):
    """Run the python blocks of a page in order; returns the names they define, and all prints."""
    names, prints = {"__name__": name}, []
    for language, block in blocks(name):
        if language == "python":
            printed = StringIO()
            with redirect_stdout(printed):
                exec(compile(block, f"{name}.md", "exec"), names)
            prints.append(printed.getvalue())
    return names, prints


def page(name):
    return run_page(name)[0]


def digest(numbers):
    """name -> [mean, standard deviation]: a test compares those in a file with today's."""
    return {name: [float(np.mean(a)), float(np.std(a))] for name, a in numbers.items()}


def publish(script, numbers, draw):
    """Draw a script's picture into docs/images."""
    values = numbers()
    draw(values).save(DOCS / f"images/{Path(script).stem}.png", values)

"""Chapter 6: the matrix of a transposed convolution, and where checkerboards come from."""

import numpy as np
from figure import PALE_INK, Figure, page, publish, red_blue

from minigan.kernels import geometry, transposed_geometry
from minigan.kernels.plain import conv, conv_dx, upsample


def numbers():
    n = page("convolution")
    constant, rng = np.ones((1, 8, 8, 8)), np.random.default_rng(5)
    made = {}
    for kernel in (3, 4):
        w = rng.standard_normal((kernel, kernel, 1, 8))
        made[f"made {kernel}"] = conv_dx(constant, w, transposed_geometry(8, kernel, 2, "same"))[
            0, ..., 0
        ]
    w = rng.standard_normal((3, 3, 8, 1))
    made["made up"] = conv(upsample(constant, 2), w, geometry(16, 3, 1, "same"))[0, ..., 0]
    return {"T": n["T"], "written 3": n["written"](3), "written 4": n["written"](4)} | made


def draw(n):
    figure = Figure(900, 275)
    figure.text(20, 20, "6 x 4, the transpose", PALE_INK)
    for (row, column), value in np.ndenumerate(n["T"]):
        left, top = 20 + 34 * column, 36 + 34 * row
        figure.picture((left, top), red_blue([[value]], 4), 33)
        figure.text(left + 16, top + 16, f"{value:.0f}", align=0.5)
    figure.text(20, 256, "each column a window", PALE_INK, size=13)
    panels = (
        ("kernel 3, stride 2:", "how often written", red_blue(n["written 3"][2:-2, 2:-2] - 1, 4)),
        ("kernel 4, stride 2:", "how often written", red_blue(n["written 4"][2:-2, 2:-2] - 1, 4)),
        ("kernel 3:", "made, random taps", shades(n["made 3"][2:-2, 2:-2])),
        ("kernel 4:", "made, random taps", shades(n["made 4"][2:-2, 2:-2])),
        ("up-sampled, kernel 3:", "made, random taps", shades(n["made up"][2:-2, 2:-2])),
    )
    for index, (title, below, pixels) in enumerate(panels):
        left = 190 + 143 * index
        figure.text(left, 64, title, PALE_INK)
        figure.text(left, 84, below, PALE_INK, size=13)
        figure.picture((left, 100), pixels, 10)
    return figure


def shades(values):
    spread = max(np.ptp(values), 1e-9)
    return np.rint(60 + 160 * (values - values.min()) / spread).astype(np.uint8)


if __name__ == "__main__":
    publish(__file__, numbers, draw)

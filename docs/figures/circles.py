"""Chapter 8: phase portraits of the Dirac-GAN, the arrows from the engine's gradients."""

import numpy as np
from figure import BLUE, GRID, INK, ORANGE, RED, Figure, page, publish

GRID_POINTS = np.linspace(-2.4, 2.4, 9)


def numbers():
    n = page("circles")
    ways = n["ways"] | {"in turn: the mean": n["mean_way"]}
    penalties = {"in turn, R1": n["r1"], "in turn, WGAN-GP": n["wgan_gp"]}
    fields = {f"field {name}": field(n, penalties.get(name)) for name in ways}
    return ways | fields


def field(n, penalty):
    """(81, 2): minus the gradients of (theta, psi) at the points of a grid."""
    arrows = []
    for theta in GRID_POINTS:
        for psi in GRID_POINTS:
            G, D = n["player"]("G", theta), n["player"]("D", psi)
            n["d_grad"](G, D, penalty, 0)
            n["g_grad"](G, D)
            arrows.append((-G.grads.item(), -D.grads.item()))
    return np.array(arrows)


def draw(n):
    figure, width = Figure(900, 235), 166
    names = [name for name in n if not name.startswith("field")]
    points = np.stack(np.meshgrid(GRID_POINTS, GRID_POINTS, indexing="ij"), -1).reshape(-1, 2)
    for index, name in enumerate(names):
        left = 14 + index * (width + 13)
        panel = figure.panel(
            (left, 36, left + width, 36 + width),
            (-2.7, 2.7),
            (-2.7, 2.7),
            name,
            x_label="theta" if index else "theta (up: psi)",
        )
        for point, arrow in zip(points, n[f"field {name}"], strict=True):
            length = np.hypot(*arrow)
            if length > 0:
                panel.arrow(point, point + 0.3 * arrow / max(length, 1), GRID, width=1.5, head=5)
        colour = RED if "once" in name or "GP" in name else ORANGE if "mean" in name else BLUE
        way = n[name]
        outside = np.flatnonzero(np.abs(way).max(axis=1) > 2.6)
        way = way[: outside[0] if len(outside) else None]
        panel.curve(*way.T, colour, width=1.2)
        panel.dots(*way[0], INK, radius=4)
        panel.dots(*way[-1], colour, radius=4)
    return figure


if __name__ == "__main__":
    publish(__file__, numbers, draw)

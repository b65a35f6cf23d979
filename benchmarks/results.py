"""The pictures of docs/results.md, from the folders of its runs.

    python benchmarks/results.py m1=runs/mnist_gan m2=runs/mnist_dcgan

For each run NAME.png, the sheets of its fixed z at five moments side by side, and NAME_losses.png,
its curves, in docs/images/results; of all docs/images/results.png, the last sheets in a row.
Generated pictures alone are on them, none of the data.
"""

import sys
from pathlib import Path

from PIL import Image

from minigan.training.history import History

IMAGES = Path(__file__).parent.parent / "docs/images"
MOMENTS = (0, 1 / 8, 1 / 4, 1 / 2, 1)  # shares of the run's steps
GAP = 8  # pixels between two sheets
COLOURS = (256, 128, 64, 32, 16, 8)  # of a picture's palette, the first that makes it small enough
MOST = 150_000  # bytes


def sheets(run):
    """The sheets of a run: dict step -> path, in the order of the steps."""
    history = History.read(run / "history.csv")
    ends = {0: 0} | dict(zip(history["epoch"].tolist(), history["step"].tolist()))
    found = {}
    for path in (run / "samples").glob("*.png"):
        kind, number = path.stem.split("_")
        found[ends[int(number)] if kind == "epoch" else int(number)] = path
    return dict(sorted(found.items()))


def at_moments(found):
    """Of such a dict the entries nearest to MOMENTS."""
    wanted = [share * max(found) for share in MOMENTS]
    return {step: found[step] for step in (min(found, key=lambda s: abs(s - w)) for w in wanted)}


def row(paths):
    """Sheets side by side at half their size, on white: a Pillow image."""
    pictures = [Image.open(path).convert("RGB").reduce(2) for path in paths]
    size = sum(p.width + GAP for p in pictures) - GAP, max(p.height for p in pictures)
    result, left = Image.new("RGB", size, "white"), 0
    for picture in pictures:
        result.paste(picture, (left, 0))
        left += picture.width + GAP
    return result


def write(path, picture):
    """A PNG with a palette, small enough to be kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    for colours in COLOURS:
        picture.quantize(colours, method=method, dither=dither).save(path, optimize=True)
        if path.stat().st_size <= MOST:
            break


def main(words):
    last = []
    for name, run in (word.split("=", 1) for word in words):
        chosen = at_moments(sheets(Path(run)))
        write(IMAGES / f"results/{name}.png", row(chosen.values()))
        curves = Image.open(Path(run, "losses.png")).convert("RGB")
        curves = curves.resize((curves.width * 3 // 4, curves.height * 3 // 4))
        write(IMAGES / f"results/{name}_losses.png", curves)
        print(f"{name}: after {', '.join(f'{step:,}' for step in chosen)} steps")
        last.append(list(chosen.values())[-1])
    write(IMAGES / "results.png", row(last))


if __name__ == "__main__":
    main(sys.argv[1:])

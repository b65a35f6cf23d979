"""report.html: all of a run in one page, which loads nothing.

What it is, its curves, its sheets of pictures over time, the diagnosis, and how to go on.
"""

import contextlib
import json
import re
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..regular import open_regular
from .examine import examine
from .history import LABELS
from .page import data_uri, fill, save
from .pictures import thinned
from .plot import balance, groups
from .results import CONFIG, SHEETS

POINTS = 400  # of a curve: more are thinned to the lowest, mean and highest of as many parts
SHOWN = 60  # sheets, at most
BUDGET = 2_500_000  # bytes of all of them, or as many as fit


def report(options):
    """Write the page of the run in `options.folder` to `options.out`."""
    name, columns, verdicts = examine(options.folder)
    text = page(options.folder, name, columns, verdicts)
    save(options.out, text)


def page(folder, name, columns, verdicts):
    """The page of a run, a str.

    folder: of the run; the sheets and the configuration are read from there.  name: of the
    example; None without a checkpoint, from which one could go on.  columns: of the history.
    verdicts: of the diagnosis.
    """
    template = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    steps = columns["step"]
    last = int(steps[-1]) if len(steps) else 0
    return fill(
        template,
        dict(
            name=name or Path(folder).resolve().name,
            resumable=name is not None,
            last=last,
            verdicts=[
                dict(name=v.name, ill=v.ill, evidence=v.evidence, steps=v.steps, page=v.page)
                for v in verdicts
            ],
            panels=_panels(columns),
            sheets=_sheets(Path(folder), columns),
            configuration=_configuration(Path(folder)),
        ),
    )


def _panels(columns):
    """What to draw: the panels of losses.png, but one of its own for each other column."""
    panels = groups(columns)
    panels |= {name: [name] for name in panels.pop("others", [])}
    return [
        dict(
            title=title,
            log=title == "gradients",
            lines=balance(title, columns),
            series=[_series(columns["step"], columns[name], name) for name in names],
        )
        for title, names in panels.items()
    ]


def _series(steps, values, name):
    """A curve: its label, steps and means, and where it is thinned the lowest and highest."""
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    curve = dict(label=LABELS.get(name, name))
    if len(values) <= POINTS:
        return curve | dict(x=steps.tolist(), y=_numbers(values))
    first = np.linspace(0, len(values), POINTS + 1).astype(int)[:-1]
    count = np.diff(np.append(first, len(values)))
    return curve | dict(
        x=steps[first + count - 1].tolist(),
        y=_numbers(np.add.reduceat(values, first) / count),
        low=_numbers(np.minimum.reduceat(values, first)),
        high=_numbers(np.maximum.reduceat(values, first)),
    )


def _numbers(values):
    return [float(f"{value:.4g}") for value in values]


def _sheets(folder, columns):
    """[step, data URI] of the sheets of this run, in their order, as many as fit."""
    found = []
    for path in (folder / SHEETS).glob("*.png"):
        name = re.fullmatch(r"(epoch|step)_(\d{1,18})\.png", path.name)
        if name is None or not path.is_file():  # somebody's own
            continue
        kind, number = name.groups()
        if kind == "step":
            step = int(number) if int(number) in columns["step"] else None
        else:
            within = columns["step"][columns["epoch"] == int(number)]
            step = 0 if int(number) == 0 else int(within[-1]) if len(within) else None
        if step is not None:  # else of a run that went further
            found.append((step, path))
    found.sort()
    size = sum(path.stat().st_size for _, path in found) / max(len(found), 1)
    shown = []
    for step, path in thinned(found, max(2, min(SHOWN, int(BUDGET / max(size, 1))))):
        with contextlib.suppress(OSError), open_regular(path) as file:
            shown.append([step, data_uri(file.read())])
    return shown


def _configuration(folder):
    """[name, text] of the options and facts of the run; none where there is no file of them."""
    try:
        with open_regular(folder / CONFIG) as file:
            stored = json.loads(file.read())
    except FileNotFoundError:
        return []
    except (ValueError, RecursionError) as error:
        raise UserError(f"{folder / CONFIG} is damaged: {error}") from error
    if not isinstance(stored, dict):
        raise UserError(f"{folder / CONFIG} is damaged: it holds no options")
    return [
        [name, value if isinstance(value, str) else json.dumps(value)]
        for name, value in stored.items()
        if value is not None
    ]

"""`minigan score`: the figures of a checkpoint's pictures, between their floor and ceiling."""

from ..arrays import DEVICES, resolve_device
from ..data.status import say
from ..errors import UserError, printable
from . import origin, shortage
from .checkpoint import TRAINED
from .latent import Latent
from .memory import take_what_fits_elsewhere
from .options import integer, path
from .sampling import load
from .scoring import Scoring

ADVICE = "compare with fewer pictures: --count, or a run with --limit"


def add_commands(commands):
    """Add score to the subparsers of `minigan`."""
    sub = commands.add_parser("score", help="how good the pictures of a run are")
    add = sub.add_argument
    add("checkpoint", type=path, metavar="RUN|CHECKPOINT", help="a run's folder, or a checkpoint")
    add(
        "--data",
        type=path,
        metavar="mnist|cifar10|digits|PATH",
        help="real pictures to compare with (default: those of the run)",
    )
    add("--count", type=integer(4), default=10_000, help="of the pictures, at most (10000)")
    add("--device", choices=(*DEVICES, "auto"), default="cpu", help="where to compute (cpu)")
    sub.set_defaults(run=score)


def score(options):
    """Print what the figures are of, and the figures."""
    shortage.advice = lambda: ADVICE
    device = resolve_device(options.device)
    if device == "gpu":
        take_what_fits_elsewhere()
    networks = load(options.checkpoint)
    networks.pixels(networks.sample(1))  # says in one line why a generator draws no pictures
    run = networks.run
    limit = None if options.data else run["options"].get("limit")
    try:
        dataset = origin.load(run, options.data, limit=limit, notify=say)
    except UserError as error:
        raise UserError(f"the data of the run is not here: {error} (--data says where)") from error
    latent, generator = Latent(**run["latent"]), networks["generator"].to(device)
    scoring = Scoring(
        dataset, run, latent, words=options.data,
        count=options.count, device=device, notify=say,
    )  # fmt: skip
    drawn = scoring.scores(generator)
    average = ", by the average of its weights" * (TRAINED in networks)
    print(printable(f"{networks.path}: {run['name']} after {run['step']:,} steps{average}"))
    for line in scoring.scorer.facts():
        print(printable(line))
    print(table(drawn, scoring.scorer.floor(), scoring.scorer.ceiling()), end="")


def table(drawn, floor, ceiling):
    """The figures (dicts name -> float) as text, a line each."""
    lines = [f"{'':12}{'generated':>12}{'real':>12}{'noise':>12}"]
    for name, value in drawn.items():
        columns = (f"{_number(v):>12}" for v in (value, floor.get(name), ceiling.get(name)))
        lines.append(f"{name:12}{''.join(columns)}")
    return "\n".join(lines) + "\n"


def _number(value):
    if value is None or value != value:
        return "-"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"

"""What the JSON text of an archive may say: the one place that knows.

A description comes from a file, and the file perhaps from a stranger.  Everything that reads one
does so through `rebuild.read`, and that through `check`: beyond it types, ranges and names are
right.  Whether sizes fit what is stored is the next question there.
"""

from . import init, layers
from .archive import FORMAT, VERSION
from .schema import constant, either, integer, listing, mapping, number, record, text

DEEPEST = 32  # lists and names within each other
MOST_CLASSES = 5000  # layers and initialisers; a layer has two initialisers
NAME, LINE = text(200), text(10_000)
BOOLEAN, NOTHING = constant(True, False), constant(None)
COUNT = integer(1, 2**40)
STEPS = integer(0, 2**53)
SIZE = integer(1, 2**31)
PIXELS = integer(1, 2**16)
SEED = integer(0, 2**128)

# Arguments of the constructors, by name: one means the same in all of our classes.
PAIR = listing(PIXELS, least=2, most=2)
EDGES = listing(integer(0, 2**16), least=2, most=2)
ARGUMENTS = {
    "inputs": SIZE, "outputs": SIZE, "features": SIZE, "fan_in": either(SIZE, NOTHING),
    "shape": either(SIZE, listing(SIZE, most=8)),
    "kernel": either(PIXELS, PAIR), "stride": either(PIXELS, PAIR), "factor": PIXELS,
    "padding": either(constant("same", "valid"), integer(0, 2**16), EDGES,
                      listing(EDGES, least=2, most=2)),
    "axis": integer(-8, 8),
    "use_bias": BOOLEAN, "always": BOOLEAN,
    "rate": number(0, 1), "slope": number(0, 1), "momentum": number(0, 1), "eps": number(0, 1e6),
    "std": number(0, 1e6), "value": number(-1e6, 1e6),
    "name": NAME, "seed": SEED, "dtype": constant("float32", "float64"),
}  # fmt: skip
LAYERS = {*layers.__all__}
INITIALIZERS = {name for name, value in vars(init).items() if isinstance(value, type)}

OPTION = either(BOOLEAN, NOTHING, number(), LINE, listing(either(number(), LINE), most=1000))
PERIOD = record(
    {
        "step": STEPS,
        "rates": mapping(number(), most=100),
        "schedule": either(
            NOTHING, record({"name": constant("linear", "cosine"), "steps": integer(1, 2**53)})
        ),
    }
)
RUN = record(
    {
        "name": NAME,
        "options": mapping(OPTION, most=200),
        "data": record(
            {
                "name": NAME,
                "count": COUNT,
                "shape": either(listing(SIZE, least=1, most=1), listing(PIXELS, least=3, most=3)),
                "crc32": integer(0, 2**32 - 1),
            }
        ),
        "latent": record(
            {
                "size": integer(1, 2**20),
                "kind": constant("normal", "uniform"),
                "low": number(-1e6, 1e6),
                "high": number(-1e6, 1e6),
            },
            optional={"classes": listing(NAME, most=10_000)},
        ),
        "value_range": listing(number(-1e6, 1e6), least=2, most=2),
        "step": STEPS,
    },
    optional={"rates": listing(PERIOD, most=1000)},
)


def check(description):
    """Raise ValueError with the place and the value unless a description holds what it may."""
    if _classes(description) > MOST_CLASSES:
        raise ValueError(f"it has more than {MOST_CLASSES} layers and initialisers")
    DESCRIPTION(description, "description")
    run = description["run"]
    if run is not None:
        for low, high in (run["value_range"], (run["latent"]["low"], run["latent"]["high"])):
            if not low < high:
                raise ValueError(f"run: {low} is not below {high}")


def _classes(value, depth=0):
    """How many dicts a value holds, with a class or without; ValueError where they lie deep."""
    if not isinstance(value, (dict, list)):
        return 0
    if depth > DEEPEST:
        raise ValueError(f"it has more than {DEEPEST} levels")
    inside = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict) + sum(_classes(one, depth + 1) for one in inside)


def _network(value, place):
    """A layer that holds layers."""
    _layer(value, place)
    if "layers" not in value:
        raise ValueError(f"{place} is no network: it has no layers")


def _layer(value, place):
    """A layer of ours, whose arguments are known, or of the reader's own."""
    name = _class(value, place)
    if name in INITIALIZERS:
        raise ValueError(f"{place} is an initialiser, {name}, expected a layer")
    if name in NETWORKS:
        NETWORKS[name](value, place)
    elif name in LAYERS:
        _arguments(value, place)
    else:
        _own(value, place)


def _initializer(value, place):
    """An initialiser of ours or of the reader's own."""
    name = _class(value, place)
    if name in LAYERS or name in NETWORKS:
        raise ValueError(f"{place} is a layer, {name}, expected an initialiser")
    if name in INITIALIZERS:
        _arguments(value, place)
    else:
        _own(value, place)


def _class(value, place):
    if type(value) is not dict or type(value.get("class")) is not str:
        raise ValueError(f"{place} has no class")
    NAME(value["class"], f"{place}.class")
    return value["class"]


def _arguments(value, place):
    for name, argument in value.items():
        if name != "class":
            other = _initializer if type(argument) is dict else OPTION
            ARGUMENTS.get(name, other)(argument, f"{place}.{name}")


def _own(value, place):
    """What a class of the reader's own may be given: anything, layers of ours among it."""
    if not isinstance(value, (dict, list)):
        return OPTION(value, place)
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        name_of = item.get("class") if isinstance(item, dict) else None
        of_ours = isinstance(name_of, str) and (name_of in NETWORKS or name_of in LAYERS)
        (_layer if of_ours else _own)(item, f"{place}.{name}")


def _single(value, place):
    """A layer that holds no others, as a layer around it takes it."""
    _layer(value, place)
    if value["class"] in NETWORKS:
        raise ValueError(f"{place} is a network, expected a layer")


ARGUMENTS["layer"] = _single
CHAIN = {
    "class": NAME,
    "layers": listing(_layer, most=MOST_CLASSES),
    **{name: ARGUMENTS[name] for name in ("name", "seed", "dtype")},
}
NETWORKS = {"Sequential": record(CHAIN), "ByClass": record(CHAIN | {"classes": COUNT})}
DESCRIPTION = record(
    {
        "format": constant(FORMAT),
        "version": constant(VERSION),
        "networks": mapping(_network, most=100),
        "optimizer_steps": mapping(STEPS, most=100),
        "run": either(NOTHING, RUN),
    }
)

"""What JSON may hold: checks of values, small enough to be put together.

A check is called with a value and its place, such as "run.latent.size", and raises ValueError
with both where the value is not as it should be.

    check = record({"name": text(20), "sizes": listing(integer(1, 100), most=8)})
    check(json.loads(content), "file")
"""

import math


def integer(low, high):
    """A whole number, low <= x <= high; true and false are none."""
    return _that(lambda x: type(x) is int and low <= x <= high, f"an integer from {low} to {high}")


def number(low=-math.inf, high=math.inf):
    """A finite number, low <= x <= high."""

    def is_one(x):
        return type(x) in (int, float) and abs(x) < math.inf and low <= x <= high

    limits = "" if math.inf in (-low, high) else f" from {low} to {high}"
    return _that(is_one, f"a number{limits}")


def text(most):
    """A text of at most so many characters."""
    return _that(lambda x: type(x) is str and len(x) <= most, f"a text of up to {most} characters")


def constant(*values):
    """One of these values."""
    return _that(
        lambda x: any(type(x) is type(v) and x == v for v in values), " or ".join(map(repr, values))
    )


def either(*checks):
    """What passes one of these checks."""

    def check(value, place):
        problems = []
        for one in checks:
            try:
                return one(value, place)
            except ValueError as error:
                problems.append(error)
        raise problems[-1]

    return check


def listing(item, most, least=0):
    """A list of at least and at most so many values that pass `item`."""

    def check(value, place):
        if type(value) is not list or not least <= len(value) <= most:
            raise _wrong(value, place, f"a list of {least} to {most}")
        for index, one in enumerate(value):
            item(one, f"{place}[{index}]")

    return check


def mapping(item, most):
    """A dict of at most so many names, whose values pass `item`."""

    def check(value, place):
        if type(value) is not dict or len(value) > most:
            raise _wrong(value, place, f"up to {most} names with values")
        for name, one in value.items():
            item(one, f"{place}.{name}")

    return check


def record(required, optional=None):
    """A dict with these names, each of whose values passes its check, and no others."""
    known = required | (optional or {})

    def check(value, place):
        if type(value) is not dict:
            raise _wrong(value, place, f"names with values: {', '.join(required)}")
        for name in required.keys() - value.keys():
            raise ValueError(f"{place} has no {name}")
        for name, one in value.items():
            if name not in known:
                raise ValueError(f"{place} has an unknown {_short(name)}")
            known[name](one, f"{place}.{name}")

    return check


def _that(is_one, what):
    def check(value, place):
        if not is_one(value):
            raise _wrong(value, place, what)

    return check


def _wrong(value, place, what):
    return ValueError(f"{place} is {_short(value)}, expected {what}")


def _short(value):
    shown = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."

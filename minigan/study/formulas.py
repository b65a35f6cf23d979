"""Which formulas a layer runs: the functions themselves are asked, so that nothing can be outdated.

A `Watched` stands in for the plain kernels of one layer and notes which functions it calls.
"""

import ast
import inspect
import textwrap
from pathlib import Path
from types import FunctionType

import numpy as np

from ..kernels import Kernels, plain

PACKAGE = Path(__file__).parents[1]


class Watched(Kernels):
    """The plain kernels, and the names of the functions that were asked of them: `called`."""

    def __init__(self):
        super().__init__("plain")
        self.called = []

    def __missing__(self, kind):
        module = super().__missing__(kind)
        self[kind] = _Witness(module, self.called)
        return self[kind]

    def take(self):
        """The names called since the last time, each once, in their order."""
        names = list(dict.fromkeys(self.called))
        self.called.clear()
        return names


class _Witness:
    def __init__(self, module, called):
        self._module, self._called = module, called

    def __getattr__(self, name):
        function = getattr(self._module, name)
        self._called.append(name)
        return function


def place(thing):
    """ "kernels/plain.py:27", where a function or a class is written."""
    file = Path(inspect.getsourcefile(thing)).resolve()
    shown = file.relative_to(PACKAGE) if file.is_relative_to(PACKAGE) else file.name
    return f"{shown}:{inspect.getsourcelines(thing)[1]}".replace("\\", "/")


def formula(function):
    """What a function returns where its body is one line, else how the body begins."""
    source = textwrap.dedent(inspect.getsource(function))
    tree = ast.parse(source).body[0]
    # Neither the docstring nor a check says what is computed.
    parts = [part for part in tree.body if not isinstance(part, ast.Expr)]
    first, *others = parts or tree.body[-1:]
    shown = first.value if isinstance(first, ast.Return) else first
    line = " ".join(ast.get_source_segment(source, shown).split())
    return f"{line} ..." if others else line


def used(name):
    """The functions of plain that the one of this name uses, itself first: a list of names."""
    found, wanted = [], [name]
    while wanted:
        name = wanted.pop(0)
        if name not in found:
            found.append(name)
            names = getattr(plain, name).__code__.co_names
            wanted += [n for n in names if isinstance(vars(plain).get(n), FunctionType)]
    return found


def entry(thing):
    """What the page says of a function: dict with place, formula and source."""
    source = textwrap.dedent(inspect.getsource(thing)).rstrip()
    return dict(place=place(thing), formula=formula(thing), source=source)


def passes(layer, x):
    """(y, down, up, frozen): the functions that a layer's passes call, as name -> function.

    down is forward, up is backward, frozen is backward with params=False.  Of a layer that calls
    none of plain the passes are methods, which are named themselves.
    """
    kernels = Watched()
    layer.use_kernels(kernels)
    called = []
    y, cache = layer.forward(x)
    called.append((kernels.take(), type(layer).forward))
    for params in (True, False):
        layer.backward(np.ones_like(y), cache, params=params)
        called.append((kernels.take(), type(layer).backward))
    return y, *({name: getattr(plain, name) for name in names} or {method.__qualname__: method}
                for names, method in called)  # fmt: skip

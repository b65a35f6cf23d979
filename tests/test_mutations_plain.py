"""What you edit is what runs: every formula of plain.py, changed, changes a run or fails a check.

    pytest tests/test_mutations_plain.py -v          each mutant, by its line

A mutant has one operator, comparison, sign or number of the file changed.  It takes plain's place,
and a panel of short trainings, losses and numeric checks runs with the plain kernels.  Some number
of the panel must differ from that of the untouched file, or some check fail.
"""

import ast
import copy
import dataclasses
import functools
import inspect
import sys
import types
import warnings

import numpy as np
import parity
import pytest

import minigan as mg
from minigan import gradcheck, kernels, losses, penalty
from minigan.kernels import plain

SOURCE = inspect.getsource(plain)
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.LShift: ast.Mult, ast.FloorDiv: ast.Mult, ast.MatMult: None, ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.Gt: ast.Lt, ast.GtE: ast.Lt, ast.Lt: ast.Gt, ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.Is: ast.IsNot,
}  # fmt: skip

# Mutants that compute the same: what is changed, and why it does not matter.
SAME = {
    "draw_mask: -(stop - first) // 4: FloorDiv to Mult": "draws more bits than it uses",
    "draw_mask: stop - first: Sub to Add, no. 2": "the same",
    "softmax_cross_entropy: 0: 0 to 1": "a number that is multiplied by t = 0",
}


def changes(node):
    """Yields (what, how to change it) for an AST node: functions that edit it in place."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        new = OPERATORS[type(node.op)]
        if new:
            yield f"{type(node.op).__name__} to {new.__name__}", "op", new()
    if isinstance(node, ast.Compare):
        new = OPERATORS[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} to {new.__name__}", "ops", [new()]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        if not isinstance(node.operand, ast.Constant):
            yield "the sign dropped", "op", ast.UAdd()
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield f"{node.value} to {node.value + 1}", "value", node.value + 1


def mutants():
    """A dict name -> source: the file with one change each."""
    tree, result = ast.parse(SOURCE), {}
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        whatever = {id(n) for call in ast.walk(function) for n in whatever_fits(call)}
        for number, node in enumerate(ast.walk(function)):
            for what, field, new in changes(node) if id(node) not in whatever else ():
                edited = copy.deepcopy(tree)
                place = next(f for f in edited.body if getattr(f, "name", "") == function.name)
                setattr(list(ast.walk(place))[number], field, new)
                name = f"{function.name}: {ast.unparse(node)}: {what}"
                again = sum(other.partition(", no. ")[0] == name for other in result)
                name += f", no. {again + 1}" if again else ""
                result[name] = ast.unparse(ast.fix_missing_locations(edited))
    return result


def whatever_fits(node):
    """The number in reshape(-1): NumPy takes any negative one for "whatever fits"."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "reshape":
        yield from (arg.operand for arg in node.args if isinstance(arg, ast.UnaryOp))


def loaded(source):
    """The source as a module."""
    module = types.ModuleType("mutant")
    exec(compile(source, "mutant", "exec"), vars(module))
    return module


# The panel: functions without arguments that return numbers or arrays.  Each mutant runs those
# that reach the function it changes.


def training(name, **changed):
    case = dataclasses.replace(
        parity.CASES[name], steps=2, width=1 / 64, batch=4, eps=1e-3, **changed
    )
    return lambda: list(parity.train_minigan(case).values())


def penalized(activation, regularize, optimizer, **options):
    """Two steps of a critic with an activation, a penalty and an optimizer."""

    def run():
        layers = [mg.Dense(6, 5), activation(), mg.LayerNorm(5), mg.Dense(5, 1)]
        critic = mg.Sequential(layers, dtype="float64")
        opt, rng = optimizer(critic), np.random.default_rng(0)
        out = []
        for step in range(2):
            real, fake = rng.standard_normal((2, 4, 6))
            critic.zero_grad()
            out.append(regularize(critic, real, fake, step))
            scores, cache = critic.forward(fake)
            loss, dscores = losses.wasserstein(scores, 1)
            critic.backward(dscores, cache)
            opt.step()
            out += [loss, critic.params.copy(), *(v.copy() for v in opt.state.values())]
        return out

    return run


def gradient_penalty(critic, real, fake, step, **more):
    return penalty.gradient_penalty(critic, 3 * real, fake, seed=0, step=step, **more)


def clipped(critic, real, fake, step):
    penalty.clip_weights(critic, 0.1)
    return 0.0


def loss_values():
    logits = np.array([[-800.0], [-2], [0.5], [3], [900]])
    p, t = np.array([[0.0], [0.2], [0.9], [1]]), np.array([[1.0], [0.3], [0.6], [0]])
    classes = np.array([[900.0, 0, -900], [1, 2, 0.5], [0.1, -3, 2]])
    return [
        *losses.bce_with_logits(logits, 0.9), *losses.bce(p, t), *losses.minimax(logits),
        *losses.hinge(logits, -1), *losses.hinge(logits / 1000, 1), *losses.least_squares(p, t),
        *losses.softmax_cross_entropy(classes, np.array([0, 2, 1])),
        *losses.softmax_cross_entropy(classes, np.array([[0.2, 0.8, 0], [0.5, 0.5, 0], [1, 0, 1]])),
    ]  # fmt: skip


def others():
    rng = np.random.default_rng(1)
    x, code = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3))
    joined = mg.condition.join(x, code)
    k = kernels.PLAIN[np.ndarray]
    mean = np.ones(3)
    k.average(mean, np.arange(3.0), 0.9)
    pixels = np.arange(6, dtype=np.uint8)
    return [
        joined, *mg.condition.join_backward(joined, 5), mean,
        k.from_pixels(pixels, -1.0, 1.0, "f8"),
        k.keep_mask((k.MASK_BLOCK + 3,), 0.75, 1, "here"), k.keep_mask((3,), 0.75, 1, "here", 2, 3),
        k.keep_mask((4, 3), 0.75, 1, "here", share=(2, 1, 3)),
        k.keep_mask((4, k.MASK_BLOCK // 2 + 1), 0.75, 1, "here", share=(2, 1, 2)),
        *k.pooled(mean, 2 * mean, lambda each: each.mean() + 0.5),
        *k.statistics(x, (1, 2), 0.5), *dropped(k, x), *normalized(k, x), *moved(k),
        *k.distance_from_one(0 * x, 2.0, False),
        *k.power_iteration(x, np.arange(5.0)),
    ]  # fmt: skip


def normalized(k, x):
    """Statistics, scale and shift that are not those a layer begins with, in evaluation."""
    mean, scale, gamma, beta = np.random.default_rng(2).uniform(0.5, 2, (4, 5))
    return [
        k.normalize(x, mean, scale, gamma, beta),
        *k.fixed_normalize_backward(x, 2 * x, mean, scale, gamma, (0, 1, 2)),
        *k.fixed_normalize_double_backward(x, 2 * x, scale, gamma, (0, 1, 2)),
    ]


def dropped(k, x):
    y, mask = k.dropout(x, 0.75, dict(seed=1, where="here"))
    return y, mask, k.dropout_backward(x, mask, 0.75)


def moved(k):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((30, 5, 7, 2))
    steps = k.steps_aside(x.shape, rng.random((30, 2)), 0.4)
    return steps, k.move(x, steps)


def checks():
    """The numeric checks, of layers in both modes and orders and of losses: 0 where they hold."""
    return [float(not check.ok) for check in gradcheck.check_all()]


PANEL = {
    "losses": loss_values,
    "others": others,
    "m1": training("m1"),
    "m1 original": training("m1", options=dict(original=True)),
    "m2": training("m2"),
    "m4": training("m4"),
    "m5": training("m5"),
    "upsample": training("m5-upsample"),
    "gp": penalized(mg.Tanh, gradient_penalty, lambda c: mg.Adam(c, 0.1, eps=0.1)),
    "gp, one side": penalized(
        mg.Sigmoid, functools.partial(gradient_penalty, one_sided=True),
        lambda c: mg.SGD(c, 0.1, momentum=0.5),
    ),
    "r1": penalized(
        mg.Tanh,
        lambda critic, real, fake, step: penalty.r1(critic, real),
        lambda c: mg.RMSProp(c, 0.1),
    ),
    "clip": penalized(mg.ReLU, clipped, lambda c: mg.SGD(c, 0.1)),
    "checks": checks,
}  # fmt: skip


def values(name, module):
    """What an item of the panel computes with a module in plain's place; None if it fails."""
    before, default = dict(kernels.PLAIN), kernels.default
    kernels.use("plain")
    kernels.PLAIN[np.ndarray] = kernels.PLAIN[np.float64] = module
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return [np.asarray(value) for value in PANEL[name]()]
    except Exception:  # a shape that does not fit, say: nobody would miss that
        return None
    finally:
        kernels.PLAIN.clear()
        kernels.PLAIN.update(before)
        kernels.use(default.name)


def differ(found, expected):
    return found is None or any(
        a.shape != b.shape or not np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)
        for a, b in zip(found, expected, strict=True)
    )


@pytest.fixture(scope="module")
def untouched():
    """Item of the panel -> (its values with the file as it is, the functions that it calls)."""
    module, result = loaded(SOURCE), {}
    for name in PANEL:
        called = set()

        def note(frame, event, _, called=called):
            if event == "call" and frame.f_code.co_filename == "mutant":
                called.add(frame.f_code.co_name)

        sys.setprofile(note)
        try:
            found = values(name, module)
        finally:
            sys.setprofile(None)
        assert found is not None, name
        result[name] = found, called
    assert not any(result["checks"][0])
    return result


def test_the_panel_repeats_and_reaches_every_function(untouched):
    module = loaded(SOURCE)
    for name, (expected, _) in untouched.items():
        assert not differ(values(name, module), expected), name
    reached = set().union(*(called for _, called in untouched.values()))
    functions = {name for name, f in vars(plain).items() if inspect.isfunction(f)}
    functions.remove("alone")  # layers hand in the one that they have imported
    assert reached & functions == functions


MUTANTS = mutants()


@pytest.mark.host
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_noticed(name, untouched):
    module, function = loaded(MUTANTS[name]), name.partition(":")[0]
    noticed = any(
        function in called and differ(values(item, module), expected)
        for item, (expected, called) in untouched.items()
    )
    assert noticed != (name in SAME), name

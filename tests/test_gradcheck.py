"""The check of derivatives and of the contract: what it must refuse, and what it says."""

import types

import numpy as np
import pytest

import minigan as mg
from minigan import gradcheck, losses
from minigan.errors import UserError
from minigan.gradcheck import check_layer, check_loss, check_step
from minigan.kernels import PLAIN
from minigan.kernels.cpu import convolution, minimal

X = np.random.default_rng(6).standard_normal((4, 5))
MODES = [True, False]


class Scale(mg.Layer):
    """y = w x: right in every way, and what the broken ones below are made of."""

    def __init__(self):
        super().__init__()
        self.declare("w", (5,), mg.init.Normal(1.0))

    def forward(self, x, train=True):
        return x * self.w, x

    def backward(self, dy, cache, params=True, need_dx=True):
        if params:
            self.add_grad("w_grad", (dy * cache).sum(axis=0))
        return dy * self.w if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        self.add_grad("w_grad", (dx_bar * dy).sum(axis=0))
        return dx_bar * self.w, None


@pytest.mark.parametrize("train", MODES)
def test_a_layer_that_keeps_all_its_promises(train):
    check = check_layer(Scale(), X, train=train)
    assert check.ok and check.broken == [] and check.notes == [], check


# Broken promises: each layer has right derivatives in float64, or would pass all but one check.


class Doubles(Scale):
    """float32 becomes float64."""

    def forward(self, x, train=True):
        return x * self.w.astype("float64"), x


class DoublesBack(Scale):
    def backward(self, dy, cache, params=True, need_dx=True):
        dx = super().backward(dy, cache, params, need_dx)
        return None if dx is None else dx.astype("float64")


class DoublesSecond(Scale):
    def double_backward(self, dx_bar, dy, cache):
        dy_bar, _ = super().double_backward(dx_bar, dy, cache)
        return dy_bar.astype("float64"), None


class NotFrozen(Scale):
    def backward(self, dy, cache, params=True, need_dx=True):
        return super().backward(dy, cache, True, need_dx)


class Overwrites(Scale):
    def backward(self, dy, cache, params=True, need_dx=True):
        if params:
            self.w_grad[...] = (dy * cache).sum(axis=0)
        return dy * self.w if need_dx else None


class OverwritesSecond(Scale):
    def double_backward(self, dx_bar, dy, cache):
        self.w_grad[...] = (dx_bar * dy).sum(axis=0)
        return dx_bar * self.w, None


class AlwaysDx(Scale):
    def backward(self, dy, cache, params=True, need_dx=True):
        return super().backward(dy, cache, params, True)


class NoGradientWithoutDx(Scale):
    def backward(self, dy, cache, params=True, need_dx=True):
        return super().backward(dy, cache, params, need_dx) if need_dx else None


class WritesX(Scale):
    def forward(self, x, train=True):
        kept = x.copy()
        np.multiply(x, self.w, out=x)
        return x.copy(), kept


class WritesDy(Scale):
    def backward(self, dy, cache, params=True, need_dx=True):
        dx = super().backward(dy, cache, params, need_dx)
        dy *= self.w
        return dx


class WritesDxBar(Scale):
    def double_backward(self, dx_bar, dy, cache):
        result = super().double_backward(dx_bar, dy, cache)
        dx_bar *= 2
        return result


class WritesTheCache(Scale):
    def backward(self, dy, cache, params=True, need_dx=True):
        dx = super().backward(dy, cache, params, need_dx)
        cache *= 0.5
        return dx


class KeepsState(Scale):
    """The newest cache, whatever backward is given."""

    def forward(self, x, train=True):
        self.last = x
        return x * self.w, None

    def backward(self, dy, cache, params=True, need_dx=True):
        return super().backward(dy, self.last, params, need_dx)


class LiesAboutItsShape(Scale):
    def output_shape(self, input_shape):
        return (*input_shape, 1)


class OtherShape(Scale):
    def backward(self, dy, cache, params=True, need_dx=True):
        dx = super().backward(dy, cache, params, need_dx)
        return None if dx is None else dx[:, None]


class SecondOfOtherShape(Scale):
    def double_backward(self, dx_bar, dy, cache):
        dy_bar, _ = super().double_backward(dx_bar, dy, cache)
        return dy_bar, np.zeros((1, 5), dy.dtype)


class Trains(Scale):
    """A layer that takes its step by itself."""

    def backward(self, dy, cache, params=True, need_dx=True):
        dx = super().backward(dy, cache, params, need_dx)
        self.w -= 1e-3 * (dy * cache).sum(axis=0)
        return dx


class MovesInEvaluation(Scale):
    def __init__(self):
        super().__init__()
        self.declare_buffer("mean", (5,), mg.init.Constant(0.0))

    def forward(self, x, train=True):
        self.mean += x.mean(axis=0)
        return super().forward(x, train)


class Unaddressed(Scale):
    """Noise from a stream, which no step repeats."""

    stream = np.random.default_rng(0)

    def forward(self, x, train=True):
        y, cache = super().forward(x, train)
        return y + self.stream.standard_normal(y.shape).astype(y.dtype), cache


FITS = "shape and dtype"
BROKEN = {
    Doubles: (FITS, "y is float64"),
    DoublesBack: (FITS, "dx is float64"),
    DoublesSecond: (FITS, "dy_bar is float64"),
    NotFrozen: ("params=False leaves the gradients alone", "the gradients have changed"),
    Overwrites: ("added to what is there", "twice backward"),
    OverwritesSecond: ("added to what is there", "twice double_backward"),
    AlwaysDx: ("need_dx=False", "dx comes all the same"),
    NoGradientWithoutDx: ("need_dx=False", "the gradients are others"),
    WritesX: ("writes its arguments", "forward writes x"),
    WritesDy: ("writes its arguments", "backward writes dy"),
    WritesDxBar: ("writes its arguments", "double_backward writes dx_bar"),
    WritesTheCache: ("writes its arguments", "backward writes the cache"),
    KeepsState: ("in its cache", "the way back of the first one is another"),
    LiesAboutItsShape: ("output_shape", "it says (5, 1), the output's samples are (5,)"),
    OtherShape: (FITS, "dx has shape (4, 1, 5), not (4, 5)"),
    SecondOfOtherShape: (FITS, "x_bar has shape (1, 5), not (4, 5)"),
    Trains: ("Nothing but an optimizer", "the parameters have changed"),
    MovesInEvaluation: ("Nothing but an optimizer", "forward in evaluation writes the averages"),
    Unaddressed: ("same random numbers", "two passes of one step differ"),
}


@pytest.mark.host
@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_promise_is_named(kind):
    check = check_layer(kind(), X, train=False)
    assert not check.ok
    promise, detail = BROKEN[kind]
    assert any(promise in note and detail in note for note in check.broken), check


@pytest.mark.host
def test_a_promise_that_cannot_be_tried_is_broken():
    class Fails(Scale):
        def backward(self, dy, cache, params=True, need_dx=True):
            if not need_dx:
                raise RuntimeError("not like this")
            return super().backward(dy, cache, params, need_dx)

    (note,) = check_layer(Fails(), X).broken
    assert note.startswith("need_dx=False") and note.endswith("RuntimeError: not like this")


# Wrong derivatives: where, and by what factor.


def wrong(change, name="backward"):
    """A Scale whose dx, or dy_bar, is changed."""

    class Wrong(Scale):
        pass

    def changed(self, *args, **settings):
        result = getattr(super(Wrong, self), name)(*args, **settings)
        if isinstance(result, tuple):
            return change(result[0]), None
        return None if result is None else change(result)

    setattr(Wrong, name, changed)
    return Wrong()


def one_element(dx):
    dx = dx.copy()
    dx[2, 3] += 0.25
    return dx


@pytest.mark.host
@pytest.mark.parametrize("change, words", [
    (lambda dx: -dx, "the ratio is -1: the sign"),
    (lambda dx: 4 * dx, "exactly 4: a missing 1/4, the batch"),
    (lambda dx: dx / 4, "exactly 1/4: divided by the batch, 4, once too often"),
    (lambda dx: 0 * dx, "0: nothing arrives"),
    (lambda dx: 2 * dx, "exactly 2: a factor 2 too many"),
    (lambda dx: dx / 2, "exactly 1/2: a missing factor 2"),
    (lambda dx: 1.7 * dx, "the ratio is 1.7 everywhere"),
    (lambda dx: dx * np.arange(1, 6), "differs from element to element"),
    (one_element, "is worst at [2, 3]"),
])  # fmt: skip
def test_what_is_wrong_is_said(change, words):
    check = check_layer(wrong(change), X, second_order=False)
    assert not check.ok
    (note,) = [note for note in check.notes if note.startswith("input ")]
    assert words in note, note


@pytest.mark.host
def test_the_worst_element_has_both_numbers():
    layer = wrong(one_element).build(dtype="float64")
    (note,) = [n for n in check_layer(layer, X, second_order=False).notes if n.startswith("input ")]
    claimed, numeric = (
        float(note.split(word)[1].split(";")[0].split(",")[0]) for word in ("claimed ", "numeric ")
    )
    assert claimed - numeric == pytest.approx(0.25, abs=1e-4)


@pytest.mark.host
def test_the_second_order_says_so():
    check = check_layer(wrong(lambda dy_bar: -dy_bar, "double_backward"), X)
    assert any(note.startswith("second order, dy is worst at [") for note in check.notes)
    assert any("-1: the sign" in note for note in check.notes)


@pytest.mark.host
def test_a_missing_gradient_is_said():
    class Forgets(Scale):
        def backward(self, dy, cache, params=True, need_dx=True):
            super().backward(dy, cache, params, need_dx)

    check = check_layer(Forgets(), X)
    assert "input is missing, where (4, 5) is the shape" in check.notes


@pytest.mark.host
def test_the_first_wrong_layer_of_a_network_is_named():
    inner = mg.Sequential([mg.Tanh(), wrong(lambda dx: -dx)], name="inner")
    check = check_layer(mg.Sequential([mg.Dense(5, 5), inner, mg.Dense(5, 2)]), X)
    (note,) = [note for note in check.notes if "first wrong layer" in note and "is 1, Seq" in note]
    nested = check_layer(inner, X)
    assert any("the first wrong layer is 1, Wrong()" in note for note in nested.notes)
    assert "-1: the sign" in note


def test_a_fast_kernel_that_is_not_the_formula_is_seen(monkeypatch):
    """Right derivatives of another function: only the plain kernels beside it tell."""

    class Cube(mg.Layer):
        def forward(self, x, train=True):
            return self.factor() * x, None

        def backward(self, dy, cache, params=True, need_dx=True):
            return self.factor() * dy if need_dx else None

        def double_backward(self, dx_bar, dy, cache):
            return self.factor() * dx_bar, None

        def factor(self):
            return 2.0 if self.kernels is PLAIN else 3.0

    check = check_layer(Cube(), X)
    assert not check.ok and any("plain kernels" in note for note in check.notes)
    assert max(check.plain.values()) > 0.1 and max(check.errors.values()) < 1e-7


def test_constant_layers_and_read_only_inputs_are_no_exception():
    class Constant(mg.Layer):
        def forward(self, x, train=True):
            return 0 * x + 3, None

        def backward(self, dy, cache, params=True, need_dx=True):
            return 0 * dy if need_dx else None

        def double_backward(self, dx_bar, dy, cache):
            return 0 * dx_bar, None

    x = X.copy()
    x.setflags(write=False)
    for layer in (Constant(), mg.Sequential([mg.Dense(5, 5), Constant()]), Scale()):
        check = check_layer(layer, x)
        assert check.ok, check


def test_the_layer_and_the_input_are_left_alone():
    layer, x = Scale().build(), X.astype("float32")
    layer.w_grad = np.arange(5)
    before = layer.params.copy(), layer.grads.copy(), x.copy()
    check_layer(layer, x)
    for now, then in zip((layer.params, layer.grads, x), before):
        np.testing.assert_array_equal(now, then)


# Losses and steps.


def test_losses_have_a_contract_too():
    def doubles(x):
        return (x * x).sum() * np.float64(1), 2 * x

    def writes(x):
        loss, gradient = (x * x).sum(), 2 * x
        x += 1
        return loss, gradient

    assert any("is float64" in note for note in check_loss(doubles, X).notes)
    assert any("writes its argument" in note for note in check_loss(writes, X).notes)
    (note,) = check_loss(lambda x: ((x * x).mean(), 2 * x * 5 / x.size), X, "a loss").notes
    assert "5 everywhere" in note


@pytest.mark.host
def test_a_generator_whose_gradient_skips_the_critic():
    G = mg.Sequential([mg.Dense(5, 1)], name="G", dtype="float64")
    D = mg.Sequential([mg.Dense(1, 1)], name="D", dtype="float64")

    def step(through):
        fake, g_cache = G.forward(X)
        logits, d_cache = D.forward(fake)
        loss, dlogits = losses.non_saturating(logits)
        G.backward(D.backward(dlogits, d_cache, params=False) if through else dlogits, g_cache)
        return loss

    assert check_step(lambda: step(True), G, "through", 4).ok
    assert not check_step(lambda: step(False), G, "past", 4).ok


@pytest.mark.parametrize("layer", [
    mg.Dense(5, 3), mg.BatchNorm(5), mg.LayerNorm(5), mg.LeakyReLU(0.2), mg.Sigmoid(),
    mg.Dropout(0.3),
    mg.Sequential([mg.Dense(5, 4), mg.BatchNorm(4), mg.Tanh(), mg.Dense(4, 1)]),
], ids=repr)  # fmt: skip
@pytest.mark.parametrize("train", MODES)
def test_on_a_gpu(gpu, layer, train):
    there = layer.clone() if layer.params is not None else layer.clone().build()
    check = check_layer(there.to("gpu"), X, train=train)
    assert check.ok and check.errors and check.second and check.float32, check
    # Its random masks are not those of the plain kernels.
    assert bool(check.plain) == (not isinstance(layer, mg.Dropout) or not train)
    broken = check_layer(NotFrozen().build().to("gpu"), X)
    assert any("params=False" in note for note in broken.broken)


# All cases.


def test_everything_has_a_case():
    names = {case.name for case in gradcheck.all_cases()}
    layers = {name for name in mg.layers.__all__ if name != "Layer"}
    functions = {
        name for module in (losses, mg.penalty) for name, value in vars(module).items()
        if isinstance(value, types.FunctionType) and value.__module__ == module.__name__
        and not name.startswith("_")
    }  # fmt: skip
    assert layers | functions - {"sigmoid", "labels", "clip_weights"} <= names
    assert {"Sequential", "generator_step"} <= names


@pytest.mark.host
def test_both_ways_to_convolve_are_checked(monkeypatch):
    paths, path = [], convolution._path

    def watched(*args):
        paths.append(path(*args))
        return paths[-1]

    monkeypatch.setattr(convolution, "_path", watched)
    for name in ("Conv2d", "ConvTranspose2d"):
        found = []
        for case in gradcheck.select([name]):
            paths.clear()
            assert case.check().ok
            found.append(set(paths))
        assert {minimal} in found and {convolution.im2col} in found


@pytest.mark.host
def test_a_penalty_without_its_norm_is_seen(monkeypatch):
    """g_bar without g / |g|."""

    def without(g, weight, one_sided, eps=1e-12):
        norm = np.sqrt((g * g).sum(axis=tuple(range(1, g.ndim)), keepdims=True) + eps)
        return weight * ((norm - 1) ** 2).mean(), 2 * weight / len(g) * (norm - 1) * np.ones_like(g)

    monkeypatch.setattr(mg.kernels.cpu, "distance_from_one", without)
    checks = [case.check() for case in gradcheck.select(["gradient_penalty"])]
    assert len(checks) == 3 and not any(check.ok for check in checks)


def test_an_exception_in_one_check_fails_that_check(monkeypatch):
    def fails(self, *args, **settings):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(mg.Tanh, "backward", fails)
    right, wrong = gradcheck.select(["Sigmoid", "Tanh"])[1:3]
    assert right.check().ok
    (note,) = wrong.check().notes
    assert note.startswith("ZeroDivisionError in test_gradcheck.py:") and note.endswith(": oh")


# The table, and layers of one's own.


def lines(words, seed=0):
    cases = gradcheck.select(words, seed)
    table = gradcheck.Table(cases)
    return table.head.splitlines() + [
        line for case in cases for line in table.row(case.check()).splitlines()
    ]


def test_columns_stay_aligned(monkeypatch):
    right = mg.Sigmoid.backward
    monkeypatch.setattr(mg.Sigmoid, "backward", lambda *args, **kw: 1e150 * right(*args, **kw))
    head, limits, *rows = lines(["Sigmoid", "ConvTranspose2d", "hinge", "r1"])
    for name, limit in (("input", "1e-07"), ("2nd order", "1e-06"), ("float32", "1e-04")):
        end = head.index(name) + len(name)
        assert limits[:end].endswith(limit)
        cells = [row[end - 5 : end] for row in rows if not row.startswith(" ")]
        assert all(not cell.strip() or "e" in cell or cell.endswith("inf") for cell in cells), cells
    verdicts = [row.split()[0] for row in rows if not row.startswith(" ")]
    assert verdicts == ["FAILED"] * 2 + ["ok"] * (len(verdicts) - 2)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module with layers of one's own, in the current folder."""
    (tmp_path / "my_layers.py").write_text(
        "import minigan as mg\n\n"
        "class Images(mg.Conv2d):\n"
        "    def __init__(self, channels, scale=1.0):\n"
        "        super().__init__(channels, 3, 3)\n"
        "        self.channels, self.scale = channels, scale\n\n"
        "class Half(mg.Tanh):\n"
        "    def backward(self, dy, cache, params=True, need_dx=True):\n"
        "        dx = super().backward(dy, cache, params, need_dx)\n"
        "        return None if dx is None else dx / 2\n\n"
        "class Once(mg.Tanh):\n"
        "    double_backward = mg.Layer.double_backward\n\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    yield
    __import__("sys").modules.pop("my_layers", None)


def test_a_layer_of_ones_own_may_go_without_second_order(mine):
    check = gradcheck.select(["my_layers:Once"])[0].check()
    assert check.ok and check.errors and not check.second


def test_a_layer_of_ones_own(mine):
    train, evaluation = gradcheck.select(["my_layers:Images(4, scale=0.5)"])
    assert (train.mode, evaluation.mode) == ("train", "eval") and train.check().ok
    _, _, row, *notes = lines(["my_layers:Half"])
    assert row.startswith("FAILED   Half()") and "a missing factor 2" in "\n".join(notes)


@pytest.mark.parametrize("word, message", [
    ("Convv2d", "nothing to check is called 'Convv2d': there are Dense, Conv2d,"),
    ("my_layers:Nothing", "no attribute 'Nothing'"),
    ("my_layer:Half", "No module named 'my_layer'"),
    ("my_layers:number", "number is not a class of minigan.Layer"),
    ("my_layers:Images", "arguments go behind it: Images(10)"),
    ("my_layers:Images(", "write module:Class"),
    ("my_layers:Images(number)", "write module:Class"),
    ("minigan:BatchNorm(10, axis=2)", "takes neither vectors nor images"),
    (":", "write module:Class"),
])  # fmt: skip
def test_words_that_are_nothing_to_check(mine, word, message):
    with pytest.raises(UserError) as caught:
        gradcheck.select([word])
    assert message in str(caught.value)

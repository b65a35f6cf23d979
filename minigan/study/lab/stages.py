"""What the page says of the parts of a training step: sentence, formula, code, numbers."""

from dataclasses import replace

import numpy as np

from ...kernels import plain
from ..duel import GAMES, STAGES, Duel
from ..formulas import Watched, entry
from .mathml import mathml

# Of each function of a loss, as in `game.LOSSES`: what it is the mean of, and N times its gradient.
FORMULAS = {
    ("bce_with_logits", 1.0): (r"-\log \sigma(a_i)", r"\sigma(a_i) - 1"),
    ("bce_with_logits", 0.0): (r"-\log(1 - \sigma(a_i))", r"\sigma(a_i)"),
    ("minimax",): (r"\log(1 - \sigma(a_i))", r"-\sigma(a_i)"),
    ("hinge", -1): (r"\max(0, 1 - a_i)", r"-[a_i < 1]"),
    ("hinge", +1): (r"\max(0, 1 + a_i)", r"[a_i > -1]"),
    ("least_squares", 1.0): (r"\frac{1}{2}(a_i - 1)^2", r"a_i - 1"),
    ("least_squares", 0.0): (r"\frac{1}{2}a_i^2", r"a_i"),
    ("wasserstein", -1): (r"-a_i", r"-1"),
    ("wasserstein", +1): (r"a_i", r"1"),
}
PENALTIES = {
    "wgan-gp": (
        r"\hat x = \tilde x + \epsilon(x - \tilde x) \quad \epsilon \sim \text{U}(0, 1)",
        r"P = \frac{\lambda}{N} \sum_i (\|\nabla D(\hat x_i)\| - 1)^2",
        r"\text{dW} \gets \text{dW} + \frac{\partial P}{\partial W}",
    ),
    "r1": (
        r"P = \frac{\lambda}{2N} \sum_i \|\nabla D(x_i)\|^2",
        r"\text{dW} \gets \text{dW} + \frac{\partial P}{\partial W}",
    ),
}
UPDATES = {
    "adam": (
        r"m \gets b_1 m + g \quad v \gets b_2 v + g^2",
        r"\theta \gets \theta - \eta \frac{\bar m}{\sqrt{\bar v} + \epsilon}",
    ),
    "rmsprop": (
        r"s \gets \rho s + (1 - \rho) g^2",
        r"\theta \gets \theta - \eta \frac{g}{\sqrt{s} + \epsilon}",
    ),
    "sgd": (r"\theta \gets \theta - \eta g",),
}
TEXTS = {
    "D forward": "G turns noise z into points, and D scores them and the real ones. G is only run: "
    "nothing goes back to it. D's loss says how badly the scores tell the two apart.",
    "D backward": "The loss has a slope at every score. It goes back through D, layer by layer, "
    "and leaves at each weight how the loss would change with it.",
    "penalty": "A second loss, on how steep D is. Its gradient is the derivative of a derivative, "
    "and is added to what is there.",
    "D update": "The optimizer moves D's weights a little against their gradients.",
    "G forward": "Fresh noise becomes fresh points.",
    "through D": "The updated D scores them, and G's loss goes back through D, whose weights stay. "
    "What arrives at the points is dfake: all that G ever learns.",
    "G backward": "dfake goes on back through G, and leaves a gradient at each of its weights.",
    "G update": "The optimizer moves G's weights: the points go along −dfake, as far as G can.",
}  # fmt: skip
LETTERS = {"weight": "W", "bias": "b"}
FIRST = 3  # numbers of a tensor that are shown
LAYERS = r"\text{dW} = h^{\top} \text{dy} \quad \text{dh} = \text{dy} W^{\top}"


def described(settings):
    """For each stage of a step with these settings, in order: dict, ready for JSON."""
    game, code = GAMES[settings.loss], functions(settings)
    (real, dreal), (fake, dfake) = FORMULAS[game.real], FORMULAS[game.fake]
    drawn, ddrawn = FORMULAS[game.generator]
    formulas = {
        "D forward": (
            r"\tilde x = G(z) \quad a = D(x) \quad \tilde a = D(\tilde x)",
            f"L_D = {_mean(real)} + {_mean(_tilde(fake))}".replace("+ -", "-"),
        ),
        "D backward": (
            rf"\text{{da}}_i = \frac{{{dreal}}}{{N}} \quad "
            rf"\text{{d}} \tilde a_i = \frac{{{_tilde(dfake)}}}{{N}}",
            LAYERS,
        ),
        "penalty": PENALTIES.get(settings.penalty),
        "D update": UPDATES[settings.optimizer],
        "G forward": (r"\tilde x = G(z)",),
        "through D": (
            f"L_G = {_mean(_tilde(drawn))}",
            rf"\text{{d}} \tilde a_i = \frac{{{_tilde(ddrawn)}}}{{N}}",
            r"\text{dfake} = \frac{\partial L_G}{\partial \tilde x}",
        ),
        "G backward": (LAYERS,),
        "G update": UPDATES[settings.optimizer],
    }
    if settings.penalty == "clip":
        formulas["D update"] += (r"\theta \gets \clip(\theta, -\lambda, \lambda)",)
    return [
        dict(
            name=name,
            text=TEXTS[name],
            formulas=[mathml(formula) for formula in formulas[name]],
            code=[dict(name=each, **entry(getattr(plain, each))) for each in code[name]],
        )
        for name in STAGES
        if name in code
    ]


def _tilde(formula):
    """Of the scores of generated points."""
    return formula.replace("a_i", r"\tilde a_i")


def _mean(formula):
    """Over the batch, with the sign in front."""
    sign = "-" * formula.startswith("-")
    return rf"{sign}\frac{{1}}{{N}} \sum_i {formula.removeprefix('-')}"


def functions(settings):
    """The functions of plain that each stage of a step calls: dict stage -> names.

    A step with narrow networks is watched.
    """
    watched = Watched()
    duel = Duel(replace(settings, g_width=2, d_width=2, noise_size=2))
    for network in (duel.G, duel.D):
        network.use_kernels(watched)
    real, called = duel.noise(2, "points", 0), {}
    for stage in duel.stages(real, 0):
        called.setdefault(stage.name, []).extend(watched.take())
    # Losses are of no network, so nobody has seen them.
    called["D forward"] += [duel.game.real[0], duel.game.fake[0]]
    called["through D"] += [duel.game.generator[0]]
    return {name: list(dict.fromkeys(names)) for name, names in called.items()}


def tensors(stage, duel):
    """What a `Stage` has made, tensor by tensor: a list of dicts, ready for JSON."""
    rows = []
    for name, value in stage.values.items():
        whose, _, kind = name.partition("_")
        if kind in ("grads", "params"):  # a network's in one vector: its tensors, layer by layer
            network = duel.G if whose == "g" else duel.D
            for place, param, grad in network.named_tensors():
                layer, kind_of_layer, tensor = place.split(".")
                gradient = kind == "grads"
                name = f"{'d' * gradient}{LETTERS.get(tensor, tensor)}, {kind_of_layer} {layer}"
                rows.append(_row(name, grad if gradient else param))
        else:
            rows.append(_row(name, value))
    return rows


def _row(name, value):
    value = np.asarray(value)
    first = [number(each) for each in value.reshape(-1)[:FIRST]]
    return dict(name=name, shape=value.shape, norm=number(np.linalg.norm(value)), first=first)


def number(value):
    """A number for JSON, None where it is not finite."""
    return float(value) if np.isfinite(value) else None

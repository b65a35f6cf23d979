"""The diagnosis: each rule on columns that show its state and on columns that do not, and runs.

All twenty runs, ten ill and ten healthy, are in benchmarks/diagnosis.py; here are the quick ones.
"""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import run, words

from minigan import __main__ as tools
from minigan.training.diagnosis import diagnose
from minigan.training.history import History

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PAGE = Path(__file__).parent.parent / "docs" / "reading_a_run.md"
STEPS = 400
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal(STEPS)


def seldom(values, every=50):
    """A column with a value every few steps."""
    return np.where(np.arange(1, STEPS + 1) % every == 0, values, np.nan)


def columns(**changes):
    """Those of a healthy run, some of them changed; a None is left out."""
    steps = np.arange(1, STEPS + 1)
    found = {
        "step": steps,
        "epoch": np.ones(STEPS, int),
        "d_loss": 1.2 + 0.1 * NOISE,
        "g_loss": 1.1 + 0.2 * NOISE,
        "d_real": 0.62 + 0.05 * NOISE,
        "d_fake": 0.38 + 0.05 * NOISE,
        "norm_dfake": 0.1 + 0.01 * NOISE,
        "norm_dG": seldom(2.0 + 0.1 * NOISE, 10),
        "norm_dD": seldom(3.0 + 0.1 * NOISE, 10),
        "variety": seldom(0.7 + 0.05 * NOISE),
    } | changes
    return {
        name: value if name == "step" else np.broadcast_to(value, STEPS)
        for name, value in found.items()
        if value is not None
    }


def critic(**changes):
    """The same of a WGAN."""
    scores = dict(c_loss=-20 + NOISE, g_loss=-10 + NOISE, c_wass=-22 + NOISE, c_gp=0.2)
    return columns(d_loss=None, d_real=None, d_fake=None, **scores | changes)


def pictures(black=0.0, white=0.0):
    """(1, 16, 4, 4, 1) in (-1, 1), such shares of them at the ends."""
    values = RNG.uniform(-0.99, 0.99, 256)
    values[: round(black * 256)] = -1
    values[256 - round(white * 256) :] = 1
    return RNG.permutation(values).reshape(1, 16, 4, 4, 1).astype(np.float32)


def names(columns, *more):
    return [verdict.name for verdict in diagnose(columns, *more)]


def ill(columns, *more):
    return [verdict.name for verdict in diagnose(columns, *more) if verdict.ill]


STEP = np.arange(1, STEPS + 1)
LATELY = STEP > 200
FALLING = np.where(LATELY, 1e-5, 0.1)
# rule -> columns that show it
SIGNS = {
    "D has won": [
        dict(d_real=0.9999, d_fake=7e-33),
        dict(d_real=0.95, d_fake=0.05),  # with labels of 0.9 to 1 and 0 to 0.1
        dict(d_real=np.where(LATELY, 0.99, 0.6), d_fake=np.where(LATELY, 0.02, 0.4)),
    ],
    "G starves": [
        dict(norm_dfake=0.0),
        dict(norm_dG=seldom(0.0, 10)),
        dict(g_loss=-1e-3, d_fake=1e-3, d_real=0.8),
        dict(norm_dfake=FALLING, d_fake=0.05, d_real=0.6),
    ],
    "Collapse": [
        dict(variety=seldom(np.maximum(0.8 - STEP / 200, 0.02))),
        dict(variety=seldom(0.05 + 0.001 * NOISE)),  # and no drifting apart
    ],
    "Circling": [
        dict(g_loss=0.7 + 0.2 * np.sin(STEP / 8) + 0.05 * NOISE),
        dict(g_loss=0.7 + 1e-3 * STEP * (1 + np.sin(STEP / 6))),  # wider and wider, on a slope
    ],
    "Divergence": [dict(g_loss=150.0), dict(d_loss=np.where(STEP % 30 == 0, 0.0, 1e3))],
}
# columns that look like it and are not
HEALTHY = {
    "as it is": {},
    "D sure but for a hit now and then": dict(d_real=0.99, d_fake=np.where(STEP % 10, 0.02, 0.5)),
    "D was sure and is not": dict(
        d_real=np.where(LATELY, 0.6, 0.99), d_fake=np.where(LATELY, 0.4, 0.01)),
    "D is surer of one kind": dict(d_real=0.98, d_fake=0.2),
    "at rest: D's slope has gone": dict(norm_dfake=FALLING, d_real=0.5, d_fake=0.5),
    "pictures that D does not tell apart yet": dict(
        variety=seldom(0.08 - 0.02 * (STEP > 200)), d_real=0.54, d_fake=0.5),
    "pictures that drift apart": dict(variety=seldom(STEP / 2200)),
    "a swing that comes to rest": dict(g_loss=0.7 + np.exp(-STEP / 60) * np.sin(STEP / 8)),
    "a single spike": dict(g_loss=np.where(STEP == 390, 1e6, 1.0)),
    "wild": dict(g_loss=np.abs(3 * RNG.standard_normal(STEPS))),
}  # fmt: skip


@pytest.mark.parametrize(
    "name, changes", [(name, changes) for name, signs in SIGNS.items() for changes in signs]
)
def test_a_rule_finds_its_state(name, changes):
    assert name in ill(columns(**changes))


@pytest.mark.parametrize("changes", HEALTHY.values(), ids=HEALTHY)
def test_the_healthy_are_left_in_peace(changes):
    assert ill(columns(**changes), pictures()) == []


@pytest.mark.parametrize("low, again, names", [
    (4, 0, ["Collapse"]), (8, 0, ["Collapse"]), (60, 0, ["Collapse"]), (3, 0, []), (8, 2, []),
])  # fmt: skip
def test_a_fall_late_in_a_long_run_is_told_at_once(low, again, names):
    """200 steps of 3,000, as M3 had of 3,900; not what has come back."""
    steps, variety = 50 * np.arange(1, 61), np.full(60, 0.9)
    variety[60 - low - again : 60 - again] = 0.12
    variety[0] = 0.95
    assert ill({"step": steps, "variety": variety}) == names


@pytest.mark.parametrize("varieties", [
    (0.56, 0.32, 0.23, 0.19, 0.18, 0.20),  # mnist_cgan's: it came to 0.77 in 1,000 steps
    (0.028, 0.059, 0.051, 0.049, 0.043, 0.039),  # mnist_gan --original's: 0.61 in 950
])  # fmt: skip
def test_a_young_generator_has_not_collapsed(varieties):
    steps = 50 * np.arange(1, 7)
    assert ill({"step": steps, "variety": np.array(varieties)}) == []
    old = {"step": steps + 300, "variety": np.array(varieties) / 3}  # at twice the age
    assert ill(old) == ["Collapse"]


@pytest.mark.parametrize(
    "changes, found",
    [
        ({}, []),
        (dict(c_loss=np.where(STEP % 7, -3e5, 1.0), g_loss=1e5 * NOISE), ["Divergence"]),
        (dict(norm_dfake=3e3), ["Divergence"]),
        (dict(norm_dfake=FALLING), ["G starves"]),
        (dict(norm_dfake=3e-6 + 1e-7 * NOISE), []),  # clipped weights: small, and always so
        (dict(g_loss=np.sin(STEP / 8)), ["Circling"]),
        (dict(g_loss=-1e-3), []),  # a score may be negative
    ],
)
def test_a_critic(changes, found):
    assert ill(critic(**changes)) == found
    assert "Cannot tell" in names(critic(**changes))


def test_pictures_and_arrays():
    saturated = ["Saturated output"]
    assert ill(columns(), pictures(0.2, 0.2)) == []
    assert ill(columns(), pictures(0.4, 0.4)) == saturated
    assert ill(columns(), pictures(0.6, 0.15)) == ill(columns(), pictures(0.15, 0.6)) == saturated
    # A ground of one colour.
    assert ill(columns(), pictures(0.8, 0.02)) == ill(columns(), pictures(0.02, 0.8)) == []
    assert ill(columns(), pictures(0.98)) == ill(columns(), pictures(0, 0.98)) == saturated
    noise = columns(variety=seldom(1.6))
    assert ill(noise, pictures(0.01)) == [] and ill(noise, pictures(0.1)) == saturated
    assert ill(columns(), 3 * pictures(0.4, 0.4)) == []  # nothing bounds it
    assert ill(columns(), (pictures(0.4, 0.4) + 1) / 2, (0, 1)) == saturated
    assert ill(columns(), pictures()[:, :1].repeat(16, axis=1)) == ["Collapse"]
    for size, found in ((1e30, []), (1e33, ["Divergence"]), (-1e33, ["Divergence"])):
        arrays = {"G/params": np.zeros(3, np.float32), "D/v": np.float32([0, size])}
        assert ill(columns(), pictures(), (-1, 1), arrays) == found
    [verdict] = diagnose(columns(), pictures(), (-1, 1), arrays)
    assert verdict.evidence == "D/v reaches 1e+33, and float32 ends at 3.4e+38"


def test_evidence_and_steps():
    late = dict(d_real=np.where(LATELY, 0.99, 0.6), d_fake=np.where(LATELY, 0.02, 0.4))
    verdict = diagnose(columns(**late))[0]
    assert verdict.evidence == "D(x) is 0.99, D(G(z)) 0.02, and hardly ever nearer"
    assert 190 <= verdict.steps[0] <= 201 and verdict.steps[1] == STEPS
    circle = diagnose(columns(g_loss=np.sin(STEP / 8)))[0]
    assert re.search(r"every (49|50|51) steps", circle.evidence)


def test_what_is_well_has_a_name():
    better = dict(g_loss=1 + STEP / 300, d_real=0.5 + STEP / 1000, d_fake=0.5 - STEP / 1000)
    assert names(columns(**better), pictures()) == ["Normal"]
    assert names(columns(d_real=0.5, d_fake=0.49), pictures()) == ["D tells nothing apart"]
    assert names(columns(), pictures()) == ["Healthy"]
    early = {name: values[:40] for name, values in columns(d_real=1, d_fake=0).items()}
    assert names(early, pictures()) == ["Too early to tell"]
    assert names({name: values[:0] for name, values in early.items()}) == ["Too early to tell"]


def test_a_run_of_an_older_version_says_what_cannot_be_told():
    new = dict.fromkeys(("norm_dfake", "norm_dG", "norm_dD", "variety"))
    well, missing = diagnose(columns(**new))
    assert (well.name, missing.name, missing.ill) == ("Healthy", "Cannot tell", False)
    for word in ("G starves: no column norm_dfake", "collapsed", "saturated"):
        assert word in missing.evidence
    assert ill(columns(d_real=0.9999, d_fake=1e-9, **new)) == ["D has won"]


def test_every_verdict_has_a_section():
    sections = re.findall(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    rules = [*SIGNS, "Saturated output", "Normal", "D tells nothing apart", "Healthy"]
    assert [*rules, "Too early to tell", "Cannot tell"] == sections
    for changes in (SIGNS["D has won"][0], {}):
        page, _, anchor = diagnose(columns(**changes))[0].page.partition("#")
        assert page == "docs/reading_a_run.md"
        assert anchor in [name.lower().replace(" ", "-") for name in sections]


# Runs.


@pytest.fixture
def twenty_runs(monkeypatch, coarse_plots):
    """benchmarks/diagnosis.py."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("diagnosis")


QUICK = [
    "small, D's rate times 3, G's a tenth",
    "small, minimax loss, D ahead",
    "Dirac, Adam's b1 0.9",
    "small, G's last weights of size 5",
]


@pytest.mark.host
@pytest.mark.parametrize("name", QUICK)
def test_a_run_driven_into_a_state(twenty_runs, name, tmp_path, capsys):
    start, wanted = twenty_runs.ILL[name]
    start(tmp_path / "run", 3)
    capsys.readouterr()
    assert run(tools.main, "diagnose", tmp_path / "run") == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{wanted}: ") for line in lines[::2])
    assert all(re.fullmatch(r"    steps [\d,]+ to [\d,]+; docs/\S+#\S+", x) for x in lines[1::2])


@pytest.mark.host
def test_the_small_run_is_healthy_where_nothing_is_wrong(twenty_runs, tmp_path, capsys):
    twenty_runs.small(tmp_path / "run", 3)
    assert not re.search(r"^epoch \d+: ", capsys.readouterr().err, re.MULTILINE)
    assert run(tools.main, "diagnose", tmp_path / "run") == 0
    assert not {"Cannot tell", *SIGNS} & set(re.findall(r"(?m)^(.+?): ", capsys.readouterr().out))


# At the end of an epoch, and on the command line.


def test_a_run_that_learns_is_left_in_peace(gan, pictures, tmp_path, capsys):
    assert run(gan.main, *words(pictures, tmp_path, "--epochs", 20)) == 0
    assert not re.search(r"^epoch \d+: ", capsys.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize(
    "spoil, line",
    [
        (lambda G, D, opt_d: G.layers[2].weight.fill(0), "Collapse: G's pictures differ by "),
        (lambda G, D, opt_d: D.params.fill(0), "G starves: |dfake| is 0"),
        (
            lambda G, D, opt_d: opt_d.state["v"].fill(1e37),
            "Divergence: discriminator/optimizer/v reaches 1e+37, and float32 ends at 3.4e+38",
        ),
    ],
)
def test_what_is_spoilt_is_named(gan, pictures, tmp_path, capsys, spoil, line):
    train_step = gan.train_step

    def without_learning(G, D, opt_g, opt_d, *more):
        opt_g.lr = opt_d.lr = 0.0
        spoil(G, D, opt_d)
        return train_step(G, D, opt_g, opt_d, *more)

    gan.train_step = without_learning
    assert run(gan.main, *words(pictures, tmp_path, "--batch-size", 2, "--epochs", 5)) == 0
    assert f"epoch 5: {line}" in capsys.readouterr().err
    assert run(tools.main, "diagnose", tmp_path) == 1
    assert capsys.readouterr().out.splitlines()[0].startswith(line)


def test_the_command_on_what_is_no_run(tmp_path, capsys):
    assert run(tools.main, "diagnose", tmp_path) == 2
    assert "history.csv: No such file" in capsys.readouterr().err
    (tmp_path / "history.csv").write_text("a,b\n")
    assert run(tools.main, "diagnose", tmp_path) == 2
    assert "is not a history" in capsys.readouterr().err


def test_a_history_alone_is_enough(whole, tmp_path, capsys):
    (whole / "checkpoint.npz").unlink()
    before = History.read(whole / "history.csv")
    assert run(tools.main, "diagnose", whole) == 0
    assert capsys.readouterr().out.startswith(f"Too early to tell: {len(before['step'])} steps")

"""Learning rates: schedules over a run, and changes of a run that goes on."""

import json
import math
import signal

import numpy as np
import parity
import pytest
from helpers import (
    LAST_STEP,
    STEPS_PER_EPOCH,
    arrays,
    assert_same_results,
    at_step,
    parser_of,
    run,
    words,
)
from narrow_gan import example
from test_checkpoint import RUN as RUN_OF_A_FILE
from test_strangers_files import with_description

import minigan as mg
from minigan import data, training
from minigan.__main__ import main
from minigan.description import PERIOD, RUN
from minigan.training import rates
from minigan.training.checkpoint import Checkpoint

BASE = 1e-3  # of examples/mnist_gan.py


def watched(module):
    """The rates (of G, of D) with which the example makes its steps, a list to be filled."""
    seen, train_step = [], module.train_step

    def step(G, D, opt_g, opt_d, *rest):
        result = train_step(G, D, opt_g, opt_d, *rest)
        seen.append((opt_g.lr, opt_d.lr))
        return result

    module.train_step = step
    return seen


def stored_run(out):
    return Checkpoint(out / "checkpoint.npz").run


def assert_same_training(folder, expected):
    """The same numbers all along; what is said of the run may differ."""
    assert (folder / "history.csv").read_bytes() == (expected / "history.csv").read_bytes()
    found, there = arrays(folder / "checkpoint.npz"), arrays(expected / "checkpoint.npz")
    for name in there.keys() - {"description"}:
        assert np.array_equal(found[name], there[name]), name


# Schedules.


@pytest.mark.parametrize(
    "schedule, share",
    [
        ("linear", lambda x: 1 - x),
        ("cosine", lambda x: math.cos(math.pi * x / 2) ** 2),
    ],
)
def test_a_schedule_runs_over_all_steps(gan, pictures, tmp_path, schedule, share):
    seen = watched(gan)
    assert run(gan.main, *words(pictures, tmp_path, "--lr-schedule", schedule)) == 0
    expected = [BASE * share(step / LAST_STEP) for step in range(LAST_STEP)]
    np.testing.assert_allclose(seen, np.transpose([expected, expected]), rtol=1e-12)


def test_networks_of_two_rates_keep_their_ratio():
    networks = {name: mg.Sequential([mg.Dense(1, 1)]) for name in ("generator", "critic")}
    optimizers = {n: mg.SGD(network, lr) for (n, network), lr in zip(networks.items(), (0.5, 0.1))}
    of_run = rates.Rates(optimizers, "linear", 4)
    for step in (3, 1, 1):  # of the step alone
        of_run.begin_step(step)
        assert optimizers["generator"].lr == 0.5 * (1 - step / 4)
        assert optimizers["critic"].lr == 0.1 * (1 - step / 4)


def test_the_rates_that_a_file_may_hold_are_those_there_are():
    for name in (*rates.SCHEDULES, "steps"):
        period = {"step": 0, "rates": {}, "schedule": {"name": name, "steps": 1}}
        if name in rates.SCHEDULES:
            PERIOD(period, "period")
        else:
            with pytest.raises(ValueError, match="schedule.name is 'steps', expected 'linear' or"):
                PERIOD(period, "period")


def test_no_more_changes_are_kept_than_a_file_may_hold():
    optimizer = mg.SGD(mg.Sequential([mg.Dense(1, 1)]), 1.0)
    periods = []
    for step in range(1100):
        optimizer.lr = 1 + step
        of_run = rates.Rates({"generator": optimizer}, "constant", 5)
        of_run.resume(step, periods)
        periods = of_run.periods
    assert [period["step"] for period in periods] == [*range(100, 1100)]
    RUN(RUN_OF_A_FILE | {"rates": periods}, "run")


def test_a_run_in_legs_has_the_same_rates(gan, pictures, tmp_path):
    whole, legs = tmp_path / "whole", tmp_path / "legs"
    command = words(pictures, legs, "--lr-schedule", "cosine")
    assert run(gan.main, *words(pictures, whole, "--lr-schedule", "cosine")) == 0
    for steps in (3, 5):
        module = example()
        at_step(module, steps, interrupt)
        assert run(module.main, *command) == 130
        command = ["--resume", "--out", legs]
    assert run(example().main, *command) == 0
    assert_same_results(legs, whole)


def interrupt(*_):
    signal.raise_signal(signal.SIGINT)


def test_a_step_that_sets_its_rates_itself_has_the_last_word(gan, pictures, tmp_path):
    def own(G, D, opt_g, opt_d):
        opt_g.lr = 0.25

    at_step(gan, 2, own)
    seen = watched(gan)
    assert run(gan.main, *words(pictures, tmp_path / "constant", "--steps", 3)) == 0
    assert seen == [(BASE, BASE), (0.25, BASE), (0.25, BASE)]

    module = example()
    at_step(module, 2, own)
    seen = watched(module)
    more = ["--steps", 4, "--lr-schedule", "linear"]
    assert run(module.main, *words(pictures, tmp_path / "linear", *more)) == 0
    assert seen[1] == (0.25, 0.75 * BASE) and seen[2] == (BASE / 2, BASE / 2)


def test_a_longer_run_goes_on_along_the_longer_schedule(gan, pictures, tmp_path, capsys):
    linear = words(pictures, tmp_path, "--lr-schedule", "linear")
    assert run(gan.main, *linear) == 0
    capsys.readouterr()
    module = example()
    seen = watched(module)
    assert run(module.main, "--resume", "--out", tmp_path, "--epochs", 4) == 0
    assert seen == [(BASE * (1 - step / 20),) * 2 for step in range(LAST_STEP, 20)]
    both = "learning rates generator 0.001, discriminator 0.001, linear from"
    line = f"from step 11 on: {both} 50% to 0 at step 20; before: {both} 0% to 0 at step 10\n"
    assert line in capsys.readouterr().err
    assert [p["schedule"]["steps"] for p in stored_run(tmp_path)["rates"]] == [10, 20]


# Changes.


def slower(G, D, opt_g, opt_d):
    opt_g.lr = opt_d.lr = 1e-4


def test_a_changed_rate_is_that_of_a_run_that_changes_there(gan, pictures, tmp_path, capsys):
    whole, changed = tmp_path / "whole", tmp_path / "changed"
    at_step(gan, STEPS_PER_EPOCH + 1, slower)
    assert run(gan.main, *words(pictures, whole)) == 0

    assert run(example().main, *words(pictures, changed, "--epochs", 1)) == 0
    capsys.readouterr()
    go_on = ["--resume", "--out", changed, "--steps"]
    assert run(example().main, *go_on, 8, "--lr", "1e-4") == 0
    line = (
        "from step 6 on: learning rates generator 0.0001, discriminator 0.0001; "
        "before: learning rates generator 0.001, discriminator 0.001\n"
    )
    assert capsys.readouterr().err.count(line) == 1
    assert run(example().main, *go_on, LAST_STEP) == 0  # the rate is remembered, nothing is said
    assert "from step" not in capsys.readouterr().err
    assert_same_training(changed, whole)

    periods = [
        {"step": step, "rates": {"generator": lr, "discriminator": lr}, "schedule": None}
        for step, lr in ((0, BASE), (STEPS_PER_EPOCH, 1e-4))
    ]
    config = json.loads((changed / "config.json").read_text())
    assert stored_run(changed)["rates"] == config["rates"] == periods
    assert stored_run(changed)["options"]["lr"] == config["lr"] == 1e-4
    assert run(main, "info", changed) == 0
    said = capsys.readouterr().out
    assert "  lr: 0.0001\n" in said and said.endswith(
        "from step 1 on: learning rates generator 0.001, discriminator 0.001\n"
        "from step 6 on: learning rates generator 0.0001, discriminator 0.0001\n"
    )


def test_a_schedule_may_come_later(gan, pictures, tmp_path):
    assert run(gan.main, *words(pictures, tmp_path, "--epochs", 1)) == 0
    module = example()
    seen = watched(module)
    more = ["--epochs", 2, "--lr-schedule", "linear"]
    assert run(module.main, "--resume", "--out", tmp_path, *more) == 0
    assert [lr for lr, _ in seen] == [BASE * (1 - step / LAST_STEP) for step in range(5, 10)]


@pytest.mark.parametrize("more, schedule", [
    ([], "linear"), (["--lr-schedule", "cosine"], "cosine"), (["--original"], "constant"),
])  # fmt: skip
def test_the_rates_of_m6_fall_by_default(pictures, tmp_path, more, schedule):
    few = ["--steps", 1, "--width", 0.02, *more]
    assert run(parity.example("anime_dcgan").main, *words(pictures, tmp_path / "out", *few)) == 0
    assert stored_run(tmp_path / "out")["options"]["lr_schedule"] == schedule


def test_a_change_that_has_been_said_outlives_a_kill(gan, pictures, tmp_path):
    """Killed before its first step, and resumed without saying it again."""
    assert run(gan.main, *words(pictures, tmp_path, "--epochs", 1)) == 0
    module = example()
    at_step(module, 1, killed)
    with pytest.raises(SystemError):
        run(module.main, "--resume", "--out", tmp_path, "--epochs", 2, "--lr", "1e-4")
    module = example()
    seen = watched(module)
    assert run(module.main, "--resume", "--out", tmp_path) == 0
    assert seen == [(1e-4, 1e-4)] * STEPS_PER_EPOCH


def killed(*_):
    raise SystemError


def test_a_rate_that_no_step_was_made_with_is_forgotten(gan, pictures, tmp_path):
    assert run(gan.main, *words(pictures, tmp_path, "--epochs", 1)) == 0
    before = stored_run(tmp_path)
    for lr in ("1e-4", "2e-4", "1e-3"):  # nothing is left to do
        assert run(example().main, "--resume", "--out", tmp_path, "--lr", lr) == 0
        assert stored_run(tmp_path)["options"]["lr"] == float(lr)
        assert len(stored_run(tmp_path)["rates"]) == (1 if lr == "1e-3" else 2)
    assert stored_run(tmp_path) == before


@pytest.mark.parametrize(
    "example_name, options",
    [
        ("mnist_gan", {"lr"}),
        ("dcgan", {"lr_g", "lr_d"}),
        ("mnist_conv_gan", {"lr_g", "lr_d"}),
        ("anime_dcgan", {"lr", "lr_d"}),
        ("wgan_gp", {"lr"}),
    ],
)
def test_the_rates_are_free_and_other_options_are_not(monkeypatch, example_name, options):
    free = parser_of(parity.example(example_name), monkeypatch).free
    assert free - {"lr_schedule"} >= options and "lr_schedule" in free
    assert not free & {"b1", "batch_size", "seed", "gp_weight", "average", "init_from"}


def test_other_options_are_refused_beside_a_rate(gan, pictures, tmp_path, capsys):
    assert run(gan.main, *words(pictures, tmp_path, "--epochs", 1)) == 0
    before = (tmp_path / "checkpoint.npz").read_bytes()
    capsys.readouterr()
    assert run(gan.main, "--resume", "--out", tmp_path, "--lr", "1e-4", "--b1", "0.9") == 2
    said = capsys.readouterr().err
    assert said.endswith("another configuration: b1 is 0.5 there, 0.9 here\n")
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


def test_in_a_notebook_the_optimizers_say_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def cell(lr, epochs):
        G = mg.Sequential([mg.Dense(4, 784), mg.Tanh(), mg.Reshape((28, 28, 1))], seed=1)
        D = mg.Sequential([mg.Flatten(), mg.Dense(784, 1)], seed=2)
        opt_g, opt_d = mg.Adam(G, lr), mg.Adam(D, 2e-3)
        run = training.Run(
            training.settings("mine", epochs=epochs, batch_size=4, resume=True),
            data.load("digits", limit=8),
            {"generator": G, "discriminator": D},
            {"generator": opt_g, "discriminator": opt_d},
            latent=training.Latent(4),
        )
        for real in run:
            z = run.draw_latent("D step"), run.draw_latent("G step")
            run.log(**training.gan_step(G, D, opt_g, opt_d, real, *z))

    cell(1e-3, 1)
    cell(5e-4, 2)
    assert "from step 3 on: learning rates generator 0.0005, discriminator 0.002; before: lear" in (
        capsys.readouterr().err
    )
    periods = stored_run(tmp_path / "runs" / "mine")["rates"]
    assert [p["rates"]["generator"] for p in periods] == [1e-3, 5e-4]


def test_a_run_from_before_there_were_rates_goes_on(gan, pictures, tmp_path, capsys):
    assert run(gan.main, *words(pictures, tmp_path, "--epochs", 1)) == 0
    path = tmp_path / "checkpoint.npz"
    description = Checkpoint(path).description
    del description["run"]["rates"], description["run"]["options"]["lr_schedule"]
    del description["run"]["options"]["init_from"]
    path.write_bytes(with_description(path, description))
    capsys.readouterr()
    assert run(gan.main, "--resume", "--out", tmp_path, "--epochs", 2) == 0
    assert "from step" not in capsys.readouterr().err
    assert [period["step"] for period in stored_run(tmp_path)["rates"]] == [STEPS_PER_EPOCH]

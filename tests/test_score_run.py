"""Scores of runs: the command, the columns of a history, and the checkpoints that are kept."""

import os
import re
import shutil

import numpy as np
import pytest
from helpers import STEPS_PER_EPOCH, arrays, assert_same_results, run, words, write_idx

import minigan as mg
from minigan import data
from minigan.__main__ import main
from minigan.data import Dataset
from minigan.score import classifier
from minigan.training import keep, origin, scoring
from minigan.training.checkpoint import Checkpoint
from minigan.training.history import History
from minigan.training.latent import Latent
from minigan.training.pictures import to_uint8

SCORED = "--score-every", 1, "--keep-best", "kernel", "--keep", 2
COLUMNS = "frechet", "kernel", "precision", "recall"
EPOCHS = 4


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """As many pictures as a Frechet distance needs: five batches of 40."""
    return write_idx(tmp_path_factory.mktemp("many") / "idx", 200)


def scored_words(many, out, *more):
    return words(many, out, "--batch-size", 40, "--epochs", EPOCHS, *SCORED, *more)


@pytest.fixture
def scored(gan, many, tmp_path):
    """The folder of a run whose pictures are scored after each epoch."""
    assert run(gan.main, *scored_words(many, tmp_path / "scored")) == 0
    return tmp_path / "scored"


def step_of(path):
    return Checkpoint(path).run["step"]


# The columns, and what is kept.


def test_a_scored_run(scored, capsys):
    columns = History.read(scored / "history.csv")
    assert {*COLUMNS} <= columns.keys()
    ends = columns["step"] % STEPS_PER_EPOCH == 0
    for name in COLUMNS:
        assert np.isfinite(columns[name][ends]).all() and np.isnan(columns[name][~ends]).all()
    assert np.isfinite(columns["d_loss"]).all()
    best = columns["step"][ends][columns["kernel"][ends].argmin()]
    assert step_of(scored / "best.npz") == best
    assert sorted(path.name for path in scored.glob("checkpoint*")) == [
        "checkpoint.npz", "checkpoint_0003.npz", "checkpoint_0004.npz",
    ]  # fmt: skip
    assert step_of(scored / "checkpoint_0003.npz") == 3 * STEPS_PER_EPOCH
    last, numbered = (arrays(scored / f"checkpoint{n}.npz") for n in ("", "_0004"))
    assert all(np.array_equal(last[name], numbered[name]) for name in last)


def test_the_command_has_the_figures_of_the_history(scored, capsys):
    capsys.readouterr()
    assert run(main, "score", scored, "--count", 100) == 0
    first = capsys.readouterr().out
    assert run(main, "score", scored / "checkpoint.npz", "--count", 5000) == 0  # of 100 there are
    assert capsys.readouterr().out == first
    columns = History.read(scored / "history.csv")
    for name in COLUMNS:
        [value] = re.findall(rf"(?m)^{name} +(\S+)", first)
        np.testing.assert_allclose(float(value), columns[name][-1], 1e-3, 1e-4)
    assert "100 pictures of each set" in first and "not Inception's" in first


def test_what_is_scored_is_what_sample_draws(scored):
    checkpoint = Checkpoint(scored / "checkpoint.npz")
    run, G = checkpoint.run, checkpoint.networks()["generator"]
    dataset, latent = origin.load(run, limit=None, notify=print), Latent(**run["latent"])
    scores, seen = scoring.Scoring(dataset, run, latent, device="cpu", notify=print), []
    scores.scorer.scores = lambda batches, labels: seen.extend(batches)
    scores.scores(G)
    drawn = to_uint8(mg.load(scored).sample(100), (-1, 1))
    np.testing.assert_array_equal(np.concatenate(seen), drawn)


def test_scores_change_nothing_else_of_a_run(gan, many, scored, tmp_path):
    assert run(gan.main, *words(many, "plain", "--batch-size", 40, "--epochs", EPOCHS)) == 0
    plain, columns = (History.read(f / "history.csv") for f in (tmp_path / "plain", scored))
    for name in plain:
        np.testing.assert_array_equal(plain[name], columns[name], name)
    last, there = (arrays(f / "checkpoint.npz") for f in (tmp_path / "plain", scored))
    assert np.array_equal(last["generator/params"], there["generator/params"])


@pytest.mark.host
def test_a_scored_run_killed_before_any_change_of_a_file_goes_on(
    gan, many, scored, tmp_path, monkeypatch
):
    # As of a run without scores: what a kill leaves is on the disk, so a copy stands for it.
    out, copies = tmp_path / "out", []

    def copying(change):
        def copy_then_change(*arguments):
            copies.append(shutil.copytree(out, tmp_path / f"killed{len(copies)}"))
            change(*arguments)

        return copy_then_change

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", copying(os.replace))
        patch.setattr(os, "unlink", copying(os.unlink))
        assert run(gan.main, *scored_words(many, out)) == 0
    trained = [copy for copy in copies if (copy / "checkpoint.npz").exists()]
    assert len(trained) > 5 * EPOCHS
    for copy in trained:
        there = {path.name for path in copy.glob("checkpoint_*")}
        done = step_of(copy / "checkpoint.npz") // STEPS_PER_EPOCH
        assert {keep.NUMBERED.format(e) for e in range(max(1, done - 1), done + 1)} <= there
    for copy in [*trained[::3], *trained[-2:]]:
        assert run(gan.main, "--resume", "--out", copy) == 0
        assert_same_results(copy, scored)


def test_leaving_the_loop_at_the_end_of_an_epoch_scores_it(gan, many, scored, tmp_path):
    """A break in the body, after the step that ends an epoch, is saved with the score."""
    out, log = tmp_path / "out", mg.training.Run.log

    def log_and_leave(self, **values):
        log(self, **values)
        if self.step + 1 == 2 * STEPS_PER_EPOCH:
            raise LeftError

    class LeftError(Exception):
        pass

    with pytest.MonkeyPatch.context() as patch, pytest.raises(LeftError):
        patch.setattr(mg.training.Run, "log", log_and_leave)
        run(gan.main, *scored_words(many, out))
    assert step_of(out / "checkpoint.npz") == 2 * STEPS_PER_EPOCH
    assert run(gan.main, "--resume", "--out", out) == 0
    assert_same_results(out, scored)


def test_what_may_change_on_resume(gan, many, scored, capsys):
    capsys.readouterr()
    more = "--epochs", EPOCHS + 1, "--score-every", 2, "--keep", 1, "--keep-best", "recall"
    assert run(gan.main, "--resume", "--out", scored, *more) == 0
    assert [path.name for path in scored.glob("checkpoint_*")] == ["checkpoint_0005.npz"]
    assert run(gan.main, *words(many, "other", "--keep-best", "recall")) == 2
    assert "--keep-best recall needs --score-every EPOCHS" in capsys.readouterr().err


def test_the_best_by_a_score_that_so_few_pictures_have_not(gan, pictures, tmp_path, capsys):
    few = words(pictures, tmp_path / "few", "--score-every", 1, "--keep-best")
    assert run(gan.main, *few, "frechet") == 2
    message = "--keep-best frechet: no Frechet distance: it needs more than 64 pictures a set"
    assert message in capsys.readouterr().err
    assert run(gan.main, *few, "kernel") == 0
    assert (tmp_path / "few" / "best.npz").exists()


def test_the_best_is_the_first_of_the_best():
    columns = {"step": np.arange(1, 7), "recall": np.array([np.nan, 0.5, np.nan, 0.5, 0.6, 0.1])}
    columns["frechet"] = np.where(np.isnan(columns["recall"]), np.nan, 1 - columns["recall"])
    for score in ("recall", "frechet"):  # the one high, the other low
        best = [
            step
            for step in range(1, 7)
            if keep.is_best({name: v[:step] for name, v in columns.items()}, score, step)
        ]
        assert best == [2, 5]
    assert not keep.is_best(columns | {"recall": np.full(6, np.nan)}, "recall", 6)


def test_only_checkpoints_of_old_epochs_are_forgotten(tmp_path):
    names = [*map(keep.NUMBERED.format, range(1, 12)), "checkpoint_mine.npz", "checkpoint.npz"]
    for name in names:
        (tmp_path / name).touch()
    keep.forget(tmp_path, 9, 3)  # epochs beyond the ninth are of a run that went further
    assert {path.name for path in tmp_path.iterdir()} == {*names[6:]}


def test_an_epoch_that_has_only_begun_replaces_none(gan, many, tmp_path):
    more = "--batch-size", 40, "--steps", 2 * STEPS_PER_EPOCH + 1, "--keep", 1
    assert run(gan.main, *words(many, "out", *more)) == 0
    assert [path.name for path in (tmp_path / "out").glob("checkpoint_*")] == [
        "checkpoint_0002.npz"
    ]


# Conditional generators, and the data of a run.


class Copyist:
    """Stands in for a generator that draws pictures of the data, by the label it is asked for."""

    xp, dtype = np, np.dtype("float32")

    def __init__(self, dataset, shift=0):
        images = dataset.images.astype(np.float32) / 127.5 - 1
        self.kinds = [images[dataset.labels == (k + shift) % 10] for k in range(10)]

    def forward(self, codes, train):
        assert not train
        kinds = codes[:, -10:].argmax(axis=1)
        return np.stack([self.kinds[k][i % 100] for i, k in enumerate(kinds)]), None


DIGITS = {
    "name": "digits", "options": {"data": "digits"},
    "data": {"name": "digits", "count": 1500, "shape": [28, 28, 1]},
    "latent": {"classes": [*"0123456789"]}, "value_range": [-1, 1], "step": 1,
}  # fmt: skip


@pytest.mark.host
def test_a_conditional_generator_is_asked_for_the_labels_of_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(classifier, "STEPS", 150)
    dataset, latent = (
        data.load("digits", limit=1500),
        Latent(3, classes=DIGITS["latent"]["classes"]),
    )
    scores = scoring.Scoring(dataset, DIGITS, latent, count=300, device="cpu", notify=print)
    assert scores.scorer.parts.held_out
    right, wrong = (scores.scores(Copyist(dataset, shift))["labelled"] for shift in (0, 1))
    assert right > 0.8 and wrong < 0.2
    unlabelled = Dataset(dataset.images, None, "mine", "here")
    with pytest.raises(mg.UserError, match="data mine has not their labels"):
        scoring.Scoring(unlabelled, DIGITS, latent, device="cpu", notify=print)
    single = Dataset(dataset.images[:40], np.zeros(40, int), "mine", "here")
    one = Latent(3, classes=["zero"])  # no classifier learns one label, and yet it is asked for
    assert not scoring.Scoring(single, DIGITS, one, device="cpu", notify=print).labels.any()
    points = DIGITS | {"data": {"name": "ring", "count": 1500, "shape": [2]}}
    with pytest.raises(mg.UserError, match="scores are of images, and this run draws points"):
        scoring.Scoring(dataset, points, latent, device="cpu", notify=print)


def test_a_test_set_is_of_the_same_source(tmp_path, monkeypatch):
    run = DIGITS | {"latent": {}}
    train = data.load("digits", limit=50)
    assert len(origin.load_test(run, train)) == 4000
    assert origin.load_test(run, Dataset(train.images, None, "mine", "in memory")) is None
    folder = tmp_path / "train and test"
    path = write_idx(folder, 9)
    one = {"options": {"data": path}, "data": {"name": "mnist", "shape": [28, 28, 1]}}
    assert origin.load_test(run | one, data.load(path)) is None  # a training set alone
    (folder / "t10k-images-idx3-ubyte").write_bytes(
        (folder / "train-images-idx3-ubyte").read_bytes()
    )
    assert len(origin.load_test(run | one, data.load(path))) == 9
    file = str(folder / "train-images-idx3-ubyte")  # a file is the same, whatever is asked for
    one["options"]["data"] = file
    assert origin.load_test(run | one, data.load(file)) is None


@pytest.mark.parametrize("options", [
    {}, {"data": None}, {"data": 5}, {"data": ["digits"]},
    {"data": "digits", "fit": "no"}, {"data": "digits", "attribute": 1, "attributes": 2.5},
])  # fmt: skip
def test_what_a_stranger_s_options_say_of_the_data(options):
    run = DIGITS | {"options": options, "data": DIGITS["data"] | {"name": "cifar10"}}
    with pytest.raises(mg.UserError):
        origin.load(run, limit=9, notify=print)


@pytest.mark.parametrize("more, message", [
    (["gone"], "no checkpoint at gone"),
    (["scored", "--data", "gone"], "the data of the run is not here: data gone: no such file"),
    (["scored", "--count", 3], "'3' is not an integer of at least 4"),
    (["plain.npz"], "plain.npz has no generator of a run"),
])  # fmt: skip
def test_the_command_refuses(scored, capsys, more, message):
    mg.Sequential([mg.Dense(2, 1)], name="plain").save("plain.npz")
    capsys.readouterr()
    assert run(main, "score", *more) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and message in captured.err

"""The batches of a run: mirrored images, and labels that are what the generator draws."""

import numpy as np
import pytest
from helpers import STEPS_PER_EPOCH, arrays, run, words

import minigan as mg
from minigan import data, training
from minigan.errors import UserError
from minigan.training.batches import Batches, check_classes

IMAGES = np.random.default_rng(7).integers(0, 256, (200, 4, 6, 3), np.uint8)


def batches(size=50, seed=0, xp=np, **options):
    return Batches(
        data.from_arrays(IMAGES), size, seed=seed, classes=0, value_range=(0, 255),
        dtype="float32", xp=xp, **options,
    )  # fmt: skip


def turned(step, **options):
    """Which images of the batch of a step are mirrored; asserts that the others are as they are."""
    plain, found = (
        mg.to_host(batches(mirror=mirror, **options).at(step)) for mirror in (False, True)
    )
    same, other = ((found == way).all(axis=(1, 2, 3)) for way in (plain, plain[:, :, ::-1]))
    assert (same ^ other).all()
    return other


def test_half_of_a_batch_is_mirrored_and_always_the_same_half():
    every = [turned(step) for step in range(40)]  # ten epochs
    assert 0.45 < np.mean(every) < 0.55
    assert len({other.tobytes() for other in every}) == 40, "others at every step"
    assert np.array_equal(turned(7), every[7]) and not np.array_equal(turned(7, seed=1), every[7])
    assert np.array_equal(turned(7, size=20), every[7][:20]), "by the place in the batch alone"


def test_the_data_itself_stays_as_it_is(monkeypatch):
    before = IMAGES.copy()
    some = batches(mirror=True)
    for step in range(8):
        some.at(step)
    assert np.array_equal(some.dataset.images, before)
    assert np.array_equal(some.images(slice(9)), before[:9].astype(np.float32))


@pytest.mark.parametrize("resident", [True, False])
def test_the_same_images_are_mirrored_on_a_gpu(gpu, monkeypatch, resident):
    monkeypatch.setattr("minigan.training.feed.SHARE", 0.5 if resident else 0.0)
    some = batches(mirror=True, xp=gpu)
    assert some.feed.resident == resident
    for step in (0, 5):
        np.testing.assert_array_equal(mg.to_host(some.at(step)), batches(mirror=True).at(step))


def test_a_run_with_mirrored_images_goes_on_bit_for_bit(gan, pictures, tmp_path, whole, capsys):
    mirrored, parts = tmp_path / "mirrored", tmp_path / "parts"
    assert run(gan.main, *words(pictures, mirrored, "--mirror")) == 0
    assert run(gan.main, *words(pictures, parts, "--mirror", "--steps", STEPS_PER_EPOCH + 2)) == 0
    assert run(gan.main, "--resume", "--out", parts, "--epochs", 2) == 0
    plain, expected, found = (
        arrays(folder / "checkpoint.npz") for folder in (whole, mirrored, parts)
    )
    for name in ("generator/params", "discriminator/params", "discriminator/optimizer/v"):
        assert np.array_equal(found[name], expected[name])
        assert not np.array_equal(found[name], plain[name])
    assert (parts / "history.csv").read_bytes() == (mirrored / "history.csv").read_bytes()
    capsys.readouterr()
    assert run(gan.main, "--resume", "--out", whole, "--mirror", "--epochs", 3) == 2
    assert "mirror is False there, True here" in capsys.readouterr().err


def test_labels_are_what_the_generator_draws():
    pets = data.from_arrays(IMAGES[:4], ["cat", "dog"] * 2)
    check_classes(pets, ("cat", "dog"))
    check_classes(pets, ())  # of a generator that draws whatever comes
    check_classes(data.from_arrays(IMAGES), ("cat", "dog"))  # which Batches refuses
    for names in (("dog", "cat"), ("0", "1"), ("cat",)):
        with pytest.raises(UserError, match="has the classes cat, dog, the generator draws"):
            check_classes(pets, names)


def test_a_run_refuses_data_of_other_classes(gan, tmp_path):
    parser = training.parser("A run.", name="pets", epochs=1, batch_size=2)
    options = training.parse(parser, ["--out", str(tmp_path)])
    pets = data.from_arrays(IMAGES[:4], ["cat", "dog"] * 2)
    with pytest.raises(UserError, match="has the classes cat, dog, the generator draws 0, 1: give"):
        training.Run(options, pets, {}, {}, latent=training.Latent(5, classes=("0", "1")))

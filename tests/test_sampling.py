"""Pictures out of a run: by number, each by itself, on the way between two, in one line."""

import math
import os

import numpy as np
import pytest
from helpers import run
from PIL import Image

import minigan as mg
from minigan.__main__ import main
from minigan.errors import UserError
from minigan.training import Latent
from minigan.training.checkpoint import save
from minigan.training.latent import arc
from minigan.training.pictures import grid, to_uint8

KINDS = ("car", "cat", "horse")
SIZE = 5  # of z


def write(folder, shape, layers, *, kind="normal", classes=(), value_range=(-1, 1)):
    """The checkpoint of a run in this folder that draws pictures of `shape` with these layers."""
    data = dict(name="own", count=9, shape=list(shape), crc32=0)
    latent = dict(size=SIZE, kind=kind, low=-1.0, high=1.0, classes=list(classes))
    stored = dict(name="own", options={}, data=data, latent=latent, step=1)
    network = mg.Sequential(layers, name="generator")
    save(
        folder / "checkpoint.npz",
        {"generator": network},
        run=stored | {"value_range": list(value_range)},
    )
    return folder


@pytest.fixture
def painter(tmp_path):
    """Makes a run whose pictures are of any shape."""

    def make(shape, **more):
        inputs = SIZE + len(more.get("classes", ()))
        dense = mg.Dense(inputs, math.prod(shape), weight_init=mg.init.Normal(0.5))
        return write(tmp_path, shape, [dense, mg.Tanh(), mg.Reshape(shape)], **more)

    return make


@pytest.fixture
def mirror(tmp_path):
    """Makes a run whose pictures are what the generator reads, z and code, in a row."""

    def make(**more):
        shape = (1, SIZE + len(more.get("classes", ())), 1)
        return write(tmp_path, shape, [mg.Reshape(shape)], value_range=(-5, 5), **more)

    return make


SHAPES = [(6, 9, 1), (9, 6, 3), (6, 9, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [(), KINDS])
def test_a_line_of_python_draws_what_the_command_draws(painter, tmp_path, shape, classes):
    folder = painter(shape, classes=classes)
    label = ["--label", "horse"] if classes else []
    for out in ("s.png", "s.npy"):
        assert run(main, "sample", folder, "--count", 7, "--seed", 3, *label, "--out", out) == 0
    loaded = mg.load(folder)
    asked = dict(seed=3, label="horse" if classes else None)
    images, sheet = loaded.sample(7, **asked), loaded.sheet(7, **asked)
    assert images.dtype == np.float32 and images.shape == (7, *shape)
    np.testing.assert_array_equal(images, np.load("s.npy"))
    with Image.open("s.png") as written:
        assert written.mode == sheet.mode == {1: "L", 3: "RGB", 4: "RGBA"}[shape[2]]
        np.testing.assert_array_equal(np.asarray(written), np.asarray(sheet))


def test_a_run_by_its_folder_or_its_file(painter):
    folder = painter((4, 4, 1))
    for path in (folder, str(folder), folder / "checkpoint.npz"):
        loaded = mg.load(path)
        ((name, network),) = loaded.items()
        assert name == "generator" and loaded["generator"] is network
        assert loaded.path == folder / "checkpoint.npz" and loaded.run["name"] == "own"


def test_the_networks_at_hand_draw(painter):
    """Not those of the file once more: what somebody has changed is seen."""
    loaded = mg.load(painter((4, 4, 1)))
    loaded["generator"].params[...] = 0
    assert not loaded.sample(2).any()


def test_a_picture_is_named_by_its_number(mirror):
    loaded = mg.load(mirror(classes=KINDS))
    sheet = loaded.sample(12, seed=4)
    z = Latent(SIZE).draw(12, seed=4, where="sample")
    np.testing.assert_array_equal(sheet[:, 0, :SIZE, 0], z)
    np.testing.assert_array_equal(sheet[:, 0, SIZE:, 0].argmax(axis=1), np.arange(12) % 3)
    np.testing.assert_array_equal(loaded.sample(pick=[7, 3, 7], seed=4), sheet[[7, 3, 7]])
    codes = loaded.sample(pick=[3, 7], label=["cat", 2])[:, 0, SIZE:, 0]
    assert codes.tolist() == [[0, 1, 0], [0, 0, 1]]


def test_each_by_itself(painter, tmp_path, capsys):
    folder = painter((6, 9, 4))
    out = ["--each", "each", "--out", "s.npy"]
    assert run(main, "sample", folder, "--pick", 11, 2, *out) == 0
    assert "2 pictures in s.npy and each" in capsys.readouterr().out
    assert sorted(os.listdir("each")) == ["0002.png", "0011.png"]
    levels = to_uint8(mg.load(folder).sample(12), (-1, 1)).astype(int)
    for number, alone in zip((11, 2), np.load("s.npy")):
        with Image.open(f"each/{number:04d}.png") as picture:
            assert np.abs(np.asarray(picture) - levels[number]).max() <= 1  # rounded otherwise
            np.testing.assert_array_equal(np.asarray(picture), to_uint8(alone, (-1, 1)))


def test_each_replaces_no_file(painter, capsys):
    folder = painter((6, 9, 3))
    os.mkdir("each")
    with open("each/0003.png", "w") as file:
        file.write("mine")
    assert run(main, "sample", folder, "--each", "each", "--out", "s.png") == 2
    assert "each/0003.png is there already: give another folder" in capsys.readouterr().err
    assert os.listdir("each") == ["0003.png"] and not os.path.exists("s.png")
    with open("each/0003.png") as file:
        assert file.read() == "mine"


# The way between.


def test_normal_z_stay_on_their_sphere_and_uniform_z_in_their_cube():
    share = np.linspace(0, 1, 9)
    for seed in range(20):
        for kind in ("normal", "uniform"):
            latent = Latent(64, kind)
            a, b = latent.draw(2, seed=seed, where="ends")
            way = latent.between(a, b, share)
            assert way.dtype == np.float32 and way.shape == (9, 64)
            np.testing.assert_array_equal(way[[0, -1]], [a, b])
            lengths = np.linalg.norm(way, axis=1)
            if kind == "normal":
                assert lengths.min() > 0.97 * min(lengths[0], lengths[-1])
                turned = np.arccos(np.sum(way[1:] * way[:-1], 1) / lengths[1:] / lengths[:-1])
                if abs(lengths[0] / lengths[-1] - 1) < 0.01:  # at one speed
                    assert np.ptp(turned) < 0.01
            else:
                assert np.abs(way).max() < 1 and lengths[4] < 0.9 * lengths[[0, -1]].max()


def test_an_arc_of_unit_vectors_is_the_circle():
    share = np.array([0, 1 / 3, 0.5, 1])
    way = arc(np.array([2.0, 0.0]), np.array([0.0, 2.0]), share)
    np.testing.assert_allclose(way, 2 * np.c_[np.cos(share * np.pi / 2), np.sin(share * np.pi / 2)],
                               atol=1e-15)  # fmt: skip


@pytest.mark.parametrize("factor", [1.0, 3.0, -2.0])
def test_an_arc_between_parallel_vectors_is_straight(factor):
    a = np.arange(1.0, 5.0, dtype="float32")
    way = arc(a, factor * a, np.array([0, 0.5, 1]))
    np.testing.assert_allclose(way, np.outer([1, (1 + factor) / 2, factor], a), rtol=1e-6)


def test_a_way_has_its_pictures_for_ends(mirror):
    loaded = mg.load(mirror(classes=KINDS))
    sheet = loaded.sample(12, seed=4)
    ways = loaded.interpolate([3, 7, 11], 5, seed=4)
    assert ways.shape == (2, 5, *sheet.shape[1:]) and ways.dtype == np.float32
    np.testing.assert_array_equal(ways[:, 0], sheet[[3, 7]])
    np.testing.assert_array_equal(ways[:, -1], sheet[[7, 11]])
    straight = loaded.interpolate([3, 7], 5, seed=4, straight=True)[0]
    np.testing.assert_allclose(straight[2], (sheet[3] + sheet[7]) / 2, rtol=1e-6)
    assert np.linalg.norm(straight[2, :, :SIZE]) < np.linalg.norm(ways[0, 2, :, :SIZE])


def test_from_one_label_to_another_with_the_same_z(mirror):
    (way,) = mg.load(mirror(classes=KINDS)).interpolate([6, 6], 3, label=["horse", "cat"])
    assert (way[..., :SIZE, :] == way[0, :, :SIZE]).all()
    assert way[:, 0, SIZE:, 0].tolist() == [[0, 0, 1], [0, 0.5, 0.5], [0, 1, 0]]


@pytest.mark.parametrize("shape", SHAPES)
def test_interpolate_as_a_sheet_and_as_an_animation(painter, tmp_path, shape, capsys):
    folder = painter(shape, kind="uniform")
    asked = ["--between", 0, 5, 2, "--steps", 4, "--seed", 1]
    for out in ("w.png", "w.gif"):
        assert run(main, "interpolate", folder, *asked, "--out", out) == 0
        assert capsys.readouterr().out == f"2 x 4 pictures in {out}\n"
    levels = to_uint8(mg.load(folder).interpolate([0, 5, 2], 4, seed=1), (-1, 1))
    with Image.open("w.png") as sheet:
        expected = grid(levels.reshape(8, *shape), columns=4)
        np.testing.assert_array_equal(np.asarray(sheet), expected.squeeze())
    there = [0, 1, 2, 3, 5, 6, 7]  # the end of one way is the beginning of the next
    with Image.open("w.gif") as gif:
        assert gif.n_frames == 12 and gif.width * shape[0] == gif.height * shape[1]
        scale = gif.width // shape[1]
        for index, number in enumerate(there + there[-2:0:-1]):
            gif.seek(index)
            if shape[2] == 1:
                shown = np.asarray(gif.convert("L"))[::scale, ::scale]
                np.testing.assert_array_equal(shown, levels.reshape(8, *shape)[number, ..., 0])


# What is refused, in one line.


@pytest.mark.parametrize(
    "command, message",
    [
        (["sample", "--pick"], "argument --pick: expected at least one argument"),
        (["sample", "--pick", "-1", "--out", "x.png"], "'-1' is not an integer of at least 0"),
        (["sample", "--pick", 1, "--count", 2, "--out", "x.png"], "not allowed with argument"),
        (["sample", "--pick", 10**15, "--out", "x.png"], "the z of picture 1000000000000000 and"),
        (["sample", "--count", 10**15, "--each", "x"], "1000000000000000 pictures would take"),
        (
            ["interpolate", "--between", 0, 1, "--steps", 10**15, "--out", "x.png"],
            "1000000000000000 pictures would take",
        ),
        (["sample", "--label", "cow", "--out", "x.png"], "this generator knows car, cat"),
        (["sample", "--each", "run.txt"], "cannot write run.txt/0000.png: "),
        (["interpolate", "--out", "x.gif"], "required: --between"),
        (["interpolate", "--between", 3, "--out", "x.gif"], "--between 3: give the numbers of two"),
        (["interpolate", "--between", 3, 4, "--out", "x.npy"], "must end in .png or .gif"),
        (["interpolate", "--between", 3, 4, "--steps", 1, "--out", "x.gif"], "at least 2"),
        (
            ["interpolate", "--between", 3, 4, 5, "--label", "car", "cat", "--out", "x.gif"],
            "2 labels, 3 pictures: give one, or one for each",
        ),
    ],
)  # fmt: skip
def test_refused(painter, tmp_path, capsys, command, message):
    folder = painter((4, 4, 1), classes=KINDS)
    (tmp_path / "run.txt").write_text("mine")
    what, *words = command
    assert run(main, what, folder, *words) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err
    assert sorted(os.listdir()) == ["checkpoint.npz", "run.txt"]


def test_refused_in_python(painter, tmp_path):
    loaded = mg.load(painter((4, 4, 1), classes=[f"kind {n}" for n in range(1000)]))
    with pytest.raises(UserError) as error:
        loaded.sample(label="cow")
    assert len(str(error.value)) < 300
    for wrong in ([], [-1]):
        with pytest.raises(ValueError, match="give one or more numbers from 0 on"):
            loaded.sample(pick=wrong)
    with pytest.raises(ValueError, match="give two or more of both"):
        loaded.interpolate([1])
    loaded["generator"].save(tmp_path / "network.npz")
    alone = mg.load(tmp_path / "network.npz")
    for draw in (alone.sample, alone.sheet, lambda: alone.interpolate([0, 1])):
        with pytest.raises(UserError, match="nothing to sample from"):
            draw()


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

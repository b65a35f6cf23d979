"""Files from strangers: data, never a traceback, and never the measure of our memory.

Each fuzzer has a seed, and every case of it ends as it should: with the result that the file
stands for, or with one line that says what is wrong with it.
"""

import contextlib
import gzip
import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from helpers import arrays, environment, idx_bytes, npz_bytes, parser_of, python, run, words
from PIL import Image

import minigan as mg
from minigan import archive, data
from minigan.__main__ import main as tools
from minigan.data import cifar
from minigan.errors import UserError
from minigan.training.checkpoint import Checkpoint, save
from minigan.training.commands import info
from minigan.training.resume import bring_in
from minigan.training.sampling import Networks


def assert_one_line(error):
    text = str(error)
    assert text.isprintable() and len(text) < 2000, text


@pytest.fixture
def checkpoint(gan, pictures, tmp_path):
    """The path of a checkpoint of a short run."""
    assert run(gan.main, *words(pictures, tmp_path / "run", "--steps", 1)) == 0
    return tmp_path / "run" / "checkpoint.npz"


# Bits.


def test_no_flip_of_a_bit_gives_other_weights(tmp_path):
    """Every bit of a small archive, and of a large one those where the format is."""
    path = tmp_path / "net.npz"
    small = mg.Sequential([mg.Dense(3, 2), mg.BatchNorm(2)], name="net")
    large = mg.Sequential([mg.Dense(300, 200)], name="net")
    for network, most in ((small, 3000), (large, 500)):
        network.save(path)
        right, content = archive.read(path), path.read_bytes()
        begin = [at for at in range(len(content) - 4) if content[at : at + 2] == b"PK"]
        near = sorted(
            {at for start in begin for at in range(start, start + 300) if at < len(content)}
        )
        bits = [(at, bit) for at in near for bit in range(8)]
        random.Random(0).shuffle(bits)
        for at, bit in bits[:most]:
            damaged = bytearray(content)
            damaged[at] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                vectors, description = archive.read(path)
            except UserError as error:
                assert_one_line(error)
            else:
                assert description == right[1] and vectors.keys() == right[0].keys()
                for name, vector in vectors.items():
                    assert vector.dtype == right[0][name].dtype
                    assert np.array_equal(vector, right[0][name]), (at, bit)


# Descriptions.

ODD = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    3.7,
    1e308,
    -1e-320,
    float("nan"),
    float("inf"),
    10**30,
    2**63,
    "",
    "x",
    "Dense",
    "\x1b[31m\n",
    "é" * 300,
    "a" * 20_000,
    [],
    [1],
    [[[]]],
    {},
    {"class": "Dense"},
    {"class": 3},
    {"class": "Sequential", "layers": []},
    [{"class": "Normal"}],
    list(range(2000)),
]


def nodes(value, path=()):
    """All places in JSON-ready data, as paths."""
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from nodes(value[name], (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nodes(item, (*path, index))


def mutated(description, chance):
    """A copy with one to three places changed, dropped, doubled or put elsewhere."""
    copy = json.loads(json.dumps(description))
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        places = [path for path in nodes(copy) if path]
        if not places:
            break
        *way, last = chance.choice(places)
        inside = copy
        for step in way:
            inside = inside[step]
        act = chance.randrange(5)
        if act == 0:
            del inside[last]
        elif act == 1 and isinstance(inside, dict):
            inside[chance.choice(["class", "depth", "out", "name", "\n", str(last) + "x"])] = (
                inside[last]
            )
        elif act == 2 and isinstance(inside, list):
            inside.insert(last, inside[last])
        else:
            inside[last] = chance.choice(ODD)
    return copy


def with_description(path, description):
    """The bytes of an archive that has another description."""
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    return npz_bytes(**arrays(path) | {"description": text})


def test_no_description_gives_a_traceback(gan, checkpoint, tmp_path, capsys, monkeypatch):
    """2,000 changed ones through all that reads them: load, info, sample and resume."""
    stored, path = Checkpoint(checkpoint), tmp_path / "changed.npz"
    layers = [
        mg.Dense(100, 4, weight_init=mg.init.Normal(0.1)),
        mg.BatchNorm(4),
        mg.Reshape((2, 2, 1)),
        mg.UpSample2d(),
        mg.RandomShift(0.25),
        mg.SpectralNorm(mg.Conv2d(1, 1, 3)),
        mg.ConvTranspose2d(1, 1, (4, 2), stride=(7, 7)),
        mg.Sequential([mg.LeakyReLU(0.1), mg.Dropout(0.5, always=True)]),
        mg.Tanh(),
    ]
    run_stored = stored.run | {"data": stored.run["data"] | {"shape": [28, 28, 1]}}
    save(path, {"generator": mg.Sequential(layers, name="generator")}, run=run_stored)
    stored, original = Checkpoint(path), shutil.copy(path, tmp_path / "original.npz")
    right, chance = stored.description, random.Random(0)
    parser, good, refused = parser_of(gan, monkeypatch), 0, 0
    for _ in range(2000):
        path.write_bytes(with_description(original, mutated(right, chance)))
        options = parser.parse_args(["--out", "here"])
        capsys.readouterr()
        try:
            stored = Checkpoint(path)
            options.checkpoint = path
            info(options)
            Networks(stored).sample(1)
            bring_in(parser, stored, options, {})
            good += 1
        except UserError as error:
            assert_one_line(error)
            refused += 1
        assert capsys.readouterr().out.replace("\n", "").isprintable()
        assert str(options.out) == "here" and options.name == "mnist_gan"
    assert good > 20 and refused > 1500


def test_options_of_a_file_never_say_where_results_go(gan, checkpoint, tmp_path, capsys):
    description = Checkpoint(checkpoint).description
    for name in ("out", "resume", "command", "name", "summary"):
        changed = json.loads(json.dumps(description))
        changed["run"]["options"][name] = str(tmp_path / "elsewhere")
        checkpoint.write_bytes(with_description(checkpoint, changed))
        assert run(gan.main, "--resume", "--out", checkpoint.parent, "--steps", 2) == 2
        assert f"says {name} is" in capsys.readouterr().err
        assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [("data", 0, "expected a text"), ("lr", "0.001", "expected a number")],
)
def test_an_option_is_of_its_kind(gan, checkpoint, capsys, name, value, problem):
    """As words, a command line would take both."""
    changed = Checkpoint(checkpoint).description
    changed["run"]["options"][name] = value
    checkpoint.write_bytes(with_description(checkpoint, changed))
    assert run(gan.main, "--resume", "--out", checkpoint.parent, "--steps", 2) == 2
    assert f"says {name} is '{value}': {problem}" in capsys.readouterr().err


@pytest.mark.parametrize("seed", [None, 1e300, "x"])
def test_a_diagnosis_of_a_run_without_a_seed(checkpoint, capsys, seed):
    changed = Checkpoint(checkpoint).description
    changed["run"]["options"]["seed"] = seed
    checkpoint.write_bytes(with_description(checkpoint, changed))
    assert run(tools, "diagnose", checkpoint.parent) == 2
    assert "its generator does not draw" in capsys.readouterr().err


# Data.


def test_no_data_file_gives_a_traceback(tmp_path, monkeypatch):
    """2,000 damaged files of all kinds that --data takes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    chance = random.Random(1)
    images = idx_bytes(30)
    labels = struct.pack(">2I", 0x0801, 30) + bytes(i % 10 for i in range(30))
    records = b"".join(bytes([i % 10]) + bytes(3072) for i in range(4))
    archive_file, png = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=archive_file, mode="w:gz") as tar:
        for name in cifar.BATCHES["train"]:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(records)
            tar.addfile(member, io.BytesIO(records))
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(png, "PNG")
    npy_file, zip_file, tar_file = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(npy_file, np.zeros((4, 5, 5), np.uint8))
    with zipfile.ZipFile(zip_file, "w") as packed, tarfile.open(fileobj=tar_file, mode="w") as tar:
        for name in ("a/1.png", "b/2.png"):
            packed.writestr(name, png.getvalue())
            member = tarfile.TarInfo(name)
            member.size = len(png.getvalue())
            tar.addfile(member, io.BytesIO(png.getvalue()))
    kinds = {
        "train-images-idx3-ubyte": images,
        "train-images-idx3-ubyte.gz": gzip.compress(images),
        "train-labels-idx1-ubyte": labels,
        "data_batch_1.bin": records,
        "cifar-10-binary.tar.gz": archive_file.getvalue(),
        "picture.png": png.getvalue(),
        "faces.npy": npy_file.getvalue(),
        "faces.npz": npz_bytes(images=np.zeros((4, 5, 5), np.uint8), labels=[0, 1, 0, 1]),
        "set.zip": zip_file.getvalue(),
        "set.tar": tar_file.getvalue(),
        "set.tar.gz": gzip.compress(tar_file.getvalue()),
    }
    for number in range(2000):
        folder = tmp_path / str(number)
        folder.mkdir()
        name = chance.choice(list(kinds))
        content = bytearray(kinds[name])
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(min(len(content), chance.choice([32, len(content)])) or 1)
            act = chance.randrange(4)
            if act == 0:
                del content[at:]
            elif act == 1:
                content[at : at + 1] = bytes(chance.randrange(256) for _ in range(4))
            elif content:
                content[min(at, len(content) - 1)] ^= 1 << chance.randrange(8)
        (folder / name).write_bytes(content)
        if "labels" in name:
            (folder / "train-images-idx3-ubyte").write_bytes(images)
        for place in (folder, folder / name):
            with contextlib.suppress(UserError):
                loaded = data.load(place, notify=lambda line: assert_one_line(line))
                assert loaded.images.dtype == np.uint8 and loaded.images.ndim == 4


# Bombs: small files that claim, or unpack to, a great deal.


def dense_bomb(folder):
    described = dict(layers=[{"class": "Dense", "inputs": 11_000, "outputs": 11_000}])
    return "info", folder_with(folder, described_network(**described))


def forty_thousand_layers(folder):
    layers = [{"class": "ReLU"}] * 40_000
    return "info", folder_with(folder, described_network(layers=layers))


def described_network(layers):
    network = {"class": "Sequential", "layers": layers, "name": "d", "seed": 0, "dtype": "float32"}
    description = {
        "format": "minigan checkpoint",
        "version": 1,
        "networks": {"d": network},
        "optimizer_steps": {},
        "run": None,
    }
    return npz_bytes(description=np.frombuffer(json.dumps(description).encode(), np.uint8))


def folder_with(folder, content, name="bomb.npz"):
    (folder / name).write_bytes(content)
    return folder / name


def deflated_bomb(folder):
    path = folder_with(folder, described_network(layers=[]))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        with file.open("d/params.npy", "w") as member:
            np.lib.format.write_array(member, np.zeros(75_000_000, np.float32))
    return "info", path


def overlapping_bomb(folder):
    """One member of 30 MB, of which the directory has a hundred."""
    path = folder_with(folder, described_network(layers=[]))
    with zipfile.ZipFile(path, "a") as file:
        with file.open("d/params.npy", "w") as member:
            np.lib.format.write_array(member, np.zeros(7_500_000, np.float32))
        file.filelist += [file.filelist[-1]] * 100
        file._didModify = True
    return "info", path


def upsampling_bomb(folder):
    latent = mg.training.Latent(2)
    network = mg.Sequential(
        [mg.Dense(2, 1), mg.Reshape((1, 1, 1)), mg.UpSample2d(12_000)], name="generator"
    )
    run_stored = {
        "name": "x",
        "options": {},
        "value_range": [-1.0, 1.0],
        "step": 1,
        "data": {"name": "x", "count": 1, "shape": [12_000, 12_000, 1], "crc32": 0},
        "latent": vars(latent) | {"classes": []},
    }
    archive.write(folder / "bomb.npz", {"generator": network}, run=run_stored)
    return "sample", folder / "bomb.npz"


def idx_bomb(folder):
    count = 400_000
    content = struct.pack(">4I", 0x0803, count, 28, 28) + bytes(count * 784)
    packed = gzip.compress(content, 1)
    return "data", folder_with(folder, packed, "train-images-idx3-ubyte.gz")


def idx_tail_bomb(folder):
    """A right file, and behind it much more."""
    packed = gzip.compress(idx_bytes(20)) + gzip.compress(bytes(300_000_000), 1)
    return "data", folder_with(folder, packed, "train-images-idx3-ubyte.gz")


def label_bomb(folder):
    """Labels that are none, by their header, and much behind it."""
    folder_with(folder, idx_bytes(20), "train-images-idx3-ubyte")
    packed = gzip.compress(struct.pack(">2I", 0x0801, 0) + bytes(300_000_000), 1)
    folder_with(folder, packed, "train-labels-idx1-ubyte.gz")
    return "data", folder


def sparse_bomb(folder):
    """A member of GNU's old sparse form: 512 bytes that stand for 2 GB."""
    header = tarfile.TarInfo("data_batch_1.bin")
    header.size = 512
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[156:157] = b"S"
    size = 3073 * 650_000
    block[386:410] = b"%011o\0%011o\0" % (0, 512)
    block[483:495] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return "data", folder_with(folder, bytes(block) + bytes(512) + bytes(1024), "x.tar")


def endless(folder):
    return "data", "/dev/zero"


def pipe(folder):
    os.mkfifo(folder / "pipe")
    return "data", folder / "pipe"


def pipe_for_a_checkpoint(folder):
    os.mkfifo(folder / "pipe")
    return "info", folder / "pipe"


BOMBS = [
    dense_bomb,
    forty_thousand_layers,
    deflated_bomb,
    overlapping_bomb,
    upsampling_bomb,
    idx_bomb,
    idx_tail_bomb,
    label_bomb,
    sparse_bomb,
    endless,
    pipe,
    pipe_for_a_checkpoint,
]

# Runs a command; then its peak of memory, in MB.
MEASURED = """
import sys
import minigan.__main__, minigan.data, minigan.training
from minigan.training import command

def main():
    what, path = sys.argv[1:]
    if what == "data":
        minigan.data.load(path)
    else:
        more = ["--out", "x.npy", "--count", "1"] if what == "sample" else []
        minigan.__main__.main([what, path, *more])

try:
    command(main, "program")
finally:
    with open("/proc/self/status") as file:  # a child's ru_maxrss begins with its parent's
        status = file.read()
    print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


def measured(home, what, path):
    """(exit code, what it said, peak of memory in MB) of a command on a file."""
    result = subprocess.run(
        python("-c", MEASURED, what, path),
        env=environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return result.returncode, result.stderr, int(result.stdout.split()[-1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs pipes and a peak in kB")
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_no_file_decides_how_much_memory_is_taken(bomb, tmp_path):
    what, path = bomb(tmp_path)
    code, said, peak = measured(tmp_path, what, path)
    assert code == 2 and said.startswith("program: error: ") and said.count("\n") == 1, said
    assert peak < 120, said  # of which the imports take some 30

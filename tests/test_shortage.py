"""A batch that does not fit into memory: one line that says which does, and nothing is lost."""

import re
import subprocess
import sys

import pytest
from helpers import HERE, environment, python

# Runs an example with only so much more memory than its imports took.
LIMITED = """
import resource, sys
import numpy as np
import parity
from minigan.training import command

main = parity.example(sys.argv[1]).main
np.ones((64, 64)) @ np.ones((64, 64))  # the BLAS takes its buffers at its first product
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
limit = taken + int(sys.argv[2]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.argv[0] = "program"
command(lambda: main(sys.argv[3:]))
"""


def run_limited(home, script, megabytes, *words):
    """The finished process of an example under a limit of memory."""
    variables = environment(home)
    variables["PYTHONPATH"] += f":{HERE}"
    return subprocess.run(
        python("-c", LIMITED, script, megabytes, "--data", "digits", *words),
        env=variables, cwd=home, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on memory")
@pytest.mark.parametrize(
    "script, megabytes, words",
    [
        ("mnist_gan", 270, ["--width", 1]),
        ("dcgan", 320, ["--width", 0.1]),
        ("wgan_gp", 400, ["--width", 0.1]),
    ],
)
def test_the_line_names_a_batch_that_fits(script, megabytes, words, tmp_path):
    words = [*words, "--limit", 4096, "--steps", 1]

    def result(out, batch):
        more = ("--out", out, "--batch-size", batch)
        return run_limited(tmp_path, script, megabytes, *words, *more)

    failed = result("large", 4096)
    assert failed.returncode == 2 and "Traceback" not in failed.stderr, failed.stderr
    line = re.fullmatch(
        r"program: error: out of memory.*: --batch-size (\d+) would fit; "
        r"the last good checkpoint is that of step 0",
        failed.stderr.splitlines()[-1],
    )
    assert line, failed.stderr
    works = result("small", line[1])
    assert works.returncode == 0, works.stderr

"""Kill a training any number of times, at random moments, and compare what is left.

    python tests/kill_and_resume.py 200

Start-up, training and saving are all hit.  In the end the run is finished, and must hold the same
bytes as one that nothing stopped.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from helpers import (
    HERE,
    STEPS_PER_EPOCH,
    assert_same_results,
    environment,
    python,
    words,
    write_idx,
)  # fmt: skip

from minigan.training.checkpoint import Checkpoint

PATIENCE = 120  # seconds for what takes one or two


def kill_and_resume(folder, pictures, kills, seed=0):
    """Returns the epochs that the run took; AssertionError where the results differ.

    folder: an empty one.  pictures: the word for --data.  However fast the machine, no run ends
    by itself: the number of epochs is only said after the last kill.
    """
    out, whole, log = folder / "killed", folder / "whole", folder / "log"
    program, chance = python(HERE / "narrow_gan.py"), random.Random(seed)

    def start(*more):
        with open(log, "w") as file:
            command = [*program, *map(str, more)]
            return subprocess.Popen(command, env=environment(folder), stdout=file, stderr=file)

    def finish(process):
        assert process.wait(PATIENCE + epochs) == 0, log.read_text()

    begin = time.monotonic()
    process = start(*words(pictures, out, "--epochs", 10**6))
    while not (out / "samples" / "epoch_003.png").exists():  # and so there is a checkpoint
        assert process.poll() is None and time.monotonic() < begin + PATIENCE, log.read_text()
        time.sleep(0.01)
    lap = time.monotonic() - begin
    for _ in range(kills):
        assert process.poll() is None, log.read_text()
        process.kill()
        process.wait()
        process = start("--resume", "--out", out)
        time.sleep(chance.uniform(0, lap))
    process.kill()
    process.wait()

    epochs = Checkpoint(out / "checkpoint.npz").run["step"] // STEPS_PER_EPOCH + 1
    finish(start("--resume", "--out", out, "--epochs", epochs))
    finish(start(*words(pictures, whole, "--epochs", epochs)))
    assert_same_results(out, whole)
    return epochs


if __name__ == "__main__":
    kills = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        pictures = write_idx(Path(folder) / "idx", 43)
        epochs = kill_and_resume(Path(folder), pictures, kills)
    print(f"{kills} kills in a run of {epochs} epochs: the same bytes as without")

"""Seconds of a scoring, by its parts, on data with labels.

    python benchmarks/bench_score.py [--data mnist] [--count 10000] [--device gpu]

The classifier is trained here, whatever the cache has.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from minigan import data, score, training
from minigan.score import classifier, judge, parts, scorer


def main(argv=None):
    parser = training.options.Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--count", type=training.integer(200), default=10_000)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    options = parser.parse_args(argv)
    train, test = (data.load(options.data, split=split) for split in ("train", "test"))
    divided = parts.divide(train, test)
    chosen = divided.reference[: options.count]
    images, labels = test.images[chosen], test.labels[chosen]

    def timed(name, function, *arguments, **more):
        began = time.perf_counter()
        result = function(*arguments, **more)
        print(f"{name:24}{time.perf_counter() - began:8.2f} s")
        return result

    with tempfile.TemporaryDirectory() as folder:
        classifier.cache_dir = lambda: Path(folder)
        network = timed(
            "training the classifier", classifier.trained,
            train.images, train.labels, divided.training, device=options.device, notify=print,
        )  # fmt: skip
    reader = judge.Judge(images.shape[1:], network, options.device)
    batches = np.array_split(images, len(images) // scorer.BATCH or 1)
    x, p = timed(f"reading {len(images):,}", reader.read, batches)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = x[::-1] + np.random.default_rng(0).normal(size=x.shape)
    most = scorer.MOST_PAIRED
    timed("Frechet distance", score.frechet_distance, x, y)
    timed(f"kernel distance, {len(x[:most]):,}", score.kernel_distance, x[:most], y[:most])
    timed("precision and recall", score.precision_and_recall, x[:most], y[:most])
    timed("classes", score.class_figures, p, p, labels)
    print(f"the classifier is right on {np.mean(p.argmax(axis=1) == labels):.2%} of {len(x):,}")


if __name__ == "__main__":
    training.command(main)

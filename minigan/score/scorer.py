"""The figures of sets of pictures, all against one reference."""

import numpy as np

from . import classifier
from .classes import class_figures
from .frechet import frechet_distance
from .judge import WIDTH, Judge
from .kernel import kernel_distance
from .manifold import precision_and_recall
from .parts import divide

FIGURES = ("frechet", "kernel", "precision", "recall")  # of every set, with labels or without
MOST_PAIRED = 5_000  # features of which all pairs are looked at
BATCH = 250  # pictures read at a time, fewer of large ones
AT_A_TIME = 2**24  # numbers of them


class Scorer:
    """What pictures are compared with, and by what.

    train, test: Datasets of pictures of one shape; test may be None.  count: of the pictures to
    compare, 4 at least, as many of each set; fewer where there are not as many real ones.
    device: "cpu" or "gpu", to compute features on.  notify: called with lines for people.

    count: as many as there will be.  labels: of the reference's pictures, (count,), None without
    labels: what to ask a conditional generator for.  accuracy: the share of all reference pictures
    on which the classifier reads their label, None without one.  Raises UserError for data of too
    few pictures.

    Features are measured in standard deviations of the reference, each by itself, so that none
    counts for more because its weights happen to be large.
    """

    def __init__(self, train, test=None, *, count=10_000, device="cpu", notify=lambda line: None):
        self.parts = parts = divide(train, test)
        self.shape = train.images.shape[1:]
        self.batch = max(1, min(BATCH, AT_A_TIME // int(np.prod(self.shape))))
        self.count = min(count, len(parts.reference), len(parts.others))
        network = None
        if parts.labelled:
            network = classifier.trained(
                train.images, train.labels, parts.training, device=device, notify=notify
            )
        self.judge = Judge(self.shape, network, device)
        self._train, self._others = train, parts.others[: self.count]

        source = parts.source
        features, p = self.judge.read(self._taken(source.images, parts.reference))
        self._mean, self._spread = features.mean(axis=0), features.std(axis=0)
        self._spread[self._spread == 0] = 1  # of a feature that is the same on all pictures
        self._real = self._standardised(features[: self.count])
        self._real_p, self.accuracy, self.labels = p, None, None
        if source.labels is not None:
            labels = source.labels[parts.reference]
            self.labels = labels[: self.count]
        if parts.labelled:
            self.accuracy = float((p.argmax(axis=1) == labels).mean())

    def scores(self, batches, labels=None):
        """The figures of generated pictures, a dict name -> float.

        batches: yields `count` pictures in all, uint8 (b, H, W, C).  labels: (count,), that they
        should bear.  NaN is the Frechet distance of too few pictures.
        """
        features, p = self.judge.read(batches)
        return self._figures(self._standardised(features), p, labels)

    def missing(self, figure):
        """Why these pictures have no value of a figure, a line; None where they have one."""
        if figure == "frechet" and self.count <= self.judge.features:
            return f"no Frechet distance: it needs more than {self.judge.features} pictures a set"
        return None

    def floor(self):
        """The figures of as many other real pictures: the best that can be expected."""
        labels = self._train.labels[self._others] if self.parts.labelled else None
        return self.scores(self._taken(self._train.images, self._others), labels)

    def ceiling(self):
        """The figures of noise: every byte by itself, each value as likely."""
        noise = np.random.default_rng(0)
        sizes = [min(self.batch, self.count - i) for i in range(0, self.count, self.batch)]
        return self.scores(noise.integers(0, 256, (n, *self.shape), np.uint8) for n in sizes)

    def facts(self):
        """Lines that say what the figures are of, and what they are not."""
        parts, source = self.parts, self.parts.source
        real = "a test set" if parts.held_out else "a part of the training set"
        yield (
            f"{self.count:,} pictures of each set; the real ones are {real}: {source.source}; "
            "others from the training set are the floor, noise the ceiling"
        )
        features = f"{WIDTH} features of random convolutions"
        if parts.labelled:
            features += (
                f", {WIDTH} of a classifier that {len(parts.training):,} other pictures have "
                f"taught: it is right on {self.accuracy:.2%} of {len(parts.reference):,}"
            )
        yield features
        if problem := self.missing("frechet"):
            yield problem
        yield "for comparing runs on the same data and as many pictures; not Inception's FID or KID"

    def _figures(self, fake, p, labels):
        real = self._real
        figures = dict.fromkeys(FIGURES, np.nan)
        if not self.missing("frechet"):
            figures["frechet"] = frechet_distance(real, fake)
        real, fake = real[:MOST_PAIRED], fake[:MOST_PAIRED]
        figures["kernel"] = kernel_distance(real, fake)
        figures["precision"], figures["recall"] = precision_and_recall(real, fake)
        return figures if p is None else figures | class_figures(p, self._real_p, labels)

    def _taken(self, images, chosen):
        """Yields chosen images in batches."""
        for start in range(0, len(chosen), self.batch):
            yield images[chosen[start : start + self.batch]]

    def _standardised(self, features):
        return (features - self._mean) / self._spread

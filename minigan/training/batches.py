"""The batches of a run: which images, in which order, in the generator's range."""

import zlib

import numpy as np

from .. import processes, random
from ..condition import one_hot
from ..data.status import few
from ..errors import UserError
from ..kernels import choose
from .feed import Feed


def things(shape):
    """What samples of a shape are called."""
    return "images" if len(shape) == 3 else "points"


class Batches:
    """Batches of a dataset, a function of (seed, step): nothing of them need be saved.

    dataset: images uint8 (N, H, W, C) or points (N, F), and labels (N,) where there are classes.
    size: of a batch.  classes: how many kinds of labels to hand out as codes; 0 for images alone.
    value_range: what 0 and 255 become.  xp: the array module of the run.  mirror: whether half of
    the images, others in every epoch, are turned left to right.

    Every epoch has a new random order.  What its last whole batch leaves over comes at another
    place in the next.  Raises UserError for a batch larger than the data, for points that are
    to be mirrored, and for labels that are not those of the classes.
    """

    def __init__(self, dataset, size, *, seed, classes, value_range, dtype, xp, mirror=False):
        count = len(dataset.images)
        self.things = things(dataset.images.shape[1:])
        if size > count:
            raise UserError(f"--batch-size {size} is above the {count} {self.things} there are")
        if mirror and self.things == "points":
            raise UserError("--mirror turns pictures, and these are points: leave it out")
        self.dataset, self.size, self.seed, self.classes = dataset, size, seed, classes
        self.value_range, self.dtype, self.xp, self.mirror = value_range, dtype, xp, mirror
        self.per_epoch = count // size
        self.feed = Feed(dataset.images, xp)
        self.labels = self._checked_labels() if classes else None
        self._order_epoch = None  # the epoch whose shuffle is at hand

    def at(self, step):
        """The batch of the step after so many: images (size, H, W, C) on the device.

        Where processes share it, those of this one.

        Where there are classes, (images, codes), the second one-hot (size, classes).
        """
        epoch, batch = divmod(step, self.per_epoch)
        if self._order_epoch != epoch:
            order = random.permutation(
                len(self.dataset.images), seed=self.seed, where="shuffle", step=epoch
            )
            self._order, self._order_epoch = self.xp.asarray(order), epoch
            self._order_on_host = order
        chosen, on_host = (
            processes.here.rows(order[batch * self.size :][: self.size])
            for order in (self._order, self._order_on_host)
        )
        pixels = self.feed.take(chosen, on_host)
        if self.mirror:
            self._mirror(pixels, step)
        real = self._scaled(pixels)
        if self.labels is None:
            return real
        return real, one_hot(self.labels[chosen], self.classes, dtype=self.dtype)

    def sample(self, count, *, where):
        """(images, labels) of up to `count` pictures at random, labels None without classes."""
        order = random.permutation(len(self.dataset.images), seed=self.seed, where=where)[:count]
        chosen = self.xp.asarray(order)
        labels = None if self.labels is None else self.labels[chosen]
        return self._scaled(self.feed.take(chosen, order)), labels

    def images(self, chosen):
        """Images of the data in their own order, (n, H, W, C) on the device; chosen: a slice."""
        return self._scaled(self.feed.take(chosen, chosen))

    def fingerprint(self):
        """What tells these pictures (and labels) from others, as JSON-ready data."""
        crc32 = zlib.crc32(np.ascontiguousarray(self.dataset.images))
        if self.classes:
            crc32 = zlib.crc32(np.ascontiguousarray(self.dataset.labels), crc32)
        return {
            "name": self.dataset.name,
            "count": len(self.dataset.images),
            "shape": list(self.dataset.images.shape[1:]),
            "crc32": crc32,
        }

    def _mirror(self, pixels, step):
        """Turn half of a batch left to right, in place; which, the place in the batch decides."""
        shape = (len(pixels),)
        chance = random.of_batch(random.uniform, shape, seed=self.seed, where="flip", step=step)
        turned = self.xp.asarray(np.flatnonzero(chance < 0.5))
        # By index, because a view with a negative stride is copied a colour at a time.
        columns = self.xp.asarray(np.arange(pixels.shape[2] - 1, -1, -1))
        pixels[turned] = pixels[turned].take(columns, axis=2)

    def _scaled(self, pixels):
        """Pixels, uint8, in the generator's range; points as they are."""
        if pixels.dtype != np.uint8:
            return pixels.astype(self.dtype)
        return choose()[type(pixels)].from_pixels(pixels, *self.value_range, self.dtype)

    def _checked_labels(self):
        """The labels (N,) on the device, each a number of a class."""
        labels = self.dataset.labels
        if labels is None or labels.min() < 0 or labels.max() >= self.classes:
            found = "none" if labels is None else f"{labels.min()} to {labels.max()}"
            raise UserError(
                f"data {self.dataset.name}: wanted are labels 0 to {self.classes - 1}, "
                f"found {found}: put the pictures of each class into a sub-folder"
            )
        return self.xp.asarray(labels)


def check_classes(dataset, names):
    """UserError where the labels of the data are other things than a generator of `names` draws."""
    if names and dataset.classes is not None and tuple(names) != tuple(dataset.classes):
        raise UserError(
            f"data {dataset.name} has the classes {few(dataset.classes)}, the generator draws "
            f"{few(names)}: give data of these classes"
        )


def absent(dataset, names):
    """Those of `names`, which the labels of the data number, of which it has nothing."""
    return [name for label, name in enumerate(names) if not np.any(dataset.labels == label)]

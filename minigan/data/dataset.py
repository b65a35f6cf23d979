"""A set of pictures in memory: what every loader returns and every example trains on."""

from dataclasses import InitVar, dataclass, field, replace
from numbers import Integral

import numpy as np

from ..errors import UserError
from .fitting import check_form, fit_images
from .status import few


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures, where they came from, and what is known of each.

    images: uint8 (N, H, W, C), to be read only, or floats (N, F): points, which stay as they are;
    labels: integers (N,) or None; name: what they are, such as "mnist" or "digits"; source: one
    line for people saying where they are from.
    classes: the names of the labels 0, 1, ..., by default these numbers; None without labels.
    files: of pictures that were files, N paths relative to their folder, with "/"; else None.
    attributes: name -> int64 (N,), 1 where picture i has it and -1 where not.
    value_range: (low, high) of images in other numbers, that is black and white, such as (0, 1)
    or (-1, 1) of floats and (0, 65535) of uint16; they are kept as uint8.  Booleans need none.

    Raises TypeError for images of other numbers without a range, ValueError for other shapes,
    values out of the range or all but equal in it, points that are not finite, labels that number
    no class, and labels, files or attributes of another length.
    """

    images: np.ndarray
    labels: np.ndarray | None
    name: str
    source: str
    classes: tuple[str, ...] | None = None
    files: tuple[str, ...] | None = None
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    value_range: InitVar[tuple[float, float] | None] = None

    def __post_init__(self, value_range):
        points = self.images.ndim == 2 and self.images.dtype.kind == "f"
        if not (points or self.images.ndim == 4) or 0 in self.images.shape:
            raise ValueError(f"images must be (N, H, W, C), got {self.images.shape}")
        if not points:
            object.__setattr__(self, "images", as_bytes(self.images, value_range))
        elif not np.isfinite(self.images).all():
            raise ValueError("points must be finite")
        for name, values in dict(labels=self.labels, files=self.files, **self.attributes).items():
            if values is not None and len(values) != len(self.images):
                raise ValueError(f"{len(values)} {name} of {len(self.images)} images")
        if self.labels is not None:
            self._check_labels()

    def _check_labels(self):
        if not np.issubdtype(self.labels.dtype, np.integer):
            raise TypeError(f"labels must be integers, got {self.labels.dtype}")
        low, high = int(self.labels.min()), int(self.labels.max())
        if self.classes is None:
            object.__setattr__(self, "classes", tuple(map(str, range(high + 1))))
        if low < 0 or high >= len(self.classes):
            raise ValueError(
                f"labels are {low} to {high}: number {len(self.classes)} classes from 0"
            )

    def __len__(self):
        return len(self.images)

    def take(self, chosen):
        """The pictures of a slice (then the arrays are views) or of indices (n,)."""

        def part(values):
            if isinstance(values, tuple):
                return tuple(np.array(values, object)[chosen])
            return None if values is None else values[chosen]

        return replace(
            self,
            images=self.images[chosen],
            labels=part(self.labels),
            files=part(self.files),
            attributes={name: part(v) for name, v in self.attributes.items()},
        )

    def fitted(self, *, size, channels, fit="crop"):
        """The pictures in another form: (H, W) or one side, and channels, as of `data.load`."""
        size = check_form(size, channels, fit)
        images = fit_images(self.images, size=size, channels=channels, fit=fit)
        return replace(self, images=images)

    def limit(self, n):
        """The first n pictures (the arrays are views); UserError unless 1 <= n <= len(self)."""
        check_limit(n, len(self), self.name)
        return self.take(slice(n))

    def only(self, classes):
        """The pictures of these classes, as `choose` takes them; UserError if there are none."""
        chosen, labels, names = choose(self.labels, self.classes, classes, f"data {self.name}")
        return replace(self.take(chosen), labels=labels, classes=names)


def choose(labels, names, chosen, where):
    """(indices, labels, names) of the pictures of some classes, which are numbered anew.

    labels: (N,), and names of all classes, or None.  chosen: one class or several, by name or
    number, in their new order.  where: the set, in messages.  Raises UserError if it has no
    classes, none of such a name or no picture of them.
    """
    if labels is None:
        raise UserError(
            f"{where}: no classes to choose from: put the pictures of each into a sub-folder"
        )
    numbers = {}  # a dict for its order, without repetition
    for name in [chosen] if isinstance(chosen, (str, Integral)) else chosen:
        if name in names:
            numbers[names.index(name)] = True
        elif str(name).isdecimal() and int(name) < len(names):
            numbers[int(name)] = True
        else:
            raise UserError(f"{where}: no class {name}: there are {few(names, most=20)}")
    numbers = list(numbers)
    new = np.full(len(names), -1)
    new[numbers] = np.arange(len(numbers))
    kept = np.flatnonzero(new[labels] >= 0)
    chosen = tuple(names[number] for number in numbers)
    if len(kept) == 0:
        raise UserError(f"{where}: no pictures of class {few(chosen)}")
    return kept, new[labels[kept]], chosen


def as_bytes(images, value_range=None):
    """Images of any numbers as uint8: 0 is the low end of the range, 255 the high one."""
    kind = images.dtype
    if value_range is None:
        if kind == np.uint8:
            return images
        if kind.kind == "b":
            return images.astype(np.uint8) * 255
        raise TypeError(
            f"images of {kind} need a value_range, the numbers that are black and white: (0, 1) "
            "or (-1, 1) of most floats, (0, 65535) of uint16 (np.savez takes it beside images); "
            f"these are from {images.min()} to {images.max()}"
        )
    (low, high), least, most = value_range, images.min(), images.max()
    if not low < high or not (least >= low and most <= high):  # false for a NaN
        raise ValueError(
            f"images are from {least} to {most}, which is not within value_range "
            f"{value_range}: give the numbers that are black and white"
        )
    if 0 < (float(most) - float(least)) * 255 <= high - low:
        raise ValueError(
            f"images are from {least} to {most}, which value_range {value_range} makes one grey: "
            "give the numbers that are black and white"
        )
    result = np.empty(images.shape, np.uint8)
    for part, numbers in zip(result, images):  # one by one, because float64 takes room
        part[:] = np.rint((numbers.astype(np.float64) - low) * (255 / (high - low)))
    return result


def check_limit(n, count, name):
    """UserError unless 1 <= n <= count, the number of pictures in the set `name`."""
    if not 1 <= n <= count:
        raise UserError(
            f"limit {n} is not a number of pictures in {name}: "
            f"give one from 1 to {count}, or none to use them all"
        )

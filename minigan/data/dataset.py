"""A set of pictures in memory: what every loader returns and every example trains on."""

from dataclasses import InitVar, dataclass, field, replace

import numpy as np

from ..errors import UserError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures, where they came from, and what is known of each.

    images: uint8 (N, H, W, C), to be read only, or floats (N, F): points, which stay as they are;
    labels: integers (N,) or None; name: what they are, such as "mnist" or "digits"; source: one
    line for people saying where they are from.
    classes: the names of the labels 0, 1, ..., or None where they have none.
    files: of pictures that were files, N paths relative to their folder, with "/"; else None.
    attributes: name -> int64 (N,), 1 where picture i has it and -1 where not.
    value_range: (low, high) of images in other numbers, that is black and white, such as (0, 1)
    or (-1, 1) of floats and (0, 65535) of uint16; they are kept as uint8.  Booleans need none.

    Raises TypeError for images of other numbers without a range, ValueError for other shapes,
    values out of the range, points that are not finite, and labels, files or attributes of another
    length.
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
        if self.labels is not None and not np.issubdtype(self.labels.dtype, np.integer):
            raise TypeError(f"labels must be integers, got {self.labels.dtype}")

    def __len__(self):
        return len(self.images)

    def limit(self, n):
        """The first n pictures (the arrays are views); UserError unless 1 <= n <= len(self)."""
        check_limit(n, len(self), self.name)

        def first(values):
            return None if values is None else values[:n]

        return replace(
            self,
            images=self.images[:n],
            labels=first(self.labels),
            files=first(self.files),
            attributes={name: first(v) for name, v in self.attributes.items()},
        )


def as_bytes(images, value_range=None):
    """Images of any numbers as uint8: 0 is the low end of the range, 255 the high one."""
    kind = images.dtype
    if value_range is None:
        if kind == np.uint8:
            return images
        if kind.kind == "b":
            return images.astype(np.uint8) * 255
        raise TypeError(
            f"images of {kind} need a value_range, the numbers that are black and "
            "white: (0, 1) or (-1, 1) of most floats, (0, 65535) of uint16"
        )
    low, high = value_range
    if not low < high or not (images.min() >= low and images.max() <= high):  # false for a NaN
        raise ValueError(
            f"images are from {images.min()} to {images.max()}, "
            f"which is not within value_range {value_range}"
        )
    return np.rint((images.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8)


def check_limit(n, count, name):
    """UserError unless 1 <= n <= count, the number of pictures in the set `name`."""
    if not 1 <= n <= count:
        raise UserError(
            f"limit {n} is not a number of pictures in {name}: "
            f"give one from 1 to {count}, or none to use them all"
        )

"""A set of pictures in memory: what every loader returns and every example trains on."""

from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import UserError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures, where they came from, and what is known of each.

    images: uint8 (N, H, W, C), to be read only; labels: int64 (N,) or None; name: what they are,
    such as "mnist" or "digits"; source: one line for people saying where they are from.
    classes: the names of the labels 0, 1, ..., or None where they have none.
    files: of pictures that were files, N paths relative to their folder, with "/"; else None.
    attributes: name -> int64 (N,), 1 where picture i has it and -1 where not.
    """

    images: np.ndarray
    labels: np.ndarray | None
    name: str
    source: str
    classes: tuple[str, ...] | None = None
    files: tuple[str, ...] | None = None
    attributes: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self):
        return len(self.images)

    def limit(self, n):
        """The first n pictures (the arrays are views); UserError unless 1 <= n <= len(self)."""
        check_limit(n, len(self), self.name)

        def first(values):
            return None if values is None else values[:n]

        return replace(self, images=self.images[:n], labels=first(self.labels),
                       files=first(self.files),
                       attributes={name: first(v) for name, v in self.attributes.items()})


def check_limit(n, count, name):
    """UserError unless 1 <= n <= count, the number of pictures in the set `name`."""
    if not 1 <= n <= count:
        raise UserError(f"limit {n} is not a number of pictures in {name}: "
                        f"give one from 1 to {count}, or none to use them all")

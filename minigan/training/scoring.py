"""The scores of a generator: what it draws, against the pictures of its run.

`minigan score` has those of a checkpoint, `--score-every` those of a run as it goes on, as columns
of its history.  The figures themselves are `minigan.score`'s, which knows pictures alone.
"""

from ..arrays import to_host
from ..errors import UserError
from ..score.scorer import Scorer
from . import origin
from .batches import things
from .pictures import to_uint8

IN_A_RUN = 2_000  # pictures of each scoring: seconds, where 10,000 would take a minute


class Scoring:
    """A `Scorer` for the generator of a run.

    dataset: what the run trains on; its test set is looked for beside it.  run: as a checkpoint
    stores it.  latent: the generator's.  words: for --data.  count, device, notify: as of `Scorer`.
    Raises UserError for a run on points, and where the data has not the labels that the generator
    draws.
    """

    def __init__(self, dataset, run, latent, *, words=None, count=IN_A_RUN, device, notify):
        if (drawn := things(run["data"]["shape"])) != "images":
            raise UserError(f"scores are of images, and this run draws {drawn}")
        test = origin.load_test(run, dataset, words)
        self.scorer = Scorer(dataset, test, count=count, device=device, notify=notify)
        self.latent, self.value_range = latent, run["value_range"]
        self.labels = self.scorer.labels if latent.classes else None
        if latent.classes and (self.labels is None or self.labels.max() >= len(latent.classes)):
            raise UserError(
                f"the generator draws {len(latent.classes)} kinds of pictures, "
                f"data {dataset.name} has not their labels: say where they are with --data"
            )

    def check_known(self, figure):
        """UserError where there will be no value of a figure, such as --keep-best waits for."""
        if problem := self.scorer.missing(figure):
            count = f"{self.scorer.count:,}"
            raise UserError(
                f"--keep-best {figure}: {problem}, and here are {count}; take another figure"
            )

    def scores(self, generator):
        """The figures of as many pictures as the scorer wants, a dict name -> float.

        They are those of `minigan sample` with seed 0, of a conditional generator with the labels
        of the real pictures that they are compared with.
        """
        return self.scorer.scores(self._drawn(generator), self.labels)

    def _drawn(self, generator):
        """Yields the pictures, uint8 (b, H, W, C), on the host."""
        count, batch, xp = self.scorer.count, self.scorer.batch, generator.xp
        z = self.latent.draw(count, seed=0, where="sample", dtype=generator.dtype, xp=xp)
        for start in range(0, count, batch):
            part = slice(start, start + batch)
            codes = z[part]
            if self.labels is not None:
                codes = self.latent.labelled(codes, xp.asarray(self.labels[part]))
            images, _ = generator.forward(codes, train=False)
            yield to_uint8(to_host(images), self.value_range)

"""How good generated pictures are: distances and shares, each between a floor and a ceiling.

    from minigan import data, score

    scorer = score.Scorer(data.load("mnist"), data.load("mnist", split="test"))
    scorer.scores(batches)       # of generated pictures, uint8: a dict of numbers
    scorer.floor()               # of other real pictures: as good as it can get
    scorer.ceiling()             # of noise

Pictures are compared by features (`judge`), because pixels say nothing of what is on a picture.
Networks compute the features, in float32 on their device; the figures are float64 on the host.
"""

from .classes import class_figures
from .frechet import frechet_distance
from .kernel import kernel_distance
from .manifold import precision_and_recall
from .scorer import FIGURES, Scorer

__all__ = [
    "FIGURES",
    "Scorer",
    "class_figures",
    "frechet_distance",
    "kernel_distance",
    "precision_and_recall",
]

"""What one can set in the lab: all of a duel, and what is around it."""

from dataclasses import dataclass, fields, replace

from .. import worlds
from ..duel import Settings, between, one_of
from ..worlds import WORLDS

MOST_POINTS = 300  # by hand: as many as a link can hold
PACES = {"stages": 1.5, "slow": 1.0, "medium": 0.1, "fast": 0.0}  # seconds a stage, or a step
# What networks in training can be given another value of.
LIVE = {
    "loss", "penalty", "strength", "optimizer", "g_lr", "d_lr", "b1", "b2", "d_steps", "average",
    "points", "batch", "learns", "pace",
}  # fmt: skip


@dataclass(frozen=True)
class LabSettings(Settings):
    """A duel's settings and the lab's own.  Raises ValueError in one line for what cannot be.

    world: of `WORLDS`, or "points": those drawn by hand, pairs of numbers.  batch: points a step.
    begin: steps that are made before anybody looks.  learns: who does.  pace: of `PACES`.
    """

    world: str = one_of("ring", *WORLDS, "points")
    points: tuple = ()
    batch: int = between(128, 2, 4096)
    begin: int = between(0, 0, 20_000)
    learns: str = one_of("both", "both", "D", "G")
    pace: str = one_of("fast", *PACES)

    def __post_init__(self):
        super().__post_init__()
        if len(self.points) > MOST_POINTS:
            raise ValueError(f"points: {len(self.points)} of them, at most {MOST_POINTS} are taken")
        for index, point in enumerate(self.points):
            if not _in_sight(point):
                raise ValueError(f"points[{index}]={point!r:.60} is not [x, y], both numbers "
                                 f"from {-worlds.EXTENT} to {worlds.EXTENT}")  # fmt: skip

    def changed(self, changes):
        """The same with other values, a dict out of JSON.  Raises ValueError."""
        if not isinstance(changes, dict):
            raise ValueError(f"settings are names with values, not {changes!r:.60}")
        known = {setting.name for setting in fields(self)}
        for name in changes:
            if name not in known:
                raise ValueError(f"there is no setting {name!r:.60}")
        if isinstance(points := changes.get("points"), list):
            changes = changes | dict(points=tuple(points))
        return replace(self, **changes)

    def the_world(self):
        """Where the real points come from; None as long as there are none by hand."""
        if self.world != "points":
            return WORLDS[self.world]
        return worlds.given(self.points) if self.points else None


FIRST = LabSettings(d_steps=1)  # what the lab begins with: quick, and it finds all of the ring


def _in_sight(point):
    return (
        isinstance(point, (list, tuple)) and len(point) == 2
        and all(type(x) in (int, float) and abs(x) <= worlds.EXTENT for x in point)
    )  # fmt: skip

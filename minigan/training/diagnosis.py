"""What is wrong with a run, or that nothing is: a rule of a few lines for each state.

    for verdict in diagnose(columns, images, value_range, arrays):
        print(verdict.name, verdict.evidence)

A rule looks at what has been so until the end: a run that has recovered is not ill.  Limits are
such that healthy runs of all examples keep well away; benchmarks/diagnosis.py counts the errors.
docs/reading_a_run.md has a section for every verdict, with what to try.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

EARLY = 100  # steps; before them only what cannot come right again is told
LATE = 1000  # steps that are looked at, at most; fewer in a run of less than four times as many
ALWAYS = 0.95  # of the late steps must show a sign

CERTAIN = 0.08  # D's mean error; with labels between 0 and 0.1, 0.9 and 1 it ends at 0.05
SLOPE = 0.03  # of a loss of G whose slope is at most 1
VANISHED = 1e-8  # a gradient's norm; Adam's eps is as large, and no step comes of it
SHRUNK = 1e-3  # of |dfake|, in terms of what it was
POOR, FALLEN = 0.35, 0.35  # variety, and the same in terms of its best
FULL = 0.6  # variety that the best must have been: a young G's first noise may be less
SUDDEN = 3  # medians of three measurements of variety, 50 steps apart, that show what has fallen
NONE = 0.15  # variety that is too little at any age but the first 300 steps
FIXED = 0.5  # share of pixels at the ends of their range, where the slope is zero to the last bit
INK = 0.1  # share of them at the end that has fewer
NEARLY_ALL = 0.95
FURTHER = 1.4  # variety: black and white noise is further apart than pictures are
APART = 0.03  # verdicts on real and on generated pictures
LEARNING = 0.1  # apart: D sees by now what could drive G's pictures apart
LARGEST_LOGIT, LARGEST_SCORE = 100, 1e4  # of losses
STEEPEST = 100  # |dfake|; that of a D whose slope is held is below 1
NEAR_OVERFLOW = 1e-6  # of the largest number of a dtype
PERIODS = 2.5  # of a circle, that must be seen
RESTING = 0.6  # of a swing, that is left in the second half
ALIKE = 0.6  # autocorrelation after a whole turn, and minus this after half of one


@dataclass(frozen=True)
class Verdict:
    """What one rule found.

    name: of a section of docs/reading_a_run.md.  ill: whether something should be done.
    evidence: figures, in a line.  steps: (first, last) that show it.
    """

    name: str
    ill: bool
    evidence: str
    steps: tuple

    @property
    def page(self):
        """Where to read about it."""
        return f"docs/reading_a_run.md#{self.name.lower().replace(' ', '-')}"


class Course:
    """The columns of a run, as rules ask for them.

    columns: dict name -> (T,), "step" among them; nan is no value.
    """

    def __init__(self, columns):
        self.columns = columns
        self.steps = np.asarray(columns["step"])
        self.last = int(self.steps[-1]) if len(self.steps) else 0
        self.late = self.last - min(max(self.last // 4, EARLY // 2), LATE)  # the step before

    def rows(self, *names):
        """(steps, values, ...) where all the columns have a value; no rows where one is absent."""
        if not names or not all(name in self.columns for name in names):
            return (np.empty(0, int), *(np.empty(0) for _ in names))
        values = [np.asarray(self.columns[name], float) for name in names]
        whole = np.isfinite(values).all(axis=0)
        return (self.steps[whole], *(value[whole] for value in values))

    def lasting(self, steps, sign):
        """(first, last) of the steps of which nearly all show a sign until the end; None where
        that was not so for all of the late ones."""
        late = np.flatnonzero(steps > self.late)
        if self.last < EARLY or not len(late):
            return None
        share = np.cumsum(sign[::-1])[::-1] / np.arange(len(sign), 0, -1)  # from here to the end
        if share[late[0]] < ALWAYS:
            return None
        return int(steps[np.argmax(sign & (share >= ALWAYS))]), self.last

    @property
    def losses(self):
        return [name for name in self.columns if "loss" in name]

    @property
    def logistic(self):
        """Whether D says how sure it is: a critic does not."""
        return "d_real" in self.columns and "d_fake" in self.columns


def diagnose(columns, images=None, value_range=(-1, 1), arrays=None):
    """All verdicts on a run, the ill ones first; never none.

    columns: of its history, dict name -> (T,).  images: (kinds, N, H, W, C), what G draws at the
    end, in value_range; None where there is no checkpoint.  arrays: dict name -> everything that
    training writes, on either device.
    """
    course = Course(columns)
    found = [rule(course) for rule in (d_has_won, g_starves, collapse, circling, divergence)]
    if images is not None:
        found += [same_pictures(course, images, value_range)]
        found += [saturated_output(course, images, value_range)]
    found += [near_overflow(course, arrays or {})]
    ill = [verdict for verdict in found if verdict]
    told = [] if ill else [rule(course) for rule in (too_early, normal, balance)]
    well = [verdict for verdict in told if verdict] or ([] if ill else [healthy(course)])
    return [*ill, *well, *cannot_tell(course, images)]


# What is ill.


def d_has_won(course):
    """D is right about nearly every picture, in every step: G no longer scores a hit.

    Its loss then says that a fake is a fake and little of how to become better (Arjovsky and
    Bottou 2017, "Towards principled methods for training GANs", theorem 2.4).
    """
    steps, real, fake = course.rows("d_real", "d_fake")
    error = (1 - real + fake) / 2
    if where := course.lasting(steps, error < CERTAIN):
        real, fake = (np.median(values[steps >= where[0]]) for values in (real, fake))
        evidence = f"D(x) is {real:.4g}, D(G(z)) {fake:.2g}, and hardly ever nearer"
        return Verdict("D has won", True, evidence, where)


def g_starves(course):
    """Next to no gradient reaches G: it has vanished or shrunk to a thousandth while D is sure.

    Goodfellow et al. 2014, section 3: the slope of the loss log(1 - D(G(z))) is D(G(z)) itself,
    so that a sure D stops G.  Its values are negative, by which it is known here.
    """
    for name, label in (("norm_dfake", "|dfake|"), ("norm_dG", "|dG|")):
        steps, norm = course.rows(name)
        if where := course.lasting(steps, norm < VANISHED):
            evidence = f"{label} is {np.median(norm[steps >= where[0]]):.2g}"
            return Verdict("G starves", True, evidence, where)
    steps, loss, fake = course.rows("g_loss", "d_fake")
    if where := course.lasting(steps, (loss < 0) & (fake < SLOPE)):
        slope = np.median(fake[steps >= where[0]])
        evidence = f"the slope of its loss is D(G(z)), {slope:.2g} where 1 is possible"
        return Verdict("G starves", True, evidence, where)
    names = ("norm_dfake", "d_fake") if course.logistic else ("norm_dfake",)
    steps, norm, *fake = course.rows(*names)
    if len(norm):
        before = np.quantile(norm, 0.9)
        sure = fake[0] < 0.1 if fake else True
        if where := course.lasting(steps, (norm < SHRUNK * before) & sure):
            now = np.median(norm[steps >= where[0]])
            evidence = f"|dfake| is {now:.2g}, and was {before:.2g}"
            return Verdict("G starves", True, evidence, where)


def collapse(course):
    """G's pictures are much nearer to each other than those of the data are.

    A young generator's are too: it has collapsed if they were about as far apart as the data
    before, or if after 300 steps they are hardly apart and do not drift apart, though D sees them.
    A fall is told as soon as it has lasted for some measurements, however long the run was.
    """
    steps, variety = course.rows("variety")
    if not len(variety):
        return None
    best, before = variety.max(), np.pad(variety, (2, 0), mode="edge")
    variety = np.median(sliding_window_view(before, 3), axis=1)  # of the last three: it is noisy
    fallen = (variety < min(POOR, FALLEN * best)) & (best > FULL)
    grows = variety[-1] > 1.2 * variety[len(variety) // 2]
    when, real, fake = course.rows("d_real", "d_fake")
    apart = (real - fake)[when > course.late]
    sees = not len(apart) or np.median(apart) > LEARNING
    none = (variety < NONE) & (steps > 3 * EARLY) & sees & (not grows)
    where = course.lasting(steps, fallen | none)
    if not where and len(fallen) >= SUDDEN and fallen[-SUDDEN:].all():
        stood = np.flatnonzero(~fallen)
        where = int(steps[stood[-1] + 1 if len(stood) else 0]), course.last
    if where:
        evidence = (
            f"two of G's pictures differ {variety[-1]:.2g} times as much as two of the data, and "
            f"did {best:.2g} times at best"
        )
        return Verdict("Collapse", True, evidence, where)


def circling(course):
    """The losses come back again and again, and do not come to rest: the players run round the
    balance.

    Mescheder et al. 2018, "Which training methods for GANs do actually converge?".  The sign is
    the autocorrelation of G's loss, near -1 after half a turn and near 1 after a whole one.
    """
    steps, loss = course.rows("g_loss")
    loss = loss[len(loss) // 3 :]
    half_way = len(loss) // 2
    if len(loss) < EARLY or loss[half_way:].std() < RESTING * loss[:half_way].std():
        return None
    similar = _autocorrelation(loss)
    changes = np.flatnonzero(np.diff(similar < 0)) + 1  # of its sign: into half a turn, out of it
    if len(changes) < 2:
        return None
    half = similar[changes[0] : changes[1]].min()
    turn = int(changes[1] + np.argmax(similar[changes[1] : (*changes, None)[2]]))
    if similar[turn] > ALIKE and half < -ALIKE and 8 <= turn <= len(loss) / PERIODS:
        evidence = (
            f"G's loss repeats itself every {turn} steps: the correlation with itself is "
            f"{similar[turn]:.2f} after a turn, {half:.2f} after half of one"
        )
        return Verdict("Circling", True, evidence, (int(steps[-len(loss)]), course.last))


def divergence(course):
    """A loss has left every scale on which a game is played.

    A logistic loss is at most the logit; scores of a critic have no natural size, and grow
    for ever where nothing bounds its slope, which |dfake| shows.
    """
    limit = LARGEST_LOGIT if course.logistic else LARGEST_SCORE
    steps, *losses = course.rows(*course.losses)
    size = np.abs(losses).max(axis=0, initial=0)  # at every moment one of them may cross zero
    if where := course.lasting(steps, size > limit):
        size = np.median(size[steps >= where[0]])
        evidence = f"losses are of size {size:.2g}, and {limit:g} would be large"
        return Verdict("Divergence", True, evidence, where)
    steps, norm = course.rows("norm_dfake")
    if where := course.lasting(steps, norm > STEEPEST):
        evidence = f"|dfake| is {np.median(norm[steps >= where[0]]):.2g}: D's slope has no bound"
        return Verdict("Divergence", True, evidence, where)


def near_overflow(course, arrays):
    """A weight, or a sum of an optimizer, is near the largest number of its type."""
    for name, array in arrays.items():
        size, largest = _size(array), float(np.finfo(array.dtype).max)
        if size > NEAR_OVERFLOW * largest:
            evidence = f"{name} reaches {size:.2g}, and {array.dtype} ends at {largest:.2g}"
            return Verdict("Divergence", True, evidence, (course.last, course.last))


def same_pictures(course, images, value_range):
    """All pictures of a kind are the same, to less than what a byte can tell apart."""
    low, high = value_range
    levels = float(np.ptp(images, axis=1).max()) * 255 / (high - low)
    if levels < 1:
        evidence = f"G's pictures differ by {levels:.2g} of 255 grey levels"
        return Verdict("Collapse", True, evidence, (course.last, course.last))


def saturated_output(course, images, value_range):
    """G's last Tanh or Sigmoid is at its ends, where its slope is zero: nothing comes through.

    At the ends of the range to the last bit, that is.  A ground gets there in a long training, as
    it should: four fifths of MNIST's pixels are black.  So it takes ink there too, or nearly all
    pixels.  Noise of black and white is a sign from a tenth of that share on.
    """
    low, high = value_range
    if images.min() < low or images.max() > high:  # nothing bounds it
        return None
    edge = np.finfo(images.dtype).eps * (high - low)
    ends = float(np.mean(images <= low + edge)), float(np.mean(images >= high - edge))
    share = sum(ends)
    _, variety = course.rows("variety")
    now = np.median(variety[-3:]) if len(variety) else 0
    fixed = share > NEARLY_ALL or (share > FIXED and min(ends) > INK)
    if fixed or (now > FURTHER and share > FIXED / 10):
        evidence = f"{share:.0%} of the pixels are black or white to the last bit"
        return Verdict("Saturated output", True, evidence, (course.last, course.last))


# What is not.


def too_early(course):
    """Fewer steps than it takes to see anything."""
    if course.last < EARLY:
        evidence = f"{course.last} steps; trends can be told from {EARLY} on"
        return Verdict("Too early to tell", False, evidence, (0, course.last))


def normal(course):
    """G's loss rises while D improves: that is what a better D does to it, and no illness."""
    steps, loss, real, fake = course.rows("g_loss", "d_real", "d_fake")
    third = len(steps) // 3
    if course.last < EARLY or third == 0:
        return None
    (before, now), (gap, wider) = (
        (np.median(values[third : 2 * third]), np.median(values[-third:]))
        for values in (loss, real - fake)
    )
    if now > 1.05 * before and wider > gap:
        evidence = f"G's loss was {before:.3g} and is {now:.3g}, as D(x) - D(G(z)) went from "
        evidence += f"{gap:.2f} to {wider:.2f}"
        return Verdict("Normal", False, evidence, (int(steps[third]), course.last))


def balance(course):
    """D gives real and generated pictures the same verdict: at the end that is the aim, at the
    beginning D has learnt nothing yet."""
    steps, real, fake = course.rows("d_real", "d_fake")
    late = steps > course.late
    if course.last >= EARLY and late.any():
        real, fake = np.median(real[late]), np.median(fake[late])
        if abs(real - fake) < APART:
            evidence = f"D(x) is {real:.3g}, D(G(z)) {fake:.3g}"
            where = (course.late + 1, course.last)
            return Verdict("D tells nothing apart", False, evidence, where)


def healthy(course):
    """No rule has found anything; the pictures must tell the rest."""
    evidence = "no sign of illness; look at the pictures"
    return Verdict("Healthy", False, evidence, (0, course.last))


def cannot_tell(course, images):
    """What lacks the figures that a rule needs, such as in a run of an older version."""
    needs = {
        "whether D has won: no columns d_real and d_fake, which a critic has not": course.logistic,
        "whether G starves: no column norm_dfake": "norm_dfake" in course.columns,
        "whether G has collapsed: no column variety": "variety" in course.columns,
        "whether G's output is saturated: no checkpoint": images is not None,
    }
    missing = [what for what, there in needs.items() if not there]
    if missing and course.last >= EARLY:
        return [Verdict("Cannot tell", False, "; ".join(missing), (0, course.last))]
    return []


def _autocorrelation(values):
    """Of the values less their straight line, at lags up to half their number; 1 at lag 0."""
    count = np.arange(len(values))
    rest = values - np.polyval(np.polyfit(count, values, 1), count)
    spectrum = np.fft.rfft(rest, 2 ** (2 * len(rest)).bit_length())
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: len(rest)] / (len(rest) - count)
    return products[: len(rest) // 2] / (products[0] or math.inf)


def _size(array):
    """The largest absolute value, without an array of them."""
    return max(float(array.max()), -float(array.min())) if array.size else 0.0

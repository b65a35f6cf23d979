"""The worlds of the plane: what they are made of, and how samples of them are judged."""

import numpy as np
import pytest

from minigan.arrays import to_host
from minigan.study.worlds import CELLS, EXTENT, WORLDS, divergences, given

RING, GRID = WORLDS["ring"], WORLDS["grid"]


@pytest.mark.parametrize("world", WORLDS.values(), ids=lambda world: world.name)
def test_points_are_addressed_and_lie_in_the_picture(world):
    points = world.sample(2000, seed=1, where="there", step=2)
    assert points.shape == (2000, 2) and points.dtype == np.float32
    assert np.array_equal(points, world.sample(2000, seed=1, where="there", step=2))
    for other in (dict(seed=2), dict(where="here"), dict(step=3)):
        address = dict(seed=1, where="there", step=2) | other
        assert (points != world.sample(2000, **address)).all(axis=1).mean() > 0.9
    assert np.abs(points).max() < EXTENT
    assert np.ptp(points, axis=0).min() > 1  # of the 2.8 that are shown
    double = world.sample(2000, seed=1, where="there", step=2, dtype="float64")
    assert np.array_equal(double.astype("float32"), points)


@pytest.mark.parametrize("world, distance, sd", [(RING, 0.7654, 0.01), (GRID, 0.5, 0.0125)])
def test_modes_are_as_far_apart_and_as_narrow_as_published(world, distance, sd):
    """PacGAN's ring: radius 1, sd 0.01; its grid: spacing 2, sd 0.05, here in a fourth."""
    gaps = np.hypot(*(world.centres[:, None] - world.centres).T)
    assert np.sort(gaps[0])[1] == pytest.approx(distance, abs=1e-4)
    points = world.sample(50_000, seed=0, dtype="float64")
    from_centre = points[:, None] - world.centres
    nearest = np.argmin(np.hypot(*from_centre.T), axis=0)
    offset = from_centre[np.arange(len(points)), nearest]
    assert offset.std(axis=0) == pytest.approx((sd, sd), rel=0.02)
    counts = np.bincount(nearest, minlength=len(world.centres))
    share = len(points) / len(world.centres)
    assert counts == pytest.approx(share, rel=0.12)


@pytest.mark.parametrize("world", [RING, GRID], ids=["ring", "grid"])
def test_the_world_itself_is_good(world):
    """Within three standard deviations lie 1 - exp(-9/2) of a normal in the plane."""
    modes, good = world.quality(world.sample(20_000, seed=0))
    assert modes == len(world.centres)
    assert good == pytest.approx(1 - np.exp(-4.5), abs=0.003)


def test_quality_by_hand(gpu):
    """Five samples: three good ones at two modes, one just too far out, one in the middle."""
    sd, across = 0.01, np.array([0, 1])
    samples = np.array([
        RING.centres[0], RING.centres[0] + 2.99 * sd * across,
        RING.centres[3] - 2.99 * sd * across,
        RING.centres[5] + 3.01 * sd * across, (0, 0),
    ])  # fmt: skip
    for xp in (np, gpu):
        modes, good = RING.quality(xp.asarray(samples))
        assert int(modes) == 2 and float(good) == pytest.approx(3 / 5)
    assert RING.quality(samples[3:]) == (0, 0)
    good = RING.quality(gpu.asarray(samples.astype("float32")))[1]
    assert good.dtype == np.float32 and isinstance(good, gpu.ndarray)


def test_no_modes_no_quality():
    with pytest.raises(ValueError, match="moons has no modes"):
        WORLDS["moons"].quality(np.zeros((1, 2)))


def test_the_skeletons():
    """Moons are two half circles, the line a line, the spiral evenly covered along its way."""
    moons = WORLDS["moons"].skeleton(np.linspace(0, 1, 400, endpoint=False))
    upper, lower = moons[:200] - (-0.3, -0.15), moons[200:] - (0.3, 0.15)
    assert np.hypot(*upper.T) == pytest.approx(0.6) and np.hypot(*lower.T) == pytest.approx(0.6)
    assert upper[:, 1].min() >= 0 and lower[:, 1].max() <= 1e-15
    line = WORLDS["line"].skeleton(np.linspace(0, 1, 9))
    assert np.array_equal(line[:, 0], line[:, 1]) and line[0, 0] == -line[-1, 0] == -0.8
    spiral = WORLDS["spiral"].skeleton(np.linspace(0.1, 1, 500))
    steps = np.hypot(*np.diff(spiral, axis=0).T)
    assert steps.max() < 1.2 * steps.min()
    turned = np.unwrap(np.arctan2(spiral[:, 1], spiral[:, 0]))
    assert turned[-1] - turned[0] == pytest.approx(2 * np.pi * 1.75 * (1 - np.sqrt(0.1)))


class TestDivergences:
    def test_of_a_world_from_itself(self):
        points = GRID.sample(2500, seed=0)
        assert divergences(points, points) == (0, 0)
        kl, js = divergences(points, GRID.sample(2500, seed=1))
        assert 0 < js < 0.02 and 0 < kl < 0.2

    def test_by_hand(self):
        """Data in two cells, three to one; samples in one of them and a third one."""
        a, b, c = np.array([(-1.0, 0.9), (0.3, 0.2), (1.1, -0.7)])
        data, samples = np.array([a, a, a, b]), np.array([a, a, c, c])
        extra = 1 / CELLS**2
        p, q = np.array([3, 1, 0]) + extra, np.array([2, 0, 2]) + extra
        rest = np.full(CELLS**2 - 3, extra)
        p, q = np.append(p, rest) / 5, np.append(q, rest) / 5
        m = (p + q) / 2
        js = ((p * np.log(p / m)).sum() + (q * np.log(q / m)).sum()) / 2
        assert divergences(samples, data) == pytest.approx(((p * np.log(p / q)).sum(), js))

    def test_apart_and_outside(self):
        """Sets that share no cell are log 2 apart; what lies outside counts at the edge."""
        left, right = np.full((10**6, 2), (-9.0, 0)), np.full((10**6, 2), (9.0, 0))
        assert divergences(left, right)[1] == pytest.approx(np.log(2), abs=1e-4)
        assert divergences(left, np.full((10**6, 2), (-EXTENT, 0))) == (0, 0)

    def test_a_point_that_is_no_number(self):
        points = np.array([(0.0, 0.0), (0.0, np.nan)])
        for pair in ((points, points[:1]), (points[:1], points)):
            with pytest.raises(ValueError, match="not a number"):
                divergences(*pair)

    def test_a_lost_mode_costs_kl(self):
        data = RING.sample(2500, seed=0)
        lost = data[np.hypot(*(data - RING.centres[0]).T) > 0.1]
        assert divergences(lost, data)[0] > 1 > 0.1 > divergences(data, data)[0]


class TestGiven:
    def test_points_by_hand(self):
        points = np.array([(0, 0), (1, -1), (0.5, 0.5)])
        drawn = given(points).sample(3000, seed=0)
        distance = np.hypot(*(drawn[:, None] - points).T)
        assert distance.min(axis=0).max() < 0.1
        assert np.bincount(distance.argmin(axis=0)) == pytest.approx(1000, rel=0.1)

    @pytest.mark.parametrize("points, problem", [
        (np.zeros((0, 2)), r"got \(0, 2\)"),
        (np.zeros((4, 3)), r"got \(4, 3\)"),
        ([1.0, 2.0], r"got \(2,\)"),
        ([(0, 0), (0, 1.5)], r"point \(0, 1.5\) is not within 1.4"),
        ([(0, np.nan)], "nan"),
        ([(-np.inf, 0)], "inf"),
    ])  # fmt: skip
    def test_refused(self, points, problem):
        with pytest.raises(ValueError, match=problem):
            given(points)


def test_on_the_device(gpu):
    points = RING.sample(5, seed=0, xp=gpu)
    assert isinstance(points, gpu.ndarray)
    assert np.array_equal(to_host(points), RING.sample(5, seed=0))

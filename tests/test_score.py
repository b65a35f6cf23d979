"""The figures of generated pictures: formulas against closed forms, judges against pictures."""

import numpy as np
import pytest

import minigan as mg
from minigan import data, score
from minigan.data import Dataset
from minigan.score import blocks, classifier, judge, parts
from minigan.score.frechet import distance_of_gaussians

RNG = np.random.default_rng


# The Frechet distance.


def covariance(rng, n):
    root = rng.normal(size=(n, n))
    return root @ root.T


def test_frechet_of_gaussians_with_commuting_covariances():
    """Of C = Q diag(c) Q' and D = Q diag(d) Q' it is |m - w|^2 + sum (c^1/2 - d^1/2)^2."""
    rng = RNG(0)
    Q, _ = np.linalg.qr(rng.normal(size=(7, 7)))
    c, d = rng.uniform(0, 5, (2, 7))
    c[0] = d[1] = 0  # no inverse
    m, w = rng.normal(size=(2, 7))
    expected = ((m - w) ** 2).sum() + ((np.sqrt(c) - np.sqrt(d)) ** 2).sum()
    found = distance_of_gaussians(m, Q * c @ Q.T, w, Q * d @ Q.T)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_frechet_of_gaussians_in_two_dimensions():
    """Tr M^(1/2) = (Tr M + 2 det(M)^(1/2))^(1/2) of a 2 x 2 matrix, here of C D."""
    rng = RNG(1)
    for _ in range(10):
        C, D = covariance(rng, 2), covariance(rng, 2)
        root = np.sqrt(np.trace(C @ D) + 2 * np.sqrt(np.linalg.det(C @ D)))
        expected = 4 + np.trace(C) + np.trace(D) - 2 * root
        found = distance_of_gaussians(np.array([2.0, 0]), C, np.zeros(2), D)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_frechet_of_rows():
    """Rows that are stretched by s and moved by t: |t + (s - 1) m|^2 + (s - 1)^2 Tr C."""
    x = RNG(2).normal(size=(50, 6)) @ RNG(3).normal(size=(6, 6)) + 1
    t = np.arange(6.0)
    expected = ((t + 0.5 * x.mean(0)) ** 2).sum() + 0.25 * x.var(0, ddof=1).sum()
    np.testing.assert_allclose(score.frechet_distance(x, 1.5 * x + t), expected, rtol=1e-9)
    assert 0 <= score.frechet_distance(x, x[::-1]) < 1e-6


@pytest.mark.parametrize("shapes", [((6, 6), (50, 6)), ((50, 6), (6, 6)), ((50, 6), (50, 5))])
def test_frechet_says_no(shapes):
    with pytest.raises(ValueError, match="more rows than columns"):
        score.frechet_distance(*map(np.ones, shapes))


# The kernel distance.


def test_kernel_distance_is_the_formula(monkeypatch):
    monkeypatch.setattr(blocks, "ROWS", 3)
    x, y = RNG(0).normal(size=(7, 4)), RNG(1).normal(size=(5, 4)) + 0.5

    def mean(a, b, same):
        pairs = [(u, v) for i, u in enumerate(a) for j, v in enumerate(b) if not same or i != j]
        return np.mean([(u @ v / 4 + 1) ** 3 for u, v in pairs])

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    np.testing.assert_allclose(score.kernel_distance(x, y), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="two rows"):
        score.kernel_distance(x, y[:1])


def test_kernel_distance_is_unbiased():
    """0 on average of two sets of one kind, where with the pairs of a row with itself it is not."""
    rng, n, features = RNG(2), 12, 3
    found = [score.kernel_distance(*rng.normal(size=(2, n, features))) for _ in range(2000)]
    error = np.std(found) / np.sqrt(len(found))
    bias = 2 * (10 - 1) / n  # E k(x, x), about 10 here, in place of E k(x, x'), about 1
    assert abs(np.mean(found)) < 4 * error < bias / 4


def test_kernel_distance_sees_what_has_the_same_mean_and_covariance():
    rng = RNG(3)
    skewed = rng.exponential(size=(2000, 2)) - 1
    normal = rng.normal(size=(2000, 2))
    assert score.kernel_distance(normal, skewed) > 10 * score.kernel_distance(*np.split(normal, 2))


# Precision and recall.


def test_precision_and_recall_by_hand(monkeypatch):
    monkeypatch.setattr(blocks, "ROWS", 2)
    real = np.array([[0.0], [1], [2], [10]])  # to the nearest other: 1, 1, 1, 8
    fake = np.array([[-0.9], [-1.1], [4], [19]])  # 0.2, 0.2, 5.1, 15
    # Fakes within the real region [-1, 3] or [2, 18]: the first and the third.
    # Real ones within [-1.1, -0.7], [-1.3, -0.9], [-1.1, 9.1] or [4, 34]: all.
    assert score.precision_and_recall(real, fake, k=1) == (0.5, 1.0)
    assert score.precision_and_recall(fake, real, k=1) == (1.0, 0.5)


def test_precision_and_recall_of_what_is_there_or_not():
    rng = RNG(0)
    real, other = rng.normal(size=(2, 800, 4))
    precision, recall = score.precision_and_recall(real, other)
    assert min(precision, recall) > 0.8
    assert score.precision_and_recall(real, real) == (1, 1)
    assert score.precision_and_recall(real, other + 100) == (0, 0)
    collapsed = real[:1] + 1e-9 * other
    precision, recall = score.precision_and_recall(real, collapsed)
    assert precision == 1 and recall <= 1 / 800
    with pytest.raises(ValueError, match="more than 3 rows"):
        score.precision_and_recall(real[:3], other)


# Classes.


def test_class_figures_by_hand():
    real = np.eye(4)[[0] * 50 + [1] * 46]  # nobody reads 2 or 3
    drawn = np.array([[0.8, 0.2, 0, 0]] * 7 + [[0, 0.1, 0.9, 0]] * 3)
    figures = score.class_figures(drawn, real)
    assert figures["classes"] == 1 and "labelled" not in figures  # of two in the data
    np.testing.assert_allclose(figures["confidence"], 0.83)
    np.testing.assert_allclose(figures["kl"], 0.7 * np.log(0.7 / 0.51) + 0.3 * np.log(0.3 / 0.01))
    labels = np.array([0] * 5 + [1] * 2 + [2] * 3)
    assert score.class_figures(drawn, real, labels)["labelled"] == 0.8
    # A class is found from a fifth of its share in the data on, 0.0958 of the second.
    few = np.eye(4)[[0] * 90 + [1] * 10]
    assert score.class_figures(few, real)["classes"] == 2
    assert score.class_figures(few[:-1], real)["classes"] == 1


# The parts of the data.


def some(count, labels=None, **more):
    return Dataset(np.zeros((count, 4, 4, 1), np.uint8), labels, "some", "here", **more)


def test_no_picture_has_two_uses():
    labels = np.arange(100) % 3
    divided = parts.divide(some(100, labels))
    used = np.concatenate([divided.reference, divided.others, divided.training])
    assert sorted(used) == list(range(100)) and not divided.held_out
    assert len(divided.reference) == len(divided.others) == 20
    with_test = parts.divide(some(100, labels), test := some(30, labels[:30]))
    assert with_test.source is test and sorted(with_test.reference) == list(range(30))
    assert sorted([*with_test.others, *with_test.training]) == list(range(100))
    unlabelled = parts.divide(some(100))
    assert len(unlabelled.reference) == len(unlabelled.others) == 50
    assert not parts.divide(some(9, np.zeros(9, np.int64))).labelled  # one class is none
    assert not parts.divide(some(100, labels), some(30)).labelled
    with pytest.raises(mg.UserError, match="of 7 pictures, 3 would be compared with 3 others"):
        parts.divide(some(7))


# Pictures.


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(classifier, "STEPS", 30)
    return tmp_path / "cache"


@pytest.fixture
def digits():
    return [data.digits.load(split=split, limit=1500) for split in ("train", "test")]


@pytest.mark.host
def test_figures_of_digits(cache, digits, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 200)
    said = []
    scorer = score.Scorer(*digits, count=300, notify=said.append)
    assert said == ["training a classifier on 1,200 labelled pictures, once for these data"]
    assert scorer.accuracy > 0.85 and scorer.count == 300
    floor, ceiling = scorer.floor(), scorer.ceiling()
    assert floor["frechet"] < 0.2 * ceiling["frechet"]
    assert abs(floor["kernel"]) < 0.05 < 1 < ceiling["kernel"]
    assert floor["precision"] > 0.6 > 0.1 > ceiling["precision"]
    assert floor["recall"] > 0.6 > 0.05 > ceiling["recall"]
    assert floor["classes"] == 10 and floor["kl"] < 0.1 and floor["labelled"] > 0.85
    assert "labelled" not in ceiling

    images, labels = digits[1].images[-300:], digits[1].labels[-300:]
    collapsed = scorer.scores([images[:1].repeat(300, axis=0)])
    assert collapsed["frechet"] > 5 * floor["frechet"] and collapsed["recall"] < 0.05
    assert collapsed["classes"] == 1 and collapsed["kl"] > 0.8 * np.log(10)
    few = images[labels < 4].repeat(3, axis=0)[:300]  # four kinds of ten
    assert scorer.scores([few])["classes"] == 4
    assert floor["kl"] < scorer.scores([few])["kl"] < collapsed["kl"]
    right, wrong = (scorer.scores([images], asked)["labelled"] for asked in (labels, labels[::-1]))
    assert right > 0.85 and wrong < 0.4
    assert any("not Inception's" in line for line in scorer.facts())


@pytest.mark.host
def test_the_classifier_is_kept_and_made_again_where_damaged(cache, digits):
    said = []

    def figures(train):
        return score.Scorer(train, count=150, notify=said.append).floor()

    first = figures(digits[0])
    [path] = cache.glob("judges/*.npz")
    assert figures(digits[0]) == first and len(said) == 1
    content = path.read_bytes()
    path.write_bytes(content[:-2000])
    assert figures(digits[0]) == first and len(said) == 2
    assert path.stat().st_size == len(content)
    labels = digits[0].labels[::-1].copy()
    figures(Dataset(digits[0].images, labels, "digits", "other labels"))
    assert len(said) == 3 and len([*cache.glob("judges/*.npz")]) == 2


@pytest.mark.host
def test_a_cache_that_cannot_be_written_is_done_without(cache, digits):
    cache.write_text("a file where a folder should be")
    assert np.isfinite(score.Scorer(digits[0], count=150).floor()["frechet"])


def test_pictures_without_labels(digits):
    images = digits[0].images
    scorer = score.Scorer(Dataset(images, None, "some", "here"), count=400)
    floor, ceiling = scorer.floor(), scorer.ceiling()
    assert scorer.labels is None and list(floor) == ["frechet", "kernel", "precision", "recall"]
    assert floor["frechet"] < 0.2 * ceiling["frechet"] and ceiling["recall"] < 0.05
    assert floor["precision"] > 0.6 > 0.1 > ceiling["precision"]
    halves = digits[1].images[:400].copy()
    halves[:, :, 14:] = 0
    assert scorer.scores([halves])["frechet"] > 2 * floor["frechet"]


def test_few_pictures_have_no_frechet_distance(digits):
    scorer = score.Scorer(Dataset(digits[0].images[:100], None, "some", "here"))
    floor = scorer.floor()
    assert scorer.count == 50 and np.isnan(floor["frechet"])
    assert np.isfinite([floor["kernel"], floor["precision"], floor["recall"]]).all()
    assert any("no Frechet distance" in line for line in scorer.facts())


@pytest.mark.parametrize("shape", [(4, 4, 1), (28, 28, 1), (33, 20, 3), (96, 96, 3)])
def test_any_shape(shape):
    pictures = RNG(0).integers(0, 256, (3, *shape), np.uint8)
    network = judge.classifier(shape, 5)
    features, p = judge.Judge(shape, network).read([pictures[:2], pictures[2:]])
    assert features.shape == (3, 2 * judge.WIDTH) and p.shape == (3, 5)
    assert features.dtype == p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=1), 1)
    alone, _ = judge.Judge(shape).read([pictures])
    np.testing.assert_allclose(alone, features[:, : judge.WIDTH], rtol=1e-4, atol=1e-5)


def test_a_device_has_the_figures_of_the_host(gpu, cache, digits, monkeypatch):
    """By one classifier, which either may have trained."""
    monkeypatch.setattr(classifier, "STEPS", 3)
    train, test = (dataset.limit(300) for dataset in digits)
    there, here = (
        score.Scorer(train, test, count=60, device=name).floor() for name in ("gpu", "cpu")
    )
    assert len([*cache.glob("judges/*.npz")]) == 1
    np.testing.assert_allclose([*there.values()], [*here.values()], rtol=1e-3, atol=1e-4)

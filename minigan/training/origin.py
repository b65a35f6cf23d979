"""The data of a run, found again by what its options say."""

import re

from .. import data
from ..errors import UserError

SPLIT = re.compile("train|test|t10k")  # what tells two sets of one source apart


def load(run, words=None, *, limit, notify, split="train"):
    """The `Dataset` of a run: its pictures in its form, with its labels.

    run: as a checkpoint stores it, or a dict of its "options", "data" and "latent".  words: for
    --data, where the data is elsewhere now.  limit: take the first so many.  notify: called with
    lines for people.  split: or "test", of sets that have one (see `data.load`); never downloaded.
    Raises UserError where they cannot be had, or are of another shape.
    """
    try:
        dataset = _load(run, words, limit=limit, notify=notify, split=split)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError) as error:  # of a file that no run of ours has written
        raise UserError(f"no data is where its options say: {error}") from error
    if dataset.images.shape[1:] != tuple(run["data"]["shape"]):
        raise UserError(
            f"the run was trained on pictures of shape {tuple(run['data']['shape'])}, "
            f"data {dataset.name} has {dataset.images.shape[1:]}"
        )
    return dataset


def load_test(run, train, words=None):
    """The test set that belongs to the training set `train`; None where there is none."""
    if train.files is not None:
        return None
    try:
        test = load(run, words, limit=None, notify=lambda line: None, split="test")
    except UserError:
        return None
    # A single file has no splits, and a folder may have one of them and the cache the other.
    there, here = SPLIT.sub("", test.source), SPLIT.sub("", train.source)
    return test if there == here and test.source != train.source else None


def _load(run, words, *, split, **more):
    options, (*size, channels) = run["options"], run["data"]["shape"]
    settings = {name: options[name] for name in ("classes", "fit") if name in options}
    if run["data"]["name"] == "cifar10":
        settings["auto"] = "cifar10"
    words, download = words or options["data"], split == "train"
    dataset = data.load(
        words, size=size, channels=channels, split=split, download=download, **settings, **more
    )
    if run["latent"].get("classes") and "attribute" in options:
        table = options["attributes"]
        if table is None and dataset.files is not None:
            table = data.attributes.find(words)
        dataset = data.attributes.label(
            dataset, options["attribute"], table=table, notify=more["notify"]
        )
    return dataset

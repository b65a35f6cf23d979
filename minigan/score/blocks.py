"""Pairs of features, block by block: all pairs at once would be n * m numbers."""

ROWS = 500  # at a time: 20 MB of pairs with 5,000 others


def rows_of(x):
    """Yields x (n, F) in blocks of rows."""
    for start in range(0, len(x), ROWS):
        yield x[start : start + ROWS]

"""Labels from an attribute: a table that says of each picture what can be seen on it.

CelebA's form (Liu et al. 2015) as a CSV file, 1 where a picture has an attribute and -1 where not:

    image_id,Blond_Hair,Smiling
    000001.jpg,-1,1
    000002.jpg,1,-1

Rows and pictures are matched by file name.  Neither the order of the rows nor pictures that are
missing on one side can move a label to another picture.
"""

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..regular import open_regular
from .status import say

FIRST_COLUMN = "image_id"
VALUES = {"1": 1, "-1": -1}


def label(dataset, attribute=None, *, table=None, notify=None):
    """The `Dataset` with an attribute for its label: 0 where a picture lacks it, 1 where it has it.

    attribute: a name; may be left out where there is only one.  table: the path of a CSV file
    that has it; without one it must be among `dataset.attributes`.  notify: called with each line
    the user should see, on what table and pictures have in common; by default it goes to
    standard error.

    Pictures without a row are left out.  Raises UserError for a table that cannot be read, is
    not of CelebA's form or has values other than 1 and -1 in that column, for an attribute that
    there is not, and where no picture, or only one of the two labels, is left.
    """
    notify = notify or say
    if table is None:
        name = _choose(attribute, list(dataset.attributes), f"data {dataset.name}")
    else:
        name, rows = read(table, attribute)
        dataset = _match(dataset, name, rows, table, notify)
    labels = (dataset.attributes[name] > 0).astype(np.int64)
    have = int(labels.sum())
    if not 0 < have < len(labels):
        raise UserError(
            f"attribute {name}: {have} of {len(labels)} pictures have it; "
            "two kinds of pictures are wanted"
        )
    notify(f"attribute {name}: {have:,} pictures have it, {len(labels) - have:,} have not")
    return replace(dataset, labels=labels, classes=(f"not_{name}", name))


def read(path, attribute=None):
    """(name, values) of one attribute in a table: values is a dict image_id -> 1 or -1."""
    path = Path(os.path.expanduser(path))
    try:
        with open_regular(path) as file:
            lines = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
            header = [word.strip() for word in next(lines, [])]
            if header[:1] != [FIRST_COLUMN]:
                raise UserError(
                    f"{path} is not an attribute table: its first line should begin "
                    f"with {FIRST_COLUMN}, it is {','.join(header)[:60]!r}"
                )
            name = _choose(attribute, header[1:], str(path))
            column = header.index(name)
            values = {}
            for words in filter(None, lines):
                place = f"{path}, line {lines.line_num}"
                if len(words) != len(header):
                    raise UserError(
                        f"{place}: {len(words)} values in a table of {len(header)} columns"
                    )
                picture, value = words[0].strip(), words[column].strip()
                if value not in VALUES:
                    raise UserError(f"{place}: {name} of {picture} is {value!r}: give 1 or -1")
                if picture in values:
                    raise UserError(f"{place}: {picture} has a row already")
                values[picture] = VALUES[value]
            return name, values
    except FileNotFoundError as error:
        raise UserError(f"no attribute table at {path}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file of text: {error}") from error


def find(folder):
    """The CSV file in a folder, or else beside it.  UserError unless there is exactly one."""
    folder = Path(os.path.expanduser(folder))
    for place in (folder, folder.absolute().parent):
        if tables := sorted(place.glob("*.csv")):
            if len(tables) == 1:
                return tables[0]
            names = ", ".join(table.name for table in tables)
            raise UserError(f"{place} has several tables: name one of {names}")
    raise UserError(f"no attribute table (.csv) in {folder} or beside it: name one")


def _choose(attribute, known, place):
    if attribute in known or (attribute is None and len(known) == 1):
        return attribute or known[0]
    there = f"there are {', '.join(known)}" if known else "there are none"
    if attribute is None:
        raise UserError(f"{place}: which attribute? {there}")
    raise UserError(f"{place} has no attribute {attribute!r}; {there}")


def _match(dataset, name, rows, table, notify):
    """The pictures that have a row, as a Dataset with the attribute `name`."""
    if dataset.files is None:
        raise UserError(f"data {dataset.name} are not files, which {table} could name")
    chosen, values, row_of = [], [], {}
    for index, file in enumerate(dataset.files):
        # A row may name the file with its folder; most tables leave the folder out.
        row = file if file in rows else file.rpartition("/")[2]
        if row not in rows:
            continue
        if row in row_of:
            raise UserError(
                f"{table}: {row} may be {row_of[row]} or {file}: write the folder's name before it"
            )
        row_of[row] = file
        chosen.append(index)
        values.append(rows[row])
    if not chosen:
        raise UserError(
            f"{table} names none of the pictures: it has {next(iter(rows), 'no row')}, "
            f"the first picture is {dataset.files[0]}"
        )
    notify(
        f"{table}: {len(chosen):,} pictures have a row; {len(dataset) - len(chosen):,} pictures "
        f"without a row are left out, {len(rows) - len(chosen):,} rows have no picture"
    )
    return replace(dataset.take(chosen), attributes={name: np.array(values, np.int64)})

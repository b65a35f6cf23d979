"""A page for the browser: one file, a template with what it shows put in as JSON."""

import base64
import json

from ..atomic import replacing
from ..errors import printable, writing


def fill(template, content):
    """The page, a str: the text of a template, whose script says /*CONTENT*/null, with the content.

    content: anything JSON can hold, without NaN.
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return template.replace("/*CONTENT*/null", text.replace("<", "\\u003c"))  # no tag in a script


def save(path, page):
    """Write a page, whole or not at all, and say so; UserError where that cannot be."""
    with writing(path), replacing(path) as file:
        file.write(page.encode())
    print(f"{printable(path)}, {len(page) / 1e6:.1f} MB: open it in a browser")


def data_uri(png):
    """The address of a picture that is in the page itself.  png: the bytes of a PNG file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()

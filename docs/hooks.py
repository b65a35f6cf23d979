"""What the site adds to the pages as GitHub shows them.  mkdocs calls these functions.

Formulas, $`...`$ and ```math blocks, become MathML, which browsers draw without script or network.
A source file that a page links to becomes a page itself; the link leads to the line that defines
the function it names.
"""

import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[([^\]]*)\]\(\.\./([^)#]+)\)")
PIECE = re.compile(  # the first that fits: a formula, a block of code, a formula, a link to a file
    r"^```math\n(?P<display>.*?)^```$|^```.*?^```$|\$`(?P<inline>.*?)`\$|" + LINK.pattern,
    re.DOTALL | re.MULTILINE,
)


def on_files(files, config):
    """Add a page for each source file that is linked to."""
    pages = [file.content_string for file in files.documentation_pages()]
    for path in sorted({path for page in pages for _, path in LINK.findall(page)}):
        text = (ROOT / path).read_text(encoding="utf-8")
        content = (
            f"---\nsearch:\n  exclude: true\nhide: [toc]\n---\n# {path}\n\n"
            f'~~~~~~{{ .python linenums="1" }}\n{text}~~~~~~\n'
        )
        files.append(File.generated(config, f"source/{path}.md", content=content))
    return files


def on_page_markdown(markdown, page, **_):
    """Put marks in the place of formulas, which `on_page_content` replaces; make links lead on."""
    if page.file.src_uri.startswith("source/"):
        return markdown
    page.formulas = []

    def on_site(piece):
        display, inline = piece["display"], piece["inline"]
        if display or inline:
            page.formulas.append(
                convert(display or inline, display="block" if display else "inline")
            )
            mark = f"FORMULA{len(page.formulas) - 1}END"
            return f"\n{mark}\n" if display else mark
        link = LINK.fullmatch(piece[0])
        return _lead(*link.groups()) if link else piece[0]

    return PIECE.sub(on_site, markdown).replace("<details>", '<details markdown="1">')


def on_page_content(html, page, **_):
    for number, formula in enumerate(getattr(page, "formulas", ())):
        mark = f"FORMULA{number}END"
        html = html.replace(f"<p>{mark}</p>", formula).replace(mark, formula)
    return html


def _lead(text, path):
    """[`f`](../file.py) -> the line of the site's page of file.py where f is defined."""
    name = text.strip("`").split(".")[-1]
    for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), start=1):
        if re.match(rf"\s*(def|class) {re.escape(name)}\b|{re.escape(name)} =", line):
            return f"[{text}](source/{path}.md#__codelineno-0-{number})"
    return f"[{text}](source/{path}.md)"

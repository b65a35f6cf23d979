"""Formulas as MathML, which browsers draw without script or network, from a little of TeX.

    mathml(r"-\\frac{1}{N} \\sum_i \\log \\sigma(a_i)")

Letters are variables; \\text{words} are upright; _ and ^ take one symbol or {...}.
"""

import re
from collections import deque
from html import escape

SYMBOLS = {
    "epsilon": "ε", "eta": "η", "lambda": "λ", "rho": "ρ", "sigma": "σ", "theta": "θ", "top": "⊤",
}  # fmt: skip
OPERATORS = {"gets": "←", "nabla": "∇", "partial": "∂", "sim": "∼", "sum": "∑", "|": "‖"}
FUNCTIONS = ("clip", "log", "max")
ACCENTS = {"bar": "¯", "hat": "^", "tilde": "˜"}
_TOKEN = re.compile(r"\\text\{[^}]*\}|\\[a-zA-Z]+|\\\||\d+(?:\.\d+)?|\S")


def mathml(tex):
    """The MathML of a formula, a str.  Raises KeyError for a name that is unknown here."""
    return f'<math display="block">{_row(deque(_TOKEN.findall(tex)))}</math>'


def _row(tokens):
    """All up to a closing brace, which is taken off too, or to the end."""
    parts = []
    while tokens and tokens[0] != "}":
        parts.append(_scripted(tokens))
    if tokens:
        tokens.popleft()
    return f"<mrow>{''.join(parts)}</mrow>"


def _scripted(tokens):
    parts, marks = [_atom(tokens)], ""
    while tokens and tokens[0] in ("_", "^"):
        marks += tokens.popleft()
        parts.append(_atom(tokens))
    tag = {"": "mrow", "_": "msub", "^": "msup", "_^": "msubsup"}[marks]
    if parts[0] == f"<mo>{OPERATORS['sum']}</mo>":
        tag = "munder"
    return f"<{tag}>{''.join(parts)}</{tag}>" if marks else parts[0]


def _atom(tokens):
    token = tokens.popleft()
    if token == "{":
        return _row(tokens)
    if token.startswith("\\text"):
        return f"<mtext>{escape(token[6:-1])}</mtext>"
    if token.startswith("\\"):
        return _command(token[1:], tokens)
    tag = "mn" if token[0].isdigit() else "mi" if token.isalpha() else "mo"
    return f"<{tag}>{escape(token.replace('-', '−'))}</{tag}>"


def _command(name, tokens):
    if name == "frac":
        return f"<mfrac>{_atom(tokens)}{_atom(tokens)}</mfrac>"
    if name == "sqrt":
        return f"<msqrt>{_atom(tokens)}</msqrt>"
    if name == "quad":
        return '<mspace width="1.4em"/>'
    if name in ACCENTS:
        accent = f'<mo stretchy="false">{ACCENTS[name]}</mo>'
        return f'<mover accent="true">{_atom(tokens)}{accent}</mover>'
    if name in FUNCTIONS:
        return f"<mi>{name}</mi><mo>&#x2061;</mo>"  # which is applied to what follows
    return f"<mi>{SYMBOLS[name]}</mi>" if name in SYMBOLS else f"<mo>{OPERATORS[name]}</mo>"

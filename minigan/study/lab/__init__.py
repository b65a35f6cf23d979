"""minigan lab: a page in which the engine trains two-dimensional GANs.

session.py   a thread that trains, does what it is told, and says what is to be seen
server.py    HTTP for that, on 127.0.0.1
stages.py    what the page says of the parts of a step: formulas, code, numbers
page.html    what is seen
"""

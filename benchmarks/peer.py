"""One side of a comparison in a process of its own, which is asked through a pipe."""

import multiprocessing
import sys


class Peer:
    """A fresh process that runs serve(pipe, *arguments), what is sent being answered there.

    Where it dies this program ends, with one line, in place of waiting for an answer.
    """

    def __init__(self, serve, *arguments):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, *arguments), daemon=True)
        self.process.start()
        other.close()  # the process has its own copy: the last one, whose end is the pipe's end
        self.name = " ".join(map(str, arguments))

    def answer(self):
        """The next thing it sends."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            sys.exit(f"the process of {self.name} died (exit code {self.process.exitcode})")

    def ask(self, request):
        """The answer to a request."""
        try:
            self.pipe.send(request)
        except OSError:
            pass  # it died meanwhile, as is now said
        return self.answer()

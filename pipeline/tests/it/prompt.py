"""Types at the prompt through a terminal of its own and prints what appears, without escape sequences."""

import json
import os
import pty
import re
import select
import sys
import time

PROMPT = "marginalia> "


class Terminal:
    """What a program shows, read piece by piece."""

    def __init__(self, descriptor):
        self.descriptor, self.seen = descriptor, ""

    def press(self, keys):
        os.write(self.descriptor, keys)

    def read_until(self, wanted, press=b"", seconds=120):
        """What appears up to `wanted`; `press` is pressed twice a second meanwhile."""
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            ready, _, _ = select.select([self.descriptor], [], [], 0.5)
            if ready:
                self.seen += self.read()
            elif time.monotonic() > end:
                raise AssertionError(f"no {wanted!r} within {seconds} s after: {self.seen!r}")
            else:
                self.press(press)
        before, _, self.seen = self.seen.partition(wanted)
        return before + wanted

    def read(self):
        try:
            piece = os.read(self.descriptor, 65536)
        except OSError:
            piece = b""
        if not piece:
            raise AssertionError(f"it ended: {self.seen!r}")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece.decode(errors="replace")).replace("\r", "")


program, *lines = sys.argv[1:]
child, descriptor = pty.fork()
if child == 0:
    os.environ["TERM"] = "xterm"
    os.environ["PAGER"] = "cat"
    os.execv(program, [program, "sql"])
terminal = Terminal(descriptor)
terminal.read_until(PROMPT)
answers = []
for line in lines:
    line, _, wanted = line.partition("=>")
    terminal.press(line.removeprefix("^C ").encode().decode("unicode_escape").encode())
    answers.append(terminal.read_until(wanted or PROMPT, b"\x03" if line.startswith("^C ") else b""))
    if wanted:
        answers[-1] += terminal.read_until(PROMPT)
terminal.press(b"\x04")
_, status = os.waitpid(child, 0)
print(json.dumps({"answers": answers, "status": os.waitstatus_to_exitcode(status)}))

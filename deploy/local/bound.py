"""Run a command that does not outlive the process that started it: `bound.py COMMAND ARGUMENT...`.

Imports nothing of the project and needs no site-packages, so that it costs milliseconds.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if sys.platform == "linux":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is wanted

"""Waiting for something to become true; nothing in the tests waits for time to pass."""

import os
import time

# a sanitizer build is several times slower
DEADLINE = 45.0 if os.environ.get("SAN") else 15.0


def wait_for(condition, what: str, seconds: float = DEADLINE, alive=None, otherwise=None):
    """Polls until condition() is true and returns its value. `alive`, if given, is called in
    between and may raise when there is nothing left to wait for. Time over is an error, unless
    `otherwise` gives a value for that."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if alive is not None:
            alive()
        if time.monotonic() > end:
            if otherwise is not None:
                return otherwise()
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.005)

"""A capture into a topic, in a process of its own, to be killed: `python -m tests.chaos.shipping TOPIC FULL_AT` and the
words of capturing.

FULL_AT: bytes that no file may exceed, as on a full disk; 0 for as many as there are.
"""

import resource
import sys

from tests.chaos import capturing

if __name__ == "__main__":
    topic, full_at = sys.argv[1], int(sys.argv[2])
    if full_at:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full_at, full_at))
    sys.exit(capturing.main(*sys.argv[3:], topic=topic))

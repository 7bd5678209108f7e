"""Whether the fast ways are taken.

Rules: a fast way is an optimisation alongside a plain one and gives the same results. TRADECAP_PLAIN=0 takes the plain
ways, for doubt and for tests.
"""

import os
from typing import Final

SWITCH: Final = "TRADECAP_PLAIN"


def is_fast() -> bool:
    """Whether the fast ways are taken: unless TRADECAP_PLAIN is 0."""
    return os.environ.get(SWITCH) != "0"

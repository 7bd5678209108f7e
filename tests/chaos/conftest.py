"""What only `make chaos` runs."""

import os

collect_ignore = [] if os.environ.get("TRADECAP_CHAOS") else ["test_cluster.py"]

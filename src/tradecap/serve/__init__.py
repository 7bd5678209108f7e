"""The read-only faces: what was captured, answered over REST. Nothing here writes to a log or a store."""

"""A local exchange that real client libraries accept, fed by recordings or a generator, cruel on demand."""

from tradecap.simulate.faults import Fault
from tradecap.simulate.generator import Generated
from tradecap.simulate.limits import Rules
from tradecap.simulate.recordings import Recording, recording
from tradecap.simulate.server import Exchange

__all__ = ["Exchange", "Fault", "Generated", "Recording", "Rules", "recording"]

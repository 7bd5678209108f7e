"""A local exchange that real client libraries accept, fed by recordings or a generator, with faults on demand."""

from tradecap.simulate.exchange import Exchange
from tradecap.simulate.faults import Fault
from tradecap.simulate.generator import Generated
from tradecap.simulate.limits import Rules
from tradecap.simulate.recordings import Recording, recording
from tradecap.simulate.settings import ExchangeSettings

__all__ = ["Exchange", "ExchangeSettings", "Fault", "Generated", "Recording", "Rules", "recording"]

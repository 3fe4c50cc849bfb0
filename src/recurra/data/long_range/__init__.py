"""Small tasks of long-range memory from the literature, generated as they are needed."""

from recurra.data.long_range.adding import Adding
from recurra.data.long_range.base import Batch, LongRangeTask
from recurra.data.long_range.copying import Copying
from recurra.data.long_range.digits import SequentialDigits
from recurra.data.long_range.parity import Parity
from recurra.data.long_range.reber import EmbeddedReber
from recurra.data.long_range.temporal_order import TemporalOrder
from recurra.data.long_range.timing import SpikeDelays, TimedSpikes
from recurra.data.long_range.wave import Wave

__all__ = [
    "Adding",
    "Batch",
    "Copying",
    "EmbeddedReber",
    "LongRangeTask",
    "Parity",
    "SequentialDigits",
    "SpikeDelays",
    "TemporalOrder",
    "TimedSpikes",
    "Wave",
]

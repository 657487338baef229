"""Planning without a server: discrete events, no waiting, the same result for the same seed.

`simulate` plays the requests of a `Load` (or any `Source`) against the servers of a `Setup`;
`rows` compares numbers of slots and looks for the highest rate that keeps the `Targets`.
"""

from aegis_llm.simulate.engine import simulate
from aegis_llm.simulate.jobs import Job, Source
from aegis_llm.simulate.load import Load
from aegis_llm.simulate.machines import MACHINES, Machine, machine
from aegis_llm.simulate.plan import Row, Targets, rows
from aegis_llm.simulate.policy import Policy, SendAtOnce
from aegis_llm.simulate.scheduled import Scheduled
from aegis_llm.simulate.setup import Setup
from aegis_llm.simulate.speed import Speed
from aegis_llm.simulate.tally import Outcome, Percentiles
from aegis_llm.simulate.trace import read_trace

__all__ = [
    "MACHINES",
    "Job",
    "Load",
    "Machine",
    "Outcome",
    "Percentiles",
    "Policy",
    "Row",
    "Scheduled",
    "SendAtOnce",
    "Setup",
    "Source",
    "Speed",
    "Targets",
    "machine",
    "read_trace",
    "rows",
    "simulate",
]

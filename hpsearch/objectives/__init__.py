"""What a search optimises: trials in, outcomes out."""

from hpsearch.objectives.base import Objective
from hpsearch.objectives.network import NetworkObjective

__all__ = ["NetworkObjective", "Objective"]

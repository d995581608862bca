"""Which way up a page is: found from crops of its text by a small net, and judged by how its words read."""

from engines.scribe.orientation.turning import back, returned, turned
from engines.scribe.orientation.upright import Upright, judged, reconsidered, upright
from engines.scribe.orientation.votes import TurnWeightsError, Voters

__all__ = ["TurnWeightsError", "Upright", "Voters", "back", "judged", "reconsidered", "returned", "turned", "upright"]

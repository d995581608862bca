"""The engine and its nets, loaded once."""

from __future__ import annotations

import pytest

from engines.scribe.engine import TURN_WEIGHTS, WEIGHTS, Scribe
from engines.scribe.orientation import Voters
from engines.scribe.recogniser.reader import Recogniser


@pytest.fixture(scope="module")
def scribe() -> Scribe:
    engine = Scribe()
    engine.load()
    return engine


@pytest.fixture(scope="module")
def voters() -> Voters:
    return Voters.load(TURN_WEIGHTS)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser.load(WEIGHTS)

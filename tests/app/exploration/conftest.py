"""A sweep without a service."""

import pytest

from app.exploration.outcomes import Findings
from tests.app.sweeps import make_findings


@pytest.fixture
def findings() -> Findings:
    return make_findings()

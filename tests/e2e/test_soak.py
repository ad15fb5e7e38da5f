"""One minute of load while a replica is killed and Redis is stopped twice: nothing goes wrong."""

import asyncio

import pytest

from serve.load.photos import PhotoSource
from tests.serving import Served
from tools.soak.ledger import Fate
from tools.soak.questions import known_questions
from tools.soak.run import Soak, SoakPlan
from tools.soak.timetable import Change

RATE = 3.0
PATIENCE_S = 0.02  # below what an answer takes, so that somebody leaves


@pytest.mark.cluster
@pytest.mark.timeout(400)
def test_a_minute_of_faults_gives_no_wrong_answer_no_hang_and_no_unexplained_failure(
    served: Served,
) -> None:
    questions = known_questions(served.predictor, PhotoSource.generated(5), 8, "balanced")
    url = str(served.client.base_url).rstrip("/")
    plan = SoakPlan(seconds=60.0, rate=RATE, patience_s=PATIENCE_S)
    report = asyncio.run(Soak(url, served.cache_server, questions, plan).run())
    assert report.faults == []
    assert [what for _, what in report.events].count(Change.KILL) == report.num_kills == 1
    assert report.fates[Fate.RIGHT] > 0.7 * RATE * 60
    assert report.fates[Fate.MALFORMED] > 0
    assert report.fates[Fate.LEFT] > 0

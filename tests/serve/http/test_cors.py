"""Pages of other origins: none, unless the operator names them."""

import pytest

from tests.serve.conftest import Start

PAGE = "https://page.example"


async def test_no_origin_is_allowed_by_default(start: Start) -> None:
    running = await start()
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    asked = await running.client.options("/v1/caption", headers=headers)
    answer = await running.client.get("/v1/model", headers={"Origin": PAGE})
    assert asked.status_code == 405
    for response in (asked, answer):
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(("origin", "is_allowed"), [(PAGE, True), ("https://other.example", False)])
async def test_named_origins_may_ask(start: Start, origin: str, is_allowed: bool) -> None:
    running = await start(cors_origins=f"{PAGE}, https://second.example")
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    asked = await running.client.options("/v1/caption", headers=headers)
    refused = await running.client.post("/v1/caption", json={}, headers={"Origin": origin})
    assert (asked.status_code == 200) is is_allowed
    assert refused.status_code == 422
    for response in (asked, refused):
        allowed = response.headers.get("access-control-allow-origin")
        assert allowed == (PAGE if is_allowed else None)

"""A service of more instances than anybody reads: the unwell are seen first, and no answer grows with the fleet."""

from __future__ import annotations

import aiohttp
import msgspec

from collector import resources

from .sidecars import check, checks, full
from .test_api import collector, get, post


async def shop(session: aiohttp.ClientSession, well: int) -> None:
    """`well` instances that pass, and one by the last name that does not."""
    for n in range(well):
        await post(session, full(f"shop-{n:04}", 1, checks(ready="+")))
    await post(session, full("shop-z", 1, [check("ready", "-", "connection refused")]))


async def test_the_text_shows_the_worst_instances_and_says_how_many_it_leaves_out() -> None:
    async with collector() as (_, session):
        await shop(session, 120)
        path = "/v1/services/shop/health"
        text = (await get(session, path, Accept="text/plain"))[2].decode().splitlines()
        assert text[3].split()[:2] == ["fail", "shop-z"]
        assert (len(text), text[-1]) == (3 + 100 + 1, "and 21 more")


async def test_the_gate_as_a_document_has_the_checks_of_the_worst_hundred() -> None:
    async with collector() as (_, session):
        await shop(session, 120)
        body = (await get(session, "/v1/services/shop/health"))[2]
        shown = msgspec.json.decode(body, type=resources.Health).checks["ready"]
        assert (len(shown), shown[0].component_id, shown[0].status) == (100, "shop-z", "fail")


async def test_a_service_is_answered_with_its_worst_thousand_and_where_the_others_are() -> None:
    async with collector() as (_, session):
        await shop(session, 1001)
        found = msgspec.json.decode((await get(session, "/v1/services/shop"))[2], type=resources.ServiceDetail)
        assert (len(found.instances), found.instances[0].instance) == (1000, "shop-z")
        body = (await get(session, f"/v1/instances?service=shop&cursor={found.next}"))[2]
        rest = msgspec.json.decode(body, type=resources.Instances)
        assert ([one.instance for one in rest.instances], rest.next) == (["shop-0999", "shop-1000"], None)


async def test_the_table_of_the_fleet_does_not_count_reasons_that_it_does_not_have() -> None:
    async with collector() as (_, session):
        for n in range(30):
            await post(session, full(f"shop-{n:04}", 1, checks(ready="-")))
        text = (await get(session, "/v1/health", Accept="text/plain"))[2].decode()
        assert text.splitlines()[3].endswith("0/30  shop-0000: ready (and more)")

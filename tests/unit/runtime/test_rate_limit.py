"""How much one client may ask for."""

import asyncio

from services.runtime.rate_limit import ClientLimit

NO_REDIS = "redis://127.0.0.1:1/0"


async def test_requests_that_come_together_are_let_in_up_to_the_limit_and_no_further():
    """A burst of one client is counted by request, however many of them are under way at once."""
    limit = ClientLimit("1000/hour", redis=NO_REDIS)
    answers = await asyncio.gather(*(limit.retry_after_s("10.0.0.1") for _ in range(1100)))
    assert sum(answer is None for answer in answers) == 1000
    assert all(answer >= 1 for answer in answers if answer is not None)
    assert await limit.retry_after_s("10.0.0.2") is None

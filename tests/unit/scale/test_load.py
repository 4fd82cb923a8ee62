"""The client that posts without waiting for answers."""

import asyncio
from itertools import islice

from tests.scale.load import Client, complaints

TAKEN = b'HTTP/1.1 202 Accepted\r\nContent-Length: 21\r\n\r\n{"complaint_id":"c1"}'
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


async def poured(*answers: bytes):
    """What comes of as many complaints as there are answers; of an empty one the connection ends."""
    rest, connections = iter(answers), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        nonlocal connections
        connections += 1
        while head := await reader.readline():
            size = 0
            while head.strip():
                size = int(head.split(b":")[1]) if head.lower().startswith(b"content-length") else size
                head = await reader.readline()
            await reader.readexactly(size)
            answer = next(rest)
            writer.write(answer)
            if not answer or b"close" in answer:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        found = [await client.pour(islice(complaints(), 1), per_s=1000) for _ in answers]
        client.close()
    return [one.answers[0] for one in found], connections


async def test_answers_are_told_apart():
    """Accepted, refused with a time to come again, and not answered at all."""
    answers, _ = await poured(TAKEN, FULL, b"")
    assert [(a.status, a.may_retry, a.complaint_id) for a in answers] == [
        (202, False, "c1"),
        (503, True, ""),
        (0, False, ""),
    ]


async def test_a_connection_is_used_again_unless_it_was_closed():
    """Customers' browsers do so, too."""
    assert (await poured(TAKEN, TAKEN, FULL, TAKEN))[1] == 2


async def test_no_more_are_posted_than_there_is_time_for():
    """A pace and a time make a number."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        found = await client.pour(complaints(), per_s=1000, seconds=0.02)
    assert len(found.answers) == 20


def test_complaints_are_all_different():
    """No two are about one parcel, nor from one person, nor is any made again by another run."""
    some = [*islice(complaints(), 500), *islice(complaints(), 500)]
    assert len({c["waybills"][0] for c in some}) == 1000

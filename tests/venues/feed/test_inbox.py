"""The queue between the feed's thread and the one that takes from it."""

import asyncio
import threading

from tradecap.venues.failures import Failure
from tradecap.venues.feed.inbox import CAPACITY, Inbox, Notice

FAILURE = Failure("refused", "nothing listens there")


def test_what_arrived_is_taken_once_and_in_order() -> None:
    """The notice of an end would come before the connection's last message, or a message twice."""
    inbox = Inbox()
    inbox.queue.extend((1, n, b"x") for n in range(3))
    inbox.notice("disconnected", 1, FAILURE, place=0)
    assert inbox.take(0.0, 2) == [(1, 0, b"x"), (1, 1, b"x")]
    last, notice = inbox.take(0.0, 100)
    assert last == (1, 2, b"x")
    assert isinstance(notice, Notice)
    assert (notice.name, notice.connection, notice.failure) == ("disconnected", 1, FAILURE)
    assert notice.detail == {"connection": 1, "place": 0, "failure": "refused", "text": "nothing listens there"}
    assert inbox.take(0.0, 100) == []


def test_a_notice_wakes_a_waiting_reader() -> None:
    """A capture without trades would learn of a lost connection with its next trade."""
    inbox = Inbox()
    taken: list[object] = []
    waiting = threading.Thread(target=lambda: taken.extend(inbox.take(60.0, 1)))
    waiting.start()
    inbox.notice("connected", 1)
    waiting.join(60.0)
    assert [notice.name for notice in taken if isinstance(notice, Notice)] == ["connected"]


def test_a_full_queue_has_room_again_once_it_is_taken_from() -> None:
    """The socket would never be read again after the first slow second of the log."""

    async def run() -> None:
        inbox = Inbox()
        inbox.attach()
        await inbox.room()
        inbox.queue.extend((1, n, b"") for n in range(CAPACITY))
        waiting = asyncio.create_task(inbox.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert len(inbox.take(0.0, 1)) == 1
        await asyncio.wait_for(waiting, 60.0)

    asyncio.run(run())

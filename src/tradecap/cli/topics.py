"""tradecap topics: the topic behind the log."""

from typing import TYPE_CHECKING

import click

from tradecap.cli.options import POSITIVE, command, shared
from tradecap.cli.output import Output, lost, number, stacked, table
from tradecap.cli.settings import Settings
from tradecap.errors import Exit, TradecapError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tradecap.log.kafka.topics import Topic


@command
@click.option("--create", is_flag=True, help="Make the topic if it is missing.")
@click.option("--partitions", type=POSITIVE, default="4", metavar="N", help="Partitions of a topic that is made (default 4).")
@click.option("--replication", type=POSITIVE, metavar="N", help="Copies of each partition (default: 3, or one for each broker if there are fewer).")
@shared
def topics(create: bool, partitions: int, replication: int | None, settings: Settings, out: Output) -> Exit:
    """Show the log's topic, and how it differs from what is wanted.

    A setting that the broker doesn't have is not a difference. Exit 1: the topic is missing, or its settings differ.

    \b
    Examples:
      tradecap topics --log kafka://localhost:19092/trades.raw
      tradecap topics --log kafka://localhost:19092/trades.raw --create --partitions 8
    """
    from tradecap.log.kafka.topics import topic_behind

    if not settings.log.value.startswith("kafka:"):
        raise TradecapError(f"{settings.log.shown} is not a topic.", "name one: --log kafka://localhost:19092/trades.raw")
    name, topic, is_new = topic_behind(settings.log.value, settings.kafka_properties(), create=create, partitions=partitions, replication=replication)
    if topic is None:
        raise TradecapError(f"There is no topic {name}.", "make it: tradecap topics --create", Exit.CHECK_FAILED)
    if is_new:
        out.note(f"topic {name} made")

    if not topic.config:
        out.warn(f"The settings of topic {name} can't be seen: this client has no right to DESCRIBE_CONFIGS, so no drift was looked for.")
    row = {**topic._asdict(), "drift": [each._asdict() for each in topic.drift]}
    out.show({"topics": [row]}, lambda: _drawn(topic))
    return Exit.CHECK_FAILED if topic.drift else Exit.OK


def _drawn(topic: "Topic") -> "RenderableType":
    settings = ", ".join(f"{name}={value}" for name, value in topic.config.items())
    row = (topic.name, number(topic.partitions), number(topic.replication), settings)
    drift = [lost(f"{each.setting} is {each.present}, wanted {each.wanted}") for each in topic.drift]
    return stacked(table(("topic", "partitions", "replication", "settings"), [row], wrap=("settings",), drop=("settings",)), *drift)

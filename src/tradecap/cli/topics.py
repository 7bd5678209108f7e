"""tradecap topics: the topic behind the log, and those of process."""

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
@click.option("--create", is_flag=True, help="Create the topics that are missing.")
@click.option(
    "--partitions",
    type=POSITIVE,
    default="4",
    metavar="N",
    help="With --create: partitions of the log's topic (default 4); the topics of process get as many as it has.",
)
@click.option(
    "--replication",
    type=POSITIVE,
    metavar="N",
    help="With --create: copies of each partition (default: 3, or one for each broker if there are fewer).",
)
@shared
def topics(create: bool, partitions: int, replication: int | None, settings: Settings, out: Output) -> Exit:
    """Show the topics in use, and which settings should be changed.

    A setting that the broker doesn't support doesn't count as a difference. Exit 1: the log's topic is missing, or a
    topic's settings differ. The topics of `tradecap process` may be missing: only that command needs them.

    \b
    Examples:
      tradecap topics --log kafka://localhost:19092/trades.raw
      tradecap topics --log kafka://localhost:19092/trades.raw --create --partitions 8
    """
    from tradecap.log.kafka.outputs import outputs_behind
    from tradecap.log.kafka.topics import topic_behind

    if not settings.log.value.startswith("kafka:"):
        raise TradecapError(
            f"{settings.log.shown} is not a topic.", "name one: --log kafka://localhost:19092/trades.raw"
        )
    url, properties = settings.log.value, settings.kafka_properties()
    name, topic, is_new = topic_behind(url, properties, create=create, partitions=partitions, replication=replication)
    if topic is None:
        raise TradecapError(f"There is no topic {name}.", "make it: tradecap topics --create", Exit.CHECK_FAILED)
    chosen = {each.name: each.value for each in settings.topics}
    others, made, missing = outputs_behind(
        url, properties, chosen, create=create, partitions=topic.partitions, replication=replication
    )
    for each in [*([name] if is_new else []), *made]:
        out.note(f"topic {each} made")
    if missing:
        out.note(
            f"not there, and needed by tradecap process alone: {', '.join(missing)} (tradecap topics --create "
            "makes them)"
        )
    found = [topic, *others]
    if not all(each.config for each in found):
        out.warn(
            "Settings of topics can't be seen: this client has no right to DESCRIBE_CONFIGS, so no drift was "
            "looked for."
        )
    rows = [{**each._asdict(), "drift": [drift._asdict() for drift in each.drift]} for each in found]
    out.show({"topics": rows}, lambda: _draw(found))
    return Exit.CHECK_FAILED if any(each.drift for each in found) else Exit.OK


def _draw(topics: "list[Topic]") -> "RenderableType":
    rows = [
        (
            topic.name,
            number(topic.partitions),
            number(topic.replication),
            ", ".join(f"{name}={value}" for name, value in topic.config.items()),
        )
        for topic in topics
    ]
    drift = [
        lost(f"{topic.name}: {each.setting} is {each.present}, wanted {each.wanted}")
        for topic in topics
        for each in topic.drift
    ]
    return stacked(
        table(("topic", "partitions", "replication", "settings"), rows, wrap=("settings",), drop=("settings",)), *drift
    )

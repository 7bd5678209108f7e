"""tradecap init-db: the store's schema, and how records get into it."""

import shlex
import sys

import click

from tradecap.cli.logs import log_in_force, topic_access
from tradecap.cli.options import command, shared
from tradecap.cli.output import Output, counted, number
from tradecap.cli.settings import Settings
from tradecap.errors import Exit, TradecapError
from tradecap.flows.load_topic import reader_of, use_loader, use_topic
from tradecap.log import topic_of
from tradecap.store import cluster_text, create_store, feed_text, open_store, schema_text
from tradecap.store.api import Schema, TopicFeed


@command
@click.option("--print", "only_print", is_flag=True, help="Print the SQL for this store and run nothing.")
@click.option(
    "--drop",
    is_flag=True,
    help="Start over: first remove everything from the store, after asking on a terminal.",
)
@click.option("--yes", is_flag=True, help="Confirm --drop without being asked; needed where there is no terminal.")
@click.option(
    "--feed",
    type=click.Choice(["loader", "kafka"]),
    help="How the records of --log get into the store: `kafka` makes ClickHouse read the topic by itself, "
    "`loader` gives that back to `tradecap load`.",
)
@click.option(
    "--feed-brokers",
    metavar="HOST:PORT",
    help="The brokers' address as the store must use it, if it differs from --log (with --feed kafka).",
)
@click.option(
    "--feed-collection",
    metavar="NAME",
    default="",
    help="The named collection, on the ClickHouse server, that holds brokers and credentials (with --feed kafka).",
)
@click.option(
    "--cluster",
    metavar="NAME",
    help="With --print: use Replicated and Distributed tables for this cluster (ClickHouse "
    "has parsed this SQL, but it has never been run).",
)
@shared
def init_db(
    only_print: bool,
    drop: bool,
    yes: bool,
    feed: str | None,
    feed_brokers: str | None,
    feed_collection: str,
    cluster: str | None,
    settings: Settings,
    out: Output,
) -> Exit:
    """Create or upgrade the store's schema; safe to run again.

    \b
    Examples:
      tradecap init-db
      tradecap init-db --print
      tradecap init-db --drop
      tradecap init-db --feed kafka --log kafka://localhost:19092/trades.raw
      tradecap init-db --cluster NAME --print
    """
    if cluster is not None:
        return _printed_for(cluster, settings, out, only_print=only_print, feed=feed)
    if (feed_brokers or feed_collection) and feed != "kafka":
        raise TradecapError(
            "--feed-brokers and --feed-collection belong to --feed kafka.", "add --feed kafka, or leave them out."
        )
    if only_print:
        return _printed(_statements(settings, feed, feed_brokers, feed_collection), settings, out)
    if drop and not yes:
        _ask_to_drop(settings)
    made = create_store(settings.store.value, drop_first=drop)
    feeds = [_use(feed, feed_brokers, feed_collection, settings, out)] if feed else []
    out.show(
        {"store": settings.store.shown, **made._asdict(), **({"feed": feed} if feed else {})},
        lambda: f"{settings.store.shown} has schema version {made.version}: {', '.join([_news(made), *feeds])}",
    )
    return Exit.OK


def _ask_to_drop(settings: Settings) -> None:
    """What is in the store alone is gone afterwards: a person reads how much that may be. Raises TradecapError without
    a yes."""
    if not (sys.stdin and sys.stdin.isatty()):
        hint = "run it on a terminal, where it asks first; --help names the option for scripts. The log stays as it is."
        raise TradecapError(f"--drop removes all of {settings.store.shown}.", hint)
    click.echo(f"--drop removes all of {settings.store.shown}{_content(settings)}. The log stays as it is.", err=True)
    click.echo(
        "What is in this store alone is lost: records that their topic no longer holds, or that another log brought.",
        err=True,
    )
    if not click.confirm("Remove it?", err=True):
        raise TradecapError(
            "Nothing was removed.", "'tradecap verify' says what the store holds, and whether the log has all of it."
        )


def _content(settings: Settings) -> str:
    """How much would be removed, as far as the store can be asked."""
    try:
        with open_store(settings.store.value) as store:
            records = sum(store.outcomes().values())
            return f": {counted(records, 'record')}"
    # no store yet, or one of another version: then nobody can count it, and dropping may be why the command is run
    except TradecapError:
        return ""


def _use(feed: str, brokers: str | None, collection: str, settings: Settings, out: Output) -> str:
    """Let records come in this way from now on; a sentence about it."""
    log = log_in_force(settings)
    topic = topic_of(log)
    with open_store(settings.store.value, topic=topic_access(log, settings)) as store:
        group = topic.group(reader_of(store).group(log.id))
        if feed == "loader":
            use_loader(log, group, store)
            return f"tradecap load loads {topic.topic}"
        wanted = TopicFeed(log.id, topic.topic, brokers or topic.servers, collection, topic.venue)
        use_topic(log, group, store, wanted, settings.kafka_properties(), lambda damage: out.warn(f"{damage.detail}."))
        return f"ClickHouse reads {topic.topic}" + (" while 'tradecap load' runs" if not store.is_shared else "")


def _statements(settings: Settings, feed: str | None, brokers: str | None, collection: str) -> list[str]:
    """The schema, and what makes the server read the topic: for that the broker is asked for the topic's id."""
    texts = list(schema_text(settings.store.value))
    if feed == "kafka":
        topic = topic_of(log_in_force(settings))
        wanted = TopicFeed(topic.id, topic.topic, brokers or topic.servers, collection, topic.venue)
        texts += feed_text(settings.store.value, wanted, settings.kafka_properties())
    return texts


def _news(made: Schema) -> str:
    news = [
        *([f"upgraded from version {made.before}"] if 0 < made.before < made.version else []),
        *([f"{number(len(made.created))} tables and views created"] if made.created else []),
        *([f"{number(len(made.replaced))} made again"] if made.replaced else []),
    ]
    return ", ".join(news) or "nothing to do"


def _printed(statements: list[str], settings: Settings, out: Output) -> Exit:
    if out.json:
        out.show({"store": settings.store.shown, "statements": len(statements), "sql": statements}, str)
    else:
        out.lines(statements)
    return Exit.OK


def _printed_for(cluster: str, settings: Settings, out: Output, *, only_print: bool, feed: str | None) -> Exit:
    """The schema for a cluster, which is printed and never run."""
    if feed:
        raise TradecapError(
            "--cluster and --feed don't go together.", "print the cluster's schema first, without --feed."
        )
    if not cluster.strip() or not cluster.isprintable():
        raise TradecapError(
            "--cluster needs the name of a cluster.",
            "the server lists them: SELECT DISTINCT cluster FROM system.clusters",
        )
    if not only_print:
        hint = f"print it, read it, and run it yourself: tradecap init-db --cluster {shlex.quote(cluster)} --print"
        raise TradecapError("The schema of a cluster is printed, and never run by tradecap.", hint)
    comment, statements = cluster_text(settings.store.value, cluster)
    if out.json:
        out.show(
            {
                "store": settings.store.shown,
                "cluster": cluster,
                "statements": len(statements),
                "checked": "parsed, not run",
                "sql": statements,
            },
            str,
        )
    else:
        out.lines([comment, *statements])
    return Exit.OK

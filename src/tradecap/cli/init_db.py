"""tradecap init-db: the store's schema."""

import shlex

import click

from tradecap.cli.options import command, later, shared
from tradecap.cli.output import Output, number
from tradecap.cli.settings import Settings
from tradecap.errors import Exit, TradecapError
from tradecap.store import cluster_text, create_store, schema_text
from tradecap.store.api import Schema


@command
@click.option("--print", "only_print", is_flag=True, help="Print the SQL for this store and run nothing.")
@click.option("--drop", is_flag=True, help="Start anew: remove everything first (needs --yes).")
@click.option("--yes", is_flag=True, help="Yes, remove it.")
@click.option("--cluster", metavar="NAME", help="With --print: Replicated and Distributed tables for this cluster; parsed, not run.")
@later("--feed")
@shared
def init_db(only_print: bool, drop: bool, yes: bool, cluster: str | None, settings: Settings, out: Output) -> Exit:
    """Create or upgrade the store's schema; safe to run again.

    \b
    Examples:
      tradecap init-db
      tradecap init-db --print
      tradecap init-db --drop --yes
      tradecap init-db --cluster NAME --print
    """
    if cluster is not None:
        return _printed_for(cluster, settings, out, only_print=only_print)
    if drop and not yes:
        raise TradecapError(f"--drop removes all of {settings.store.shown}.", "add --yes if that is what you want; the log stays as it is.")
    if only_print:
        return _printed(list(schema_text(settings.store.value)), settings, out)
    made = create_store(settings.store.value, anew=drop)
    out.show({"store": settings.store.shown, **made._asdict()}, lambda: f"{settings.store.shown} has schema version {made.version}: {_news(made)}")
    return Exit.OK


def _news(made: Schema) -> str:
    news = [
        *([f"upgraded from version {made.before}"] if 0 < made.before < made.version else []),
        *([f"{number(len(made.created))} tables and views created"] if made.created else []),
        *([f"{number(len(made.replaced))} made anew"] if made.replaced else []),
    ]
    return ", ".join(news) or "nothing to do"


def _printed(statements: list[str], settings: Settings, out: Output) -> Exit:
    if out.json:
        out.show({"store": settings.store.shown, "statements": len(statements), "sql": statements}, str)
    else:
        out.lines(statements)
    return Exit.OK


def _printed_for(cluster: str, settings: Settings, out: Output, *, only_print: bool) -> Exit:
    """The schema for a cluster, which is printed and never run."""
    if not cluster.strip() or not cluster.isprintable():
        raise TradecapError("--cluster needs the name of a cluster.", "the server lists them: SELECT DISTINCT cluster FROM system.clusters")
    if not only_print:
        hint = f"print it, read it, and run it yourself: tradecap init-db --cluster {shlex.quote(cluster)} --print"
        raise TradecapError("The schema of a cluster is printed, and never run by tradecap.", hint)
    comment, statements = cluster_text(settings.store.value, cluster)
    if out.json:
        out.show(
            {"store": settings.store.shown, "cluster": cluster, "statements": len(statements), "checked": "parsed, not run", "sql": statements}, str
        )
    else:
        out.lines([comment, *statements])
    return Exit.OK

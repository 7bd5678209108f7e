"""Where Binance is reached."""

import pytest

from tradecap.venues.api import venue_of
from tradecap.venues.binance.sites import SPOT_SITES, US_SITES, USDM_SITES
from tradecap.venues.sites import Site

each_site = pytest.mark.parametrize("site", [*SPOT_SITES, *USDM_SITES, *US_SITES], ids=lambda site: site.name)


def test_the_data_only_hosts_are_the_same_venue() -> None:
    """Trades of one market would be two series, depending on the host they came by."""
    assert {site.venue for site in SPOT_SITES} == {"binance"}


@each_site
def test_a_site_is_encrypted_and_a_question_fits_its_budget(site: Site) -> None:
    """A slip in the table would send a capture to a host without TLS, or have a question wait forever."""
    assert site.ws_url.startswith("wss://")
    assert site.rest_url.startswith("https://")
    assert dict(site.weights).keys() == {"exchangeInfo", "trades", "historicalTrades", "aggTrades"}
    assert all(0 < weight < site.weight_per_minute / 2 for _, weight in site.weights)


@each_site
def test_a_recording_from_a_site_is_of_its_venue(site: Site) -> None:
    """What `stream` captures there, `replay` would file under another market."""
    for url in (site.ws_url, site.rest_url):
        assert venue_of(url.partition("://")[2].partition("/")[0].partition(":")[0]) == site.venue

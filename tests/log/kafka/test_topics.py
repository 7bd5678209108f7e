"""The settings that a topic is made with."""

import pytest

from tradecap.log.kafka.topics import COMPACTED, _is_same, wanted_config


@pytest.mark.parametrize(("replication", "copies"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_an_acknowledged_record_survives_one_broker_where_there_are_three(replication: int, copies: str) -> None:
    """One copy of three would count as safe, or a topic with one copy could never be written."""
    config = wanted_config(replication)
    assert config["min.insync.replicas"] == copies
    assert config["unclean.leader.election.enable"] == "false"


def test_records_are_deleted_by_age_and_state_is_compacted() -> None:
    """A log that is compacted keeps the newest trade of each symbol alone."""
    assert wanted_config(3)["cleanup.policy"] == "delete"
    assert not COMPACTED.keys() & wanted_config(3).keys()
    assert wanted_config(3, "compact").items() >= COMPACTED.items() | {("cleanup.policy", "compact")}


@pytest.mark.parametrize(
    ("present", "same"), [("compact,delete", True), ("delete,compact", True), ("compact", False), ("delete", False)]
)
def test_a_list_is_the_same_in_any_order(present: str, same: bool) -> None:
    """A sound topic would be reported as changed."""
    assert _is_same(present, "delete,compact") is same

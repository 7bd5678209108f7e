"""Names for paths that ClickHouse takes literally."""

import os
from pathlib import Path

import pytest

from tradecap.store.clickhouse.plain_names import PlainNames, is_plain


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("/a/b-c_d.ndjson.zst", True),
        ("a*", False),
        ("a?b", False),
        ("{1,2}", False),
        ("a b", False),
        ("é", False),
        ("a\n", False),
        ("", False),
    ],
)
def test_a_plain_name_has_no_sign_that_means_something(name: str, plain: bool) -> None:
    """A folder `g{1,2}` would be loaded as g1 and g2."""
    assert is_plain(name) is plain


def test_a_plain_path_is_itself(tmp_path: Path) -> None:
    """Each load would leave and remove a link for nothing."""
    names = PlainNames()
    assert names.of(tmp_path / "x.zst") == os.path.realpath(tmp_path / "x.zst")
    names.close()


def test_an_odd_path_is_a_link_until_it_is_closed(tmp_path: Path) -> None:
    """Another file would be read, or /tmp fill up with links."""
    folder = tmp_path / "odd {1,2}*"
    folder.mkdir()
    for name in ("a.ndjson.zst", "b?.zst"):
        (folder / name).write_text(name)
    names = PlainNames()
    kept, odd = names.of(folder / "a.ndjson.zst"), names.of(folder / "b?.zst")
    assert is_plain(kept)
    assert is_plain(odd)
    assert kept.endswith("/a.ndjson.zst"), "the compression is recognised by the name"
    assert (Path(kept).read_text(), Path(odd).read_text()) == ("a.ndjson.zst", "b?.zst")
    assert names.of(folder / "a.ndjson.zst") == kept
    links = Path(odd).parent
    names.close()
    assert not links.exists()
    assert (folder / "a.ndjson.zst").exists()
    again = names.of(folder / "b?.zst")
    assert Path(again).read_text() == "b?.zst"
    names.close()

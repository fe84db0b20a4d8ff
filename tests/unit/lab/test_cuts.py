"""Moments written so that nft's multiplication leads back to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.lab import cuts
from harness.errors import LabError


@given(st.integers(0, 2**63 - 1))
def test_what_nft_makes_of_it_is_the_moment(moment: int) -> None:
    made = cuts.seconds(moment) * 10**9 % 2**64
    assert 0 <= moment - made < cuts.GRAIN


def test_a_rule_for_each_cut() -> None:
    text = cuts.rules("eth0", [cuts.Cut(512, 1024), cuts.Cut(5120, 6144)])
    assert text.count("drop") == 2
    assert 'device "eth0"' in text


def test_a_share_is_dropped_in_its_window_only_and_counted() -> None:
    text = cuts.lossy("eth0", 0.05, cuts.Cut(512, 1024), match="ip daddr 10.0.0.1")
    assert "numgen random mod 10000 < 500 update @dropped" in text
    assert f"meta time < {cuts.seconds(1024)}" in text


def test_what_nft_counted_is_read_by_protocol_and_length() -> None:
    listing = ('{"nftables": [{"metainfo": {}}, {"set": {"name": "dropped", "elem": ['
               '{"elem": {"val": {"concat": ["icmp", 84]}, "counter": {"packets": 18, "bytes": 1512}}}, '
               '{"elem": {"val": {"concat": ["udp", 44]}, "counter": {"packets": 2, "bytes": 88}}}]}}]}')
    assert cuts.dropped(listing) == {("icmp", 84): 18, ("udp", 44): 2}
    assert cuts.dropped('{"nftables": [{"set": {"name": "dropped"}}]}') == {}


@pytest.mark.parametrize("said", ["", "{}", '{"nftables": []}', '{"nftables": [{"set": {"elem": [{}]}}]}'])
def test_an_unreadable_count_is_no_count(said: str) -> None:
    with pytest.raises(LabError, match="nft: its list of what was dropped cannot be read"):
        cuts.dropped(said)

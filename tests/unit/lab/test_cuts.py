"""Moments written so that nft's multiplication leads back to them."""

from hypothesis import given
from hypothesis import strategies as st

from drivers.lab import cuts


@given(st.integers(0, 2**63 - 1))
def test_what_nft_makes_of_it_is_the_moment(moment: int) -> None:
    made = cuts.seconds(moment) * 10**9 % 2**64
    assert 0 <= moment - made < cuts.GRAIN


def test_a_rule_for_each_cut() -> None:
    text = cuts.rules("eth0", [cuts.Cut(512, 1024), cuts.Cut(5120, 6144)])
    assert text.count("drop") == 2
    assert 'device "eth0"' in text

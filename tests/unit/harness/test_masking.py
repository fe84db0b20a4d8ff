"""Secrets do not leave."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import masking
from harness.errors import InputError
from harness.masking import HIDDEN, UNMASKED

SECRETS = st.text(min_size=masking.SHORTEST).filter(lambda text: text.isprintable() and HIDDEN not in text)


@given(st.lists(SECRETS, min_size=1, max_size=3), st.text(), st.text())
def test_nothing_of_a_secret_is_left(secrets, before, after):
    mask = masking._mask(set(secrets))
    text = before + "".join(secrets) + after
    for secret in secrets:
        hidden = mask.text(text).split(HIDDEN)
        assert not any(secret in part for part in hidden)
        assert secret.encode() not in b"|".join(mask.data(text.encode("utf-8", "surrogatepass")).split(b"***"))


def test_only_strings_are_masked_and_numbers_stay():
    mask = masking._mask({"1234"})
    tree = {"a": ["x1234y", 1234, 12.34], "b": {"c": "1234"}, "d": ("1234",), "e": True}
    assert mask.tree(tree) == {"a": [f"x{HIDDEN}y", 1234, 12.34], "b": {"c": HIDDEN}, "d": [HIDDEN], "e": True}
    assert json.dumps(UNMASKED.tree(tree)) == json.dumps(tree)


def test_a_longer_secret_goes_before_one_that_it_contains():
    assert masking._mask({"abcd", "abcdefgh"}).text("abcdefgh abcd") == f"{HIDDEN} {HIDDEN}"


def test_masks_add_up():
    assert (masking._mask({"abcd"}) | masking._mask({"efgh"})).text("abcd efgh") == f"{HIDDEN} {HIDDEN}"


def test_settings_are_searched_to_their_leaves(monkeypatch):
    monkeypatch.setenv("VIRTMARK_A", "secret-a")
    monkeypatch.setenv("VIRTMARK_B", "secret-b")
    mask = masking.of({"x": {"password_env": "VIRTMARK_A"}, "y": [{"key_env": "VIRTMARK_B"}], "z": "VIRTMARK_C"}, "f")
    assert set(mask.secrets) == {"secret-a", "secret-b"}


@pytest.mark.parametrize(("value", "message"), [
    (None, r"^f: x\.password_env: environment variable 'VIRTMARK_A' is not set; set it, and never write the secret"),
    ("abc", r"^f: x\.password_env: environment variable 'VIRTMARK_A' holds fewer than 4 characters"),
])
def test_secrets_that_cannot_be_masked_are_refused(monkeypatch, value, message):
    monkeypatch.delenv("VIRTMARK_A", raising=False)
    if value is not None:
        monkeypatch.setenv("VIRTMARK_A", value)
    with pytest.raises(InputError, match=message) as caught:
        masking.of({"x": {"password_env": "VIRTMARK_A"}}, "f")
    assert value is None or value not in str(caught.value).replace("characters", "")

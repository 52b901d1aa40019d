"""Opt-out tokens: one spelling each, and nobody else's."""

import base64
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from touchline.app.tokens import sign, verify

secrets = st.binary(max_size=200)
keys = st.integers(0, 2**63 - 1)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(secrets, keys)
def test_a_token_names_its_prospect_again_and_needs_no_quoting_in_a_url(secret, key):
    token = sign(secret, key)
    assert verify(secret, token) == key
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", token)
    assert token == sign(secret, key)


@given(secrets, keys, st.integers(0, 31), st.sampled_from(ALPHABET))
def test_a_changed_letter_is_refused(secret, key, at, letter):
    token = sign(secret, key)
    assume(token[at] != letter)
    assert verify(secret, token[:at] + letter + token[at + 1 :]) is None


@given(secrets, keys, st.data())
def test_a_token_that_lost_or_gained_something_is_refused(secret, key, data):
    token = sign(secret, key)
    at = data.draw(st.integers(0, 31))
    assert verify(secret, token[:at]) is None
    extra = data.draw(st.text(min_size=1, max_size=4) | st.sampled_from(["=", "==", "\n", " ", "\0", ".", "A", "AAAA"]))
    for changed in (token + extra, extra + token, token[:at] + extra + token[at:]):
        assert verify(secret, changed) is None


@given(keys, secrets, secrets)
def test_another_secret_is_refused(key, one, other):
    assume(one != other)
    assert verify(other, sign(one, key)) is None


@given(secrets, keys, keys)
def test_a_signature_fits_one_prospect_only(secret, one, other):
    assume(one != other)
    mixed = base64.urlsafe_b64decode(sign(secret, one))[:8] + base64.urlsafe_b64decode(sign(secret, other))[8:]
    assert verify(secret, base64.urlsafe_b64encode(mixed).decode()) is None


def test_another_spelling_of_the_same_bytes_is_refused():
    spelled = [sign(b"s", key) for key in range(300)]
    others = [token.replace("-", "+").replace("_", "/") for token in spelled]
    assert sum(token != other for token, other in zip(spelled, others, strict=True)) > 100
    for key, (token, other) in enumerate(zip(spelled, others, strict=True)):
        assert verify(b"s", other) == (key if other == token else None)


@given(secrets, st.text(max_size=60))
def test_any_other_text_is_refused(secret, text):
    assert verify(secret, text) is None


@pytest.mark.parametrize("text", ["", "=", "A", "AAAA", "ü" * 32, "A" * 32, "A" * 100_000, "\0" * 32, "----", "\ud800"])
def test_nonsense_is_refused(text):
    assert verify(b"s", text) is None


def test_tokens_stay_what_they_are_so_that_links_in_old_mails_work():
    assert sign(b"secret", 7) == "AAAAAAAAAAe2FWmZSv9uCSKwEyGimrl-"

"""Addresses as identities: one at a time as in columns."""

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from touchline.model.address import base_address, base_address_of, base_addresses_of, cleaned

NEARLY = st.text("aB1.+-_@?< >é:'\n", max_size=24)
PLAIN = st.from_regex(r"\A[a-z0-9._+-]{1,8}@([a-z0-9-]{1,5}\.){1,2}(com|de)\Z")
GMAIL = st.from_regex(r"\A[a-z.+]{1,8}@(google|g)mail\.com\Z")


@given(st.lists(NEARLY | PLAIN | GMAIL | st.text(max_size=10), max_size=8))
@example(["ann@firm.com", "a.b@gmail.com", "Ann+x@Firm.com", "ann@firm.com\n", "a@b", ""])
def test_a_list_of_addresses_has_the_base_addresses_of_a_column(texts: list[str]) -> None:
    column = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    expected = column.select(base_address(cleaned(pl.col("text")))).to_series().to_list()
    assert base_addresses_of(texts) == expected
    assert [base_address_of(text) for text in texts] == expected

"""Numbers as people read them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aqs_batch.wording import cut


@given(st.integers(0, 100_000), st.sampled_from([1, 2, 3]))
def test_what_has_so_many_decimals_is_shown_as_it_is(whole: int, digits: int) -> None:
    value = whole / 10**digits
    assert cut(value, digits) == f"{value:.{digits}f}"


@given(st.floats(0, 100), st.sampled_from([1, 2, 3]))
def test_nothing_is_rounded_up_to_a_bound_that_it_misses(value: float, digits: int) -> None:
    shown = float(cut(value, digits))
    assert value - 10**-digits <= shown <= value + 1e-8

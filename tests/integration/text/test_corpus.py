"""Texts to corpus: nothing learnt from held-out texts, the same bytes every time, every fault named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.runtime.encoding import TextEncoder
from throughtime.spec.errors import DataError, OptionError
from throughtime.spec.model import PreprocessingConfig
from throughtime.text.corpus import Corpus, build_corpus, corpus_from_lists
from throughtime.text.lists import ListSource
from throughtime.text.reading import open_source
from throughtime.text.splitting import TEST, TRAIN, VALIDATION
from throughtime.text.tokenizing import TokenizerOptions
from throughtime.text.vectors import load_vectors

CUT = PreprocessingConfig(max_tokens=8, cut="head+tail")
TEXTS = [f"film number {row} is {'good' if row % 2 else 'bad'} word{row}x !!" for row in range(60)]
LABELS = ["pos" if row % 2 else "neg" for row in range(60)]


def from_lists(texts: list[str] = TEXTS, labels: list[str] = LABELS, **options: Any) -> Corpus:
    merged: dict[str, Any] = {
        "tokenizer": TokenizerOptions(min_count=1),
        "preprocessing": CUT,
        "validation_fraction": 0.2,
    }
    return corpus_from_lists(texts, labels, **merged | options)


def test_rows_keep_their_texts_labels_and_order() -> None:
    corpus = from_lists(test_fraction=0.1)
    encoder = TextEncoder(corpus.tokenizer_json, CUT)
    for row, ids in enumerate(encoder.encode(TEXTS)):
        assert corpus.tokens(row).tolist() == ids.tolist()
        assert corpus.lengths[row] == len(ids)
    assert corpus.classes == ("neg", "pos")
    assert corpus.labels.tolist() == [row % 2 for row in range(60)]
    assert sorted(np.concatenate([corpus.rows(side) for side in (TRAIN, VALIDATION, TEST)])) == list(range(60))
    assert [len(corpus.rows(side)) for side in (TRAIN, VALIDATION, TEST)] == [42, 12, 6]
    assert corpus.prior == (0.5, 0.5)
    assert corpus.ids.dtype == np.int32


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("kind", ["words", "characters", "bpe"])
def test_nothing_learnt_comes_from_validation_or_test_texts(kind: Any, grouped: bool) -> None:
    options: dict[str, Any] = {"tokenizer": TokenizerOptions(kind=kind, min_count=1), "test_fraction": 0.1}
    options["groups"] = [f"movie {row // 2}" for row in range(60)] if grouped else None
    before = from_lists(**options)
    training = set(before.rows(TRAIN).tolist())
    for row in range(60):
        assert kind != "words" or (f"word{row}x" in before.vocabulary) == (row in training)
    # Every held-out text changes: new words, and more of the known ones.
    altered = [text if row in training else f"film secret{row}é good good" for row, text in enumerate(TEXTS)]
    after = from_lists(altered, **options)
    assert set(after.rows(TRAIN).tolist()) == training
    assert after.tokenizer_json == before.tokenizer_json
    assert after.counts.tolist() == before.counts.tolist()
    assert after.prior == before.prior
    for row in training:
        assert after.tokens(row).tobytes() == before.tokens(row).tobytes()


def test_sources_of_their_own_teach_nothing(tmp_path: Path) -> None:
    def built(word: str) -> Corpus:
        held_out = ListSource([f"good {word}", f"bad {word} {word}"], ["pos", "neg"])
        return build_corpus(
            ListSource(TEXTS, LABELS),
            test=held_out,
            validation=held_out,
            tokenizer=TokenizerOptions(min_count=1),
            preprocessing=CUT,
            cache_dir=tmp_path,
        )

    first, second = built("secret"), built("film")
    assert first.key != second.key
    assert first.tokenizer_json == second.tokenizer_json
    assert "secret" not in first.vocabulary
    assert first.rows(TRAIN).tolist() == list(range(60))
    assert first.rows(VALIDATION).tolist() == [60, 61]
    assert first.rows(TEST).tolist() == [62, 63]
    assert first.labels[60:].tolist() == [1, 0, 1, 0]


def test_the_same_inputs_give_the_same_corpus_and_another_seed_another() -> None:
    first, second, other = from_lists(), from_lists(), from_lists(seed=1)
    assert first.key == second.key != other.key
    assert first.tokenizer_json == second.tokenizer_json
    assert first.ids.tobytes() == second.ids.tobytes()
    assert first.split.tolist() == second.split.tolist() != other.split.tolist()


def test_groups_and_equal_texts_stand_on_one_side() -> None:
    groups = [f"movie {row % 10}" for row in range(60)]
    corpus = from_lists(groups=groups, validation_fraction=0.3)
    sides = [{int(corpus.split[row]) for row in range(60) if row % 10 == movie} for movie in range(10)]
    assert all(len(side) == 1 for side in sides)
    assert corpus.facts["groups"] == 10
    doubled = from_lists(TEXTS + TEXTS, LABELS + LABELS)
    assert (doubled.split[:60] == doubled.split[60:]).all()
    assert doubled.facts["duplicates_train_validation"] == 0


@pytest.mark.parametrize(
    "vary",
    [
        lambda text: f"{text}\r\n",
        lambda text: text.replace(" ", "  "),
        lambda text: text.replace(" ", "<br />", 1),
        str.title,
    ],
)
def test_texts_that_a_model_cannot_tell_apart_stand_on_one_side(vary: Callable[[str], str], tmp_path: Path) -> None:
    corpus = from_lists(TEXTS + [vary(text) for text in TEXTS], LABELS + LABELS)
    assert (corpus.split[:60] == corpus.split[60:]).all()
    assert (corpus.split[:60] == from_lists(TEXTS + TEXTS, LABELS + LABELS).split[:60]).mean() > 0.6
    judged = build_corpus(
        ListSource(TEXTS, LABELS),
        test=ListSource([vary(TEXTS[0]), "another"], LABELS[:2]),
        tokenizer=TokenizerOptions(min_count=1),
        preprocessing=CUT,
        validation_fraction=0.0,
        cache_dir=tmp_path,
    )
    assert judged.facts["duplicates_train_test"] == 1


def test_case_parts_texts_where_it_is_kept() -> None:
    cased = from_lists(
        TEXTS + [text.title() for text in TEXTS],
        LABELS + LABELS,
        tokenizer=TokenizerOptions(min_count=1, lowercase=False),
    )
    assert (cased.split[:60] != cased.split[60:]).any()


def test_facts_count_what_a_reader_wants_to_know(tmp_path: Path) -> None:
    test = ListSource([TEXTS[0], TEXTS[0], "unheard of", " "], ["neg", "neg", "pos", "neg"])
    corpus = build_corpus(
        ListSource([*TEXTS, "", "<br />"], [*LABELS, "pos", "pos"]),
        test=test,
        tokenizer=TokenizerOptions(min_count=1),
        preprocessing=CUT,
        validation_fraction=0.0,
        cache_dir=tmp_path,
    )
    facts = corpus.facts
    assert (facts["rows"], facts["rows_train"], facts["rows_validation"], facts["rows_test"]) == (66, 62, 0, 4)
    assert facts["rows_by_class"] == {"neg": {"train": 30, "test": 3}, "pos": {"train": 32, "test": 1}}
    assert (facts["empty_texts"], facts["empty_texts_train"], facts["empty_texts_test"]) == (3, 2, 1)
    assert facts["duplicates_train_test"] == 2
    assert facts["unknown_share_test"] == 2 / (7 + 7 + 2)
    assert facts["unknown_share_train"] == 0
    assert facts["unknown_share_validation"] is None
    assert facts["longest_tokens"] == 7
    assert facts["longest_characters"] == max(map(len, TEXTS))
    assert facts["tokens"] == corpus.lengths.sum() == len(corpus.ids)
    assert facts["tokens_train"] == corpus.counts.sum() == 7 * 60
    assert facts["vocabulary_size"] == len(corpus.counts) == len(corpus.vocabulary)


def test_empty_texts_are_kept_out_of_training_and_counted_elsewhere() -> None:
    texts = [*TEXTS, *[" "] * 40]
    corpus = from_lists(texts, [*LABELS, *["pos"] * 40])
    assert (corpus.lengths[corpus.rows(TRAIN)] > 0).all()
    assert (corpus.lengths[corpus.rows(VALIDATION)] == 0).any()
    assert set(corpus.labels[60:].tolist()) == {-1, 1}
    kept = corpus.labels[corpus.rows(TRAIN)]
    assert corpus.prior == ((kept == 0).mean(), (kept == 1).mean())


@pytest.mark.parametrize(("kind", "names"), [("int", ("-1", "2", "10")), ("str", ("-1", "10", "2"))])
def test_classes_that_are_numbers_are_sorted_as_numbers(kind: Any, names: tuple[str, ...]) -> None:
    corpus = from_lists(["a", "b", "c"] * 9, ["10", "-1", "2"] * 9, label_kind=kind, validation_fraction=0.0)
    assert corpus.classes == names
    assert corpus.label_kind == kind
    assert [corpus.classes[label] for label in corpus.labels[:3]] == ["10", "-1", "2"]


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError, match=r"every row has the label 'pos'.*two classes"):
        from_lists(["a", "b"], ["pos", "pos"])


def test_a_class_without_a_token_is_refused() -> None:
    with pytest.raises(DataError, match="every training text of the class 'neg' is empty"):
        from_lists(["good", "<br />", "fine", "<br>"], ["pos", "neg"] * 2, validation_fraction=0.0)


def test_texts_without_any_token_are_refused() -> None:
    with pytest.raises(DataError, match="no token"):
        from_lists([" ", ""], ["pos", "neg"], validation_fraction=0.0)


def test_a_held_out_label_that_training_lacks_is_named_with_its_place(tmp_path: Path) -> None:
    csv = tmp_path / "test.csv"
    csv.write_text('text,label\n"good\nfilm",pos\nbad film,awful\n', encoding="utf-8")
    for side in ("test", "validation"):
        with pytest.raises(DataError, match=rf"test\.csv, line 4: label 'awful' of the {side} data .*'neg', 'pos'"):
            build_corpus(
                ListSource(TEXTS, LABELS),
                tokenizer=TokenizerOptions(),
                preprocessing=CUT,
                cache_dir=tmp_path / "cache",
                **{side: open_source(str(csv))},  # type: ignore[arg-type]
            )
    assert list((tmp_path / "cache").iterdir()) == []


def test_unlabelled_and_empty_sources_are_refused() -> None:
    with pytest.raises(DataError, match="holds no rows"):
        from_lists([], [])
    with pytest.raises(OptionError, match="len\\(labels\\) must equal len\\(texts\\), but 1 != 2"):
        from_lists(["a", "b"], ["x"])


def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    texts, labels = list(TEXTS), list(LABELS)

    def add_a_row(stage: str, done: int, total: int | None) -> None:
        if stage == "counting tokens":
            texts.append("late")
            labels.append("pos")

    with pytest.raises(DataError, match="rows changed while it was read"):
        from_lists(texts, labels, progress=add_a_row)


def test_progress_is_told_for_each_stage() -> None:
    told: list[tuple[str, int, int | None]] = []
    from_lists(progress=lambda *step: told.append(step))
    assert told == [("reading", 60, None), ("counting tokens", 60, 60), ("encoding", 60, 60)]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.text(alphabet=st.characters(), max_size=30), st.sampled_from("abc"), st.integers(0, 5)),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from(["words", "characters", "bpe"]),
    st.booleans(),
    st.integers(1, 9),
)
def test_any_texts_and_labels_give_a_sound_corpus_or_one_line(
    rows: list[tuple[str, str, int]], kind: Any, grouped: bool, max_tokens: int
) -> None:
    texts, labels, groups = ([row[column] for row in rows] for column in range(3))
    try:
        corpus = corpus_from_lists(
            texts,  # type: ignore[arg-type]
            labels,  # type: ignore[arg-type]
            groups=[str(group) for group in groups] if grouped else None,
            tokenizer=TokenizerOptions(kind=kind, min_count=1, vocabulary_size=3000),
            preprocessing=PreprocessingConfig(max_tokens=max_tokens, cut="tail"),
            validation_fraction=0.3,
            test_fraction=0.2,
        )
    except DataError as error:
        assert "\n" not in str(error)
        return
    assert len(corpus.labels) == len(corpus.split) == len(corpus.lengths) == len(rows)
    assert corpus.lengths.max() <= max_tokens
    assert corpus.ids.min() >= 1
    assert corpus.ids.max() < len(corpus.vocabulary)
    assert (corpus.lengths[corpus.rows(TRAIN)] > 0).all()
    assert set(corpus.labels[corpus.rows(TRAIN)].tolist()) == set(range(len(corpus.classes)))
    assert abs(sum(corpus.prior) - 1) < 1e-9
    assert corpus.counts.sum() == corpus.lengths[corpus.rows(TRAIN)].sum()


def test_glove_covers_most_of_the_reviews(shared_data: Path, tmp_path: Path) -> None:
    corpus = build_corpus(
        open_source(str(shared_data / "trec" / "train.parquet")),
        test=open_source(str(shared_data / "trec" / "test.parquet")),
        tokenizer=TokenizerOptions(min_count=2),
        preprocessing=PreprocessingConfig(max_tokens=100, cut="head"),
        cache_dir=tmp_path,
    )
    assert len(corpus.classes) == 6
    assert corpus.facts["duplicates_train_test"] + corpus.facts["duplicates_train_validation"] > 0
    vectors = load_vectors(
        shared_data / "glove" / "glove.6B.100d.imdb.txt.gz", corpus.vocabulary, 100, counts=corpus.counts
    )
    assert vectors.vocabulary_share > 0.8
    assert vectors.token_share is not None
    assert 0.6 < vectors.token_share < 1

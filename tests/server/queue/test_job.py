"""Which documents are the same work."""

from __future__ import annotations

from cloister.v1 import ocr_pb2
from server.queue.job import engines_of, normal, reading_key

ENGINES = [("scribe", "1.0", "w1"), ("tesseract", "5.3", "")]


def options(**given: object) -> ocr_pb2.RecognizeOptions:
    return ocr_pb2.RecognizeOptions(**given)  # type: ignore[arg-type]


def test_what_asks_for_the_same_has_the_same_key() -> None:
    words, text = ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT
    keys = {reading_key("d", options(outputs=asked), "e") for asked in ([], [words, text], [text, words, text])}
    assert len(keys) == 1


def test_other_bytes_options_tenants_or_engines_have_other_keys() -> None:
    tenant = ocr_pb2.RequestContext(tenant="a")
    keys = [
        reading_key("d", options(), "e"),
        reading_key("x", options(), "e"),
        reading_key("d", options(engine="scribe"), "e"),
        reading_key("d", options(outputs=[ocr_pb2.OUTPUT_PDF]), "e"),
        reading_key("d", options(context=tenant), "e"),
        reading_key("d", options(), "e2"),
    ]
    assert len(set(keys)) == len(keys)


def test_the_parts_of_a_key_can_not_run_into_each_other() -> None:
    assert reading_key("ab", options(), "c") != reading_key("a", options(), "bc")


def test_a_new_version_of_an_engine_reads_anew_and_another_engine_s_does_not_matter() -> None:
    newer = [("scribe", "1.1", "w1"), ENGINES[1]]
    assert engines_of("scribe", ENGINES) != engines_of("scribe", newer)
    assert engines_of("tesseract", ENGINES) == engines_of("tesseract", newer)
    assert engines_of("", ENGINES) != engines_of("", newer)
    assert engines_of("none", ENGINES) == ""


def test_normal_options_keep_everything_else() -> None:
    asked = options(engine="scribe", pdf=ocr_pb2.PdfOptions(break_signatures=True))
    made = normal(asked)
    assert made.engine == "scribe"
    assert made.pdf.break_signatures
    assert not asked.outputs

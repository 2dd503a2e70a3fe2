"""docs/performance.md and its chart agree with the stored figures."""

from xml.etree import ElementTree

from tools.benchmarks.report import figures
from tools.benchmarks.report.chart import chart
from tools.benchmarks.report.document import PROSE, TABLES, chart_file, document, document_file

DOCUMENT = document_file(figures.DOCUMENTS)


def test_document_equals_prose_with_stored_figures():
    assert DOCUMENT.read_text() == document(PROSE.read_text(), figures.read(figures.DOCUMENTS)), (
        "regenerate it: python -m tools.benchmarks.report.document"
    )


def test_prose_has_placeholder_for_every_table():
    prose = PROSE.read_text()

    assert [name for name in TABLES if f"{{{{{name}}}}}" not in prose] == []
    assert "{{" not in DOCUMENT.read_text()


def test_chart_equals_stored_figures():
    stored = figures.read(figures.DOCUMENTS)

    drawing = chart_file(figures.DOCUMENTS).read_text()

    assert drawing == chart(stored["comparisons"]["1000"])


def test_chart_has_bar_for_each_subject_and_operation():
    rows = [
        {"operation": operation, "connections": 32, "subject": subject, "rate": rate}
        for operation, subject, rate in (
            ("get", "service", 1_000.0),
            ("get", "scimmy", 250.0),
            ("create", "service", 10.0),
        )
    ]

    drawing = ElementTree.fromstring(chart({"people": 1_000, "rows": rows}))

    bars = [element for element in drawing if element.tag.endswith("rect")]
    service, scimmy, only_bar = (int(bar.attrib["width"]) for bar in bars)
    assert service == only_bar == 4 * scimmy

"""An error is reported without its words."""

from serve.telemetry.failure_report import describe_failure

WORDS = "a private sentence"


def fail(text: str) -> None:
    try:
        int(text)
    except ValueError as error:
        raise RuntimeError(f"cannot count {text}") from error


def test_kinds_and_lines_but_no_words() -> None:
    try:
        fail(WORDS)
    except RuntimeError as error:
        report = describe_failure(error)
    assert report.index("RuntimeError at") < report.index("from ValueError at")
    assert "in fail" in report and "int(text)" in report
    assert WORDS not in report


def test_hidden_context_stays_hidden() -> None:
    error = KeyError("x")
    error.__context__, error.__suppress_context__ = ValueError("y"), True
    assert describe_failure(error) == "KeyError at\n"

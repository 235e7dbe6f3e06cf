"""The table of support in the documents is what the backend answers."""

from pathlib import Path

import pytest

from harness import support

DOCUMENT = Path(__file__).parents[3] / "docs" / "support.md"


def test_the_document_is_true_of_this_backend(backend, name):
    if name == "reference":
        pytest.skip("the reference is the formula")
    lines = DOCUMENT.read_text().splitlines()
    heading = next(line for line in lines if line.startswith("| | "))
    column = [text.strip() for text in heading.split("|")].index(name)
    told = {}
    for line in lines:
        if line.startswith("| `"):
            cells = line.replace("\\|", "¦").split("|")
            told[cells[1].strip().strip("`"), len(told)] = cells[column].strip().replace("¦", "|")
    answers = support.asked(backend, name)
    expected = [support.cell(answers[f"{word.kind}: {word.text}"]) for word in support.words()]
    assert list(told.values()) == expected, "run: make support"
    assert [word for word, _ in told] == [word.text for word in support.words()]

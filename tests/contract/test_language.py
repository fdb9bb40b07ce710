"""Prose in code, configuration and documentation avoids turns that read as translated."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (
    "trustbench/**/*.py",
    "hydra_plugins/*.py",
    "scripts/**/*.py",
    "scripts/**/*.sh",
    "scripts/**/*.yaml",
    "tests/**/*.py",
    "conf/**/*.yaml",
    "docs/**/*.md",
    "*.md",
)
FILES = sorted({p for place in PLACES for p in ROOT.glob(place)} - {Path(__file__)})

# "no longer", "no better than" and "there is no file" are English; "a folder is no file" is not.
NO = r"(?!(?:more|less|fewer|longer|later|earlier|better|worse|larger|smaller|new)\b)"
TURNS = {  # pattern: (what to write instead, what it has to find)
    r"\bso many\b(?! (?:\w+ )?that\b)": ("as many as fit", "starts so many arms at once"),
    r"\bat most so\b": ("at most N", "at most so many rows"),
    rf"(?<!\b[Tt]here )\b(?:is|are|was|were) no {NO}[a-z]": ("is not a", "a folder is no file"),
    r"(?<!\b[Tt]here )\b(?:is|are) none\b": ("is not one", "the text is none"),
    r"\bmend(?:s|ed|ing)?\b": ("fix", "another try mends it"),
    r"\b[Tt]here (?:is|are) no such\b": ("does not exist", "if there is no such file"),
    r"\b[Nn]obody's\b": ("of no user", "a key that is nobody's"),
    r"\bAllowed:": ("Available:", "Allowed: a, b"),
    r"\bWhatever\b": ("If ..., or Everything that", "Whatever one dies of"),
    r"\bor nothing\b(?! (?:is|was)\b)": ("or None", "the record, or nothing"),
    r"\bNone, or why\b": ("the reason, or None", "None, or why not"),
    r"\b(?:die|dies|died) of\b": ("die", "what an arm dies of"),
    r"\bfor ever\b": ("forever", "waits for ever"),
    r"\bin silence\b": ("silently", "replaced in silence"),
    r"\b(?:is|are|was|were) told (?:by|what|of)\b": ("is reported", "damage is told by sums"),
    r"\bsame command goes on\b": ("the same command continues", "the same command goes on"),
    r"\bonce it is computed\b": ("computed", "what it is made of once it is computed"),
    r"\bthat is asked for\b": ("requested", "everything that is asked for"),
    r"\bof the user's own\b": ("a user's own ...", "a table of the user's own"),
    r"\bin vain\b": ("without success", "waits in vain"),
    r"\breads nothing by itself\b": ("has no input", "a link reads nothing by itself"),
}


def prose(text):
    """The text in one line: comment signs and the quotes between parts of a string are spaces."""
    return re.sub(r"(?:\"\s*\n\s*f?\"|\n\s*#|\s)+", " ", text)


@pytest.fixture(scope="module")
def texts():
    return {path.relative_to(ROOT): prose(path.read_text(encoding="utf-8")) for path in FILES}


@pytest.mark.parametrize("turn", TURNS)
def test_no_text_has_a_turn_that_reads_as_translated(turn, texts):
    found = [
        f"{path}: ...{text[max(0, hit.start() - 40) : hit.end() + 40]}..."
        for path, text in texts.items()
        for hit in re.finditer(turn, text)
    ]
    instead, _ = TURNS[turn]
    assert not found, f"write {instead!r} in its place:\n" + "\n".join(found)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("join", [" ", "\n    ", "\n# ", '"\n    f"'])
def test_a_turn_is_found_across_lines_comments_and_parts_of_strings(turn, join):
    _, bad = TURNS[turn]
    assert re.search(turn, prose(bad.replace(" ", join)))


@pytest.mark.parametrize(
    "good",
    [
        "There is no file, or there are none.",
        "It is no longer read and is no better than a guess.",
        "The file has so many rows that it is read in parts.",
        "The arm died and is not run again.",
        "It recommends amended files.",
    ],
)
def test_english_is_accepted(good):
    assert not [turn for turn in TURNS if re.search(turn, good)]

"""The front matter of a datasheet: the YAML document that data hubs index.

Keys and values: hub-docs, datasetcard.md, of Hugging Face. Only keys whose values are in the
records.
"""

from bisect import bisect_right
from typing import Any

from trustbench.summary.cards.datasheet import Datasheet
from trustbench.summary.cards.front_matter import fenced

LICENCES = {
    "apache-2.0, as this package": "apache-2.0",
    **{
        name: name.replace(" ", "-")
        for name in (
            *("mit", "apache-2.0", "cc0-1.0", "pddl", "odbl", "odc-by", "gfdl", "c-uda"),
            *("cc by 2.0", "cc by 2.5", "cc by 3.0", "cc by 4.0"),
            *("cc by-sa 3.0", "cc by-sa 4.0", "cc by-nd 4.0"),
            *("cc by-nc 2.0", "cc by-nc 3.0", "cc by-nc 4.0"),
            *("cc by-nc-nd 3.0", "cc by-nc-nd 4.0"),
            *("cc by-nc-sa 2.0", "cc by-nc-sa 3.0", "cc by-nc-sa 4.0"),
            *("cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0"),
        )
    },
}
"""Maps a licence as named on the cards of data sets to the hub's identifier; else `other`."""
BOUNDS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def front_matter(sheet: Datasheet) -> str:
    """The front matter of a datasheet, between its fences."""
    stated = [str(text) for text, _ in sheet.stated("licence")]
    licences = list(dict.fromkeys(licence(text) for text in stated))
    data: dict[str, Any] = {}
    if licences:
        data["license"] = licences[0] if len(licences) == 1 else licences
    if "other" in licences:
        data["license_details"] = "; ".join(t for t in stated if licence(t) == "other")
    data |= {
        "pretty_name": sheet.dataset,
        "tags": ["trustbench", *(["synthetic"] if sheet.synthetic else [])],
        "size_categories": [size_category(max(used.rows for used in sheet.problems))],
    }
    if sheet.tasks:
        data["task_categories"] = list(sheet.tasks)
    return fenced(data)


def licence(text: str) -> str:
    """The hub's identifier of a licence.

    >>> licence("CC BY-SA 3.0"), licence("none stated; published by X"), licence("on request")
    ('cc-by-sa-3.0', 'unknown', 'other')
    """
    name = " ".join(text.split()).casefold()
    return "unknown" if name.partition(";")[0] == "none stated" else LICENCES.get(name, "other")


def size_category(rows: int) -> str:
    """The hub's name for a number of rows.

    >>> size_category(999), size_category(1000), size_category(48842), size_category(10**12)
    ('n<1K', '1K<n<10K', '10K<n<100K', 'n>1T')
    """
    at = bisect_right([10**k for k in range(3, 13)], rows)
    if at in (0, len(BOUNDS)):
        return "n<1K" if at == 0 else "n>1T"
    return f"{BOUNDS[at - 1]}<n<{BOUNDS[at]}"

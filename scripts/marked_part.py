"""The part of a page between two marks, which a script writes."""


def put(page, start, end, lines):
    """Replaces what stands between the marks; ends the script if the page lacks one of them."""
    head, found, rest = page.read_text().partition(start)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page} has no place for the figures: {start} ... {end}")
    page.write_text("\n".join([head + start, *lines, end]) + tail)

"""HTML and SVG as text. Everything that is not yet `Html` is escaped."""

import html
import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_VOID = frozenset({"meta", "br", "hr", "col"})
_EMPTY = frozenset({"path", "line", "rect", "circle"})


class Html(str):
    """Text that is already markup."""

    __slots__ = ()


Child = str | None
"""Text, markup, or None."""
Attribute = str | float | bool | None
"""A value; True writes no value, None and False omit the attribute."""


def escape(text: str) -> Html:
    """Escapes text for display. Control characters and changes of direction become a mark.

    >>> print(escape("a<b> 'c'"), escape(Html("<i>")))
    a&lt;b&gt; &#x27;c&#x27; <i>
    """
    if isinstance(text, Html):
        return text
    return Html(html.escape(_HIDDEN.sub("\ufffd", text)))


def breakable(name: str) -> Html:
    """A dotted or underlined name that may be broken at its joints.

    >>> print(breakable("a/b_c"))
    a/<wbr>b_<wbr>c
    """
    return Html(re.sub(r"([/_])", r"\1<wbr>", escape(name)))


def join(*children: Child) -> Html:
    """Joins children, one after another."""
    return Html("".join(escape(c) for c in children if c is not None))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """An element. `class_` becomes class; other underscores become hyphens.

    >>> print(tag("a", "x < y", class_="wide", href="#c", data_n=3, hidden=None))
    <a class="wide" href="#c" data-n="3">x &lt; y</a>
    """
    listed = "".join(_attribute(k, v) for k, v in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{listed}>")
    if name in _EMPTY and not children:
        return Html(f"<{name}{listed}/>")
    return Html(f"<{name}{listed}>{join(*children)}</{name}>")


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    spelled = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {spelled}"
    text = f"{value:zg}" if isinstance(value, float) else str(value)
    return f' {spelled}="{escape(text)}"'


def table(
    head: list[Child], rows: list[list[Child]], *, caption: Child = None, class_: str = "plain"
) -> Html:
    """A table whose first column names its rows, in its own scrolling box."""
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", c) for c in row[1:])) for row in rows
    ]
    whole = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", h, scope="col") for h in head))),
        tag("tbody", *body),
        class_=class_,
    )
    return join(tag("p", caption) if caption is not None else None, scrolling(whole, "table"))


def scrolling(content: Html, name: str) -> Html:
    """A box that scrolls sideways on its own, also with the keyboard."""
    return tag("div", content, class_="scroll", role="region", aria_label=name, tabindex="0")


def sentence(text: str) -> str:
    """Turns a text into a sentence.

    >>> sentence("a, b")
    'A, b.'
    """
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def terms(pairs: list[tuple[str, Child]]) -> Html:
    """A list of terms with definitions; pairs without a value are left out."""
    return tag(
        "dl", *(join(tag("dt", k), tag("dd", v)) for k, v in pairs if v is not None and v != "")
    )


def listing(items: list[Child]) -> Html:
    """A bulleted list."""
    return tag("ul", *(tag("li", i) for i in items))

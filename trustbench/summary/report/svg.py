"""A chart as inline SVG: axes, lines, bands, dots and whiskers; the style sheet sets their look."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from trustbench.summary.report.markup import Attribute, Html, join, tag
from trustbench.summary.report.scales import Scale

WIDTH, HEIGHT = 340.0, 230.0
Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """The rectangle in which data is drawn, in user units of the chart."""

    left: float = 46.0
    top: float = 12.0
    right: float = WIDTH - 12.0
    bottom: float = HEIGHT - 38.0


@dataclass
class Plot:
    """Two scales and the marks drawn on them, in order."""

    x: Scale
    y: Scale
    box: Box = field(default_factory=Box)
    marks: list[Html] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """The position of a point."""
        box = self.box
        return self.x.at(x, box.left, box.right), self.y.at(y, box.bottom, box.top)

    def line(self, points: Iterable[Point], class_: str) -> None:
        """A line through the finite points."""
        placed = [self.at(x, y) for x, y in points if np.isfinite(x) and np.isfinite(y)]
        if len(placed) > 1:
            self.marks.append(tag("path", d=_path(placed), class_=class_))

    def segments(self, pairs: Iterable[tuple[Point, Point]], class_: str) -> None:
        """Many lines of one style, in one element."""
        d = "".join(_path([self.at(*a), self.at(*b)]) for a, b in pairs)
        if d:
            self.marks.append(tag("path", d=d, class_=class_))

    def band(
        self, x: Sequence[float], low: Sequence[float], high: Sequence[float], class_: str
    ) -> None:
        """The area between two curves."""
        rows = [r for r in zip(x, low, high, strict=True) if np.isfinite(r).all()]
        if len(rows) > 1:
            upper = [self.at(a, c) for a, _, c in rows]
            lower = [self.at(a, b) for a, b, _ in reversed(rows)]
            self.marks.append(tag("path", d=_path([*upper, *lower]) + "Z", class_=class_))

    def dots(self, points: Iterable[Point], class_: str, radius: float = 2.6) -> None:
        """A circle at each finite point."""
        for x, y in points:
            if np.isfinite(x) and np.isfinite(y):
                cx, cy = self.at(x, y)
                self.marks.append(
                    tag("circle", cx=f"{cx:z.1f}", cy=f"{cy:z.1f}", r=radius, class_=class_)
                )

    def whiskers(self, rows: Iterable[tuple[float, float, float]], class_: str) -> None:
        """Vertical intervals (x, low, high)."""
        self.segments((((x, low), (x, high)) for x, low, high in rows), class_)

    def bars(self, rows: Iterable[tuple[float, float, float]], class_: str) -> None:
        """Horizontal intervals (y, low, high)."""
        self.segments((((low, y), (high, y)) for y, low, high in rows), class_)

    def shade(self, low: float, high: float, class_: str) -> None:
        """The full width between two values of y."""
        top, bottom = self.at(self.x.low, high)[1], self.at(self.x.low, low)[1]
        left, right = self.box.left, self.box.right
        self.marks.append(rect(left, top, right - left, bottom - top, class_))

    def note(self, x: float, y: float, text: str, class_: str, anchor: str = "start") -> None:
        """A text at a point."""
        left, base = self.at(x, y)
        self.marks.append(label(left, base, text, class_, text_anchor=anchor))


def chart(plots: Sequence[Plot], title: str, width: float = WIDTH, height: float = HEIGHT) -> Html:
    """Plots as one picture, with a title for screen readers."""
    return picture([join(_frame(p), *p.marks) for p in plots], title, width, height)


def picture(content: Sequence[Html], title: str, width: float, height: float) -> Html:
    """Marks as a picture of at most that size, with a title for screen readers."""
    return tag(
        "svg",
        tag("title", title),
        *content,
        viewBox=f"0 0 {width:zg} {height:zg}",
        width=width,
        height=height,
        role="img",
        class_="chart",
    )


def figure(drawing: Html, *caption: Html | str | None) -> Html:
    """A chart with its caption."""
    return tag("figure", drawing, tag("figcaption", *caption))


def rect(x: float, y: float, width: float, height: float, class_: str) -> Html:
    """A rectangle."""
    return tag(
        "rect",
        x=f"{x:z.1f}",
        y=f"{y:z.1f}",
        width=f"{max(width, 0):z.1f}",
        height=f"{max(height, 0):z.1f}",
        class_=class_,
    )


def label(x: float, y: float, text: str, class_: str = "note", **more: Attribute) -> Html:
    """A text at a position of the picture."""
    return tag("text", text, x=f"{x:z.1f}", y=f"{y:z.1f}", class_=class_, **more)


def short(text: str, most: int) -> str:
    """Cuts the text to a maximum number of characters, with a mark."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:z.1f} {y:z.1f}" for x, y in points)


def _frame(plot: Plot) -> Html:
    """Grid lines, ticks and labels of both axes."""
    box, marks = plot.box, []
    for value, text in plot.x.ticks:
        x = plot.x.at(value, box.left, box.right)
        marks.append(tag("path", d=f"M{x:z.1f} {box.top:zg}V{box.bottom:zg}", class_="grid"))
        marks.append(label(x, box.bottom + 15, text, "tick", text_anchor="middle"))
    for value, text in plot.y.ticks:
        y = plot.y.at(value, box.bottom, box.top)
        marks.append(tag("path", d=f"M{box.left:zg} {y:z.1f}H{box.right:zg}", class_="grid"))
        marks.append(label(box.left - 5, y + 3.5, text, "tick", text_anchor="end"))
    middle = (box.left + box.right) / 2
    marks.append(label(middle, box.bottom + 31, plot.x.label, "axis", text_anchor="middle"))
    turned, centre = box.left - 36, (box.top + box.bottom) / 2
    marks.append(
        label(
            turned,
            centre,
            plot.y.label,
            "axis",
            text_anchor="middle",
            transform=f"rotate(-90 {turned:zg} {centre:zg})",
        )
    )
    return join(*marks)

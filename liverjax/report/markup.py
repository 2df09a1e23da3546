"""Pieces of HTML: escaped text, tables, figures, and numbers as journals print them."""

from __future__ import annotations

import base64
import dataclasses
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

NONE = "–"
_FIXED = "\N{NO-BREAK SPACE}"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def text(value: Any) -> str:
    """Returns a value as escaped text."""
    return html.escape(str(value))


def code(name: str) -> str:
    """Returns a name of a column or key, which may break after an underscore."""
    return f"<code>{text(name).replace('_', '_<wbr>')}</code>"


def is_absent(value: float | None) -> bool:
    """Returns whether a figure is null in ``metrics.json``, NaN before it is there."""
    return value is None or not math.isfinite(value)


def number(value: Any, *, decimals: int = 3) -> str:
    """Returns a number with so many decimals, a dash where there is none."""
    if is_absent(value):
        return NONE
    return f"{value:.{decimals}f}".replace("-", "−")


def estimate(metric: Mapping[str, Any] | None, *, decimals: int = 3) -> str:
    """Returns ``0.430 (0.352 to 0.501)`` of a statistic of ``metrics.json``."""
    if not metric or is_absent(metric["estimate"]):
        return NONE
    value = number(metric["estimate"], decimals=decimals)
    if is_absent(metric["low"]):
        return value
    low, high = (number(metric[end], decimals=decimals) for end in ("low", "high"))
    return f"{value} ({low} to {high})"


def p_value(p: float | None) -> str:
    """Returns ``0.012`` or ``3.1 × 10⁻⁴``."""
    if p is None or is_absent(p):
        return NONE
    if p >= 0.001:
        return f"{p:.3f}"
    if p == 0:
        return f"<{_FIXED}10⁻³⁰⁰"
    mantissa, _, exponent = f"{p:.1e}".partition("e")
    power = str(int(exponent)).translate(_SUPERSCRIPT)
    return f"{mantissa}{_FIXED}×{_FIXED}10{power}"


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = ""
) -> str:
    """Returns a table of cells that are HTML already; the first column heads its row.

    Args:
        header: Text of the columns.
        rows: HTML of the cells; a row of one cell heads those below it.
        caption: HTML above it.
    """
    head = "".join(f"<th scope='col'>{text(name)}</th>" for name in header)
    body = "".join(
        f"<tr><th scope='row'>{row[0]}</th>"
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        if len(row) > 1
        else f"<tr class='head'><th colspan='{len(header)}'><span>{row[0]}</span>"
        "</th></tr>"
        for row in rows
    )
    above = f"<caption><span>{caption}</span></caption>" if caption else ""
    return (
        f"<div class='scroll' tabindex='0'><table>{above}<thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def figure(content: bytes, *, kind: str, alt: str, caption: str) -> str:
    """Returns a figure with its picture inside the page.

    Args:
        content: Bytes of the picture.
        kind: ``svg+xml`` or ``png``.
        alt: What it shows, for those who cannot see it.
        caption: HTML below it.
    """
    data = base64.b64encode(content).decode()
    return (
        f"<figure><img alt='{text(alt)}' src='data:image/{kind};base64,{data}'>"
        f"<figcaption>{caption}</figcaption></figure>"
    )


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page; ``html`` is empty where there is nothing to show."""

    anchor: str
    title: str
    html: str


def section(anchor: str, title: str, *parts: str, source: str = "") -> Section:
    """Returns a section of the parts that are not empty.

    Args:
        anchor: Its id.
        title: Text of its heading.
        parts: HTML.
        source: Names of the files its numbers come from.
    """
    inside = "".join(parts)
    if inside:
        origin = f"<p class='source'>From {text(source)}.</p>" if source else ""
        inside = f"<h2>{text(title)}</h2>{inside}{origin}"
        inside = f"<section id='{anchor}'>{inside}</section>"
    return Section(anchor, title, inside)


def facts(pairs: Sequence[tuple[str, Any]]) -> str:
    """Returns a list of names and values; absent values are left out."""
    items = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>"
        for name, value in pairs
        if value not in (None, "")
    )
    return f"<dl>{items}</dl>" if items else ""


def beside(*parts: str) -> str:
    """Returns parts side by side where the page is wide enough; nothing for nothing."""
    there = "".join(f"<div>{part}</div>" for part in parts if part)
    return f"<div class='panels'>{there}</div>" if there else ""


def details(summary: str, inside: str) -> str:
    """Returns a part that opens on demand."""
    return f"<details><summary>{text(summary)}</summary>{inside}</details>"


def items(sentences: Sequence[str]) -> str:
    """Returns a list of sentences (HTML); empty for none."""
    if not sentences:
        return ""
    return "<ul>" + "".join(f"<li>{one}</li>" for one in sentences) + "</ul>"

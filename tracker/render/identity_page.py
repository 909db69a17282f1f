"""Page of doubtful identities: joins and splits that are proposed, with pictures on either side, as HTML.

One file that needs nothing else: no script, no font, no address; all text is escaped.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from tracker.errors import mask, printable
from tracker.render.audit_style import STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Proposal", "render_identities"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
OWN = """
.proposals{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:20px;margin:0 0 36px;
padding:0}
.proposals li{list-style:none;background:var(--card);border-radius:8px;padding:14px 16px 16px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:8px;margin:10px 0}
.pair img{width:100%;height:180px;object-fit:contain;background:var(--plain);border-radius:6px;display:block}
.pair .none{height:180px;display:grid;place-items:center;background:var(--plain);border-radius:6px;color:var(--soft)}
code{font:13px/1.4 ui-monospace,"DejaVu Sans Mono",monospace;background:var(--plain);border-radius:4px;padding:2px 6px}
.meter{height:4px;border-radius:2px;background:var(--plain);margin:8px 0 10px;overflow:hidden}
.meter svg{display:block;width:100%;height:4px;border-radius:0}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One join or split.

    Attributes:
        title: ``2 and 7 may be one``.
        why: In words.
        option: What to write to accept it.
        plausibility: From 0 to 1.
        captions: Of the pictures before and after.
        pictures: JPEGs before and after; ``None`` where there is none.
    """

    title: str
    why: str
    option: str
    plausibility: float
    captions: tuple[str, str]
    pictures: tuple[bytes | None, bytes | None] = (None, None)


def render_identities(
    name: str, *, identities: int, joins: Sequence[Proposal], splits: Sequence[Proposal], pictured: bool
) -> str:
    """The page.

    Args:
        name: Of the records.
        identities: How many there are.
        joins: Proposals, the most plausible first.
        splits: Likewise.
        pictured: It holds pictures, of which a line warns.
    """
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        f'<meta http-equiv=Content-Security-Policy content="{POLICY}">',
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{_text(f'Identities of {name}')}</title><style>{STYLE}{OWN}</style></head><body>",
        f"<p class=kind>Doubtful identities</p><h1>{_text(name)}</h1>",
        f"<dl class=facts><div><dt>Identities</dt><dd>{identities}</dd></div>",
        f"<div><dt>May be one</dt><dd>{len(joins)}</dd></div><div><dt>May be two</dt><dd>{len(splits)}</dd></div></dl>",
    ]
    if pictured:
        text = "Pictures of people may be inside: keep and share this page as you would the video."
        parts.append(f"<p class=warning>{text}</p>")
    for heading, proposals, empty in (
        ("Two numbers, one object?", joins, "No two identities look as if they were one."),
        ("One number, two objects?", splits, "No identity looks as if it were two."),
    ):
        parts.append(f"<section class=place><h2>{heading}</h2>")
        if proposals:
            items = "".join(f"<li>{_card(one, pictured=pictured)}</li>" for one in proposals)
            parts.append(f"<ul class=proposals>{items}</ul>")
        else:
            parts.append(f"<p class=rule>{empty}</p>")
        parts.append("</section>")
    return "".join([*parts, "</body></html>"])


def _card(one: Proposal, *, pictured: bool) -> str:
    share = round(100 * min(max(one.plausibility, 0.0), 1.0))
    pair = ""
    if pictured:
        figures = "".join(map(_figure, one.pictures, one.captions))
        pair = f"<div class=pair>{figures}</div>"
    meter = (
        f"<div class=meter role=img aria-label='plausibility {share} of 100'><svg viewBox='0 0 100 4' "
        f"preserveAspectRatio=none><rect width='{share}' height='4' fill='currentColor'/></svg></div>"
    )
    return f"<h3>{_text(one.title)}</h3><p class=rule>{_text(one.why)}</p>{meter}{pair}<code>{_text(one.option)}</code>"


def _figure(jpeg: bytes | None, caption: str) -> str:
    if jpeg is None:
        inside = "<div class=none>no picture</div>"
    else:
        inside = f"<img alt='{_text(caption)}' src='data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'>"
    return f"<figure>{inside}<figcaption>{_text(caption)}</figcaption></figure>"


def _text(text: str) -> str:
    return escape(printable(mask(text)))

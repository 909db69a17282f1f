"""Page on which a person counts: a clip per interval, a button per line, direction and class, the result as CSV.

One HTML file beside the clips. Its script is its own; nothing is loaded from elsewhere and nothing is sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from tracker.errors import mask, printable
from tracker.render.audit_style import STYLE
from tracker.render.count_script import SCRIPT

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CountPage", "Span", "render_count_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One interval to count in.

    Attributes:
        number: As in the sheet.
        time: For people.
        stratum: Hour and light.
        clip: Address of its clip relative to the page; empty = none.
    """

    number: int
    time: str
    stratum: str
    clip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CountPage:
    """Everything on the page.

    Attributes:
        title: Name of the recording.
        key: Under which the browser keeps what was counted so far; another sheet has another one.
        spans: In order.
        asked: Line, direction and class of each button.
        columns: Head of the CSV file.
        rows: Its rows without the last column, in the order of ``spans`` and ``asked``.
        file_name: Under which it is saved.
    """

    title: str
    key: str
    spans: Sequence[Span]
    asked: Sequence[tuple[str, str, str]]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    file_name: str


def render_count_page(page: CountPage) -> str:
    """The page as HTML."""
    values = {
        "key": page.key,
        "spans": [[span.number, _clean(span.time), _clean(span.stratum), span.clip] for span in page.spans],
        "asked": [[_clean(part) for part in asked] for asked in page.asked],
        "columns": list(page.columns),
        "rows": [list(row) for row in page.rows],
        "file": page.file_name,
    }
    # Nothing in it may end the element that holds it.
    data = json.dumps(values).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; media-src 'self' file:; "
        "img-src data:"
    )
    title = escape(_clean(page.title))
    head = (
        f'<meta charset=utf-8><meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        '<meta name=color-scheme content="light dark"><meta name=robots content=noindex>'
        f"<title>Count {title}</title><style>{STYLE}{OWN_STYLE}</style>"
    )
    body = BODY.replace("TITLE", title)
    return (
        f"<!doctype html>\n<html lang=en><head>{head}</head>\n<body>{body}"
        f'<script type="application/json" id=data>{data}</script><script>{SCRIPT}</script></body></html>\n'
    )


def _clean(text: str) -> str:
    return printable(mask(text))


BODY = """
<header><p class=kind>Count by eye</p><h1>TITLE</h1></header>
<p class=rule>Count what passes each line in each direction; a line's arrow shows the first of its directions. An entry
into a zone counts once. When an interval is done, say so: what was not pressed is then zero.</p>
<noscript><p class=warning>This page needs scripts. Without them, fill in the CSV file beside it.</p></noscript>
<nav id=nav aria-label=Intervals></nav>
<main class=work><section><h2 id=title></h2><p class=rule id=note></p>
<video id=video controls playsinline preload=auto></video>
<p class=tools><button id=half>0.5 x</button><button id=normal>1 x</button><button id=twice>2 x</button>
<button id=back>5 s back</button></p></section>
<section><div id=buttons></div>
<p class=tools><button id=undo>Undo</button><button id=done class=strong>Interval is done</button></p></section></main>
<p class=tools><button id=save class=strong>Save as CSV</button> <span id=state role=status></span></p>
""".strip()

OWN_STYLE = """
.work{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:20px;align-items:start}
video{width:100%;border-radius:6px;background:#000}
nav{display:flex;flex-wrap:wrap;gap:6px;margin:12px 0 20px}
button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--rule);border-radius:6px;
padding:8px 12px;min-height:40px;cursor:pointer}
button:hover{border-color:var(--soft)}
button:focus-visible{outline:2px solid var(--link);outline-offset:2px}
button.strong{background:var(--link);border-color:var(--link);color:var(--ground);font-weight:600}
nav button{min-width:44px}
nav button[aria-current=true]{outline:2px solid var(--link)}
nav button.full{border-color:var(--counted);color:var(--counted);font-weight:600}
fieldset{border:1px solid var(--rule);border-radius:6px;margin:0 0 12px;padding:8px 12px 12px;min-width:0}
legend{padding:0 6px;overflow-wrap:anywhere}
.keys{display:flex;flex-wrap:wrap;gap:8px}
.keys button{display:flex;gap:10px;align-items:center}
.keys b{font-size:20px;min-width:1.4em;text-align:right;font-variant-numeric:tabular-nums}
kbd{font:12px ui-monospace,monospace;color:var(--soft);border:1px solid var(--rule);border-radius:4px;padding:0 5px}
.tools{display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin:10px 0}
@media (max-width:760px){.work{grid-template-columns:minmax(0,1fr)}}
"""

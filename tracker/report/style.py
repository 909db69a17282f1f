"""Style of reports: light and dark, from 320 pixels of width, and on A4 paper."""

from __future__ import annotations

from tracker.report.tones import DARK, LIGHT

__all__ = ["style"]

_STYLE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:32px 24px 56px;max-width:968px;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;
font-variant-numeric:tabular-nums}
h1{font-size:28px;line-height:1.2;letter-spacing:-.01em;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:20px;line-height:1.25;margin:0 0 8px}
h3{font-size:15px;line-height:1.35;margin:0 0 8px;overflow-wrap:anywhere}
a{color:var(--accent)}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.kind{margin:0 0 2px;color:var(--soft);font-size:12px;letter-spacing:.08em;text-transform:uppercase}
.period{margin:0 0 20px;font-size:17px;color:var(--soft)}
nav{margin:0 0 24px}
nav ul{display:flex;flex-wrap:wrap;gap:4px 18px;margin:0;padding:0;list-style:none;font-size:14px}
nav a{display:inline-block;padding:3px 0}
.warning{background:var(--warn-soft);border-left:4px solid var(--warn);border-radius:4px;padding:8px 12px;
margin:0 0 12px}
.note{color:var(--soft);margin:0 0 12px;max-width:75ch}
.lead{color:var(--soft);margin:-4px 0 16px;max-width:75ch}
section{margin:0 0 20px;padding:20px 20px 8px;background:var(--surface);border:1px solid var(--border);
border-radius:10px}
dl.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(168px,1fr));gap:10px;margin:0 0 18px}
dl.facts>div{padding:10px 14px;background:var(--raised);border-radius:8px}
header dl.facts>div{background:var(--surface);border:1px solid var(--border)}
dl.facts dt{color:var(--soft);font-size:13px;line-height:1.35}
dl.facts dd{margin:0;overflow-wrap:anywhere}
dl.facts dd.v{font-size:24px;line-height:1.25;font-weight:600;letter-spacing:-.01em}
dl.facts dd.n{color:var(--soft);font-size:13px;line-height:1.35}
figure{margin:0 0 20px;break-inside:avoid}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;margin:6px 0 0;padding:0;list-style:none;color:var(--soft);
font-size:13px}
.legend li{display:flex;align-items:center;gap:6px}
.legend svg{width:14px;height:12px;flex:none}
figcaption{color:var(--soft);font-size:13px;margin-top:6px}
svg{display:block;width:100%;height:auto;font-size:11.5px}
svg path,svg circle{fill:none}
svg .dashed{stroke-dasharray:4 3}
svg .hatched{fill:url(#hatch)}
svg .hollow{fill:var(--surface);stroke-width:1.4;stroke-dasharray:2.5 1.5}
svg .rim{stroke:var(--surface);stroke-width:2}
svg .b{font-weight:600}
svg.narrow{display:none}
.defs{position:absolute;width:0;height:0}
img{display:block;max-width:100%;height:auto;border-radius:6px}
.scroll{overflow-x:auto;margin:0 0 16px}
table{border-collapse:collapse;min-width:55%;font-size:14px}
.caption{color:var(--soft);font-size:13px;margin:0 0 4px}
th,td{text-align:left;vertical-align:top;padding:6px 22px 6px 0;border-bottom:1px solid var(--border)}
thead th{color:var(--soft);font-size:12.5px;font-weight:500;vertical-align:bottom;white-space:nowrap}
tbody th{font-weight:500;overflow-wrap:anywhere;min-width:8em}
.r{text-align:right}
td.r{white-space:nowrap}
tr>:last-child{padding-right:0}
tbody tr:last-child>*{border-bottom:0}
table.matrix{width:auto;min-width:50%}
table.matrix th,table.matrix td{padding:7px 12px}
table.matrix td{text-align:right;min-width:4.5em;border:1px solid var(--surface);border-radius:4px;
background:color-mix(in srgb,var(--accent) calc(var(--share)*38%),var(--raised))}
table.matrix td.none{background:none;color:var(--soft)}
table.matrix tbody th{text-align:right;border:0}
table.matrix thead th{text-align:right;border:0;max-width:9em;white-space:normal;overflow-wrap:anywhere}
details{margin:0 0 20px}
summary{cursor:pointer;color:var(--accent);font-size:14px;padding:4px 0;width:fit-content}
details>.scroll{max-height:420px;overflow:auto;margin-top:6px}
footer{color:var(--soft);font-size:13.5px;padding:4px 4px 0}
footer h2{font-size:15px;color:var(--ink)}
footer p,footer ul{max-width:80ch;margin:6px 0}
@media (max-width:600px){
body{padding:20px 12px 40px}
h1{font-size:23px}
.period{font-size:15px}
section{padding:16px 12px 4px}
svg.wide{display:none}
svg.narrow{display:block;max-width:480px}
dl.facts{grid-template-columns:repeat(2,minmax(0,1fr))}
dl.facts>div{padding:10px 12px}
dl.facts dd.v{font-size:20px}
table.matrix th,table.matrix td{padding:6px 8px;min-width:3.5em}
}
@media print{
@page{size:A4;margin:14mm 13mm}
body{max-width:none;padding:0;font-size:10.5pt;background:#fff;print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav,details{display:none}
section{padding:0;border:0;margin:0 0 22px;background:none}
h1{font-size:20pt}
h2{font-size:14pt;border-top:1px solid var(--border);padding-top:10px}
h2,h3,.lead,.caption,thead{break-after:avoid}
.lead,.note,li{break-inside:avoid}
figure,tr,dl.facts,.warning{break-inside:avoid}
dl.facts{grid-template-columns:repeat(4,minmax(0,1fr))}
dl.facts dd.v{font-size:15pt}
table{font-size:9.5pt}
th,td{padding:4px 12px 4px 0}
thead th{white-space:normal}
.scroll{overflow:visible}
svg.wide{display:block}
svg.narrow{display:none}
}
"""


def style() -> str:
    """All of it, with both themes and a class for every tone; paper is light."""
    tones = "\n".join(f"svg .f-{name}{{fill:var(--{name})}}svg .s-{name}{{stroke:var(--{name})}}" for name in LIGHT)
    return (
        f":root{{{_values(LIGHT)};color-scheme:light}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_values(DARK)};color-scheme:dark}}}}"
        f"{_STYLE}{tones}"
    )


def _values(tones: dict[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in tones.items())

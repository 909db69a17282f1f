"""Style of audit pages: light and dark, from 360 pixels of width, and on paper."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root{--ground:#f6f6f3;--card:#fff;--ink:#1d1e20;--soft:#5b5f66;--rule:#dcdcd6;--counted:#177245;--missed:#b3261e;
--close:#8a5a00;--link:#1a56a8;--warn:#fff3d6;--plain:#dfe0db}
@media (prefers-color-scheme:dark){:root{--ground:#141619;--card:#1d2024;--ink:#e9eaec;--soft:#a3a8b0;--rule:#33373d;
--counted:#5fd39a;--missed:#ff8a80;--close:#f0b84a;--link:#8ab8ff;--warn:#3a2f12;--plain:#2a2e34}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
body{margin:0 auto;padding:24px 16px 48px;max-width:1180px;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:26px;line-height:1.2;margin:0 0 12px;overflow-wrap:anywhere}
h2{font-size:20px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h3{font-size:15px;margin:0}
a{color:var(--link)}
.kind{margin:0;color:var(--soft);font-size:12px;letter-spacing:.08em;text-transform:uppercase}
.facts{display:flex;flex-wrap:wrap;gap:6px 28px;margin:0 0 20px}
.facts dt{color:var(--soft);font-size:12px}
.facts dd{margin:0;overflow-wrap:anywhere}
.warning{background:var(--warn);border-left:4px solid var(--close);border-radius:4px;padding:8px 12px;margin:0 0 12px}
.defs{position:absolute}
.overview{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:20px;align-items:start;margin:0 0 36px}
figure{margin:0}
figcaption{color:var(--soft);font-size:12px;margin-top:4px}
svg{display:block;width:100%;border-radius:6px;background:var(--plain)}
.ground{fill:var(--plain)}
table{border-collapse:collapse;width:100%;background:var(--card);border-radius:6px;overflow:hidden;
font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:8px 10px;border-bottom:1px solid var(--rule);overflow-wrap:anywhere}
td{min-width:6em}
thead th{color:var(--soft);font-size:12px;font-weight:500}
tbody tr:last-child>*{border-bottom:0}
tbody th{font-weight:600}
.chip{display:inline-block;width:.8em;height:.8em;border-radius:3px;margin-right:.5em;background:var(--c);
box-shadow:0 0 0 1px rgba(0,0,0,.45)}
.place{margin:0 0 40px;padding-top:20px;border-top:1px solid var(--rule)}
.rule{color:var(--soft);margin:0 0 12px}
.sums{list-style:none;display:flex;flex-wrap:wrap;gap:10px;margin:0 0 14px;padding:0}
.sums li{background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:6px 12px}
.sums b{font-size:20px;font-variant-numeric:tabular-nums}
.sums small{display:block;color:var(--soft)}
details{margin:0 0 10px;background:var(--card);border:1px solid var(--rule);border-left:4px solid var(--k);
border-radius:6px}
.counted{--k:var(--counted)}
.missed{--k:var(--missed)}
.close{--k:var(--close)}
summary{cursor:pointer;padding:10px 14px}
summary:focus-visible,a:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.count{display:inline-block;min-width:1.9em;padding:0 .5em;border-radius:1em;text-align:center;color:var(--k);
box-shadow:inset 0 0 0 1px var(--k);font-variant-numeric:tabular-nums}
.meaning{margin:0;padding:0 14px 10px;color:var(--soft);max-width:75ch}
.rows{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr))}
article{display:grid;grid-template-columns:240px minmax(0,1fr);align-content:start;gap:10px 14px;padding:14px;
border-top:1px solid var(--rule);content-visibility:auto;contain-intrinsic-size:auto 210px;break-inside:avoid}
article:target{background:color-mix(in srgb,var(--k) 12%,transparent)}
.words p{margin:4px 0 0}
.words .time{color:var(--soft);font-variant-numeric:tabular-nums}
.pictures{grid-column:1/-1;display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:10px}
.pictures img{display:block;width:auto;max-width:100%;height:auto;max-height:260px;border-radius:6px}
.none,footer{color:var(--soft)}
footer h2{font-size:15px;color:var(--ink)}
footer p{max-width:75ch;margin:6px 0}
.line,.under,.path,.halo,.ring{fill:none;stroke-linecap:round;stroke-linejoin:round}
.under{stroke:#14161a;stroke-opacity:.75}
.zone{fill-opacity:.2}
.halo{stroke:#fff;stroke-opacity:.9}
svg .counted{--s:#138a50}
svg .missed{--s:#d1201a}
svg .close{--s:#9a6200}
.path,.ring,.first{stroke:var(--s)}
.first{fill:#fff}
.head{fill:var(--s);stroke:#fff;stroke-linejoin:round}
.dot{fill:var(--s);stroke:#fff}
.tag{stroke:#14161a;stroke-width:2}
.number{fill:#14161a;font-weight:700;text-anchor:middle;dominant-baseline:central}
@media (max-width:760px){
body{padding:16px 12px 32px}
.overview{grid-template-columns:minmax(0,1fr)}
article{grid-template-columns:minmax(0,1fr);contain-intrinsic-size:auto 420px}
article>svg{max-width:420px}
h1{font-size:22px}
}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
@media print{
:root{--ground:#fff;--card:#fff;--ink:#000;--soft:#444;--rule:#bbb;--counted:#177245;--missed:#b3261e;--close:#8a5a00;
--link:#000;--warn:#fff;--plain:#eee}
body{max-width:none;padding:0;print-color-adjust:exact;-webkit-print-color-adjust:exact}
details::details-content{content-visibility:visible;display:block;block-size:auto}
article{content-visibility:visible;grid-template-columns:200px minmax(0,1fr)}
.place{break-before:auto}
}
""".strip()

"""How the page looks: light and dark, wide and narrow, on paper. Knows CSS and class names, no content."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--page:#f5f7fa;--card:#fff;--ink:#17202c;--soft:#586577;--line:#dfe5ec;
--accent:#2463b0;--accent-soft:#e4edf8;--plain:#93a1b3;--good:#1b7a43;--good-soft:#e0f3e7;--bad:#b0352b;
--bad-soft:#fae5e3;--on-accent:#fff;--shade:0 1px 2px rgba(20,30,45,.06),0 4px 14px rgba(20,30,45,.05)}
@media (prefers-color-scheme:dark){:root{--page:#10151c;--card:#18202a;--ink:#e5ebf2;--soft:#9aa9ba;
--line:#2b3644;--accent:#6aa7ee;--accent-soft:#1d3049;--plain:#5d6c7e;--good:#6fd19a;--good-soft:#16341f;
--bad:#f0938a;--bad-soft:#3d1d1b;--on-accent:#0d131a;--shade:none}}
*{box-sizing:border-box}
body{font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;margin:0;color:var(--ink);
background:var(--page);-webkit-text-size-adjust:100%}
main{max-width:68rem;margin:0 auto;padding:1.5rem 1rem 3rem}
header{margin:.5rem 0 1.2rem}h1{font-size:1.65rem;line-height:1.25;margin:0 0 .25rem;letter-spacing:-.01em}
h2{font-size:1.2rem;margin:2.2rem 0 .7rem}h3{font-size:.95rem;margin:0 0 .6rem}
.soft,.note{color:var(--soft)}.note{font-size:.88rem;margin:.35rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem 1.1rem;
margin:0 0 1rem;box-shadow:var(--shade);min-width:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:0 0 1rem}
.tiles .card{margin:0;padding:.8rem 1rem}.tiles b{display:block;font-size:1.7rem;line-height:1.2;
font-variant-numeric:tabular-nums;letter-spacing:-.02em}.tiles span{display:block;font-size:.82rem;
color:var(--soft)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));gap:1rem}
.pair>.card{margin:0}.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.42rem .7rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top;
white-space:nowrap}
th{font-weight:600;color:var(--soft);font-size:.8rem;vertical-align:bottom}
tr:last-child td{border-bottom:0}th:first-child,td:first-child{text-align:left;padding-left:0}
th:last-child,td:last-child{padding-right:0}tr.reference td{background:var(--accent-soft)}
table.facts td{white-space:normal;overflow-wrap:anywhere;text-align:left}
table.facts td:first-child{color:var(--soft);white-space:nowrap;width:1%;padding-right:1.2rem}
td small{display:block;color:var(--soft);font-size:.78rem}
.pill{display:inline-block;border-radius:99px;padding:.05rem .6rem;font-size:.8rem;background:var(--line);
color:var(--ink);white-space:nowrap}.pill.good{background:var(--good-soft);color:var(--good)}
.pill.bad{background:var(--bad-soft);color:var(--bad)}.pill.accent{background:var(--accent-soft);
color:var(--accent)}
.bars{display:grid;grid-template-columns:minmax(6rem,15rem) 1fr 3.2rem;gap:.4rem .8rem;align-items:center;
font-size:.88rem}.bars .name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.bars .value{text-align:right;font-variant-numeric:tabular-nums}
.track{position:relative;height:1.05rem;background:linear-gradient(var(--line),var(--line)) 0 50%/100% 1px
no-repeat}.track i,.track u{position:absolute;display:block}
.track i{top:0;bottom:0;left:0;background:var(--plain);border-radius:0 3px 3px 0}
.track.reference i{background:var(--accent)}
.track u{top:50%;height:7px;margin-top:-3.5px;border:solid var(--ink);border-width:0 1.5px;
background:linear-gradient(var(--ink),var(--ink)) 0 50%/100% 1.5px no-repeat}
svg{max-width:100%;height:auto;display:block;margin:0 auto}svg .ink{fill:var(--ink)}
svg .soft{fill:var(--soft)}
svg .bar,svg .cell{fill:var(--accent)}svg .on{fill:var(--on-accent)}svg .rule{stroke:var(--plain);fill:none}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}.map svg{min-width:21rem}
.clip{border-top:1px solid var(--line);padding:.9rem 0 .2rem}.clip:first-of-type{border-top:0}
.clip header{margin:0 0 .4rem;display:flex;flex-wrap:wrap;gap:.35rem .6rem;align-items:baseline}
.clip code{font-size:.85rem;overflow-wrap:anywhere;color:var(--soft)}
.clip dl{display:grid;grid-template-columns:5.2rem 1fr;gap:.15rem .8rem;margin:.2rem 0;font-size:.92rem}
.clip dt{color:var(--soft)}.clip dd{margin:0;overflow-wrap:anywhere}
details{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:0 0 .7rem;
padding:0 1.1rem;box-shadow:var(--shade)}summary{cursor:pointer;padding:.75rem 0;font-weight:600}
details[open] summary{border-bottom:1px solid var(--line);margin-bottom:1rem}
details .card{box-shadow:none}
@media (max-width:36rem){main{padding:1rem .75rem 2rem}th,td{padding:.4rem .45rem;font-size:.84rem}
h1{font-size:1.35rem}.card{padding:.85rem .8rem}
.tiles{grid-template-columns:repeat(2,1fr);gap:.6rem}.tiles b{font-size:1.35rem}
.bars{grid-template-columns:1fr 3.2rem}.bars .name{grid-column:1/3;margin-bottom:-.3rem}
table.facts td,table.facts td:first-child{display:block;width:auto;padding:.1rem 0;border:0}
table.facts tr{display:block;border-bottom:1px solid var(--line);padding:.35rem 0}
.clip dl{grid-template-columns:1fr;gap:0}.clip dd{margin-bottom:.4rem}}
@media print{body{background:#fff}details{break-inside:avoid}.card{box-shadow:none}}
"""

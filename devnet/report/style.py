"""The look of a report: light, dark and paper, on a wide screen and on a phone."""

_LIGHT = """
--page:#ffffff;--ink:#1b2430;--soft:#586574;--faint:#dfe4ea;--panel:#f6f8fa;
--live:#1d5fbf;--index:#b06a00;--bad:#c01f2e;--good:#1a7a3c;--wash:#fbeaec;--good-wash:#e8f5ec;
--halted:#c01f2e;--cancel:#d99000;--post:#6a6ff0;--open:#2f9e58;--unknown:#98a2ad;--on-badge:#fff;
"""
_DARK = """
--page:#12171d;--ink:#e6ebf1;--soft:#a3afbc;--faint:#2c353f;--panel:#1a2129;
--live:#6ea8ff;--index:#f0b04a;--bad:#ff7b84;--good:#5fd08a;--wash:#33191d;--good-wash:#15301f;
--halted:#ff6570;--cancel:#e5a93a;--post:#9a9dff;--open:#4fc47c;--unknown:#76818d;--on-badge:#12171d;
"""
_BASE = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
figure{margin:0}
main{max-width:1040px;margin:0 auto;padding:28px 24px 60px}
h1{font-size:1.75rem;line-height:1.25;margin:0 0 .4rem}
h2{font-size:1.25rem;margin:2.6rem 0 .5rem;padding-top:1rem;border-top:1px solid var(--faint)}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
p{margin:.4rem 0;max-width:75ch}
.lead{font-size:1.05rem;color:var(--soft)}
.verdict{border-left:6px solid var(--good);background:var(--good-wash);padding:16px 20px;
border-radius:4px}
.verdict.failed{border-color:var(--bad);background:var(--wash)}
.word{font-weight:700;color:var(--good)}.failed .word,.no{color:var(--bad);font-weight:700}
.yes{color:var(--good);font-weight:700}.none{color:var(--soft)}
.problems{color:var(--bad);margin:.5rem 0 0;padding-left:1.2rem}
.sideways{display:none}
.note-text{color:var(--soft);font-size:.9rem}
.wide{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;width:100%;font-size:.92rem;margin:.5rem 0}
th,td{text-align:left;vertical-align:top;padding:6px 12px 6px 0;
border-bottom:1px solid var(--faint)}
th{font-weight:600;color:var(--soft);white-space:nowrap}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.tight,td.tight code{white-space:nowrap}
tr.bad-row td{background:var(--wash)}
code{font:.86em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{background:var(--panel);border:1px solid var(--faint);border-radius:4px;padding:10px 14px;
margin:.5rem 0;white-space:pre-wrap;overflow-wrap:anywhere}
.key{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.86rem;color:var(--soft);margin:.2rem 0}
.key span{display:inline-flex;align-items:center;gap:6px}
.key svg{width:26px;height:12px}
.number-mark{display:inline-block;min-width:1.5em;text-align:center;border-radius:1em;
font-size:.8rem;font-weight:700;color:var(--on-badge);background:var(--soft)}
footer{margin-top:3rem;color:var(--soft);font-size:.86rem}
"""
_DRAWN = """
svg.chart{display:block;width:100%;min-width:760px;height:auto;margin:.2rem 0}
svg.spark{display:block;width:150px;height:34px}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:var(--ink)}
svg .tick,svg .unit,svg .note{fill:var(--soft)}
svg .bad-text,svg .beyond{fill:var(--bad)}svg .beyond{font-weight:600}
svg .badge-number{font-size:11px;font-weight:700;fill:var(--on-badge)}
.plot{fill:none;stroke:var(--faint)}.rule{stroke:var(--faint)}.axis{stroke:var(--soft)}
.pin{stroke:var(--soft);stroke-dasharray:2 2}
.undone{fill:var(--wash)}
.live,.index,.orphan,.orphan-index,.final,.leaves,.goes-back{fill:none;stroke-width:2;
stroke-linejoin:round}
.live{stroke:var(--live)}.index{stroke:var(--index);stroke-width:1.4}
.orphan,.leaves{stroke:var(--bad);stroke-dasharray:5 3}
.orphan-index{stroke:var(--bad);stroke-width:1.2;stroke-dasharray:1.5 3}
.goes-back{stroke:var(--bad);stroke-width:1.5}
.final{stroke:var(--good);stroke-dasharray:7 3}
.lone{fill:currentColor;stroke:none}
.bar-live{fill:var(--live)}.bar-orphan{fill:var(--bad)}
.dot-posted{fill:var(--live)}.dot-reverted,.dot-orphan{fill:var(--bad)}.dot-final{fill:var(--good)}
.mode-halted{fill:var(--halted)}.mode-cancel-only{fill:var(--cancel)}
.mode-post-only{fill:var(--post)}.mode-open{fill:var(--open)}.mode-unknown{fill:var(--unknown)}
.band-orphan{opacity:.55;stroke:var(--bad);stroke-width:1.5}
.badge{fill:var(--soft)}
.kind-incident,.kind-halt{fill:var(--bad)}.kind-reorg,.kind-undo{fill:var(--ink)}
.kind-checkpoint,.kind-refused{fill:var(--live)}
.number-mark.kind-incident,.number-mark.kind-halt{background:var(--bad)}
.number-mark.kind-reorg,.number-mark.kind-undo{background:var(--ink)}
.number-mark.kind-checkpoint,.number-mark.kind-refused{background:var(--live)}
.number-mark.kind-reorg,.number-mark.kind-undo,.badge-number{color:var(--page)}
"""
_NARROW = """
main{padding:16px 14px 40px}
h1{font-size:1.35rem}
.verdict{padding:12px 14px}
table.stacked thead{display:none}
table.stacked tr{display:block;border-bottom:1px solid var(--faint);padding:6px 0}
table.stacked td{display:block;border:0;padding:2px 0;text-align:left;white-space:normal}
table.stacked td:nth-child(-n+3){display:inline-block;padding-right:10px}
figure .wide{direction:rtl}
svg.chart{min-width:540px;direction:ltr}
svg.chart text{font-size:17px}svg.chart .badge-number{font-size:12px}
.sideways{display:block}
"""
_PAPER = """
body{font-size:11pt}
main{max-width:none;padding:0}
svg.chart{min-width:0}
.wide{overflow:visible}
figure,tr,pre{break-inside:avoid}
table{font-size:.8rem}
h2,h3{break-after:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
"""

STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    f"{_BASE}{_DRAWN}"
    f"@media (max-width:640px){{{_NARROW}}}"
    f"@media print{{:root{{color-scheme:light;{_LIGHT}}}{_PAPER}}}"
)
"""The whole style sheet of a page."""

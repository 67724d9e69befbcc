/** The style sheet of the page: system fonts, no image, light and dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --bg: #f4f5f7; --card: #fff; --ink: #17202a; --soft: #586372; --line: #e0e4e9; --well: #f6f7f9;
  --good: #0d7548; --busy: #1d5fc2; --warn: #8a5800; --bad: #b42b21; --calm: #586372;
  --stage: #6f9bd1; --before: #9a86cf; --activate: #c783b4; --verify: #d99a4e; --bake: #62ab86; --commit: #4f97a8; --after: #8793a1;
  --mono: ui-monospace, "SF Mono", "Cascadia Code", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  --sans: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #0d1217; --card: #141a21; --ink: #e5e9ee; --soft: #97a3b0; --line: #252e38; --well: #0f151b;
    --good: #48c78e; --busy: #74aaff; --warn: #e0ae4a; --bad: #ff7b70; --calm: #97a3b0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 var(--sans); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
h1, h2, h3, p, ul, ol, dl, dd, pre { margin: 0; padding: 0; font-size: inherit; }
ul, ol { list-style: none; }
a { color: inherit; }
:focus-visible { outline: 2px solid var(--busy); outline-offset: 2px; border-radius: 3px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.soft, .note, small { color: var(--soft); }
.version, code, pre { font-family: var(--mono); font-size: .92em; }
.good { --tone: var(--good); } .busy { --tone: var(--busy); } .warn { --tone: var(--warn); } .bad { --tone: var(--bad); } .calm { --tone: var(--calm); }

header, main, footer { max-width: 1720px; margin: 0 auto; padding: 0 24px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 16px; padding-block: 18px 14px; }
.name { display: flex; align-items: center; gap: 8px; }
.name svg { width: 26px; height: 26px; }
h1 { font-size: 19px; font-weight: 650; letter-spacing: -.01em; }
.place { color: var(--soft); }
.mode { border: 1px solid var(--line); border-radius: 99px; padding: 1px 9px; margin-right: 6px; background: var(--card); font-size: 13px; }
#connection { margin-left: auto; color: var(--soft); font-size: 13px; }
#connection[data-state="live"]::before { content: ""; display: inline-block; width: 7px; height: 7px; border-radius: 50%; background: var(--good); margin-right: 7px; vertical-align: 1px; }
#connection[data-state="lost"] { color: var(--bad); font-weight: 600; }

main { display: grid; gap: 16px; }
.columns { display: grid; gap: 16px; grid-template-columns: minmax(0, 1fr); align-items: start; }
.columns > div { display: grid; gap: 16px; grid-template-columns: minmax(0, 1fr); }
.logs { display: grid; gap: 16px; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 960px) {
  .columns { grid-template-columns: minmax(0, 1.45fr) minmax(0, 1fr); }
  .logs { grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); }
}
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 20px; min-width: 0; }
.card[hidden] { display: none; }
.card > h2 { font-size: 13px; font-weight: 600; color: var(--soft); letter-spacing: .01em; margin-bottom: 10px; }
.card > h2 small { font-weight: 400; margin-left: 6px; }
h3 { font-weight: 600; }

.hero { border-top: 3px solid var(--tone); padding: 20px 24px; display: grid; gap: 16px; }
.hero h2 { font-size: clamp(24px, 3.4vw, 34px); line-height: 1.15; font-weight: 680; letter-spacing: -.02em; color: var(--tone); margin: 0 0 4px; }
.live .version { font-size: 18px; font-weight: 600; }
.live .soft { margin-left: 8px; }
.steps { display: flex; flex-wrap: wrap; gap: 6px 4px; font-size: 13px; color: var(--soft); }
.steps li { flex: 1 1 90px; border-top: 3px solid var(--line); padding-top: 5px; }
.steps .done { border-color: var(--busy); color: var(--ink); }
.steps .now { border-color: var(--busy); color: var(--busy); font-weight: 650; border-top-style: dashed; }
.notices { display: grid; gap: 6px; }
.notices li { border-left: 3px solid var(--tone); padding: 2px 0 2px 12px; }
.notices b { color: var(--tone); font-weight: 650; }
q { quotes: "“" "”"; }
.facts { display: flex; flex-wrap: wrap; gap: 10px 32px; font-size: 14px; border-top: 1px solid var(--line); padding-top: 14px; }
.facts dt { color: var(--soft); font-size: 12px; }

table { width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { text-align: left; padding: 6px 12px 6px 0; font-weight: 400; vertical-align: baseline; }
thead th { color: var(--soft); font-size: 12px; padding-top: 0; }
tbody tr { border-top: 1px solid var(--line); }
.state { color: var(--tone); font-weight: 600; white-space: nowrap; }
.state::before { content: ""; display: inline-block; width: 7px; height: 7px; border-radius: 50%; background: currentcolor; margin-right: 6px; vertical-align: 1px; }
.note { font-size: 13px; margin-top: 8px; }
.card h3 { font-size: 12px; color: var(--soft); font-weight: 500; margin: 10px 0 2px; }
.versions li, .notifiers li, .limits li { padding: 5px 0; font-size: 14px; }
.versions .version { font-weight: 600; margin-right: 6px; }
.strip { display: block; max-width: 100%; height: auto; margin-bottom: 8px; }
.strip rect, .meter rect { fill: var(--tone); }
.meter { display: block; margin-top: 4px; border-radius: 2px; }
.meter .track { fill: var(--line); }

.timeline { position: relative; }
.timeline > li { padding: 12px 0; border-top: 1px solid var(--line); }
.timeline > li:first-child { border-top: 0; padding-top: 0; }
.line { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 16px; align-items: baseline; }
.card .timeline h3 { font-size: 15px; color: inherit; margin: 0; font-weight: 600; }
.mark { display: inline-block; width: 1.4em; color: var(--tone); font-weight: 700; }
.outcome { color: var(--tone); font-weight: 500; }
.outcome .version { color: var(--ink); font-weight: 400; }
.when { font-size: 13px; white-space: nowrap; }
.when .soft { margin-left: 6px; }
.cause { color: var(--soft); font-size: 14px; }
.bar { display: block; border-radius: 4px; margin: 8px 0 6px; overflow: hidden; }
.bar rect { stroke: var(--card); stroke-width: 1; }
.p-stage { fill: var(--stage); background: var(--stage); } .p-before { fill: var(--before); background: var(--before); }
.p-activate { fill: var(--activate); background: var(--activate); } .p-verify { fill: var(--verify); background: var(--verify); }
.p-bake { fill: var(--bake); background: var(--bake); } .p-commit { fill: var(--commit); background: var(--commit); }
.p-after { fill: var(--after); background: var(--after); }
.phases { display: flex; flex-wrap: wrap; gap: 0 14px; font-size: 13px; color: var(--soft); }
.phases b { color: var(--ink); font-weight: 500; }
.key { display: inline-block; width: 8px; height: 8px; border-radius: 2px; margin-right: 6px; }
.timeline > .event { padding: 6px 0; font-size: 13px; }
.event b { font-weight: 600; color: var(--tone); }
summary { cursor: pointer; color: var(--soft); font-size: 13px; }
pre { white-space: pre-wrap; font-size: 12.5px; line-height: 1.55; }
details pre { background: var(--well); border-radius: 6px; padding: 8px 12px; margin-top: 4px; }
.log { display: flex; flex-direction: column-reverse; overflow: auto; max-height: 340px; background: var(--well); border-radius: 6px; padding: 10px 12px; }
footer { display: flex; justify-content: space-between; gap: 16px; color: var(--soft); font-size: 13px; padding-block: 18px 28px; }
footer a { margin-left: 12px; }
@media (max-width: 600px) {
  header, main, footer { padding-inline: 12px; }
  .card { padding: 14px; } .hero { padding: 16px; }
}
@media (prefers-reduced-motion: no-preference) {
  .steps .now { animation: pulse 2s ease-in-out infinite; }
  @keyframes pulse { 50% { opacity: .55; } }
}
`;

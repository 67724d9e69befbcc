/** The style sheet of the page: system fonts, no image, light and dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --bg: #f3f5f7; --card: #fff; --ink: #18212b; --soft: #566170; --line: #e1e5ea; --well: #f6f8f9;
  --good: #0b7346; --busy: #1b5cc0; --warn: #875500; --bad: #b3291f; --calm: #566170;
  --stage: #5f93d3; --before: #9681d2; --activate: #c97bb0; --verify: #dd9a45; --bake: #a5d4bb; --commit: #4f97a8; --after: #8793a1;
  --mono: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, monospace;
  --sans: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #0c1116; --card: #141a21; --ink: #e4e9ee; --soft: #98a4b1; --line: #252e38; --well: #0f151b;
    --good: #47c68d; --busy: #76abff; --warn: #dfae4b; --bad: #ff7d72; --calm: #98a4b1;
    --stage: #5b8cc8; --before: #8c78c9; --activate: #bb70a4; --verify: #cf903f; --bake: #2f6349; --commit: #4f97a8; --after: #75818e;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 var(--sans); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
h1, h2, h3, p, ul, ol, dl, dd, pre { margin: 0; padding: 0; font-size: inherit; }
ul, ol { list-style: none; }
a { color: inherit; text-underline-offset: 2px; }
code, pre, .version { font-family: var(--mono); font-size: .92em; font-variant-ligatures: none; }
q { quotes: "“" "”"; }
:focus-visible { outline: 2px solid var(--busy); outline-offset: 2px; border-radius: 4px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.soft, .note, small { color: var(--soft); }
.good { --tone: var(--good); } .busy { --tone: var(--busy); } .warn { --tone: var(--warn); } .bad { --tone: var(--bad); } .calm { --tone: var(--calm); }

header, main, footer { max-width: 2400px; margin: 0 auto; padding: 0 24px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 16px; padding-block: 18px 14px; }
.name { display: flex; align-items: center; gap: 7px; min-width: 0; }
.logo { width: 24px; height: 24px; flex: none; fill: var(--busy); }
h1 { font-size: 18px; font-weight: 650; letter-spacing: -.012em; }
.place { color: var(--soft); font-size: 14px; }
.mode { border: 1px solid var(--line); border-radius: 99px; padding: 2px 9px; margin-right: 6px; background: var(--card); font-size: 12px; }
#connection { margin-left: auto; color: var(--soft); font-size: 13px; }
#connection[data-state="live"]::before { content: ""; display: inline-block; width: 7px; height: 7px; border-radius: 50%; background: var(--good); margin-right: 7px; vertical-align: 1px; }
#connection[data-state="lost"] { color: var(--bad); font-weight: 600; }

main, .facts-column, .logs { display: grid; gap: 16px; grid-template-columns: minmax(0, 1fr); align-items: start; }
@media (min-width: 960px) {
  main { grid-template-columns: minmax(0, 1fr) minmax(0, 1.5fr); }
  #summary, .logs { grid-column: 1 / -1; }
  .logs { grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); align-items: stretch; }
}
@media (min-width: 640px) and (max-width: 959px) {
  .facts-column { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media (min-width: 1840px) {
  main:has(.logs > :not([hidden])) { grid-template-columns: minmax(0, 1fr) minmax(0, 1.4fr) minmax(0, 1.4fr); }
  .logs { grid-column: auto; grid-template-columns: minmax(0, 1fr); }
  .log { max-height: 480px; }
}
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 20px; min-width: 0; }
.card[hidden], .logs:not(:has(:not([hidden]))) { display: none; }
.card > h2 { font-size: 13px; font-weight: 600; margin-bottom: 10px; }
.card > h2 small { font-weight: 400; margin-left: 6px; }
h3 { font-size: 12px; font-weight: 500; color: var(--soft); margin-top: 12px; }
.card > p { font-size: 14px; }
.card > .note { font-size: 13px; margin-top: 8px; }

.hero { position: relative; overflow: hidden; padding: 22px 24px 20px; display: grid; gap: 18px; grid-template-columns: minmax(0, 1fr); }
.hero::before { content: ""; position: absolute; inset: 0 0 auto; height: 4px; background: var(--tone); }
.hero h2 { font-size: clamp(25px, 3.2vw, 36px); line-height: 1.12; font-weight: 680; letter-spacing: -.024em; color: var(--tone); margin: 0 0 6px; text-wrap: balance; }
.live .version { font-size: 17px; font-weight: 600; }
.live .soft { margin-left: 6px; }
.facts { display: flex; flex-wrap: wrap; gap: 8px 28px; font-size: 14px; align-content: start; }
.facts dt { color: var(--soft); font-size: 12px; }
.facts dd { min-width: 0; }
@media (min-width: 960px) {
  .hero { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .steps, .notices { grid-column: 1 / -1; }
  .hero .facts { grid-area: 1 / 2; padding-top: 4px; }
}
.steps { display: flex; flex-wrap: wrap; gap: 8px 4px; font-size: 13px; color: var(--soft); }
.steps li { flex: 1 1 84px; }
.steps li::before { content: ""; display: block; height: 4px; border-radius: 2px; background: var(--line); margin-bottom: 5px; }
.steps .done::before, .steps .now::before { background: var(--busy); }
.steps .now { color: var(--busy); font-weight: 650; }
.notices { display: grid; gap: 8px; grid-template-columns: minmax(0, 1fr); }
.notices li { border-left: 3px solid var(--tone); padding-left: 11px; }
.notices b { color: var(--tone); font-weight: 650; }

table { overflow-wrap: break-word; width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { text-align: left; padding: 6px 12px 6px 0; font-weight: 400; vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: 12px; padding-top: 0; white-space: nowrap; min-width: 4.6em; }
tbody tr { border-top: 1px solid var(--line); }
tbody .version { font-weight: 600; }
tbody code, tbody .version { overflow-wrap: anywhere; }
tbody code { font-size: 12px; }
.state { color: var(--tone); font-weight: 600; white-space: nowrap; }
.state::before { content: ""; display: inline-block; width: 7px; height: 7px; border-radius: 50%; background: currentcolor; margin-right: 6px; vertical-align: 1px; }
.versions li, .notifiers li, .limits li { padding: 4px 0; font-size: 14px; }
.versions .version { font-weight: 600; margin-right: 6px; }
.notifiers li { display: flex; flex-wrap: wrap; gap: 0 10px; }
.notifiers .state { margin-left: auto; }
.notifiers .soft { flex-basis: 100%; font-size: 13px; }
.strip { display: block; max-width: 100%; height: auto; margin-bottom: 8px; }
.strip rect, .meter rect { fill: var(--tone); }
.strip .good { opacity: .55; }
.meter { display: block; margin-top: 4px; border-radius: 2px; overflow: hidden; }
.meter .track { fill: var(--line); }

.timeline > li { position: relative; padding: 0 0 18px 32px; }
.timeline > li:last-child { padding-bottom: 2px; }
.timeline > li:not(:last-child)::before { content: ""; position: absolute; left: 10px; top: 4px; bottom: -6px; width: 1px; background: var(--line); }
.mark { position: absolute; left: 0; top: 1px; width: 21px; height: 21px; border-radius: 50%; font-size: 12px; font-weight: 700; line-height: 21px; text-align: center; color: var(--tone); background: color-mix(in srgb, var(--tone) 14%, var(--card)); }
.event .mark { left: 6px; top: 5px; width: 9px; height: 9px; background: var(--tone); border: 2px solid var(--card); outline: 1px solid var(--tone); outline-offset: -1px; }
.line { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 16px; align-items: baseline; }
.timeline h3 { font-size: 15px; font-weight: 400; color: inherit; margin: 0; }
.timeline h3 > .version { font-weight: 650; }
.outcome { color: var(--tone); font-weight: 600; }
.outcome .version { color: var(--ink); font-weight: 400; }
.when { font-size: 13px; white-space: nowrap; margin-left: auto; }
.when .soft { margin-left: 6px; }
.cause { color: var(--soft); font-size: 14px; }
.bar { display: block; border-radius: 3px; margin: 7px 0 5px; overflow: hidden; }
.bar rect { stroke: var(--card); stroke-width: 1; }
.p-stage { fill: var(--stage); background: var(--stage); } .p-before { fill: var(--before); background: var(--before); }
.p-activate { fill: var(--activate); background: var(--activate); } .p-verify { fill: var(--verify); background: var(--verify); }
.p-bake { fill: var(--bake); background: var(--bake); } .p-commit { fill: var(--commit); background: var(--commit); }
.p-after { fill: var(--after); background: var(--after); }
.phases { display: flex; flex-wrap: wrap; gap: 0 14px; font-size: 13px; color: var(--soft); }
.phases b { color: var(--ink); font-weight: 500; }
.key { display: inline-block; width: 8px; height: 8px; border-radius: 2px; margin-right: 5px; }
.event { font-size: 13px; }
.event b { font-weight: 600; color: var(--tone); }
summary { cursor: pointer; color: var(--soft); font-size: 13px; width: fit-content; }
pre { white-space: pre-wrap; font-size: 12.5px; line-height: 1.55; tab-size: 4; }
details pre { background: var(--well); border-radius: 8px; padding: 8px 12px; margin-top: 4px; }
.log { display: flex; flex-direction: column-reverse; overflow: auto; max-height: 340px; background: var(--well); border-radius: 8px; padding: 10px 12px; }
.logs .card { display: flex; flex-direction: column; }
.log { flex: 1; }
.log pre { margin-bottom: auto; }
.log .warn, .log .bad { color: var(--tone); }
footer { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 4px 16px; color: var(--soft); font-size: 13px; padding-block: 18px 28px; }
footer a { margin-right: 12px; }
@media (max-width: 600px) {
  header, main, footer { padding-inline: 12px; }
  .card { padding: 14px; } .hero { padding: 20px 16px 16px; }
  main, .facts-column, .logs { gap: 12px; }
  .when { margin-left: 0; }
}
@media (prefers-reduced-motion: no-preference) {
  .steps .now::before { animation: pulse 2s ease-in-out infinite; }
  @keyframes pulse { 50% { opacity: .45; } }
}
`;

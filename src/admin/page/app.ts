import type { AppStatus } from "../../control/protocol.ts";
import { card, type Html, html, type Part } from "./html.ts";
import { timeFor } from "./time.ts";
import type { PageView } from "./view.ts";

/** The processes or the containers of the app. */
export function appSection({ status: { app, mode }, now }: PageView): Html {
  const [title, table] =
    mode === "container" ? ["Replicas", replicasTable] : ["Generations", generationsTable];
  return card(
    "app",
    html`${title}${wantedText(app)}`,
    app && [isEmpty(app) ? html`<p>Nothing runs.</p>` : table(app, now), restartsText(app)],
  );
}

function isEmpty({ generations = [], replicas = [] }: AppStatus): boolean {
  return generations.length + replicas.length === 0;
}

function wantedText({ replicas = [], wanted }: Partial<AppStatus> = {}): Html | undefined {
  if (wanted === undefined) return undefined;
  const serving = replicas.filter(({ state }) => state === "serving").length;
  return html` <small>${serving} of ${wanted} serving</small>`;
}

function restartsText({ restarts = 0 }: AppStatus): Html | undefined {
  if (restarts === 0) return undefined;
  const count = restarts === 1 ? "1 restart" : `${restarts} restarts`;
  return html`<p class="note">${count} since dewy started</p>`;
}

function generationsTable({ generations = [] }: AppStatus, now: number): Html {
  const rows = servingFirst(generations).map(({ number, pid, tag, state, since }) => ({
    key: `generation-${pid}`,
    cells: [versionCell(tag), stateCell(state), processCell(number, pid), sinceCell(since, now)],
  }));
  return tableOf(["Version", "State", "Generation", "Up for"], rows);
}

function replicasTable({ replicas = [] }: AppStatus, now: number): Html {
  const rows = servingFirst(replicas).map(({ container, tag, state, address, since }) => ({
    key: `replica-${container}`,
    cells: [
      html`<code>${container}</code>${address !== undefined && html` <code class="soft">${address}</code>`}`,
      versionCell(tag),
      stateCell(state),
      sinceCell(since, now),
    ],
  }));
  return tableOf(["Container", "Version", "State", "Up for"], rows);
}

function versionCell(tag: string): Html {
  return html`<span class="version">${tag}</span>`;
}

function processCell(number: number | undefined, pid: number): Html {
  return html`${number !== undefined && `${number} `}<span class="soft">pid ${pid}</span>`;
}

function stateCell(state: string): Html {
  return html`<span class="state ${STATE_TONES[state] ?? "warn"}">${state}</span>`;
}

const STATE_TONES: Readonly<Record<string, string>> = {
  serving: "good",
  starting: "busy",
  standby: "calm",
  draining: "calm",
  stopping: "calm",
};

function sinceCell(since: string | undefined, now: number): Part {
  return since === undefined ? "–" : timeFor(since, now);
}

function servingFirst<T extends { state: string }>(list: readonly T[]): readonly T[] {
  const rank = ({ state }: T): number => (state === "serving" ? 0 : 1);
  return [...list].sort((a, b) => rank(a) - rank(b));
}

interface Row {
  key: string;
  cells: readonly Part[];
}

/** The first cell of each row is its header. */
function tableOf(header: readonly string[], rows: readonly Row[]): Html {
  return html`<table aria-labelledby="app-title">
<thead><tr>${header.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${rows.map(({ key, cells: [first, ...rest] }) => {
    const cells = rest.map((cell) => html`<td>${cell}</td>`);
    return html`<tr data-key="${key}"><th scope="row">${first}</th>${cells}</tr>`;
  })}</tbody>
</table>`;
}

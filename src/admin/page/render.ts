import { appSection } from "./app.ts";
import { deploysSection } from "./deploys.ts";
import { Html, html } from "./html.ts";
import { iconUrl, LOGO } from "./icon.ts";
import { appLogSection, ownLogSection } from "./logs.ts";
import { notifiersSection, pollsSection } from "./registry.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";
import { summarySection, titleOf } from "./summary.ts";
import { timeAt } from "./time.ts";
import { verdictOf } from "./verdict.ts";
import { versionsSection } from "./versions.ts";
import type { PageView } from "./view.ts";

const SECTIONS = {
  summary: summarySection,
  deploys: deploysSection,
  app: appSection,
  versions: versionsSection,
  polls: pollsSection,
  notifiers: notifiersSection,
  "app-log": appLogSection,
  "dewy-log": ownLogSection,
} as const satisfies Record<string, (view: PageView) => Html>;

export type SectionId = keyof typeof SECTIONS;

const FACTS = ["app", "versions", "polls", "notifiers"] as const;

/** Returns the markup of each section: an element with the section's id. */
export function renderSections(view: PageView): Readonly<Record<SectionId, string>> {
  const sections = Object.entries(SECTIONS).map(([id, render]) => [id, render(view).text]);
  return Object.fromEntries(sections) as Record<SectionId, string>;
}

/** Two renderings of a section with the same fingerprint differ in nothing but the passing of time. */
export function fingerprint(section: string): string {
  return section.replaceAll(/(<time [^>]*>)[^<]*/g, "$1");
}

/** Returns the whole page. Its style and its script have the nonce of the content security policy. */
export function renderPage(view: PageView, { nonce }: { nonce: string }): string {
  const { status, host, isRestricted, now } = view;
  const { tone } = verdictOf(status);
  const section = (id: SectionId): Html => SECTIONS[id](view);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${titleOf(status)}</title>
<link id="icon" rel="icon" type="image/svg+xml" href="${iconUrl(tone)}">
<style nonce="${nonce}">${new Html(STYLE)}</style>
</head>
<body data-now="${now}">
<header>
<div class="name">${new Html(LOGO)}<h1>${status.name}</h1></div>
<p class="place">${status.mode !== undefined && html`<span class="mode">${status.mode}</span>`} ${host}</p>
<p id="connection" data-state="static"><span>As of</span> ${timeAt(new Date(now).toISOString(), now)}</p>
<p id="news" class="hidden" role="status"></p>
</header>
<main>
${section("summary")}
<div class="facts-column">${FACTS.map(section)}</div>
${section("deploys")}
<div class="logs">${section("app-log")}${section("dewy-log")}</div>
</main>
<footer><p>dewy ${status.process?.dewy}${isRestricted && html`. Log lines and operators’ messages are hidden; <code>--admin-token-file</code> shows them.`}</p><nav aria-label="Machine-readable"><a href="api/status">Status as JSON</a> <a href="api/history">History as JSON</a></nav></footer>
<script nonce="${nonce}">${new Html(SCRIPT)}</script>
</body>
</html>
`.text;
}

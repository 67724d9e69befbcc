import type { PageView } from "./view.ts";

export type SectionId = "summary";

/**
 * Returns the status page. Its Content-Security-Policy allows `<style nonce>` and `<script nonce>`, images as `data:`
 * URLs, and requests to this server; attributes such as `style=` and `onclick=` have no effect.
 */
export function renderPage(view: PageView, { nonce }: { nonce: string }): string {
  const { summary } = renderSections(view);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>dewy</title><style nonce="${nonce}"></style><section id="summary">${summary}</section></html>\n`;
}

export function renderSections({ status }: PageView): Readonly<Record<SectionId, string>> {
  return { summary: escapeHtml(`${status.name} ${status.live?.tag ?? ""}`) };
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

import { printable, shorten } from "../core/text.ts";
import type { Resolution } from "../core/types.ts";

/** What a badge shows. */
export interface Badge {
  label: string;
  message: string;
  color: string;
  isError?: boolean;
}

const MAX_TEXT = 40;
/** Of shields' palette. */
const COLORS: Readonly<Record<string, string>> = {
  blue: "#007ec6",
  orange: "#fe7d37",
  lightgrey: "#9f9f9f",
};

export function badgeOf(resolution: Resolution, label: string): Badge {
  const tag = resolution.kind === "ready" ? resolution.release.tag : resolution.tag;
  const message = tag ?? "none";
  if (resolution.kind === "ready" || resolution.reason === "artifact-missing") {
    const isPreRelease =
      resolution.kind === "ready" && resolution.release.version.preRelease !== "";
    return {
      label: clean(label),
      message: clean(message),
      color: isPreRelease ? "orange" : "blue",
    };
  }
  return { label: clean(label), message: "none", color: "lightgrey" };
}

export function unavailableBadge(label: string): Badge {
  return { label: clean(label), message: "unavailable", color: "lightgrey", isError: true };
}

/** The JSON of https://shields.io/badges/endpoint-badge. */
export function badgeJson(badge: Badge, cacheSeconds: number): string {
  return JSON.stringify({ schemaVersion: 1, ...badge, cacheSeconds });
}

export function badgeSvg({ label, message, color }: Badge): string {
  const [left, right] = [widthOf(label), widthOf(message)];
  const width = left + right;
  const text = (content: string, x: number): string =>
    `<text x="${x}" y="14">${escapeXml(content)}</text>`;
  const title = escapeXml(`${label}: ${message}`);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="20" role="img" aria-label="${title}">` +
    `<title>${title}</title><clipPath id="r"><rect width="${width}" height="20" rx="3"/></clipPath>` +
    `<g clip-path="url(#r)"><rect width="${left}" height="20" fill="#555"/>` +
    `<rect x="${left}" width="${right}" height="20" fill="${COLORS[color] ?? color}"/></g>` +
    `<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">` +
    `${text(label, left / 2)}${text(message, left + right / 2)}</g></svg>`
  );
}

/** Of Verdana at 11 pixels: narrow, normal and wide characters. */
function widthOf(text: string): number {
  const widths = [...text].map((one) =>
    /[ijlrtfI.,:;|!'() ]/.test(one) ? 4.5 : /[mwMW@%]/.test(one) ? 10.5 : 7,
  );
  return Math.round(widths.reduce((sum, width) => sum + width, 0)) + 10;
}

function clean(text: string): string {
  return shorten(printable(text), MAX_TEXT);
}

function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

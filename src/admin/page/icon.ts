import type { Tone } from "./verdict.ts";

const COLOURS: Readonly<Record<Tone, string>> = {
  good: "#1a9c64",
  busy: "#2f74d8",
  warn: "#b97a00",
  bad: "#d33a2f",
  calm: "#76828f",
};

const DROP = "M16 2C21 9 27 14 27 20.5A11 10.5 0 0 1 5 20.5C5 14 11 9 16 2Z";

/** Colour is not the only sign: each tone has a mark in the drop. */
const MARKS: Readonly<Record<Tone, string>> = {
  good: "M11 20.5l3.5 3.5 6.5-7",
  busy: "M10 20.5h.1M16 20.5h.1M22 20.5h.1",
  warn: "M16 13v7M16 25h.1",
  bad: "M12 16l8 8M20 16l-8 8",
  calm: "M11.5 20.5h9",
};

/** A drop of dew as SVG. */
function iconSvg(tone: Tone): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="32" height="32"><path d="${DROP}" fill="${COLOURS[tone]}"/><path d="${MARKS[tone]}" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
}

/** The sign of dewy, which says nothing about the state. */
export const LOGO = `<svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><path d="${DROP}"/><path d="M10 20.5a6.4 6.4 0 0 0 5 5.6" fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round"/></svg>`;

export function iconUrl(tone: Tone): string {
  return `data:image/svg+xml,${encodeURIComponent(iconSvg(tone))}`;
}

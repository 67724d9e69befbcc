import { ConfigError } from "../../core/error.ts";
import type { CheckedWave } from "./types.ts";

const PLACEHOLDER = /\{\{\s*(.*?)\s*\}\}/gs;
const NAMES = ["tag", "wave", "hosts"] as const;

/** Returns the expression if it has no other placeholders than dewy knows. */
export function readQuery(query: string): string {
  for (const [whole, name = ""] of query.matchAll(PLACEHOLDER)) {
    if (NAMES.some((known) => known === name)) continue;
    const known = NAMES.map((one) => `{{${one}}}`).join(", ");
    throw new ConfigError(
      `Invalid value for --prometheus-query: unknown placeholder "${whole}"; known are ${known}`,
    );
  }
  return query;
}

/** `{{hosts}}` is a regular expression, `web1|web2`. The values are escaped for a text in double quotes. */
export function expand(query: string, { tag, wave, hosts }: CheckedWave): string {
  const values: Readonly<Record<string, string>> = {
    tag,
    wave: String(wave),
    hosts: hosts.map((host) => host.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|"),
  };
  return query.replaceAll(PLACEHOLDER, (_, name) => JSON.stringify(values[name]).slice(1, -1));
}

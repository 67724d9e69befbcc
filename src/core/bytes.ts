const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Parses a size: `1048576`, `512MiB`, `2GiB`, `2G` (binary) or `2GB` (decimal). */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?(?:([kmgt])(i?b)?|b)?$/i.exec(text);
  if (match === null) return undefined;
  const [, amount = "", prefix = "", suffix = ""] = match;
  const base = suffix.toLowerCase() === "b" ? 1000 : 1024;
  const power = prefix === "" ? 0 : "kmgt".indexOf(prefix.toLowerCase()) + 1;
  const bytes = Math.round(Number(amount) * base ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = "B";
  for (const next of UNITS) {
    if (value < 1023.95) break;
    value /= 1024;
    unit = next;
  }
  return `${unit === "B" ? value : Number(value.toFixed(1))} ${unit}`;
}

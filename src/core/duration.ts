// https://pkg.go.dev/time#ParseDuration
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5, micro sign
  μs: 1e-3, // U+03BC, Greek small letter mu
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const NUMBER = /^(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$/;
const PART = /([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)/y;
const MAX_LENGTH = 64;

/** Parses a duration in Go's notation, or a bare number of seconds: `10`, `30s`, `5m`, `1h30m`, `1.5s`. In milliseconds. */
export function parseDuration(text: string): number | undefined {
  if (text === "" || text.length > MAX_LENGTH) return undefined;
  const total = NUMBER.test(text) ? Number(text) * 1000 : sumParts(text);
  return total !== undefined && total <= Number.MAX_SAFE_INTEGER ? total : undefined;
}

function sumParts(text: string): number | undefined {
  let total = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length) {
    const part = PART.exec(text);
    if (part === null) return undefined;
    const [, amount = "", unit = ""] = part;
    total += Number(amount) * (UNIT_MS[unit] ?? 0);
  }
  return total;
}

/** Formats a duration in Go's notation: `1.5s`, `2m0s`, `100ms`. */
export function formatDuration(ms: number): string {
  const sign = ms < 0 ? "-" : "";
  const nanos = Math.round(Math.abs(ms) * 1e6);
  if (nanos === 0) return "0s";
  if (nanos < 1e3) return `${sign}${nanos}ns`;
  if (nanos < 1e6) return `${sign}${decimal(nanos / 1e3)}µs`;
  if (nanos < 1e9) return `${sign}${decimal(nanos / 1e6)}ms`;
  const minutes = Math.floor(nanos / 60e9);
  const seconds = `${decimal((nanos - minutes * 60e9) / 1e9)}s`;
  if (minutes === 0) return sign + seconds;
  const hours = Math.floor(minutes / 60);
  return `${sign}${hours === 0 ? "" : `${hours}h`}${minutes % 60}m${seconds}`;
}

function decimal(value: number): string {
  return String(Number(value.toFixed(9)));
}

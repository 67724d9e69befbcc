import * as v from "valibot";
import { RemoteError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";

/** Deeper than any response of a registry. */
const MAX_DEPTH = 64;
/** A parsed array or object takes 60 to 110 bytes of memory, however short its text is. */
const MIN_CHARACTERS = 16;
/** Allowed even in a short text. */
const FEW_CONTAINERS = 100_000;
/** A text of this length has no more of them, as each takes three characters. Its scan would cost a cold isolate more than its parsing. */
const SHORT = 3 * FEW_CONTAINERS;
/** Each different key takes some 150 bytes or more. A registry's response has a few hundred. */
const MAX_KEYS = 10_000;

/**
 * Parses the JSON of a response. A long text that would take much more memory than its length is refused unparsed.
 * @throws {RemoteError} If it is not JSON, is nested too deeply, or has too many keys, arrays or objects.
 */
export function parseJson(text: string, url: string | URL, hint: string): unknown {
  const shown = redactUrl(url);
  const excess = text.length <= SHORT ? undefined : excessOf(text);
  if (excess !== undefined) {
    const message = `Cannot read ${shown}: the response ${excess}`;
    throw new RemoteError(message, { method: "GET", url: shown, retryable: false });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = `Cannot read ${shown}: the response is not JSON; ${hint}`;
    throw new RemoteError(message, { method: "GET", url: shown, cause });
  }
}

/** For optional information, such as an error body: returns `undefined` if the text is not JSON. */
export function parseJsonIfValid(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function excessOf(text: string): string | undefined {
  let depth = 0;
  let containers = 0;
  const keys = new Set<string>();
  const maxContainers = Math.max(FEW_CONTAINERS, Math.floor(text.length / MIN_CHARACTERS));
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      if (isKey(text, end)) keys.add(text.slice(at + 1, end));
      if (keys.size > MAX_KEYS) return `has more than ${MAX_KEYS} different keys`;
      at = end;
    } else if (code === OPEN_BRACKET || code === OPEN_BRACE) {
      depth += 1;
      containers += 1;
      if (depth > MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
      if (containers > maxContainers) return `has more than ${maxContainers} arrays and objects`;
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) {
      depth -= 1;
    }
  }
  return undefined;
}

/** Whether a colon follows the string that ends here. */
function isKey(text: string, end: number): boolean {
  let next = end + 1;
  while (SPACES.has(text.charCodeAt(next))) next += 1;
  return text.charCodeAt(next) === COLON;
}

const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);
const COLON = 0x3a;
const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];

/** The position of the closing quote; the end of the text when there is none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text.charCodeAt(before) === BACKSLASH) before -= 1;
    if ((end - before) % 2 === 1) return end;
  }
  return text.length;
}

/** Reads the URL of the next page from a `Link` header. See https://www.rfc-editor.org/rfc/rfc8288#section-3. */
export function nextLink(header: string | null, base: string | URL): URL | undefined {
  for (const [, target = "", parameters = ""] of (header ?? "").matchAll(
    /<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:"[^"]*"|[^\s;,"]*))?)*)/g,
  )) {
    const relations = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]*))/i.exec(parameters);
    const names = (relations?.[1] ?? relations?.[2] ?? "").toLowerCase().split(/\s+/);
    if (names.includes("next") && URL.canParse(target, base)) return new URL(target, base);
  }
  return undefined;
}

/**
 * Returns the value as the schema's type.
 *
 * @param fail makes the error from the problem, such as `assets[0].size should be number`.
 * @param whole names the value itself in the problem.
 */
export function parseSchema<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  fail: (problem: string) => Error,
  whole = "the response",
): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const problem =
    issue.received === "undefined" ? "is missing" : `should be ${issue.expected ?? issue.type}`;
  throw fail(`${v.getDotPath(issue) ?? whole} ${problem}`);
}

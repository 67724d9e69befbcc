import { RemoteError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";

/** Deeper than any response of a registry. */
const MAX_DEPTH = 64;
/** A parsed array or object takes some 60 bytes or more, however short it is in the text. */
const MAX_CONTAINERS = 1_000_000;

/**
 * Parses the JSON of a response. What would take much more memory than its text is refused unparsed.
 *
 * @param text the body.
 * @param url where it came from.
 * @param hint what to check when it is not JSON, as a question.
 * @returns the value.
 * @throws {RemoteError} If it is not JSON, nested deeper than 64 levels, or has more than a million arrays and objects.
 */
export function parseJson(text: string, url: string | URL, hint: string): unknown {
  const shown = redactUrl(url);
  const excess = excessOf(text);
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

function excessOf(text: string): string | undefined {
  let depth = 0;
  let containers = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
    } else if (code === OPEN_BRACKET || code === OPEN_BRACE) {
      depth += 1;
      containers += 1;
      if (depth > MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
      if (containers > MAX_CONTAINERS) return `has more than ${MAX_CONTAINERS} arrays and objects`;
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) {
      depth -= 1;
    }
  }
  return undefined;
}

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

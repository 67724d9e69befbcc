import { ConfigError } from "../core/error.ts";

const ASSIGNMENT = /^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*/;
const AFTER_QUOTE = /^[ \t]*(?:#.*)?$/;
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

/**
 * Parses `KEY=VALUE` lines. `export ` before a key, empty lines and comments (`#` at the beginning of a line or after a
 * space) are ignored. A value in single quotes is literal; in double quotes, `\n`, `\r` and `\t` are control characters,
 * and a backslash makes any other character literal. Quoted values may span lines. Nothing is expanded. If a key is
 * repeated, the last line wins. Errors name the file and the line, but never the value.
 */
export function parseEnvFile(text: string, path: string): Readonly<Record<string, string>> {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  const variables: Record<string, string> = Object.create(null);
  for (let index = 0; index < lines.length; index += 1) {
    const line = (lines[index] ?? "").trim();
    if (line === "" || line.startsWith("#")) continue;
    const fail = (problem: string): ConfigError =>
      new ConfigError(`Cannot read --env-file "${path}", line ${index + 1}: ${problem}`);
    const assignment = ASSIGNMENT.exec(line);
    if (assignment === null) throw fail("expected KEY=VALUE");
    const [start, key = ""] = assignment;
    const value = line.slice(start.length);
    const quote = /^["']/.exec(value)?.[0];
    if (quote === undefined) {
      variables[key] = withoutComment(value);
    } else {
      const rest = [
        (lines[index] ?? "").trimStart().slice(start.length),
        ...lines.slice(index + 1),
      ];
      const quoted = readQuoted(rest, quote);
      if (quoted === undefined) throw fail(`the value of ${key} has no closing ${quote}`);
      if (!AFTER_QUOTE.test(quoted.after)) {
        throw fail(`there is text after the closing ${quote} of ${key}`);
      }
      variables[key] = quoted.value;
      index += quoted.lines - 1;
    }
    if (variables[key]?.includes("\0")) throw fail(`the value of ${key} contains a NUL`);
  }
  return variables;
}

function withoutComment(value: string): string {
  return value.replace(/(?:^|[ \t])#.*$/, "").trimEnd();
}

interface Quoted {
  value: string;
  /** The text after the closing quote on its line. */
  after: string;
  lines: number;
}

function readQuoted(lines: readonly string[], quote: string): Quoted | undefined {
  const text = lines.join("\n");
  let value = "";
  for (let at = 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === quote) {
      const [after = ""] = text.slice(at + 1).split("\n", 1);
      return { value, after, lines: text.slice(0, at).split("\n").length };
    }
    if (character === "\\" && quote === '"') {
      at += 1;
      const escaped = text.charAt(at);
      value += ESCAPES[escaped] ?? escaped;
    } else {
      value += character;
    }
  }
  return undefined;
}

import { decodeCanonical } from "../bytes.ts";
import type { Bytes } from "../types.ts";

/** A line of an allowed signers file: https://man.openbsd.org/ssh-keygen.1#ALLOWED_SIGNERS */
export interface AllowedSigner {
  principals: string;
  key: Bytes;
  /** Milliseconds of the epoch. */
  validAfter?: number | undefined;
  validBefore?: number | undefined;
  /** A pattern list. */
  namespaces?: string | undefined;
  /** The key signs certificates, not files. */
  isAuthority: boolean;
}

const FIELD = /(?:"(?:\\"|[^"])*"|[^\s"])+/g;
const KEY_TYPE = /^(?:ssh-|ecdsa-|sk-)/;

/** @throws {Error} That names the line. */
export function parseAllowedSigners(text: string): readonly AllowedSigner[] {
  return text.split(/\r?\n/).flatMap((line, at) => {
    if (/^\s*(?:#|$)/.test(line)) return [];
    try {
      return [parseLine(line)];
    } catch (error) {
      throw new Error(`line ${at + 1}: ${(error as Error).message}`);
    }
  });
}

function parseLine(line: string): AllowedSigner {
  const [principals = "", ...rest] = line.match(FIELD) ?? [];
  const hasOptions = !KEY_TYPE.test(rest[0] ?? "");
  const [type = "", base64 = ""] = hasOptions ? rest.slice(1) : rest;
  const key = decodeCanonical(base64);
  if (!KEY_TYPE.test(type) || key === undefined) {
    throw new Error("expected principals, options, a key type and a key");
  }
  const signer = { principals: unquote(principals), key, isAuthority: false };
  return hasOptions ? { ...signer, ...parseOptions(rest[0] ?? "") } : signer;
}

function parseOptions(text: string): Partial<AllowedSigner> {
  const options: Partial<AllowedSigner> = {};
  for (const option of text.match(/(?:"(?:\\"|[^"])*"|[^,"])+/g) ?? []) {
    const [name = "", ...parts] = option.split("=");
    const value = unquote(parts.join("="));
    switch (name.toLowerCase()) {
      case "cert-authority":
        options.isAuthority = true;
        break;
      case "namespaces":
        options.namespaces = value;
        break;
      case "valid-after":
        options.validAfter = parseTime(value);
        break;
      case "valid-before":
        options.validBefore = parseTime(value);
        break;
      default:
        throw new Error(`the option "${name}" is unknown`);
    }
  }
  return options;
}

function unquote(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('\\"', '"') : text;
}

/** `YYYYMMDD[HHMM[SS]][Z]`; local time without the Z. */
function parseTime(text: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z?)$/.exec(text);
  if (match === null) throw new Error(`"${text}" is not a time`);
  const [, year, month, day, hour = "00", minute = "00", second = "00", zone] = match;
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`);
  if (Number.isNaN(time)) throw new Error(`"${text}" is not a time`);
  return time;
}

/** OpenSSH's pattern lists: `*` and `?`, and `!` for what is excluded. */
export function matchesPatterns(text: string, list: string): boolean {
  const patterns = list.split(",");
  const matches = (pattern: string): boolean =>
    new RegExp(
      `^${pattern
        .replaceAll(/[\\^$.|+()[\]{}]/g, "\\$&")
        .replaceAll("*", ".*")
        .replaceAll("?", ".")}$`,
    ).test(text);
  if (patterns.some((pattern) => pattern.startsWith("!") && matches(pattern.slice(1))))
    return false;
  return patterns.some((pattern) => !pattern.startsWith("!") && matches(pattern));
}

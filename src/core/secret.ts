import type { Environment, EnvironmentSpec } from "./environment.ts";
import { redactUrl } from "./url.ts";

export type Redact = (text: string) => string;

// Secrets of the operator, which are not in any driver's table.
const SECRET_NAME = /TOKEN|SECRET|PASSWORD|PASSWD|PRIVATE_KEY|API_KEY|CREDENTIAL/i;
/** Names with these endings hold a path or an id, not a secret. */
const HARMLESS_NAME = /_(PATH|FILE|DIR|DIRECTORY|ID)$/i;
/** Secret fields of Docker's config.json and Google's credential files. */
const SECRET_FIELD =
  /^(auth|password|identitytoken|registrytoken|private_key|client_secret|refresh_token)$/;
/** Shorter values are common words … */
const MIN_LENGTH = 8;
/** … but a short value of a variable that a driver declares secret is masked as a whole word. */
const MIN_WORD_LENGTH = 4;

const SHAPES =
  /\b(gh[a-z]_\w{8,}|github_pat_\w{8,}|eyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?|xox[a-z]-[\w-]{8,}|ya29\.[\w-]+|(?:bearer|basic|token)\s+(?=\S*\d)[\w.~+/=-]{8,})/gi;
const URL_IN_TEXT = /\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>)]+/gi;

/** Masks the given secrets, what {@link redactUrl} removes from URLs, and well-known shapes of credentials. */
export function redactText(text: string, secrets: readonly string[] = []): string {
  let shown = text;
  for (const secret of secrets) {
    if (secret.length >= MIN_WORD_LENGTH) shown = shown.replaceAll(secret, "…");
  }
  return shown.replaceAll(URL_IN_TEXT, (url) => redactUrl(url)).replaceAll(SHAPES, "…");
}

/**
 * Returns the function for all text that leaves dewy: logs, notifications, errors, output of hooks and apps. In addition
 * to {@link redactText}, it masks the values of all secret variables of the environments.
 */
export function createRedactor(
  variables: readonly Pick<EnvironmentSpec, "name" | "secret">[],
  ...environments: readonly Environment[]
): Redact {
  const declaredAs = new Map(variables.map(({ name, secret }) => [name, secret]));
  const whole = new Set<string>();
  const words = new Set<string>();
  for (const [name, value = ""] of environments.flatMap((env) => Object.entries(env))) {
    const declared = declaredAs.get(name);
    const isSecret = declared ?? (SECRET_NAME.test(name) && !HARMLESS_NAME.test(name));
    const secrets = isSecretValue(isSecret, value) ? partsOf(value) : passwordsOf(value);
    const paired = declared === "pairs" ? valuesOf(value) : [];
    for (const part of [...secrets, ...paired].flatMap(spellings)) {
      if (part.length >= MIN_LENGTH) whole.add(part);
      else if (declared !== undefined && part.length >= MIN_WORD_LENGTH) words.add(part);
    }
  }
  const masked = maskOf([...whole], [...words]);
  return (text) => redactText(masked === undefined ? text : text.replaceAll(masked, "…"));
}

function isSecretValue(secret: EnvironmentSpec["secret"], value: string): boolean {
  return secret === "json" ? value.trimStart().startsWith("{") : secret !== false;
}

/** `authorization=Bearer%20abc,x-key=def`: the values, decoded and not, also without their scheme. */
function valuesOf(list: string): string[] {
  return list
    .split(",")
    .map((pair) => pair.slice(pair.indexOf("=") + 1).trim())
    .flatMap((value) => [value, decoded(value)])
    .flatMap((value) => [value, value.replace(/^\w+ +/, "")])
    .filter((value) => value.length >= MIN_LENGTH);
}

/** A value, its lines (output is redacted line by line), and its secret JSON fields. */
function partsOf(value: string): string[] {
  return [value, ...fieldsOf(value)].flatMap((part) => {
    const text = part.trim();
    const lines = text.split(/[\r\n]+/).map((line) => line.trim());
    return [text, ...(lines.length === 1 ? [] : lines.filter((line) => line.length >= MIN_LENGTH))];
  });
}

function fieldsOf(json: string): string[] {
  if (!json.trimStart().startsWith("{")) return [];
  const found: string[] = [];
  try {
    JSON.parse(json, (key, value: unknown) => {
      if (typeof value === "string" && SECRET_FIELD.test(key)) found.push(value);
      return value;
    });
  } catch {
    // Not JSON: the whole value is masked.
  }
  return found;
}

/** `postgres://app:password@db/app` */
function passwordsOf(value: string): string[] {
  if (!value.includes("@") || !URL.canParse(value)) return [];
  const { password } = new URL(value);
  return password === "" ? [] : [password, decoded(password)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A text as it appears in plain text, in JSON and in a URL. */
function spellings(text: string): string[] {
  return [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text.replace(/\p{Surrogate}/gu, "")),
  ];
}

function maskOf(whole: string[], words: string[]): RegExp | undefined {
  if (whole.length + words.length === 0) return undefined;
  // Longest first: a secret may contain another.
  const byLength = (a: string, b: string): number => b.length - a.length;
  const escaped = (texts: string[]): string[] =>
    texts.sort(byLength).map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
  const alone = escaped(words).map((word) => `(?<![\\w-])${word}(?![\\w-])`);
  return new RegExp([...escaped(whole), ...alone].join("|"), "g");
}

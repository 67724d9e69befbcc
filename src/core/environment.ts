import { ConfigError } from "./error.ts";

/** An environment variable that a driver reads: its line in the reference and in `--help`, and how it is treated. */
export interface EnvironmentSpec {
  /** The name. */
  name: string;
  /** One line on what it does. */
  description: string;
  /**
   * Whether the value is a secret, to be masked in everything that dewy logs, prints or sends. `"json"`: only if it is
   * JSON, for variables that may hold a path instead. `"pairs"`: also each value of a list `name=value,…`.
   */
  secret: boolean | "json" | "pairs";
  /**
   * The valid values. Surrounding whitespace is always ignored.
   *
   * - `"line"` (the default): no line breaks or other control characters.
   * - `"token"`: printable ASCII without spaces, safe in a header.
   * - `"text"`: anything, such as a key in PEM.
   */
  value?: "line" | "token" | "text";
}

export function variable(name: string, description: string): EnvironmentSpec {
  return { name, description, secret: false };
}

export function secretVariable(
  name: string,
  description: string,
  value: NonNullable<EnvironmentSpec["value"]> = "line",
): EnvironmentSpec {
  return { name, description, secret: true, value };
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The trimmed value of a variable; `undefined` if unset or empty. A ConfigError does not show an invalid value. */
export function readVariable(
  env: Environment,
  { name, value: form = "line" }: Pick<EnvironmentSpec, "name" | "value">,
): string | undefined {
  const value = env[name]?.trim() ?? "";
  if (value === "") return undefined;
  if (form === "token" && !/^[\x21-\x7e]+$/.test(value)) {
    throw new ConfigError(`Cannot use ${name}: it has spaces or non-ASCII characters`);
  }
  if (form === "line" && /\p{Cc}/u.test(value)) {
    throw new ConfigError(`Cannot use ${name}: it has a line break or another control character`);
  }
  return value;
}

/**
 * The environment for a driver: its variables are validated on access, so that a malformed token for one registry does
 * not affect another.
 */
export function driverEnvironment(
  env: Environment,
  specs: readonly Pick<EnvironmentSpec, "name" | "value">[],
): Environment {
  const own: Record<string, string | undefined> = { ...env };
  for (const spec of specs) {
    delete own[spec.name];
    Object.defineProperty(own, spec.name, { get: () => readVariable(env, spec) });
  }
  return own;
}

/** What a driver says about the variables that it reads. */
export interface EnvironmentReader {
  readonly environment: readonly Pick<EnvironmentSpec, "name">[];
  /** How the names of further variables begin that hold credentials or lead to them. */
  readonly credentialPrefixes?: readonly string[];
}

/** dewy's settings, and the pipe to dewy's parent, which a Node program would use. */
const OWN_PREFIXES = ["DEWY_", "NODE_CHANNEL_"];

/** The environment without dewy's own settings, without all that drivers read, and without passwords of proxies. */
export function withoutCredentials(
  env: Environment,
  drivers: readonly EnvironmentReader[],
): Environment {
  const names = new Set(drivers.flatMap(({ environment }) => environment.map(({ name }) => name)));
  const prefixes = [
    ...OWN_PREFIXES,
    ...drivers.flatMap(({ credentialPrefixes = [] }) => credentialPrefixes),
  ];
  const isCredential = (name: string): boolean =>
    names.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
  const kept = Object.entries(env).filter(([name]) => !isCredential(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutPassword(name, value)]));
}

/** A program without the variable might bypass the proxy, so only the user and password are removed. */
function withoutPassword(name: string, value: string | undefined): string | undefined {
  return /[_-]proxy$/i.test(name) ? value?.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, "$1") : value;
}

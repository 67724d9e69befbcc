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

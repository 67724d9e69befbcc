import { ConfigError } from "./error.ts";

/** An environment variable that a driver reads: a line of the README and of `--help`, and how its value is treated. */
export interface EnvironmentSpec {
  /** Its name. */
  name: string;
  /** One line on what it does. */
  description: string;
  /**
   * Whether its value is a secret, which is masked in everything that dewy logs, prints or sends. `"json"`: only if it
   * holds JSON, for variables that may hold the path of a file instead.
   */
  secret: boolean | "json";
  /**
   * What its value may hold. Whitespace around it is always ignored.
   *
   * - `"line"` (the default): no line breaks and other control characters.
   * - `"token"`: printable ASCII without spaces, as it is sent in a header.
   * - `"text"`: anything, such as a key in PEM.
   */
  value?: "line" | "token" | "text";
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads one environment variable.
 *
 * @param env environment variables.
 * @param spec the variable.
 * @returns its value without whitespace around it; `undefined` if it is unset or empty.
 * @throws ConfigError that names the variable, but does not show its value, if it holds what it may not.
 */
export function readVariable(
  env: Environment,
  { name, value: form = "line" }: Pick<EnvironmentSpec, "name" | "value">,
): string | undefined {
  const value = env[name]?.trim() ?? "";
  if (value === "") return undefined;
  if (form === "token" && !/^[\x21-\x7e]+$/.test(value)) {
    throw new ConfigError(`Cannot use ${name}: it has spaces or characters that no token has`);
  }
  if (form === "line" && /\p{Cc}/u.test(value)) {
    throw new ConfigError(`Cannot use ${name}: it has a line break or another control character`);
  }
  return value;
}

/**
 * The environment as a driver sees it: its own variables are read by {@link readVariable}. One that cannot be used is
 * an error only if the driver reads it: a broken token for one registry must not keep dewy from another.
 *
 * @param env environment variables.
 * @param specs the driver's own variables.
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

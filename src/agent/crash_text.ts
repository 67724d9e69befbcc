import type { Environment } from "../core/environment.ts";
import { printable } from "../core/printable.ts";
import { redactor } from "./redactor.ts";

/**
 * What is printed of an error that nobody expected.
 *
 * @param error whatever was thrown.
 * @param env the environment, whose secrets must not be printed.
 * @returns one line with its newline.
 */
export function crashText(error: unknown, env: Environment): string {
  return `Error: ${printable(describeUnexpected(error, env))}; this is a bug in dewy\n`;
}

/** The name and message of an unexpected error, without the secrets in `env`. */
export function describeUnexpected(error: unknown, env: Environment): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return redactor(env)(text);
}

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { AppKind } from "./releases.ts";

const NEEDS: Readonly<Partial<Record<AppKind, string>>> = {
  python: "/usr/bin/python3",
  nginx: "/usr/sbin/nginx",
  "c-server-starter": "gcc",
  "c-listen-fds": "gcc",
};

/**
 * Returns why an app cannot be tested here, or `undefined` if it can. With `DEWY_REQUIRE_PEERS=1`
 * it throws the reason, so that no test is skipped unnoticed.
 *
 * Debian:
 * `apt-get install gcc libc6-dev gunicorn libserver-starter-perl nginx-light python3 systemd`.
 */
export function missingFor(kind: AppKind): string | undefined {
  const program = NEEDS[kind];
  return program === undefined ? undefined : missingProgram(program);
}

/** Returns why a program cannot be used, or `undefined` if it can. */
export function missingProgram(program: string): string | undefined {
  const places = program.startsWith("/")
    ? [program]
    : (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, program));
  if (places.some(isExecutable)) return undefined;
  const reason = `${program} is not installed`;
  if (process.env.DEWY_REQUIRE_PEERS === "1") throw new Error(`DEWY_REQUIRE_PEERS=1: ${reason}`);
  return reason;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

import { CredentialError, HostError } from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import type { CredentialHelper, HelperAnswer } from "../../registries/driver.ts";
import { run } from "../process/run.ts";

/** A helper may have to unlock a key chain, or to ask a cloud. */
const TIMEOUT_MS = 30_000;
const MAX_SAID = 200;
// https://github.com/docker/docker-credential-helpers/blob/master/credentials/error.go
const NOT_FOUND = /credentials not found in native keychain|no credentials (server URL|username)/i;

/**
 * Asks Docker's credential helpers.
 *
 * @param env environment variables; helpers are looked for in `PATH`.
 * @returns the function. It rejects with a HostError when a helper cannot be run or takes too long, and with a
 * CredentialError when it fails or its answer cannot be read.
 * @see https://github.com/docker/docker-credential-helpers#development
 */
export function credentialHelper(
  env: Readonly<Record<string, string | undefined>>,
): CredentialHelper {
  return async (helper, server, signal) => {
    const program = `docker-credential-${helper}`;
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(helper)) {
      throw new CredentialError(`Cannot use the credential helper "${helper}": it is no name`);
    }
    const { exitCode, stdout, timedOut } = await run({
      command: [program, "get"],
      cwd: ".",
      env,
      input: server,
      timeoutMs: TIMEOUT_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    if (timedOut) {
      throw new HostError(`Cannot use ${program}: no answer within ${TIMEOUT_MS / 1000} s`);
    }
    if (exitCode === 0) return readAnswer(stdout, program);
    // A helper writes its errors to standard output.
    const said = redactText(stdout).replace(/\s+/g, " ").trim();
    if (NOT_FOUND.test(said)) return undefined;
    throw new CredentialError(
      `Cannot use ${program}: it ended with ${exitCode ?? "a signal"}: ${said.slice(0, MAX_SAID)}`,
    );
  };
}

function readAnswer(stdout: string, program: string): HelperAnswer {
  const { Username: username, Secret: secret }: Answer = parse(stdout, program);
  if (typeof username === "string" && typeof secret === "string") return { username, secret };
  throw new CredentialError(`Cannot use ${program}: its answer has no Username and Secret`);
}

interface Answer {
  Username?: unknown;
  Secret?: unknown;
}

function parse(stdout: string, program: string): Answer {
  try {
    const value: unknown = JSON.parse(stdout);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Told below: the parser's own words could repeat a secret.
  }
  throw new CredentialError(`Cannot use ${program}: its answer is no JSON`);
}

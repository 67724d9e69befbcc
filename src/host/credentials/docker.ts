import * as v from "valibot";
import type { Environment } from "../../core/environment.ts";
import { CredentialError, HostError } from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import type { CredentialHelper, HelperAnswer } from "../../registries/driver.ts";
import { run } from "../process/run.ts";

/** A helper may have to unlock a key chain or to call a cloud. */
const TIMEOUT_MS = 30_000;
const MAX_OUTPUT = 200;
// https://github.com/docker/docker-credential-helpers/blob/master/credentials/error.go
const NOT_FOUND = /credentials not found in native keychain|no credentials (server URL|username)/i;

/** https://github.com/docker/docker-credential-helpers#development */
export function credentialHelper(env: Environment): CredentialHelper {
  return async (helper, server, signal) => {
    const program = `docker-credential-${helper}`;
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(helper)) {
      throw new CredentialError(`Cannot use the credential helper "${helper}": invalid name`);
    }
    const { exitCode, stdout, timedOut } = await run({
      command: [program, "get"],
      cwd: ".",
      env,
      input: server,
      timeoutMs: TIMEOUT_MS,
      signal,
    });
    if (timedOut) {
      throw new HostError(`Cannot use ${program}: no answer within ${TIMEOUT_MS / 1000} s`);
    }
    if (exitCode === 0) return readAnswer(stdout, program);
    // A helper writes its errors to standard output.
    const output = redactText(stdout).replace(/\s+/g, " ").trim();
    if (NOT_FOUND.test(output)) return undefined;
    throw new CredentialError(
      `Cannot use ${program}: it exited with ${exitCode ?? "a signal"}: ${output.slice(0, MAX_OUTPUT)}`,
    );
  };
}

const answerSchema = v.pipe(
  v.object({ Username: v.string(), Secret: v.string() }),
  v.transform(({ Username: username, Secret: secret }) => ({ username, secret })),
);

function readAnswer(stdout: string, program: string): HelperAnswer {
  try {
    const answer = v.safeParse(answerSchema, JSON.parse(stdout));
    if (answer.success) return answer.output;
  } catch {
    // The parser's message could repeat a secret.
    throw new CredentialError(`Cannot use ${program}: its output is not JSON`);
  }
  throw new CredentialError(`Cannot use ${program}: its output has no Username and Secret`);
}

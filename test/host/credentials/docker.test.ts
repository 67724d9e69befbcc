import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { credentialHelper } from "../../../src/host/credentials/docker.ts";

/** A helper that is a shell script, and the environment in which it is found. */
async function helper(script: string): Promise<{ PATH: string }> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-helper-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, "docker-credential-test");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return { PATH: `${directory}:${process.env.PATH}` };
}

const ask = async (script: string): Promise<unknown> =>
  credentialHelper(await helper(script))("test", "registry.example");

describe("a credential helper", () => {
  test("gets the server and returns the login", async () => {
    const script = `[ "$1" = get ] || exit 9
      printf '{"ServerURL":"%s","Username":"of %s","Secret":"s"}' "$(cat)" "$1"`;
    expect(await ask(script)).toEqual({ username: "of get", secret: "s" });
    const echo = `printf '{"Username":"%s","Secret":"s"}' "$(cat)"`;
    expect(await ask(echo)).toEqual({ username: "registry.example", secret: "s" });
  });

  test("without a login returns undefined", async () => {
    const script = 'echo "credentials not found in native keychain"; exit 1';
    expect(await ask(script)).toBeUndefined();
  });

  test("that does not read its input may succeed", async () => {
    const script = `exec <&-; sleep 0; printf '{"Username":"u","Secret":"s"}'`;
    expect(await ask(script)).toEqual({ username: "u", secret: "s" });
  });

  test.each([
    ["fails", 'echo "no display"; exit 3', /docker-credential-test: it exited with 3: no display/],
    ["is not JSON", "echo secret-text", /its output is not JSON$/],
    ["has no secret", `echo '{"Username":"secret-text"}'`, /has no Username and Secret$/],
  ])("whose answer %s is named, and its secrets are not", async (_, script, message) => {
    const answer = ask(script);
    await expect(answer).rejects.toMatchObject({ code: "credential" });
    await expect(answer).rejects.toThrow(message);
    await expect(answer).rejects.not.toThrow(/secret-text/);
  });

  test("that is missing or has an invalid name is an error", async () => {
    const find = credentialHelper({ PATH: process.env.PATH });
    await expect(find("of-nobody", "h")).rejects.toMatchObject({ code: "host" });
    await expect(find("../../bin/sh", "h")).rejects.toThrow(/invalid name/);
  });

  test("is killed by the signal", async () => {
    const find = credentialHelper(await helper("sleep 60"));
    const abort = new AbortController();
    const answer = find("test", "h", abort.signal);
    abort.abort();
    await expect(answer).rejects.toMatchObject({ name: expect.stringMatching(/Abort/) });
  });
});

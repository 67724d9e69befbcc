import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createRedactor } from "../../../src/core/secret.ts";
import { createHooks, type HookOptions } from "../../../src/host/process/hook.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { testVectors } from "../../support/vectors.ts";

const context = {
  tag: "v1.1.0",
  previousTag: "v1.0.0",
  releaseDirectory: "/app/releases/x",
  command: "assets",
};
const never = new AbortController().signal;

function hooks(over: Partial<HookOptions>): ReturnType<typeof createHooks> {
  return createHooks({
    before: "",
    after: "",
    timeoutMs: 20_000,
    cwd: "/tmp",
    env: { PATH: process.env.PATH },
    redact: createRedactor([], over.env ?? {}),
    ...over,
  });
}

describe("createHooks", () => {
  it("runs nothing if no hook is configured", async () => {
    expect(await hooks({})("before", context, never)).toBeUndefined();
  });

  it("passes the DEWY_* variables and runs the hook in the working directory", async () => {
    const before = "echo $DEWY_TAG $DEWY_PREVIOUS_TAG $DEWY_RELEASE_DIR $DEWY_COMMAND $PWD";
    const result = await hooks({ before })("before", context, never);
    expect(result?.stdout).toBe("v1.1.0 v1.0.0 /app/releases/x assets /tmp");
  });

  it("passes an empty previous tag on the first deploy", async () => {
    const run = hooks({ after: 'echo "[$DEWY_PREVIOUS_TAG]"' });
    const result = await run("after", { ...context, previousTag: undefined }, never);
    expect(result?.stdout).toBe("[]");
  });

  it("trims output and keeps both streams and the exit code", async () => {
    const before = "printf '  out\\n\\n'; echo err >&2; exit 3";
    expect(await hooks({ before })("before", context, never)).toMatchObject({
      stdout: "out",
      stderr: "err",
      exitCode: 3,
    });
  });

  it("masks the values of secret variables in the result", async () => {
    const env = { PATH: process.env.PATH, GITHUB_TOKEN: "ghp_0123456789", PLAIN: "visible-value" };
    const result = await hooks({ env, before: "echo $GITHUB_TOKEN $PLAIN" })(
      "before",
      context,
      never,
    );
    expect(result?.stdout).toBe("… visible-value");
  });

  it("reports a timeout", async () => {
    const result = await hooks({ timeoutMs: 100, before: "sleep 300" })("before", context, never);
    expect(result).toMatchObject({ timedOut: true, exitCode: null });
  });
});

testVectors(
  "hooks-and-deploy",
  async ({ in: { cmd } }) => {
    const cwd = await tempDirectory();
    const result = await hooks({ cwd, before: String(cmd) })("before", context, never);
    if (result === undefined) return { err: false, result: null };
    const { command, exitCode, stderr } = result;
    const stdout = result.stdout.replace(cwd, "<root>");
    return { command, exitCode, stderr, stdout, success: exitCode === 0, err: exitCode !== 0 };
  },
  ["hook"],
);

testVectors(
  "hooks-and-deploy",
  async ({ in: { before, after } }) => {
    const cwd = await tempDirectory();
    const run = hooks({ cwd, before: String(before), after: String(after) });
    await run("before", context, never);
    await run("after", context, never);
    const ran = (name: string): boolean => existsSync(join(cwd, name));
    return { beforeRan: ran("before"), afterRan: ran("after") };
  },
  ["hookRuns"],
);

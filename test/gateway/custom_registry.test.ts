import { spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { neutralEnvironment, ROOT, type Runtime, runtimes } from "../runtime/runtimes.ts";

const MACHINES = 200;

/** Starts the example as its README says, on any free port. */
async function startExample(runtime: Runtime): Promise<{ port: number; output(): string }> {
  const [program, ...args] = await runtime.command(join(ROOT, "examples/custom-registry/main.ts"));
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...neutralEnvironment(), PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  onTestFinished(async () => {
    child.kill("SIGTERM");
    expect((await closed)[0]).toBe(0);
  });
  let output = "";
  const lines = createInterface({ input: child.stdout });
  const ready = once(lines, "line");
  lines.on("line", (line) => {
    output += `${line}\n`;
  });
  const [line] = await ready;
  const [, port] = /:(\d+):/.exec(String(line)) ?? [];
  return { port: Number(port), output: () => output };
}

/** Calls a method by Connect, as the machine with this loopback address. */
async function call(
  port: number,
  method: "Current" | "Report",
  address: string,
  body: Record<string, string>,
): Promise<{ tag?: string; artifactUrl?: string }> {
  const sent = request({
    host: "127.0.0.1",
    port,
    localAddress: address,
    agent: false,
    method: "POST",
    path: `/dewy.RegistryService/${method}`,
    headers: { "content-type": "application/json" },
  });
  sent.end(JSON.stringify(body));
  const [response] = await once(sent, "response");
  let text = "";
  for await (const chunk of response) text += chunk;
  expect(response.statusCode, text).toBe(200);
  return JSON.parse(text);
}

describe.each(runtimes)("the canary of examples/custom-registry on $name", (runtime) => {
  test("gives about a tenth of the machines the new version, until one of them reports a failure", async () => {
    const { port, output } = await startExample(runtime);
    const machines = Array.from({ length: MACHINES }, (_, at) => `127.0.1.${at + 1}`);
    const ask = async (address: string): Promise<string | undefined> => {
      const { tag } = await call(port, "Current", address, { os: "linux", arch: "amd64" });
      return tag;
    };
    const first = await Promise.all(machines.map(ask));
    const chosen = machines.filter((_, at) => first[at] === "v1.1.0");
    expect(chosen.length).toBeGreaterThan(MACHINES * 0.04);
    expect(chosen.length).toBeLessThan(MACHINES * 0.18);
    expect(first.filter((tag) => tag === "v1.0.0")).toHaveLength(MACHINES - chosen.length);
    expect(await Promise.all(machines.map(ask))).toEqual(first);

    const [canary = ""] = chosen;
    const report = { id: "v1.1.0", tag: "v1.1.0", command: "assets" };
    await call(port, "Report", canary, report);
    expect(await ask(canary)).toBe("v1.1.0");
    await call(port, "Report", canary, { ...report, err: "exit code 1" });
    expect(await ask(canary)).toBe("v1.0.0");
    expect(output()).toContain(`${canary}: v1.1.0 failed: exit code 1\n`);
  });
});

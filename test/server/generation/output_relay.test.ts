import { spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { startRelay } from "../../../src/server/generation/output_relay.ts";
import { killAllWith, processesWith } from "../../e2e/server/processes.ts";
import { eventually } from "../../host/sockets/case_process.ts";
import { neutralEnvironment, ROOT, type Runtime, runtimes } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import type { RelayCase } from "./relay_case.ts";

/** The only variable that the programs get. */
const MARK = "PATH";
const newMark = (): string => `${process.env.PATH}:/${randomUUID()}`;

/** Runs the case to its end, which is a SIGKILL, and returns what its processes have in {@link MARK}. */
async function killed(runtime: Runtime, wanted: RelayCase): Promise<string> {
  const mark = newMark();
  onTestFinished(() => killAllWith(MARK, mark));
  const [program, ...args] = await runtime.command(
    join(ROOT, "test/server/generation/relay_case.ts"),
  );
  const out = openSync(join(wanted.directory, "out"), "a");
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...neutralEnvironment(), [MARK]: mark, CASE: JSON.stringify(wanted) },
    stdio: ["ignore", out, "pipe"],
  });
  closeSync(out);
  let errors = "";
  child.stderr?.on("data", (chunk) => {
    errors += chunk;
  });
  const [code, signal] = await once(child, "exit");
  expect({ code, signal }, errors).toEqual({ code: null, signal: "SIGKILL" });
  return mark;
}

async function teesWith(mark: string): Promise<number> {
  const names = (await processesWith(MARK, mark)).map(({ pid }) =>
    readFile(`/proc/${pid}/comm`, "utf8").catch(() => ""),
  );
  return (await Promise.all(names)).filter((name) => name === "tee\n").length;
}

describe.each(runtimes)("the programs behind an app's output, on $name", (runtime) => {
  it.each(["", "[v1.0.0 #1] "])(
    "end when dewy is killed before there is an app (prefix %j)",
    async (prefix) => {
      const mark = await killed(runtime, { directory: await tempDirectory(), prefix });
      await eventually(async () => (await processesWith(MARK, mark)).length === 0);
    },
  );

  it("receive what the app writes after dewy was killed, and exit with it", async () => {
    const directory = await tempDirectory();
    const script = `while [ ! -e ${directory}/go ]; do echo out; echo err >&2; sleep 0.1; done; echo end > ${directory}/end`;
    const mark = await killed(runtime, { directory, prefix: "", app: ["/bin/sh", "-c", script] });
    const written = async (): Promise<string> => readFile(join(directory, "out"), "utf8");
    await eventually(async () => (await written().catch(() => "")).length > 40);
    await eventually(async () => (await teesWith(mark)) === 3);
    closeSync(openSync(join(directory, "go"), "w"));
    await eventually(
      async () => (await readFile(join(directory, "end"), "utf8").catch(() => "")) === "end\n",
    );
    await eventually(async () => (await processesWith(MARK, mark)).length === 0);
  });
});

describe("startRelay", () => {
  it("receives both streams, and leaves no name behind", async () => {
    const directory = await tempDirectory();
    let output = "";
    const relay = startRelay({
      directory,
      prefix: "",
      onOutput: (chunk) => {
        output += new TextDecoder().decode(chunk);
      },
    });
    expect(readdirSync(directory)).toEqual([]);
    writeSync(relay.stdout, "from out\n");
    writeSync(relay.stderr, "from err\n");
    relay.handedOver();
    await relay.ended;
    expect(output.split("\n").sort()).toEqual(["", "from err", "from out"]);
  });

  it("uses one program for both streams if they have the same target, as under systemd", async () => {
    const count = async (redirection: string, expected: number): Promise<number> => {
      const mark = newMark();
      onTestFinished(() => killAllWith(MARK, mark));
      const directory = await tempDirectory();
      const [program, ...args] =
        (await runtimes[0]?.command(join(ROOT, "test/server/generation/relay_case.ts"))) ?? [];
      const words = [program ?? "", ...args].map((word) => `'${word}'`).join(" ");
      const wanted: RelayCase = { directory, prefix: "", app: ["/bin/sleep", "60"] };
      spawnSync("/bin/sh", ["-c", `${words} ${redirection}`], {
        env: { ...neutralEnvironment(), [MARK]: mark, CASE: JSON.stringify(wanted) },
        stdio: "ignore",
      });
      const running = async (): Promise<number> => (await processesWith(MARK, mark)).length;
      // A process that is just being executed cannot be recognized.
      await eventually(async () => (await running()) >= expected);
      const counts: number[] = [];
      for (let sample = 0; sample < 10; sample += 1) {
        counts.push(await running());
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return Math.max(...counts);
    };
    const directory = await tempDirectory();
    expect(await count(`>>${directory}/log 2>&1`, 3)).toBe(3);
    expect(await count(`>>${directory}/out 2>>${directory}/err`, 4)).toBe(4);
  });
});

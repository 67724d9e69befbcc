import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type CliRuntime, type Dewy, liveVersion, until } from "../dewy.ts";
import type { Lane } from "./load.ts";
import { processesWith } from "./processes.ts";
import {
  deployed,
  expectNothingLost,
  expectOneGeneration,
  fullLoad,
  type ServedApp,
  serveApp,
  startTestLoad,
} from "./served_app.ts";
import { casesOn, type OnRuntime, on } from "./suite.ts";

/** A step of a switch from v1.0.0 to v1.1.0 at which dewy is held and killed. */
interface Step {
  name: string;
  flags: readonly string[];
  /** Resolves when dewy has reached it. */
  reached(app: ServedApp, dewy: Dewy): Promise<void>;
}

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

/** A shell command that waits, for v1.1.0 only, until the file `go` exists. */
const HOLD = `[ "$DEWY_TAG" = v1.0.0 ] || [ -e "$HOLD_AT/go" ] || { touch "$HOLD_AT/here"`;
const wait = `${HOLD}; while [ ! -e "$HOLD_AT/go" ]; do sleep 0.1; done; }`;
const refuse = `DEWY_TAG=$(cat current/version.txt); ${HOLD}; false; }`;

const here = (app: ServedApp, dewy: Dewy): Promise<void> =>
  until(() => exists(join(app.cwd, "here")), dewy.stderr);
const logged = (message: RegExp) => async (_: ServedApp, dewy: Dewy) => {
  const tags = new Set(["v1.1.0", undefined]);
  await dewy.seen(String(message), (line) => {
    return message.test(line.msg) && tags.has(line.tag as string | undefined);
  });
};

const STEPS: readonly Step[] = [
  { name: "before the new release is live", flags: ["--before-deploy-hook", wait], reached: here },
  {
    name: "while the new generation gets ready",
    flags: ["--ready-command", refuse],
    reached: here,
  },
  {
    name: "while the old generation drains",
    flags: ["--bake", "3s"],
    reached: logged(/drain/i),
  },
  {
    name: "in the bake time",
    flags: ["--bake", "5s"],
    reached: async (app, dewy) => {
      await logged(/ready/i)(app, dewy);
      await expectOneGeneration(app, dewy.stderr);
    },
  },
  {
    name: "when the new version is committed",
    flags: ["--after-deploy-hook", wait],
    reached: here,
  },
  {
    name: "while the old generation stands by",
    flags: ["--bake", "5s", "--overlap", "5s"],
    reached: logged(/ready/i),
  },
];

function stepsOn(covering: Parameters<typeof casesOn>[1]): (OnRuntime<Step> & { step: string })[] {
  return casesOn(STEPS, covering).map((one) => ({ ...one, step: one.one.name }));
}

describe("SIGKILL of the supervising dewy", () => {
  it.each(stepsOn({ Node: [1], Deno: [2] }))(
    "$step on $name: nothing is lost, and one generation of v1.1.0 serves in the end",
    { timeout: 120_000 },
    async ({ runtime, one: step }) => {
      const { app, dewy } = await hold(runtime, step);
      const load = await startTestLoad(quickLoad(app));
      const supervisor = await supervisorOf(app);
      kill(supervisor);
      await writeFile(join(app.cwd, "go"), "");
      await servesEventually(app, dewy, supervisor);
      await dewy.seen("the app it found", ({ msg }) => msg === "App from a previous run found");
      const result = await load.stop();
      expectNothingLost(result, dewy.stderr());
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended(), dewy.stderr()).toBe(0);
      expect(await everything(app)).toEqual([]);
    },
  );

  it.each(on())(
    "does not end an app that keeps writing to its output, on $name",
    async (runtime) => {
      const [, step] = STEPS;
      if (step === undefined) throw new Error("no step");
      const { app, dewy } = await hold(runtime, step, { APP_CHATTY: "1" });
      const load = await startTestLoad(quickLoad(app));
      kill(await supervisorOf(app));
      await writeFile(join(app.cwd, "go"), "");
      await servesEventually(app, dewy, undefined);
      expectNothingLost(await load.stop(), dewy.stderr());
    },
  );
});

describe("SIGKILL of all of dewy", () => {
  it.each(stepsOn({ Bun: [1] }))(
    "$step on $name: the app keeps serving, and after the next start one generation of v1.1.0 serves",
    { timeout: 120_000 },
    async ({ runtime, one: step }) => {
      const { app, dewy: killed } = await hold(runtime, step);
      // The holder would start dewy again: everything that starts meanwhile is killed as well.
      await until(
        async () => {
          const own = await ownProcesses(app);
          for (const pid of own) kill(pid);
          return own.length === 0;
        },
        () => "the end of all of dewy",
      );
      // The programs behind the app's output still have dewy's.
      const { child } = killed;
      await until(
        () => (child.exitCode ?? child.signalCode) !== null,
        () => "the end of dewy's first process",
      );
      const [target] = app.targets;
      const port = "port" in target ? target.port : 0;
      const text = await (await fetch(`http://127.0.0.1:${port}/`)).text();
      expect(["v1.0.0", "v1.1.0"]).toContain(text);
      await writeFile(join(app.cwd, "go"), "");
      const dewy = app.start(step.flags, holdAt(app));
      await servesEventually(app, dewy, undefined);
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("v1.1.0");
      dewy.child.kill("SIGTERM");
      expect(await dewy.ended(), dewy.stderr()).toBe(0);
      expect(await everything(app)).toEqual([]);
    },
  );
});

/** Brings dewy to a step of the switch. */
async function hold(
  runtime: CliRuntime,
  step: Step,
  env: Readonly<Record<string, string>> = {},
): Promise<{ app: ServedApp; dewy: Dewy }> {
  const app = await serveApp(runtime, "node");
  await app.publish("v1.0.0");
  const dewy = app.start(step.flags, { ...holdAt(app), ...env });
  await deployed(dewy, "v1.0.0");
  await app.publish("v1.1.0");
  await step.reached(app, dewy);
  return { app, dewy };
}

function holdAt(app: ServedApp): Record<string, string> {
  return { HOLD_AT: app.cwd };
}

/** Short requests only: a slow one keeps an old generation longer than the test waits. */
function quickLoad(app: ServedApp): readonly Lane[] {
  return fullLoad(app).filter(({ name }) => !name.includes("in flight"));
}

/**
 * Waits until v1.1.0 is committed and one generation of it serves, under another dewy process than
 * the killed one.
 */
async function servesEventually(
  app: ServedApp,
  dewy: Dewy,
  killed: number | undefined,
): Promise<void> {
  await until(
    async () =>
      (await liveVersion(app.cwd)) === "v1.1.0" && !(await stateOf(app)).includes('"switching"'),
    () => `the commit of v1.1.0\n${dewy.stderr()}`,
  );
  expect(await expectOneGeneration(app, dewy.stderr)).toBe("v1.1.0");
  await until(
    async () => ![undefined, killed].includes(await supervisorOf(app)),
    () => `another dewy\n${dewy.stderr()}`,
  );
}

function stateOf(app: ServedApp): Promise<string> {
  return readFile(join(app.cwd, ".dewy", "state.json"), "utf8").catch(() => "");
}

/** The supervising dewy process: the holder of the sockets starts it, and it is not a shell. */
async function supervisorOf(app: ServedApp): Promise<number | undefined> {
  const own = await processesWith("APP_REPORT", app.reportFile);
  for (const { pid, env } of own) {
    if (env.DEWY_HOLDER === undefined || env.DEWY_GENERATION !== undefined) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const [program = "", ...args] = command.split("\0");
    if (!program.endsWith("sh") && args.includes("server")) return pid;
  }
  return undefined;
}

/** All processes of dewy, including hooks, but without generations. */
async function ownProcesses(app: ServedApp): Promise<number[]> {
  const own = await processesWith("APP_REPORT", app.reportFile);
  return own.filter(({ env }) => env.DEWY_GENERATION === undefined).map(({ pid }) => pid);
}

async function everything(app: ServedApp): Promise<number[]> {
  return (await processesWith("APP_REPORT", app.reportFile)).map(({ pid }) => pid);
}

function kill(pid: number | undefined): void {
  if (pid === undefined) throw new Error("there is no process to kill");
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has exited meanwhile.
  }
}

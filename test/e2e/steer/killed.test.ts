import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Dewy, liveVersion } from "../dewy.ts";
import { type ArmedRun, newArm, stepsToKillAt } from "./arm.ts";
import { newOperator } from "./operator.ts";
import { deployEach, type SteeredAssets, steerAssets } from "./steered_assets.ts";

const isSoak = process.env.DEWY_SOAK === "1";

interface Killed {
  /** The words of the command. */
  command: readonly string[];
  /** Whether the registry also has v1.3.0, which waits because of a pause. */
  newer?: true;
  /** The normal run takes each so many steps; `npm run soak` has all steps of all commands. */
  every?: number;
  /** Commands before it. */
  before?: readonly string[];
  /** The live version if nothing of the command has happened, and if all of it has. */
  from: string;
  to: string;
}

/** v1.0.0, v1.1.0 and v1.2.0 are on disk, and v1.2.0 is live. */
const COMMANDS: readonly Killed[] = [
  { command: ["rollback"], every: 1, from: "v1.2.0", to: "v1.1.0" },
  { command: ["rollback", "v1.0.0"], from: "v1.2.0", to: "v1.0.0" },
  { command: ["deploy", "v1.3.0"], every: 2, newer: true, from: "v1.2.0", to: "v1.3.0" },
  { command: ["deploy", "v1.0.0"], from: "v1.2.0", to: "v1.0.0" },
  { command: ["pin", "v1.1.0"], every: 1, from: "v1.2.0", to: "v1.1.0" },
  { command: ["pin", "v1.2.0"], from: "v1.2.0", to: "v1.2.0" },
  { command: ["skip", "v1.4.0"], every: 1, from: "v1.2.0", to: "v1.2.0" },
  { command: ["poll"], newer: true, before: ["resume"], from: "v1.2.0", to: "v1.3.0" },
];
const CHOSEN = COMMANDS.filter(({ every }) => isSoak || every !== undefined);
const AFTER_HOOK = ["--after-deploy-hook", "echo $DEWY_TAG >> hooked"];

async function prepare({ newer }: Killed): Promise<SteeredAssets> {
  const app = await steerAssets();
  const dewy = await deployEach(app, ["v1.0.0", "v1.1.0", "v1.2.0"], AFTER_HOOK);
  if (newer) {
    await app.operator.succeed("pause");
    await app.publish("v1.3.0");
  }
  dewy.child.kill("SIGTERM");
  expect(await dewy.ended(), dewy.stderr()).toBe(0);
  return app;
}

interface Run extends ArmedRun {
  app: SteeredAssets;
  dewy: Dewy;
}

/** Runs the command in a copy of the directory, with dewy killed before a step. */
async function killAt(
  prepared: SteeredAssets,
  { command, before = [] }: Killed,
  step?: number,
): Promise<Run> {
  const { publisher } = prepared;
  const app = await steerAssets({ publisher, operator: await newOperator() });
  await cp(prepared.cwd, app.cwd, { recursive: true, verbatimSymlinks: true });
  const arm = await newArm();
  const dewy = app.start(AFTER_HOOK, { env: arm.env });
  await dewy.seen("a poll", ({ msg }) => msg === "Poll finished");
  if (before.length > 0) await app.operator.succeed(...before);
  return { app, dewy, ...(await arm.run(app.operator, command.join(" "), step)) };
}

async function expectTruth(run: Run, { from, to, command }: Killed, about: string): Promise<void> {
  const { app, code, text } = run;
  // A run may have fewer steps than the first, since the journal may write several entries at once.
  if (!run.wasKilled) run.dewy.child.kill("SIGKILL");
  expect(await run.dewy.ended()).toBe("SIGKILL");
  const left = await app.state();
  const wasDone = (await liveVersion(app.cwd)) === to;
  const isRecorded = left.order !== undefined || left.pinned?.tag === to;
  const isBound = code === 0 || isRecorded || wasDone || command[0] === "poll";
  if (code !== 0) {
    expect(code, about).toBe(4);
    expect(text, about).toMatch(/next start|unknown|status/);
  }

  const dewy = app.start(AFTER_HOOK);
  await dewy.seen("a poll", ({ msg }) => msg === "Poll finished");
  await expect.poll(() => app.state(), { message: about }).not.toHaveProperty("order");
  const live = await app.live();
  expect(live, about).toBe(isBound ? to : from);
  await app.operator.succeed("poll");
  expect(await app.live(), `${about}: after a poll`).toBe(live);
  const status = await app.operator.status();
  expect(status, about).toMatchObject({ live: { tag: live }, phase: { name: "idle" } });
  expect(status, about).not.toHaveProperty("order");
  expect(await app.state(), about).not.toHaveProperty("switching");
  if (live !== from && command[0] !== "poll") {
    // The history says whose order it was; also how it ended, if the killed dewy has not finished it.
    const entries = (await app.operator.history()).filter(({ user }) => user === "alice");
    const told = entries.map((entry) =>
      entry.event === "ordered" && left.order === undefined
        ? entry.command
        : (entry.to ?? entry.tag),
    );
    const wanted = left.order === undefined ? command.join(" ") : live;
    expect(told, `${about}\n${JSON.stringify(entries)}`).toContain(wanted);
    const hooked = await readFile(join(app.cwd, "hooked"), "utf8");
    expect(hooked.trim().split("\n").at(-1), about).toBe(live);
  }
  const leftovers = (await readdir(join(app.cwd, ".dewy"))).filter((name) => name.endsWith(".tmp"));
  expect(leftovers, about).toEqual([]);
  dewy.child.kill("SIGTERM");
  expect(await dewy.ended(), dewy.stderr()).toBe(0);
}

describe("SIGKILL of dewy assets at each step of a command", () => {
  it.each(CHOSEN.map((one) => ({ ...one, words: one.command.join(" ") })))(
    "$words: afterwards one version is live, the order is finished, and status is true",
    { timeout: isSoak ? 900_000 : 600_000 },
    async (killed) => {
      const prepared = await prepare(killed);
      const whole = await killAt(prepared, killed);
      expect(whole.code, whole.text).toBe(0);
      expect(await whole.app.live()).toBe(killed.to);
      whole.dewy.child.kill("SIGTERM");
      await whole.dewy.ended();
      const chosen = stepsToKillAt(whole.steps, killed.every);
      expect(chosen.length, whole.steps.join("\n")).toBeGreaterThan(0);
      for (const { at, step } of chosen) {
        const run = await killAt(prepared, killed, at);
        const about = `killed before step ${at}, ${step}\n${run.steps.join("\n")}\n${run.text}`;
        await expectTruth(run, killed, about);
      }
    },
  );
});

import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { type Dewy, until } from "../dewy.ts";
import { NODE, newOperator, type Operator } from "../steer/operator.ts";
import {
  deployed,
  expectNothingLost,
  expectOneGeneration,
  fullLoad,
  type ServedApp,
  serveApp,
  startTestLoad,
  stateOf,
} from "./served_app.ts";
import { suite } from "./suite.ts";

const PRELOAD = join(ROOT, "test", "e2e", "steer", "killed_preload.mjs");
/** Steps that a later dewy can see: a file appears, moves, or goes. `npm run soak` takes all of them. */
const VISIBLE = /^(rename|symlink|append|open .*journal)/i;
/** Of the visible steps; the covering set takes a few. */
const EVERY = { all: 1, soak: 1, cover: 4 }[suite];
const NEVER = 1_000_000;

interface Killed {
  words: string;
  /** The version afterwards; v1.1.0 is live before. */
  to: string;
}

const COMMANDS: readonly Killed[] = [
  { words: "rollback", to: "v1.0.0" },
  { words: "deploy v1.0.0", to: "v1.0.0" },
  { words: "pin v1.0.0", to: "v1.0.0" },
  { words: "restart", to: "v1.1.0" },
];

/** An app under a dewy that a file arms. */
interface Armed {
  app: ServedApp;
  operator: Operator;
  start(): Dewy;
  /** Runs a command, with dewy killed before a step of it. Returns the steps so far. */
  run(
    words: string,
    step: number,
    also?: string,
  ): Promise<{ code: number | string; text: string; steps: string[]; wasKilled: boolean }>;
}

async function arm(): Promise<Armed> {
  const operator = await newOperator();
  const app = await serveApp(NODE, "node");
  await app.publish("v1.0.0");
  const file = join(await tempDirectory(), "arm");
  const env = { ...operator.env, NODE_OPTIONS: `--import=${PRELOAD}`, KILL_ARM: file };
  const hook = ["--after-deploy-hook", "echo $DEWY_TAG >> hooked"];
  return {
    app,
    operator,
    start: () => app.start(["-i", "1h", ...hook], env),
    run: async (words, step, also = "") => {
      await writeFile(`${file}.new`, `${step}${also}`);
      await rename(`${file}.new`, file);
      const { code, text } = await operator.run(...words.split(" "));
      const wasKilled = await rm(file).then(
        () => false,
        () => true,
      );
      const steps = (await readFile(`${file}.steps`, "utf8")).trim().split("\n");
      await rm(`${file}.steps`);
      return { code, text, steps, wasKilled };
    },
  };
}

/** Waits until nothing is left to do. Returns the live version, of which exactly one generation runs. */
async function settled({ app, operator }: Armed, about: () => string): Promise<string> {
  await until(async () => {
    const { order, switching } = await stateOf(app);
    return order === undefined && switching === undefined;
  }, about);
  await until(async () => (await operator.status()).phase.name === "idle", about);
  const version = await expectOneGeneration(app, about);
  expect(await operator.status(), about()).toMatchObject({
    live: { tag: version },
    app: { health: "serving" },
  });
  return version;
}

describe("SIGKILL of dewy server at each step of a command", () => {
  it.each(COMMANDS)(
    "$words: the app keeps serving, and the dewy that the holder starts finishes the order",
    { timeout: suite === "soak" ? 1_200_000 : 300_000 },
    async ({ words, to }) => {
      const armed = await arm();
      const dewy = armed.start();
      await prepare(armed, dewy);
      const whole = await armed.run(words, NEVER);
      expect(whole.code, whole.text).toBe(0);
      expect(await settled(armed, dewy.stderr)).toBe(to);
      await restore(armed);
      const load = await startTestLoad(
        fullLoad(armed.app).filter(({ name }) => !name.includes("in flight")),
      );
      for (const { at, step } of stepsOf(whole.steps)) {
        const { code, text, wasKilled, steps } = await armed.run(words, at);
        const about = (): string =>
          `${words}, killed before step ${at}, ${step}\n${steps.join("\n")}\n${text}\n${dewy.stderr()}`;
        const live = await settled(armed, about);
        if (code === 0) expect(live, about()).toBe(to);
        else expect({ code, wasKilled }, about()).toEqual({ code: 4, wasKilled: true });
        await armed.operator.succeed("poll");
        expect(await settled(armed, about), about()).toBe(live);
        await restore(armed);
      }
      expectNothingLost(await load.stop(), dewy.stderr());
    },
  );

  it.runIf(suite !== "cover").each(COMMANDS)(
    "$words: the app keeps serving without dewy, and the next start finishes the order",
    { timeout: suite === "soak" ? 1_200_000 : 300_000 },
    async ({ words, to }) => {
      const armed = await arm();
      let dewy = armed.start();
      await prepare(armed, dewy);
      const whole = await armed.run(words, NEVER);
      await settled(armed, dewy.stderr);
      await restore(armed);
      for (const { at, step } of stepsOf(whole.steps)) {
        const { code, text, wasKilled } = await armed.run(words, at, " and its parent");
        const about = (): string =>
          `${words}, killed before step ${at}, ${step}\n${text}\n${dewy.stderr()}`;
        if (wasKilled) {
          await dewy.ended();
          const { order } = await stateOf(armed.app);
          dewy = armed.start();
          await dewy.seen("a poll", ({ msg }) => msg === "Poll finished");
          const live = await settled(armed, about);
          if (order !== undefined || code === 0) expect(live, about()).toBe(to);
        }
        await restore(armed);
      }
    },
  );
});

async function prepare({ app, operator }: Armed, dewy: Dewy): Promise<void> {
  await deployed(dewy, "v1.0.0");
  await app.publish("v1.1.0");
  await operator.succeed("poll");
  await deployed(dewy, "v1.1.0");
}

/** Back to v1.1.0, with nothing pinned or skipped. */
async function restore({ operator }: Armed): Promise<void> {
  await operator.succeed("unpin");
  await operator.succeed("unskip");
  await operator.succeed("deploy", "v1.1.0");
}

function stepsOf(steps: readonly string[]): { at: number; step: string }[] {
  const all = steps.map((step, index) => ({ at: index + 1, step }));
  if (suite === "soak") return all;
  return all.filter(({ step }) => VISIBLE.test(step)).filter((_, index) => index % EVERY === 0);
}

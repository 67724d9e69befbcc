import { describe, expect, it } from "vitest";
import { type Dewy, until } from "../dewy.ts";
import { type Arm, newArm, stepsToKillAt } from "../steer/arm.ts";
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

/** The holder waits longer after each crash in a row. */
const KILLS_UNDER_HOLDER = 3;
const MINUTES = suite === "soak" ? 20 : 5;

/** The version afterwards; v1.1.0 is live before. */
const COMMANDS = [
  { words: "rollback", to: "v1.0.0" },
  { words: "deploy v1.0.0", to: "v1.0.0" },
  { words: "pin v1.0.0", to: "v1.0.0" },
  { words: "restart", to: "v1.1.0" },
] as const;

interface Armed {
  app: ServedApp;
  operator: Operator;
  arm: Arm;
  start(): Dewy;
}

/** Starts dewy, and deploys v1.0.0 and v1.1.0. */
async function startArmed(): Promise<{ armed: Armed; dewy: Dewy }> {
  const [operator, arm, app] = [await newOperator(), await newArm(), await serveApp(NODE, "node")];
  const hook = ["--after-deploy-hook", "echo $DEWY_TAG >> hooked"];
  const start = (): Dewy => app.start(["-i", "1h", ...hook], { ...operator.env, ...arm.env });
  await app.publish("v1.0.0");
  const dewy = start();
  await deployed(dewy, "v1.0.0");
  await app.publish("v1.1.0");
  await operator.succeed("poll");
  await deployed(dewy, "v1.1.0");
  return { armed: { app, operator, arm, start }, dewy };
}

/** Waits until nothing is left to do. Returns the live version, of which exactly one generation runs. */
async function settled({ app, operator }: Armed, about: () => string): Promise<string> {
  await until(async () => {
    const { order, switching } = await stateOf(app);
    return order === undefined && switching === undefined;
  }, about);
  const isIdle = async (): Promise<boolean> => {
    const { phase, app: health } = await operator.status();
    return phase.name === "idle" && health?.health === "serving";
  };
  await until(isIdle, about);
  const version = await expectOneGeneration(app, about);
  expect(await operator.status(), about()).toMatchObject({ live: { tag: version } });
  return version;
}

/** Back to v1.1.0, with nothing pinned or skipped. */
async function restore({ operator }: Armed): Promise<void> {
  await operator.succeed("unpin");
  await operator.succeed("unskip");
  await operator.succeed("deploy", "v1.1.0");
}

/** At most so many of the items, from the first to the last. */
function spread<T>(items: readonly T[], most: number): T[] {
  const distance = Math.max(1, (items.length - 1) / (most - 1));
  return items.filter((_, index) => Math.floor(index % distance) === 0).slice(0, most);
}

describe("SIGKILL of dewy server at each step of a command", () => {
  it.each(COMMANDS)(
    "$words: the app keeps serving, and the dewy that the holder starts finishes the order",
    { timeout: MINUTES * 60_000 },
    async ({ words, to }) => {
      const { armed, dewy } = await startArmed();
      const { app, operator, arm } = armed;
      const whole = await arm.run(operator, words);
      expect(whole.code, whole.text).toBe(0);
      expect(await settled(armed, dewy.stderr)).toBe(to);
      await restore(armed);
      const quick = fullLoad(app).filter(({ name }) => !name.includes("in flight"));
      const load = await startTestLoad(quick);
      for (const { at, step } of spread(stepsToKillAt(whole.steps), KILLS_UNDER_HOLDER)) {
        const { code, text, wasKilled, steps } = await arm.run(operator, words, at);
        const about = (): string =>
          `${words}, killed before step ${at}, ${step}\n${steps.join("\n")}\n${text}\n${dewy.stderr()}`;
        const live = await settled(armed, about);
        if (code === 0) expect(live, about()).toBe(to);
        else expect({ code, wasKilled }, about()).toEqual({ code: 4, wasKilled: true });
        await operator.succeed("poll");
        expect(await settled(armed, about), about()).toBe(live);
        await restore(armed);
      }
      expectNothingLost(await load.stop(), dewy.stderr());
    },
  );
});

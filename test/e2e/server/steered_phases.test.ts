import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Dewy, liveVersion, until } from "../dewy.ts";
import { NODE, newOperator, type Operator } from "../steer/operator.ts";
import { deployed, expectOneGeneration, type ServedApp, serveApp } from "./served_app.ts";
import { suite } from "./suite.ts";

const NEW = "v1.2.0";

/** A phase of the switch from v1.1.0 to v1.2.0 in which dewy is held until the file `go` exists. */
interface Phase {
  name: string;
  flags: readonly string[];
  /** How `dewy status` calls the phase. */
  shown: RegExp;
  /** Whether the switch has begun, so that it can only be completed or rolled back. */
  hasBegun: boolean;
  reached(app: ServedApp, dewy: Dewy): Promise<unknown>;
}

const HOLD = `[ "$DEWY_TAG" != ${NEW} ] || [ -e "$HOLD_AT/go" ] || { touch "$HOLD_AT/here"`;
const WAIT = `${HOLD}; while [ ! -e "$HOLD_AT/go" ]; do sleep 0.1; done; }`;
const REFUSE = `DEWY_TAG=$(cat current/version.txt); ${HOLD}; false; }`;

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
const here = ({ cwd }: ServedApp, dewy: Dewy): Promise<void> =>
  until(() => exists(join(cwd, "here")), dewy.stderr);

const PHASES: readonly Phase[] = [
  {
    name: "the before-deploy hook",
    flags: ["--before-deploy-hook", WAIT],
    shown: /before/,
    hasBegun: false,
    reached: here,
  },
  {
    name: "getting ready",
    flags: ["--ready-command", REFUSE],
    shown: /verify|ready|starting/,
    hasBegun: true,
    reached: here,
  },
  {
    name: "the bake",
    flags: ["--bake", "3s"],
    shown: /bake|verify/,
    hasBegun: true,
    reached: (_, dewy) =>
      dewy.seen("the bake", ({ msg, tag }) => /ready/i.test(msg) && tag === NEW),
  },
  {
    name: "the after-deploy hook",
    flags: ["--after-deploy-hook", WAIT],
    shown: /after/,
    hasBegun: true,
    reached: here,
  },
];

/** All of them; the covering set has those with these names. */
function phases(...covering: readonly string[]): readonly Phase[] {
  return PHASES.filter(({ name }) => suite !== "cover" || covering.includes(name));
}

/** Brings `dewy server` to a phase of the switch. */
async function hold(phase: Phase): Promise<{ app: ServedApp; dewy: Dewy; operator: Operator }> {
  const operator = await newOperator();
  const app = await serveApp(NODE, "node");
  await app.publish("v1.0.0");
  const dewy = app.start(["-i", "1h", ...phase.flags], { ...operator.env, HOLD_AT: app.cwd });
  await deployed(dewy, "v1.0.0");
  await app.publish("v1.1.0");
  await operator.succeed("poll");
  await deployed(dewy, "v1.1.0");
  await app.publish(NEW);
  // Its answer is not awaited: a rollback may supersede what it has found.
  operator.begin("poll");
  await phase.reached(app, dewy);
  return { app, dewy, operator };
}

/** Waits until a version is live and its generation is the only one. */
async function serves(app: ServedApp, dewy: Dewy, tag: string): Promise<void> {
  const isAlone = async (): Promise<boolean> => {
    const tags = (await app.generations()).map(({ env }) => env.DEWY_TAG);
    return tags.join() === tag && (await liveVersion(app.cwd)) === tag;
  };
  await until(isAlone, () => `${tag} alone\n${dewy.stderr()}`);
}

const go = ({ cwd }: ServedApp): Promise<void> => writeFile(join(cwd, "go"), "");

describe("while dewy server is held in a phase of a switch", () => {
  it.each(phases("getting ready"))("$name: status says so at once", async (phase) => {
    const { operator } = await hold(phase);
    const { phase: shown, live } = await operator.status();
    expect(shown).toMatchObject({ tag: NEW });
    expect(shown.name).toMatch(phase.shown);
    expect(live?.tag).toMatch(/^v1\.[12]\.0$/);
    expect(await operator.succeed("status")).toContain(NEW);
  });

  it.each(phases("getting ready", "the bake"))(
    "$name: a rollback does not wait for its end",
    { timeout: 180_000 },
    async (phase) => {
      const { app, dewy, operator } = await hold(phase);
      // A version whose switch has not begun is not left behind.
      const [to, left] = phase.hasBegun ? ["v1.1.0", NEW] : ["v1.0.0", "v1.1.0"];
      const rollback = operator.begin("rollback", "--json");
      await serves(app, dewy, to);
      await go(app);
      const { code, stdout, text } = await rollback.answer;
      expect(code, text).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ live: to });
      expect((await operator.status()).skipped).toMatchObject([{ tag: left, andEarlier: true }]);
      await operator.succeed("poll");
      expect(await expectOneGeneration(app, dewy.stderr)).toBe(phase.hasBegun ? to : NEW);
      await app.publish("v1.3.0");
      await operator.succeed("poll");
      await deployed(dewy, "v1.3.0");
    },
  );

  it.each(phases("the before-deploy hook"))(
    "$name: a deploy of another version supersedes it",
    {
      timeout: 180_000,
    },
    async (phase) => {
      const { app, dewy, operator } = await hold(phase);
      const deploy = operator.begin("deploy", "v1.0.0", "--json");
      // Hooks run one after another, and a deploy has one before it.
      if (phase.name === "the after-deploy hook") await go(app);
      await serves(app, dewy, "v1.0.0");
      await go(app);
      const { code, stdout, text } = await deploy.answer;
      expect(code, text).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ live: "v1.0.0" });
      await operator.succeed("poll");
      const live = await expectOneGeneration(app, dewy.stderr);
      expect(live).toBe(phase.hasBegun ? "v1.0.0" : NEW);
    },
  );

  it.each(phases("getting ready"))(
    "$name: a pause waits for a switch that has begun, and is respected afterwards",
    { timeout: 180_000 },
    async (phase) => {
      const { app, dewy, operator } = await hold(phase);
      const pause = operator.begin("pause");
      if (phase.hasBegun) {
        await until(
          () => pause.text().includes(NEW),
          () => `that the pause waits, not "${pause.text()}"\n${dewy.stderr()}`,
        );
      } else await pause.answer;
      await go(app);
      expect(await pause.answer).toMatchObject({ code: 0 });
      const live = phase.hasBegun ? NEW : "v1.1.0";
      await app.publish("v1.3.0");
      await operator.succeed("poll");
      expect(await expectOneGeneration(app, dewy.stderr)).toBe(live);
      expect(await operator.status()).toMatchObject({
        live: { tag: live },
        paused: { user: "alice" },
        waiting: [{ tag: "v1.3.0", why: "paused" }],
      });
      await operator.succeed("resume");
      await operator.succeed("poll");
      await deployed(dewy, "v1.3.0");
    },
  );
});

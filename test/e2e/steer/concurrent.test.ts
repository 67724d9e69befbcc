import { describe, expect, it } from "vitest";
import type { Answer } from "./operator.ts";
import { deployEach, type SteeredAssets, steerAssets } from "./steered_assets.ts";

const TAGS = ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"] as const;

/** Gives commands at the same time, and waits for all answers. */
function atOnce(app: SteeredAssets, ...commands: readonly string[]): Promise<Answer[]> {
  return Promise.all(commands.map((command) => app.operator.run(...command.split(" "), "--json")));
}

/**
 * Expects that each answer is true: a command that has succeeded names a version that was live because of it, in the
 * order of the history, and any other one says which command superseded it, or that another one has left nothing to go
 * back to.
 */
async function expectOneOrder(app: SteeredAssets, answers: readonly Answer[]): Promise<void> {
  const history = await app.operator.history("--event", "rolled-back", "--event", "deployed");
  const went = history.filter(({ user }) => user !== undefined);
  const lives = went.map(({ event, tag, to }) => (event === "rolled-back" ? to : tag));
  const about = `${JSON.stringify(history)}\n${answers.map(({ text }) => text).join("\n")}`;
  for (const { code, stdout, text } of answers) {
    if (code !== 0) {
      expect(text).toMatch(/superseded by the (rollback|deploy) of alice|no earlier version/);
    }
    if (code === 0) expect([...TAGS], about).toContain(JSON.parse(stdout).live);
  }
  expect(
    answers.some(({ code }) => code === 0),
    about,
  ).toBe(true);
  const live = await app.live();
  if (lives.length > 0) expect(live, about).toBe(lives.at(-1));
  const status = await app.operator.status();
  expect(status, about).toMatchObject({ live: { tag: live }, phase: { name: "idle" } });
  expect(status, about).not.toHaveProperty("order");
  expect(await app.state(), about).not.toHaveProperty("order");
  expect(await app.state(), about).not.toHaveProperty("switching");
}

describe("commands at the same time", () => {
  it("are one order: two rollbacks", async () => {
    const app = await steerAssets();
    await deployEach(app, TAGS);
    const answers = await atOnce(app, "rollback", "rollback");
    await expectOneOrder(app, answers);
    // The second one joins the first, or comes after it and goes back by one more version.
    const count = (await app.operator.history("--event", "rolled-back")).length;
    expect([1, 2]).toContain(count);
    expect(await app.live()).toBe(TAGS.at(-1 - count));
    await app.operator.succeed("poll");
    expect(await app.live()).toBe(TAGS.at(-1 - count));
  });

  it("are one order: a rollback and a deploy", async () => {
    const app = await steerAssets();
    await deployEach(app, TAGS);
    const answers = await atOnce(app, "rollback", "deploy v1.0.0");
    await expectOneOrder(app, answers);
    // A rollback after the deploy of v1.0.0 has no earlier version to go to.
    expect(["v1.0.0", "v1.2.0"]).toContain(await app.live());
  });

  it("are one order: a pin and a poll that finds a newer version", async () => {
    const app = await steerAssets();
    await deployEach(app, ["v1.0.0"]);
    await app.publish("v1.1.0");
    const [pin, poll] = await atOnce(app, "pin v1.0.0", "poll");
    expect(pin).toMatchObject({ code: 0 });
    expect(poll).toMatchObject({ code: 0 });
    // The pin ends on its version, whichever of the two came first.
    expect(await app.live()).toBe("v1.0.0");
    await app.operator.succeed("poll");
    expect(await app.live()).toBe("v1.0.0");
    expect(await app.operator.status()).toMatchObject({
      live: { tag: "v1.0.0" },
      pinned: { tag: "v1.0.0" },
      waiting: [{ tag: "v1.1.0", why: "pinned" }],
    });
  });

  it("are one order: ten of them", { timeout: 120_000 }, async () => {
    const app = await steerAssets();
    await deployEach(app, TAGS);
    const answers = await atOnce(
      app,
      ...["rollback", "deploy v1.3.0", "pause", "rollback", "poll"],
      ...["resume", "deploy v1.1.0", "skip v1.0.0", "rollback v1.0.0", "unskip v1.0.0"],
    );
    await expectOneOrder(app, answers);
    const { paused } = await app.operator.status();
    const pauses = (await app.operator.history("--event", "ordered"))
      .map(({ command }) => command)
      .filter((command) => command === "pause" || command === "resume");
    expect(pauses).toHaveLength(2);
    expect(paused !== undefined).toBe(pauses.at(-1) === "pause");
  });

  it("repeated, change nothing and say so", async () => {
    const app = await steerAssets();
    await deployEach(app, ["v1.0.0"]);
    for (const command of ["pause", "skip v9.0.0", "pin v1.0.0", "unpin", "unskip", "resume"]) {
      await app.operator.succeed(...command.split(" "));
      const before = await app.state();
      await app.operator.succeed(...command.split(" "));
      const after = await app.state();
      expect({ ...after, order: undefined }, command).toEqual({ ...before, order: undefined });
    }
    expect(await app.live()).toBe("v1.0.0");
  });
});

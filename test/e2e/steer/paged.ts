import { expect } from "vitest";
import { type Dewy, until } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import type { Operator } from "./operator.ts";

/** An app of any mode, as its users and its operator see it. */
export interface PagedApp {
  operator: Operator;
  dewy: Dewy;
  /** Publishes a version that works. */
  publish(tag: string): Promise<void>;
  /** Publishes a version that dewy rejects by itself. */
  publishUnusable(tag: string): Promise<void>;
  /** What dewy says about the unusable version: in `status`, `history` and the log. */
  whyUnusable: RegExp;
  /** Publishes a version that dewy considers good, and that its users do not. */
  publishBroken(tag: string): Promise<void>;
  /** The reason in the app's own output; absent for an app that has none. */
  whyBroken?: RegExp;
  /** What a user gets: the version, or an error. */
  answer(): Promise<string>;
}

/**
 * The night of an operator, with nothing but what `status`, `history` and the log say. Expects an instance that polls
 * by itself and on which v1.0.0 is deployed.
 */
export async function pagedAtNight(app: PagedApp): Promise<void> {
  await anUnusableVersionIsExplained(app);
  await aBrokenVersionIsFound(app);
  await theOperatorGoesBack(app);
  await theFixWaitsForUnpin(app);
  await theHistoryTellsTheNight(app);
}

async function anUnusableVersionIsExplained(app: PagedApp): Promise<void> {
  const { operator, dewy } = app;
  await app.publishUnusable("v1.1.0");
  await dewy.seen("the failure", ({ msg, error }) => {
    return msg === "Deploy failed" && String(error).includes("v1.1.0");
  });
  expect(await app.answer()).toBe("v1.0.0");
  const status = await operator.status();
  expect(status.live?.tag).toBe("v1.0.0");
  const shown = await operator.succeed("history");
  expect(shown).toMatch(/v1\.1\.0/);
  expect(shown).toMatch(app.whyUnusable);
  expect(dewy.stderr()).toMatch(app.whyUnusable);
}

async function aBrokenVersionIsFound(app: PagedApp): Promise<void> {
  const { operator, dewy } = app;
  await app.publishBroken("v1.2.0");
  await deployed(dewy, "v1.2.0");
  expect(await app.answer()).not.toBe("v1.0.0");

  const status = await operator.succeed("status");
  expect(status).toMatch(/v1\.2\.0/);
  const { live } = await operator.status();
  expect(live?.tag).toBe("v1.2.0");
  expect(Date.parse(live?.since ?? "")).toBeGreaterThan(Date.now() - 600_000);
  const [last] = (await operator.history("--event", "deployed")).slice(-1);
  expect(last).toMatchObject({ event: "deployed", tag: "v1.2.0", previousTag: "v1.0.0" });
  if (app.whyBroken !== undefined) {
    await app.answer();
    const { whyBroken } = app;
    await until(
      () => whyBroken.test(`${dewy.stdout()}${dewy.stderr()}`),
      () => `the reason in the output\n${dewy.stdout()}${dewy.stderr()}`,
    );
  }
}

async function theOperatorGoesBack(app: PagedApp): Promise<void> {
  const { operator } = app;
  expect(await operator.succeed("rollback", "--message", "checkout fails")).toMatch(/v1\.0\.0/);
  expect(await app.answer()).toBe("v1.0.0");
  const { live, skipped } = await operator.status();
  expect(live?.tag).toBe("v1.0.0");
  expect(skipped).toMatchObject([{ tag: "v1.2.0", user: "alice", message: "checkout fails" }]);
  await operator.succeed("poll");
  expect(await app.answer()).toBe("v1.0.0");
}

async function theFixWaitsForUnpin(app: PagedApp): Promise<void> {
  const { operator } = app;
  await operator.succeed("pin", "v1.0.0", "--message", "until the morning");
  await app.publish("v1.3.0");
  expect((await operator.run("poll")).text).toMatch(/v1\.3\.0/);
  expect(await app.answer()).toBe("v1.0.0");
  const { waiting, pinned } = await operator.status();
  expect(pinned).toMatchObject({ tag: "v1.0.0", user: "alice", message: "until the morning" });
  expect(waiting).toMatchObject([{ tag: "v1.3.0", why: "pinned" }]);
  expect(await operator.succeed("status")).toMatch(/v1\.3\.0/);

  const watched = operator.begin("history", "--follow");
  await until(
    () => watched.text().includes("v1.0.0"),
    () => `the history so far, not ${watched.text()}`,
  );
  expect(watched.text()).not.toMatch(/deployed.*v1\.3\.0/);
  await operator.succeed("unpin");
  await until(
    () => /deployed.*v1\.3\.0/.test(watched.text()),
    () => `the deploy of v1.3.0 in the history\n${watched.text()}\n${app.dewy.stderr()}`,
  );
  watched.dewy.child.kill("SIGINT");
  await watched.answer;
  expect(await app.answer()).toBe("v1.3.0");
  await expect
    .poll(() => operator.status())
    .toMatchObject({ live: { tag: "v1.3.0" }, waiting: [] });
}

async function theHistoryTellsTheNight({ operator }: PagedApp): Promise<void> {
  const told = (await operator.history()).map(({ event, tag, to, command, user, message }) => {
    const what = event === "ordered" ? command : to === undefined ? tag : `${tag} → ${to}`;
    const by = user === undefined ? "" : ` by ${user}`;
    return `${event} ${what}${by}${message === undefined ? "" : `: ${message}`}`;
  });
  const steps = [
    "deployed v1.0.0",
    "deployed v1.2.0",
    "ordered rollback by alice: checkout fails",
    "rolled-back v1.2.0 → v1.0.0 by alice: checkout fails",
    "ordered pin v1.0.0 by alice: until the morning",
    "ordered unpin by alice",
    "deployed v1.3.0",
  ];
  expect(told.filter((step) => steps.includes(step))).toEqual(steps);
}

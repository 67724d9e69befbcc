import { describe, expect, it } from "vitest";
import { type CliRuntime, cliRuntimes } from "../dewy.ts";
import { missingFor } from "./peers.ts";
import type { AppKind } from "./releases.ts";
import {
  deployed,
  expectNothingLost,
  expectSameCounts,
  fullLoad,
  serveApp,
  startTestLoad,
  switchTo,
} from "./served_app.ts";
import { casesOn, suite } from "./suite.ts";

const SWITCHES = { all: 5, cover: 3, soak: 100 }[suite];
const MINUTES = suite === "soak" ? 20 : 2;
/** The apps of a group run at the same time; in a soak each app runs alone. */
const GROUPS: readonly (readonly AppKind[])[] = [
  ["python", "node", "c-server-starter"],
  ["c-listen-fds", "nginx", "port"],
];
const KINDS = GROUPS.flat();
const available = KINDS.filter((kind) => missingFor(kind) === undefined);
const absent = KINDS.filter((kind) => missingFor(kind) !== undefined);
const groups =
  suite === "soak"
    ? available.map((kind) => [kind])
    : GROUPS.map((kinds) => kinds.filter((kind) => available.includes(kind)));

describe("dewy server", () => {
  it.each(
    casesOn(groups, { Node: [1], Deno: [0], Bun: [1] }).map((one) => ({
      ...one,
      kinds: one.one.join(", "),
    })),
  )(
    `switches ${SWITCHES} times under load on $name without losing a request ($kinds)`,
    { timeout: MINUTES * 60_000 },
    async ({ runtime, one }) => {
      await Promise.all(one.map((kind) => switchUnderLoad(runtime, kind)));
    },
  );
  it.skip.each(absent.map((kind) => ({ kind, why: missingFor(kind) })))(
    `switches ${SWITCHES} times under load without losing a request ($kind) [skipped: $why]`,
    async ({ kind }) => {
      for (const runtime of cliRuntimes) await switchUnderLoad(runtime, kind);
    },
  );
});

async function switchUnderLoad(runtime: CliRuntime, kind: AppKind): Promise<void> {
  const app = await serveApp(runtime, kind);
  await app.publish("v1.0.0");
  const dewy = app.start();
  await deployed(dewy, "v1.0.0");
  const load = await startTestLoad(fullLoad(app));
  for (let minor = 1; minor <= SWITCHES; minor += 1) {
    await switchTo(app, dewy, load, `v1.${minor}.0`);
  }
  const result = await load.stop();
  dewy.child.kill("SIGTERM");
  expect(await dewy.ended(), `${kind}\n${dewy.stderr()}`).toBe(0);
  expectNothingLost(result, `${kind}\n${dewy.stderr()}`);
  expect(result.versions).toHaveLength(SWITCHES + 1);
  await expectSameCounts(app, result);
  expect(await app.generations()).toEqual([]);
}

import { describe, expect, it } from "vitest";
import { cliRuntimes } from "../dewy.ts";
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

/** `npm run soak` switches a hundred times, one app at a time; otherwise several apps share the minute. */
const isSoak = process.env.DEWY_SOAK === "1";
const SWITCHES = isSoak ? 100 : 5;
const KINDS: readonly AppKind[] = [
  "python",
  "node",
  "c-server-starter",
  "c-listen-fds",
  "nginx",
  "port",
];
const available = KINDS.filter((kind) => missingFor(kind) === undefined);
const absent = KINDS.filter((kind) => missingFor(kind) !== undefined);
const GROUP_SIZE = isSoak ? 1 : 3;
const groups = available.flatMap((_, index) =>
  index % GROUP_SIZE === 0 ? [available.slice(index, index + GROUP_SIZE)] : [],
);
const MINUTES = isSoak ? 20 : 2;

describe.each(cliRuntimes)("dewy server on $name", (runtime) => {
  it.each(groups.map((kinds) => [kinds.join(", "), kinds] as const))(
    `switches ${SWITCHES} times under load without losing a request (%s)`,
    { timeout: MINUTES * 60_000 },
    async (_, kinds) => {
      await Promise.all(kinds.map((kind) => switchUnderLoad(kind)));
    },
  );
  it.skipIf(true).each(absent.map((kind) => ({ kind, why: missingFor(kind) })))(
    "switches $kind: $why",
    () => {},
  );

  async function switchUnderLoad(kind: AppKind): Promise<void> {
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
});

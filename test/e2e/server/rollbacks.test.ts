import { describe, expect, it } from "vitest";
import type { CliRuntime } from "../dewy.ts";
import { newOperator } from "../steer/operator.ts";
import { missingFor } from "./peers.ts";
import type { AppKind } from "./releases.ts";
import {
  deployed,
  expectNothingLost,
  expectSameCounts,
  fullLoad,
  serveApp,
  startTestLoad,
} from "./served_app.ts";
import { casesOn, suite } from "./suite.ts";

const ROLLBACKS = { all: 5, cover: 2, soak: 100 }[suite];
const MINUTES = suite === "soak" ? 20 : 3;
/** A socket that the generations share, and the proxy. */
const KINDS = (["node", "c-listen-fds", "port"] as const).filter(
  (kind) => missingFor(kind) === undefined,
);

describe("dewy server", () => {
  it.each(casesOn(KINDS, { Node: [0, 2] }))(
    `rolls back ${ROLLBACKS} times under load without losing a request ($one), on $name`,
    { timeout: MINUTES * 60_000 },
    ({ runtime, one }) => rollBackUnderLoad(runtime, one),
  );
});

async function rollBackUnderLoad(runtime: CliRuntime, kind: AppKind): Promise<void> {
  const operator = await newOperator(runtime);
  const app = await serveApp(runtime, kind);
  await app.publish("v1.0.0");
  const dewy = app.start([], operator.env);
  await deployed(dewy, "v1.0.0");
  await app.publish("v1.1.0");
  await deployed(dewy, "v1.1.0");
  const load = await startTestLoad(fullLoad(app));
  for (let count = 0; count < ROLLBACKS; count += 1) {
    expect(JSON.parse(await operator.succeed("rollback", "--json")).live).toBe("v1.0.0");
    // Half of them while the replaced generation still stands by, half after a cold start.
    if (count % 2 === 0) await operator.succeed("restart");
    expect(JSON.parse(await operator.succeed("deploy", "v1.1.0", "--json")).live).toBe("v1.1.0");
    if (count % 2 === 0) await operator.succeed("restart");
  }
  const result = await load.stop();
  const rollbacks = await operator.history("--event", "rolled-back");
  expect(rollbacks).toHaveLength(ROLLBACKS);
  dewy.child.kill("SIGTERM");
  expect(await dewy.ended(), dewy.stderr()).toBe(0);
  expectNothingLost(result, `${kind}\n${dewy.stderr()}`);
  expect(result.versions.map(({ version }) => version)).toEqual(["v1.1.0", "v1.0.0"]);
  await expectSameCounts(app, result);
  expect(await app.generations()).toEqual([]);
}

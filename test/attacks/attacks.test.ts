import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { missingRadosgw, type Radosgw, startRadosgw } from "../peers/radosgw.ts";
import { COURIERS, type Courier, radosgwCourier } from "./couriers.ts";
import { machine, outcomeOf } from "./machine.ts";
import { makeSigners, policy, type Signers } from "./signers.ts";
import { release, type Scene, THREATS, type Threat } from "./threats.ts";

let signers: Signers;
beforeAll(async () => {
  signers = await makeSigners();
});

/** A machine that runs a version which it has verified. */
async function running({ rule, isUpdated }: Threat, courier: Courier): Promise<Scene> {
  const scene: Scene = { courier, host: await machine(courier), signers };
  const known = rule === "key" ? "key" : undefined;
  const flags = await policy(signers, known);
  for (const tag of isUpdated ? ["v1.0.0", "v1.1.0"] : ["v1.0.0"]) {
    await courier.publish(tag, await release(tag, scene, known));
    await scene.host.poll({ flags });
  }
  return scene;
}

async function attack(threat: Threat, courier: Courier): Promise<void> {
  const { outcome, error, rule, flags = [], isUpdated } = threat;
  const scene = await running(threat, courier);
  const { host } = scene;
  const before = await host.releases();

  const swap = await threat.attack(scene);
  let swapped: Promise<void> | undefined;
  const polled = await host.poll({
    flags: [...(await policy(signers, rule)), ...flags, "--before-deploy-hook", "exit 1"],
    on: ({ type }) => {
      if (type === "resolved") swapped ??= swap?.();
    },
    beforeRequest: () => swapped,
  });

  expect(await host.live()).toBe(isUpdated ? "v1.1.0" : "v1.0.0");
  expect(await host.releases()).toEqual(before);
  expect((await host.state()).bad).toEqual([]);
  const types = polled.events.map(({ type }) => type);
  expect(types.filter((type) => type === "extracted" || type === "hook")).toEqual([]);
  expect({ outcome: outcomeOf(polled), reasons: polled.reasons }).toEqual({
    outcome,
    reasons: expect.stringMatching(error),
  });
}

describe.each(Object.entries(COURIERS))("an attack through %s", (_, openCourier) => {
  test.each(THREATS)("with $name changes nothing", async (threat) => {
    await attack(threat, await openCourier());
  });
});

const missing = missingRadosgw();
const radosgw = `radosgw${missing === undefined ? "" : ` (${missing})`}`;

describe.skipIf(missing !== undefined)(`an attack through ${radosgw}`, () => {
  let gateway: Radosgw;
  beforeAll(async () => {
    gateway = await startRadosgw();
  });
  afterAll(() => gateway?.stop());

  test.each(THREATS)("with $name changes nothing", async (threat) => {
    await attack(threat, await radosgwCourier(gateway));
  });
});

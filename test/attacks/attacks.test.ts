import { beforeAll, describe, expect, test } from "vitest";
import { VerificationError } from "../../src/core/error.ts";
import { COURIERS, type Courier } from "./couriers.ts";
import { machine, type Polled } from "./machine.ts";
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
    courier.publish(tag, await release(tag, scene, known));
    await scene.host.poll({ flags });
  }
  return scene;
}

function outcomeOf({ events }: Polled): Threat["outcome"] | undefined {
  const types = new Set(events.map(({ type }) => type));
  if (types.has("waiting")) return "held";
  if (types.has("listing-stale")) return "warned";
  const failed = events.find((event) => event.type === "failed");
  if (failed === undefined) return undefined;
  const { cause } = failed.error;
  if (cause instanceof VerificationError) return "unverified";
  return types.has("downloaded") ? undefined : "not downloaded";
}

describe.each(Object.entries(COURIERS))("an attack through %s", (_, openCourier) => {
  test.each(THREATS)("with $name changes nothing", async (threat) => {
    const { outcome, error, rule, flags = [], isUpdated, attack, laterMs } = threat;
    const scene = await running(threat, await openCourier());
    const { host } = scene;
    const before = await host.releases();

    let swap = await attack(scene);
    const polled = await host.poll({
      ...(laterMs && { laterMs }),
      flags: [...(await policy(signers, rule)), ...flags, "--before-deploy-hook", "exit 1"],
      on: (event) => {
        if (event.type === "resolved") swap = void swap?.();
      },
    });

    expect(await host.live()).toBe(isUpdated ? "v1.1.0" : "v1.0.0");
    expect(await host.releases()).toEqual(before);
    expect((await host.state()).bad).toEqual([]);
    expect(polled.events.map(({ type }) => type)).not.toContain("extracted");
    expect(polled.events.map(({ type }) => type)).not.toContain("hook");
    expect({ outcome: outcomeOf(polled), reasons: polled.reasons }).toEqual({
      outcome,
      reasons: expect.stringMatching(error),
    });
  });
});

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { fakeSigstore, ISSUER, WORKFLOW } from "../fakes/sigstore.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { COURIERS } from "./couriers.ts";
import { machine } from "./machine.ts";
import { release, type Scene, THREATS } from "./threats.ts";

let sigstore: Scene["sigstore"];
let roots: string;

beforeAll(async () => {
  const issuedAt = new Date(Date.now() - 24 * 3_600_000);
  const [real, late, other] = await Promise.all([
    fakeSigstore(),
    fakeSigstore({ issuedAt }),
    fakeSigstore(),
  ]);
  sigstore = { real, late, other };
  roots = [real, late].map(({ trustedRoot }) => JSON.stringify(trustedRoot)).join("\n");
});

describe.each(Object.entries(COURIERS))("%s", (_, openCourier) => {
  test.each(THREATS)("$name", async ({ error, flags = [], before, live = "v1.0.0", attack }) => {
    const courier = await openCourier();
    const root = join(await tempDirectory(), "root.json");
    await writeFile(root, roots);
    const policy = ["--verify", `sigstore=${WORKFLOW},${ISSUER}`, "--trusted-root", root];
    const host = await machine(courier, [...policy, ...flags]);
    const scene: Scene = { courier, host, sigstore };
    courier.publish("v1.0.0", await release("v1.0.0", scene));
    await host.poll();
    await before?.(scene);
    expect(await host.live()).toBe(live);
    const releases = await host.releases();

    let swap = await attack(scene);
    const polled = await host.poll({
      on: (event) => {
        if (event.type !== "resolved") return;
        swap?.();
        swap = undefined;
      },
    });
    void error;
    console.log(polled.exitCode, polled.reasons);
    expect(await host.live()).toBe(live);
    expect(await host.releases()).toEqual(releases);
    expect((await host.state()).bad).toEqual([]);
    // expect(polled.reasons).toMatch(error);
  });
});

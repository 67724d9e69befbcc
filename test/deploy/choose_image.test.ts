import { expect, test } from "vitest";
import type { DewyEvent } from "../../src/core/event.ts";
import { chooseVersion, type VersionPolicy } from "../../src/deploy/choose.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { EMPTY_STATE } from "../../src/deploy/state.ts";
import { tick } from "../../src/deploy/tick.ts";
import { fakeOci } from "../fakes/oci.ts";
import { openFakeImg } from "../registry/img_world.ts";
import { eventsOf, never, testWorld } from "./world.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const ARM64 = { os: "linux", architecture: "arm64" };
const POLICY: VersionPolicy = {
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  acceptChanged: [],
};

test("a tag is unchanged when its index has only gained platforms, and changed with the image", async () => {
  const fake = fakeOci();
  const { registry } = openFakeImg(fake);
  const world = testWorld();
  const policy = POLICY;
  const { clock } = world.io;
  const failed = new FailedCandidates({ intervalMs: 10_000, clock });
  const look = (): ReturnType<typeof tick> =>
    tick(policy, { ...world.io, registry }, never(), failed);
  fake.push("v1.0.0");
  expect(await look()).toEqual({ deployed: true, live: "v1.0.0" });
  for (const platforms of [[AMD64], [ARM64, AMD64]]) {
    fake.push("v1.0.0", { platforms });
    expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
  }
  expect(eventsOf(world.events, "bytes-changed")).toEqual([]);
  expect(eventsOf(world.events, "unchanged")).toHaveLength(2);
  fake.push("v1.0.0", { platforms: [ARM64, AMD64], salt: "another image" });
  expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
  expect(eventsOf(world.events, "bytes-changed")).toHaveLength(1);
});

test("a listing that lags does not lead back to an older image, though its tag is spelled with _", async () => {
  const fake = fakeOci();
  for (const tag of ["v1.0.0_blue", "v1.1.0_blue"]) fake.push(tag);
  fake.options.instead = ({ url }) =>
    url.includes("tags/list") ? Response.json({ tags: ["v1.0.0_blue"] }) : undefined;
  const { registry } = openFakeImg(fake, { slot: "blue" });
  const events: DewyEvent[] = [];
  const running = {
    id: "",
    tag: "v1.1.0_blue",
    artifact: "o/app:v1.1.0_blue",
    directory: "",
    stagedAt: "",
  };
  const policy = { ...POLICY, slot: "blue" };
  const emit = (event: DewyEvent): void => void events.push(event);
  const choose = (): ReturnType<typeof chooseVersion> =>
    chooseVersion({
      registry,
      state: EMPTY_STATE,
      live: "",
      running,
      policy,
      emit,
      signal: never(),
    });
  expect(await choose()).toEqual({ kind: "stay" });
  expect(events).toContainEqual(expect.objectContaining({ type: "held", tag: "v1.0.0_blue" }));
  fake.tag("v1.1.0_blue", undefined);
  expect(await choose()).toMatchObject({ candidate: { release: { tag: "v1.0.0_blue" } } });
});

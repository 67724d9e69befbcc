import { expect, test } from "vitest";
import type { DewyEvent } from "../../src/core/event.ts";
import { chooseVersion, type VersionPolicy } from "../../src/deploy/choose.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { EMPTY_STATE } from "../../src/deploy/state.ts";
import { tick } from "../../src/deploy/tick.ts";
import { openRegistry } from "../../src/registries/open.ts";
import { fakeClock } from "../fakes/clock.ts";
import { fetchOf } from "../fakes/handler.ts";
import { fakeOci } from "../fakes/oci.ts";
import { fakeS3 } from "../fakes/s3.ts";
import { openFakeImg } from "../registries/oci/world.ts";
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

test("a tag is unchanged if its index has only gained platforms, and changed if the image has changed", async () => {
  const fake = fakeOci();
  const { registry } = openFakeImg(fake);
  const world = testWorld();
  const policy = POLICY;
  const { clock } = world.io;
  const failed = new FailedCandidates({ intervalMs: 10_000, clock });
  const look = (): ReturnType<typeof tick> =>
    tick({ policy, failed }, { ...world.io, registry }, never());
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

test("a stale listing does not downgrade to an older image, although its tag is spelled with _", async () => {
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
      now: Date.UTC(2026, 0, 1),
      signal: never(),
    });
  expect(await choose()).toEqual({ kind: "stay" });
  expect(events).toContainEqual(expect.objectContaining({ type: "held", tag: "v1.0.0_blue" }));
  fake.tag("v1.1.0_blue", undefined);
  expect(await choose()).toMatchObject({ candidate: { release: { tag: "v1.0.0_blue" } } });
});

test.each([1, 14, 99])(
  "%i bad versions above the good one cost one listing a poll",
  async (bad) => {
    const clock = fakeClock();
    const server = fakeS3("b", clock.now);
    const tags = Array.from({ length: bad }, (_, index) => `v2.${index}.0`);
    for (const tag of ["v1.0.0", ...tags]) server.store(`app/${tag}/app_linux_amd64.tar.gz`, tag);
    const registry = openRegistry("s3://us-east-1/b/app", {
      endpoint: "http://s3.test",
      env: { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" },
      platform: { os: "linux", arch: "amd64" },
      fetch: fetchOf(server.handler),
      clock,
    });
    const listings = (): number =>
      server.calls.splice(0).filter((call) => call.includes("prefix=app%2F&")).length;
    const at = new Date(clock.now()).toISOString();
    const state = { ...EMPTY_STATE, bad: tags.map((tag) => ({ tag, reason: "it crashed", at })) };
    const choose = (): ReturnType<typeof chooseVersion> =>
      chooseVersion({
        registry,
        state,
        live: undefined,
        running: undefined,
        policy: POLICY,
        emit: () => {},
        now: Date.UTC(2026, 0, 1),
        signal: never(),
      });
    for (let poll = 0; poll < 2; poll += 1) {
      expect(await choose()).toMatchObject({ candidate: { release: { tag: "v1.0.0" } } });
      expect(listings()).toBe(1);
    }
  },
);

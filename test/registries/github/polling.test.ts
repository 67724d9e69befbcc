import { generateKeyPairSync } from "node:crypto";
import { importSPKI } from "jose";
import { describe, expect, test } from "vitest";
import { RemoteError } from "../../../src/core/error.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import { status } from "../../fakes/github_fault.ts";
import { APP, type GhrWorld, ghrWorld, readyTag } from "./world.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** Polls every ten seconds for a while. */
async function pollFor(world: GhrWorld, ms: number): Promise<string> {
  let tag = "";
  for (let passed = 0; passed < ms; passed += 10 * SECOND) {
    world.clock.advance(10 * SECOND);
    tag = await readyTag(world.registry);
  }
  return tag;
}

/** @returns what was asked since the last call, without the repository's name. */
function asked({ github }: GhrWorld): string[] {
  return github.calls
    .splice(0)
    .map(({ call, status: code }) => `${call.replace("/repos/acme/app", "")} ${code}`);
}

const TAGS = "GET /git/matching-refs/tags?per_page=100";
const LIST = "GET /releases?per_page=100";
const ONE = "GET /releases/tags/";

async function polled(parts: Parameters<typeof ghrWorld>[0] = {}): Promise<GhrWorld> {
  const world = ghrWorld(parts);
  world.github.publish("v1.0.0", APP);
  world.github.publish("v1.1.0", APP);
  expect(await readyTag(world.registry)).toBe("v1.1.0");
  expect(asked(world)).toEqual([`${TAGS} 200`, `${LIST} 200`]);
  return world;
}

describe("with a token", () => {
  test("an idle poll is one conditional request and costs nothing, whatever is downloaded", async () => {
    const world = await polled();
    const left = world.github.remaining("ghp_reader");
    for (let poll = 0; poll < 20; poll += 1) {
      world.github.countDownloads();
      expect(await pollFor(world, 10 * SECOND)).toBe("v1.1.0");
      expect(asked(world)).toEqual([`${TAGS} 304`]);
    }
    expect(world.github.remaining("ghp_reader")).toBe(left);
  });

  test("a new token of an App has the tags sent again, but not the list", async () => {
    const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const spki = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
    const publicKey = await importSPKI(spki, "RS256");
    const world = ghrWorld({
      github: { app: { id: "1", installationId: "2", publicKey } },
      env: {
        GITHUB_APP_ID: "1",
        GITHUB_APP_INSTALLATION_ID: "2",
        GITHUB_APP_PRIVATE_KEY: pair.privateKey.export({ type: "pkcs1", format: "pem" }).toString(),
      },
    });
    world.github.publish("v1.0.0", APP);
    await readyTag(world.registry);
    asked(world);
    world.clock.advance(10 * MINUTE);
    await readyTag(world.registry);
    expect(asked(world)).toEqual([`${TAGS} 304`]);
    await pollFor(world, 44 * MINUTE);
    asked(world);
    await pollFor(world, 2 * MINUTE);
    const calls = asked(world).filter((call) => !call.endsWith("304"));
    expect(calls[0]).toContain("access_tokens");
    expect(calls[1]).toBe(`${TAGS} 200`);
    expect(calls.length).toBeLessThanOrEqual(3);
  });

  test("a new release is seen at the next poll", async () => {
    const world = await polled();
    world.github.publish("v1.2.0", APP);
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.2.0");
    expect(asked(world)).toEqual([`${TAGS} 200`, `${LIST} 200`]);
  });

  test("a deleted release is seen at once when its tag goes, too", async () => {
    const world = await polled();
    world.github.deleteRelease("v1.1.0");
    world.github.tags.delete("v1.1.0");
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.0.0");
  });

  test("what leaves the tags as they are is seen within a quarter of an hour", async () => {
    const world = await polled();
    const { github, registry } = world;
    github.deleteRelease("v1.1.0");
    github.addAsset("v1.0.0", { name: "app_linux_amd64.tar.gz", bytes: "replaced" });
    expect(await pollFor(world, 14 * MINUTE)).toBe("v1.1.0");
    expect(await pollFor(world, 2 * MINUTE)).toBe("v1.0.0");
    const answer = await registry.resolve();
    expect(answer.kind === "ready" && answer.artifact.size).toBe("replaced".length);
    expect(asked(world).filter((call) => call.startsWith(LIST))).toHaveLength(1);
  });

  test("a moved tag has the list read again", async () => {
    const world = await polled();
    world.github.pushTag("v1.1.0");
    await pollFor(world, 10 * SECOND);
    expect(asked(world)).toEqual([`${TAGS} 200`, `${LIST} 304`]);
  });

  test("a release without our artifact is asked for directly until it is there, for free", async () => {
    const world = await polled();
    const { github } = world;
    github.publish("v1.2.0", [{ name: "app_darwin_arm64.tar.gz" }]);
    expect(await pollFor(world, 10 * SECOND)).toBe("pending");
    asked(world);
    expect(await pollFor(world, 10 * SECOND)).toBe("pending");
    expect(asked(world)).toEqual([`${TAGS} 304`, `${ONE}v1.2.0 200`]);
    const left = github.remaining("ghp_reader");
    expect(await pollFor(world, MINUTE)).toBe("pending");
    expect(github.remaining("ghp_reader")).toBe(left);
    github.addAsset("v1.2.0", APP[0] ?? { name: "" });
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.2.0");
    asked(world);
    await pollFor(world, 10 * SECOND);
    expect(asked(world)).toEqual([`${TAGS} 304`]);
  });

  test("it is still asked for when the grace period is over", async () => {
    const world = await polled();
    world.github.publish("v1.2.0", []);
    expect(await pollFor(world, 40 * MINUTE)).toBe("none");
    world.github.addAsset("v1.2.0", APP[0] ?? { name: "" });
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.2.0");
  });

  test("the release of a new tag is asked for directly: often at first, then rarely, then no more", async () => {
    const world = await polled();
    world.github.pushTag("v1.2.0");
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.1.0");
    asked(world);
    const direct = async (ms: number): Promise<number> => {
      await pollFor(world, ms);
      return asked(world).filter((call) => call.startsWith(`${ONE}v1.2.0`)).length;
    };
    expect(await direct(2 * MINUTE)).toBe(12);
    expect(await direct(6 * MINUTE)).toBe(12);
    expect(await direct(22 * MINUTE)).toBeGreaterThan(40);
    expect(await direct(10 * MINUTE)).toBe(0);
  });

  test("and found within the next poll or two", async () => {
    const world = await polled();
    world.github.pushTag("v1.2.0");
    await pollFor(world, MINUTE);
    world.github.publish("v1.2.0", APP);
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.2.0");
  });

  test("a tag that would not be chosen anyway is not waited for", async () => {
    const world = await polled();
    for (const tag of ["v0.9.0", "v1.2.0-rc.1", "nightly"]) world.github.pushTag(tag);
    await pollFor(world, 10 * SECOND);
    asked(world);
    await pollFor(world, 10 * SECOND);
    expect(asked(world)).toEqual([`${TAGS} 304`]);
  });

  test("a release that goes away while it is awaited has the list read", async () => {
    const world = await polled();
    world.github.publish("v1.2.0", []);
    expect(await pollFor(world, 20 * SECOND)).toBe("pending");
    world.github.deleteRelease("v1.2.0");
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.1.0");
  });

  test("a question that takes a recent listing is answered from memory", async () => {
    const world = await polled();
    const recent = { maxAgeMs: 60_000 };
    expect(await readyTag(world.registry, { exclude: ["v1.1.0"], ...recent })).toBe("v1.0.0");
    const both = ["v1.1.0", "v1.0.0"];
    expect(await readyTag(world.registry, { exclude: both, ...recent })).toBe("none");
    expect(asked(world)).toEqual([]);
    expect(await readyTag(world.registry, { exclude: ["v1.1.0"] })).toBe("v1.0.0");
    expect(asked(world)).toEqual([`${TAGS} 304`]);
  });

  test("a newest tag that never gets a release delays no release below it", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    world.github.pushTag("v9.9.9");
    await pollFor(world, 40 * MINUTE);
    world.github.pushTag("v1.1.0");
    expect(await pollFor(world, MINUTE)).toBe("v1.0.0");
    world.github.publish("v1.1.0", APP);
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.1.0");
  });

  test("of tags that are pushed together, each release is seen when it comes", async () => {
    const world = await polled();
    for (const tag of ["v1.2.0", "v1.3.0", "v1.4.0"]) world.github.pushTag(tag);
    await pollFor(world, 3 * MINUTE);
    world.github.publish("v1.2.0", APP); // The other builds have failed.
    expect(await pollFor(world, 30 * SECOND)).toBe("v1.2.0");
  });

  test("tags that were there before are not asked for, the newest apart", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    for (const tag of ["v2.0.0", "v3.0.0", "v4.0.0"]) world.github.pushTag(tag);
    await pollFor(world, 20 * SECOND);
    const direct = asked(world).filter((call) => call.startsWith(ONE));
    expect(new Set(direct)).toEqual(new Set([`${ONE}v4.0.0 404`]));
  });

  test("of many new tags only the newest few are asked for", async () => {
    const world = await polled();
    for (let minor = 2; minor < 40; minor += 1) world.github.pushTag(`v1.${minor}.0`);
    await pollFor(world, 10 * SECOND);
    asked(world);
    await pollFor(world, 10 * SECOND);
    expect(asked(world).filter((call) => call.startsWith(ONE))).toHaveLength(5);
  });

  test("tags on several pages are all asked for", async () => {
    const world = ghrWorld({ github: { pagedRefs: true } });
    for (let minor = 0; minor < 130; minor += 1) world.github.publish(`v1.${minor}.0`, APP);
    await readyTag(world.registry);
    asked(world);
    world.github.publish("v1.99.1", APP);
    await readyTag(world.registry);
    expect(asked(world).filter((call) => call.includes("matching-refs"))).toHaveLength(2);
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.129.0");
    expect(asked(world)).toEqual([`${TAGS} 304`, `${TAGS}&page=2 304`]);
  });
});

describe("a failing poll", () => {
  test("throws, changes nothing, and the next one sees what it would have seen", async () => {
    const world = await polled();
    world.github.publish("v1.2.0", APP);
    world.github.inject(/releases\?per_page/, status(500), 4);
    world.clock.advance(10 * SECOND);
    await expect(world.registry.resolve()).rejects.toBeInstanceOf(RemoteError);
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.2.0");
    world.github.verify();
  });

  test("in the middle of the pages is never half an answer", async () => {
    const world = ghrWorld();
    for (let minor = 0; minor < 130; minor += 1) world.github.publish(`v1.${minor}.0`, APP);
    world.github.publish("v0.1.0", APP);
    world.github.inject(/page=2/, status(502), 4);
    await expect(world.registry.resolve()).rejects.toMatchObject({ status: 502 });
    expect(await readyTag(world.registry)).toBe("v1.129.0");
    world.github.verify();
  });

  test("of a used-up limit says when to come back, and nothing is asked until then", async () => {
    const world = await polled();
    world.github.useUp("ghp_reader", 0);
    world.github.publish("v1.2.0", APP);
    world.clock.advance(10 * SECOND);
    await expect(world.registry.resolve()).rejects.toMatchObject({ code: "rate-limited" });
    asked(world);
    await expect(world.registry.resolve()).rejects.toMatchObject({ code: "rate-limited" });
    expect(asked(world)).toEqual([]);
    world.clock.advance(61 * MINUTE);
    expect(await readyTag(world.registry)).toBe("v1.2.0");
  });
});

const isLimitNews = (event: DewyEvent): boolean => event.type === "rate-limit" && !event.isRoutine;

describe("without a token", () => {
  test("polls are spaced so that the limit never runs dry, and a reserve is left", async () => {
    const world = await polled({ env: {} });
    let lowest = 60;
    for (let passed = 0; passed < 180 * MINUTE; passed += 10 * SECOND) {
      expect(await pollFor(world, 10 * SECOND)).toBe("v1.1.0");
      lowest = Math.min(lowest, world.github.remaining("anonymous"));
    }
    expect(lowest).toBeGreaterThan(0);
    const tags = asked(world).filter((call) => call.startsWith(TAGS));
    expect(tags.length).toBeGreaterThan(100);
    expect(world.events.filter(isLimitNews)).toEqual([]);
  });

  test("a new release is seen at the next real poll, and said when that is", async () => {
    const world = await polled({ env: {} });
    world.github.publish("v1.2.0", APP);
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.1.0");
    const spaced = world.events.filter((event) => event.type === "poll-spaced");
    expect(spaced).toHaveLength(1);
    expect(spaced[0]).toMatchObject({ registry: "ghr://acme/app" });
    const wait = (spaced[0]?.nextAt.getTime() ?? 0) - world.clock.now();
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThan(90 * SECOND);
    expect(await pollFor(world, wait + 10 * SECOND)).toBe("v1.2.0");
    expect(world.events.filter((event) => event.type === "poll-spaced")).toHaveLength(1);
  });

  test("others behind the same address make the polls rarer, down to the next window", async () => {
    const world = await polled({ env: {} });
    world.github.useUp("anonymous", 5);
    await pollFor(world, 2 * MINUTE);
    asked(world);
    await pollFor(world, 50 * MINUTE);
    expect(asked(world)).toEqual([]);
    await pollFor(world, 10 * MINUTE);
    expect(asked(world).length).toBeGreaterThan(0);
    expect(world.events.filter((event) => event.type === "poll-spaced")).toHaveLength(3);
  });

  test("a poll interval that the limit can bear is left alone", async () => {
    const world = await polled({ env: {} });
    for (let poll = 0; poll < 5; poll += 1) {
      world.clock.advance(2 * MINUTE);
      await readyTag(world.registry);
    }
    expect(asked(world)).toEqual(Array.from({ length: 5 }, () => `${TAGS} 304`));
    expect(world.events.filter(({ type }) => type === "poll-spaced")).toEqual([]);
  });

  test("the list is read less often the more pages it has", async () => {
    const world = ghrWorld({ env: {} });
    for (let minor = 0; minor < 450; minor += 1) world.github.publish(`v1.${minor}.0`);
    await readyTag(world.registry);
    asked(world);
    for (let passed = 0; passed < 120 * MINUTE; passed += 10 * SECOND)
      await pollFor(world, 10 * SECOND);
    expect(world.github.remaining("anonymous")).toBeGreaterThan(0);
    expect(asked(world).filter((call) => call.startsWith(LIST)).length).toBeLessThanOrEqual(5 * 5);
    expect(world.events.filter(isLimitNews)).toEqual([]);
  });
});

describe("a machine whose clock is set back by a day", () => {
  test.each([
    ["without a token", {}, 3 * MINUTE],
    ["with a token", { GH_TOKEN: "ghp_reader" }, 10 * SECOND],
  ])("sees a new release as soon as before, %s", async (_, env, ms) => {
    const world = ghrWorld({ env });
    world.github.publish("v1.0.0", APP);
    expect(await pollFor(world, 5 * MINUTE)).toBe("v1.0.0");
    world.setForward(-24 * 60 * MINUTE);
    world.github.publish("v1.1.0", APP);
    expect(await pollFor(world, ms)).toBe("v1.1.0");
  });

  test("waits no longer than GitHub has asked for", async () => {
    const world = await polled();
    world.github.inject(/matching-refs/, status(429, { "retry-after": "60" }));
    world.clock.advance(10 * SECOND);
    await expect(world.registry.resolve()).rejects.toMatchObject({ retryAfterMs: MINUTE });
    world.setForward(-24 * 60 * MINUTE);
    world.clock.advance(30 * SECOND);
    await expect(world.registry.resolve()).rejects.toMatchObject({ retryAfterMs: 30 * SECOND });
    world.clock.advance(30 * SECOND);
    expect(await readyTag(world.registry)).toBe("v1.1.0");
  });

  test("notices within a quarter of an hour that a release is gone", async () => {
    const world = await polled();
    world.github.deleteRelease("v1.1.0");
    world.setForward(-24 * 60 * MINUTE);
    expect(await pollFor(world, 16 * MINUTE)).toBe("v1.0.0");
  });
});

describe("one tag", () => {
  test("costs one request and no listing, and leaves the polls as they are", async () => {
    const world = await polled();
    expect(await readyTag(world.registry, { tag: "v1.0.0" })).toBe("v1.0.0");
    expect(asked(world)).toEqual([`${ONE}v1.0.0 200`]);
    expect(await pollFor(world, 10 * SECOND)).toBe("v1.1.0");
    expect(asked(world)).toEqual([`${TAGS} 304`]);
    const fresh = world.reopen({});
    expect(await readyTag(fresh, { tag: "v1.0.0" })).toBe("v1.0.0");
    expect(asked(world)).toEqual([`${ONE}v1.0.0 200`]);
  });

  test("is found as soon as it is released, even between two listings", async () => {
    const world = await polled();
    world.github.publish("v0.9.0", APP);
    expect(await readyTag(world.registry, { tag: "v0.9.0" })).toBe("v0.9.0");
  });

  test("that is a draft or has no release is refused with that reason", async () => {
    const world = await polled();
    world.github.publish("v2.0.0", APP, { draft: true });
    world.github.pushTag("v3.0.0");
    for (const [tag, why] of [
      ["v2.0.0", "draft"],
      ["v3.0.0", "without a release"],
    ] as const) {
      // A draft is visible only to those who may write.
      const registry = world.reopen({ env: { ...world.options.env, GH_TOKEN: "ghp_writer" } });
      expect(await registry.resolve({ tag })).toMatchObject({
        kind: "none",
        reason: "unknown-tag",
        message: `Cannot find the tag "${tag}" in "ghr://acme/app": ${why}`,
      });
    }
  });

  test("is not called unknown where the repository cannot be read", async () => {
    const world = ghrWorld({ env: {} });
    world.github.inject(/./, status(404), 100);
    await expect(world.registry.resolve({ tag: "v1.0.0" })).rejects.toMatchObject({
      code: "not-found",
    });
  });

  test("without a file for this machine is awaited, and does not hold up the polls", async () => {
    const world = await polled();
    world.github.publish("v1.0.1", []);
    expect(await readyTag(world.registry, { tag: "v1.0.1" })).toBe("pending");
    expect(await readyTag(world.registry)).toBe("v1.1.0");
  });
});

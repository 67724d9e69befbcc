import { describe, expect, test } from "vitest";
import { CredentialError, RemoteError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { PolledRegistry } from "../../src/gateway/polled_registry.ts";
import { openUpstream } from "../../src/gateway/upstream.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";
import {
  AMD64,
  ARM64,
  type FakeUpstream,
  fakeUpstream,
  INTERVAL_MS,
  MAX_STALE_MS,
} from "./world.ts";

interface World {
  upstream: FakeUpstream;
  clock: FakeClock;
  events: DewyEvent[];
  polled: PolledRegistry;
  tag(platform?: typeof AMD64): Promise<string>;
}

function world(): World {
  const upstream = fakeUpstream();
  const clock = fakeClock();
  const events: DewyEvent[] = [];
  const { signal } = new AbortController();
  const polled = new PolledRegistry(upstream.registry, {
    intervalMs: INTERVAL_MS,
    maxStaleMs: MAX_STALE_MS,
    clock,
    emit: (event) => void events.push(event),
    signal,
  });
  const tag = async (platform = AMD64): Promise<string> => {
    const answer = await polled.current(platform);
    return answer.kind === "ready" ? answer.release.tag : answer.kind;
  };
  return { upstream, clock, events, polled, tag };
}

describe("a polled registry", () => {
  test("polls once for 1,000 concurrent requests", async () => {
    const { upstream, tag } = world();
    const answers = await Promise.all(Array.from({ length: 1000 }, () => tag()));
    expect(new Set(answers)).toEqual(new Set(["v1.0.0"]));
    expect(upstream.questions).toHaveLength(1);
  });

  test("limits the answers by name, and keeps those by platform", async () => {
    const { upstream, polled, tag } = world();
    await tag();
    for (let index = 0; index < 200; index += 1) await polled.current(AMD64, `file-${index}`);
    expect(upstream.questions).toHaveLength(201);
    await tag();
    await polled.current(AMD64, "file-199");
    await polled.current(AMD64, "file-136");
    expect(upstream.questions).toHaveLength(201);
    await polled.current(AMD64, "file-135");
    expect(upstream.questions).toHaveLength(202);
  });

  test("polls again after the interval, and not before", async () => {
    const { upstream, clock, tag } = world();
    await tag();
    upstream.tag = "v2.0.0";
    clock.advance(INTERVAL_MS - 1);
    expect(await tag()).toBe("v1.0.0");
    clock.advance(1);
    expect(await tag()).toBe("v2.0.0");
    expect(upstream.questions).toHaveLength(2);
  });

  test("uses one listing for all platforms, one after the other", async () => {
    const { upstream, clock, tag } = world();
    await Promise.all([tag(AMD64), tag(ARM64)]);
    clock.advance(4000);
    await tag({ os: "darwin", arch: "arm64" });
    expect(upstream.questions).toEqual(["linux/amd64 0", "linux/arm64 0", "darwin/arm64 4000"]);
  });

  test("serves the last answer while the registry fails, for a limited time, and reports it", async () => {
    const { upstream, clock, events, polled, tag } = world();
    await tag();
    expect(polled.state).toBe("ok");
    upstream.failure = new CredentialError("refused");
    clock.advance(MAX_STALE_MS);
    expect(await tag()).toBe("v1.0.0");
    expect(polled.state).toBe("stale");
    expect(events.at(-1)).toMatchObject({
      type: "upstream-failed",
      count: 1,
      servedMs: MAX_STALE_MS,
    });
    clock.advance(INTERVAL_MS);
    await expect(tag()).rejects.toThrow("refused");
    expect(polled.state).toBe("failing");
    upstream.failure = undefined;
    clock.advance(INTERVAL_MS);
    expect(await tag()).toBe("v1.0.0");
    expect(events.at(-1)).toEqual({ type: "succeeded-again", after: 2 });
    expect(polled.state).toBe("ok");
  });

  test("does not poll a failing registry more often for more requests", async () => {
    const { upstream, clock, tag } = world();
    upstream.failure = new RemoteError("down", { retryAfterMs: 60_000 });
    const all = await Promise.allSettled([tag(AMD64), tag(ARM64), tag(AMD64), tag(ARM64)]);
    expect(all.map(({ status }) => status)).toEqual(Array(4).fill("rejected"));
    expect(upstream.questions).toHaveLength(1);
    clock.advance(59_999);
    await expect(tag()).rejects.toThrow("down");
    expect(upstream.questions).toHaveLength(1);
    clock.advance(1);
    await expect(tag()).rejects.toThrow("down");
    expect(upstream.questions).toHaveLength(2);
  });

  test("answers from the previous poll when the next one is slow", async () => {
    const { upstream, clock, tag } = world();
    await tag();
    let open = (): void => {};
    upstream.gate = new Promise((resolve) => {
      open = resolve;
    });
    upstream.tag = "v2.0.0";
    clock.advance(INTERVAL_MS);
    const asked = tag();
    await clock.sleeping(1000);
    clock.advance(1000);
    expect(await asked).toBe("v1.0.0");
    const next = tag();
    open();
    expect(await next).toBe("v2.0.0");
    expect(upstream.questions).toHaveLength(2);
  });

  test("does not start a poll while another is running", async () => {
    const { upstream, clock, tag } = world();
    let open = (): void => {};
    upstream.gate = new Promise((resolve) => {
      open = resolve;
    });
    const first = [tag(AMD64), tag(ARM64)];
    await expect.poll(() => upstream.questions).toHaveLength(1);
    clock.advance(2 * INTERVAL_MS);
    const second = [tag(AMD64), tag(ARM64)];
    open();
    await Promise.all([...first, ...second]);
    expect(upstream.questions).toEqual(["linux/amd64 0", `linux/arm64 ${2 * INTERVAL_MS}`]);
  });

  test("times out a poll that does not end", async () => {
    const { upstream, clock, tag } = world();
    upstream.gate = new Promise(() => {});
    const asked = tag();
    await clock.sleeping(60_000);
    clock.advance(60_000);
    await expect(asked).rejects.toMatchObject({ code: "timeout" });
  });

  test("polls at once after expire()", async () => {
    const { upstream, polled, tag } = world();
    await tag();
    upstream.tag = "v2.0.0";
    polled.expire();
    expect(await tag()).toBe("v2.0.0");
  });

  test("evicts platforms that are no longer requested", async () => {
    const { upstream, tag } = world();
    for (let at = 0; at <= 64; at += 1) await tag({ os: `os${at}`, arch: "amd64" });
    await tag({ os: "os64", arch: "amd64" });
    expect(upstream.questions).toHaveLength(65);
    await tag({ os: "os0", arch: "amd64" });
    expect(upstream.questions).toHaveLength(66);
  });
});

describe("a registry for a single platform", () => {
  test("is opened and polled once per platform, for a limited number", async () => {
    const opened: string[] = [];
    const upstreams = new Map<string, FakeUpstream>();
    const upstream = openUpstream(
      (platform) => {
        const key = platform === undefined ? "any" : `${platform.os}/${platform.arch}`;
        opened.push(key);
        const fake = fakeUpstream({ anyPlatform: false });
        upstreams.set(key, fake);
        return fake.registry;
      },
      {
        intervalMs: INTERVAL_MS,
        maxStaleMs: MAX_STALE_MS,
        clock: fakeClock(),
        emit: () => {},
        signal: new AbortController().signal,
      },
    );
    await Promise.all([AMD64, ARM64, AMD64].map((platform) => upstream.current(platform)));
    expect(opened).toEqual(["any", "linux/amd64", "linux/arm64"]);
    expect(upstreams.get("linux/amd64")?.questions).toHaveLength(1);
    expect(upstream.state()).toBe("ok");
    for (let at = 2; at < 64; at += 1) await upstream.current({ os: `os${at}`, arch: "amd64" });
    await expect(upstream.current({ os: "one", arch: "more" })).rejects.toThrow(
      "more than 64 platforms",
    );
  });
});

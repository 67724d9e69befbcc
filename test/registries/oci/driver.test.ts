import { describe, expect, test } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import { explainRegistry } from "../../../src/registries/open.ts";
import { errorOf, type FakePlatform, fakeOci } from "../../fakes/oci.ts";
import { NOW, openFakeImg } from "./world.ts";

const linux = (architecture: string, variant = ""): FakePlatform => ({
  os: "linux",
  architecture,
  ...(variant === "" ? {} : { variant }),
});
const HOUR = 3_600_000;
const at = (ms: number): string => new Date(ms).toISOString();

function calls(fake: ReturnType<typeof fakeOci>): string[] {
  return fake.requests.map(({ call }) => call.replace(/sha256:[0-9a-f]+/, "<digest>"));
}

async function tagOf(world: ReturnType<typeof openFakeImg>): Promise<string> {
  const answer = await world.registry.resolve();
  return answer.kind === "ready" ? answer.release.tag : `${answer.kind}: ${answer.tag}`;
}

describe("polling images", () => {
  test("sends a tag listing and a HEAD; manifests are read only for a new digest", async () => {
    const fake = fakeOci();
    fake.push("v1.0.0", { platforms: [linux("amd64")] });
    const { registry } = openFakeImg(fake);
    const first = await registry.resolve();
    const before = fake.requests.length;
    expect(await registry.resolve()).toEqual(first);
    expect(calls(fake).slice(before)).toEqual([
      "GET https://registry.example/v2/o/app/tags/list?n=1000",
      "HEAD https://registry.example/v2/o/app/manifests/v1.0.0",
    ]);
    fake.push("v1.0.0", { platforms: [linux("amd64")], salt: "other" });
    const moved = await registry.resolve();
    if (first.kind !== "ready" || moved.kind !== "ready") throw new Error("not ready");
    expect(moved.artifact.revision).not.toBe(first.artifact.revision);
    expect(moved.artifact.digest).not.toBe(first.artifact.digest);
  });

  test("manifests are not read again while a version is excluded", async () => {
    const fake = fakeOci();
    for (const tag of ["v1.0.0", "v1.1.0"]) fake.push(tag);
    const { registry } = openFakeImg(fake);
    const poll = async (): Promise<void> => {
      await registry.resolve();
      await registry.resolve({ exclude: ["v1.1.0"] });
    };
    await poll();
    const before = fake.requests.length;
    await poll();
    expect(
      calls(fake)
        .slice(before)
        .filter((call) => call.includes("<digest>")),
    ).toEqual([]);
  });

  test("follows pages, and accepts one huge unsorted response", async () => {
    const paged = fakeOci({ pageSize: 7 });
    for (let minor = 0; minor < 50; minor += 1) paged.push(`v1.${(minor * 37) % 50}.0`);
    expect(await tagOf(openFakeImg(paged))).toBe("v1.49.0");
    expect(calls(paged).filter((call) => call.includes("tags/list"))).toHaveLength(8);

    const huge = fakeOci();
    const digest = huge.push("v1.9999.0");
    for (let minor = 0; minor < 10_000; minor += 1)
      huge.tag(`v1.${(minor * 7919) % 10_000}.0`, digest);
    expect(await tagOf(openFakeImg(huge))).toBe("v1.9999.0");
  });

  test("equal versions do not alternate if the registry has no order", async () => {
    const fake = fakeOci();
    fake.push("v1.0.0");
    fake.push("1.0.0", { salt: "other" });
    const world = openFakeImg(fake);
    const first = await tagOf(world);
    const digest = fake.push(first);
    fake.tag(first, undefined);
    fake.tag(first, digest); // now listed last
    expect(await tagOf(world)).toBe(first);
  });

  test("an incomplete listing is an error", async () => {
    const fake = fakeOci({ pageSize: 1 });
    for (const tag of ["v1.0.0", "v1.1.0"]) fake.push(tag);
    fake.options.instead = (request) =>
      request.url.includes("last=") ? errorOf(503, "UNAVAILABLE") : undefined;
    await expect(openFakeImg(fake).registry.resolve()).rejects.toMatchObject({ status: 503 });
  });

  test.each([
    ["as many as were asked for", {}, 3],
    ["as many as the server allows", { pageSize: 250 }, 9],
  ])("a page without a Link that has %s is followed by the next one", async (_, options, pages) => {
    const fake = fakeOci({ unlinked: true, ...options });
    const digest = fake.push("v1.0.0");
    for (let patch = 1; patch < 2_130; patch += 1) fake.tag(`v1.0.${patch}`, digest);
    expect(await tagOf(openFakeImg(fake))).toBe("v1.0.2129");
    expect(calls(fake).filter((call) => call.includes("tags/list"))).toHaveLength(pages);
  });

  test.each([
    ["fewer tags than were asked for", 37],
    ["more, since it ignores `n`", 1_101],
  ])("a registry without a Link that lists %s is not asked again", async (_, count) => {
    const fake = fakeOci();
    const digest = fake.push("v1.0.0");
    for (let patch = 1; patch < count; patch += 1) {
      fake.tag(`v1.0.${(patch * 7) % count}`, digest);
    }
    expect(await tagOf(openFakeImg(fake))).toBe(`v1.0.${count - 1}`);
    expect(calls(fake).filter((call) => call.includes("tags/list"))).toHaveLength(1);
  });

  test("a registry that ignores `last` and `n` receives at most one more request, and no tag is listed twice", async () => {
    const fake = fakeOci();
    const digest = fake.push("v1.0.0");
    for (let patch = 1; patch < 1_000; patch += 1) fake.tag(`v1.0.${patch}`, digest);
    fake.options.instead = (request) =>
      request.url.includes("last=")
        ? Response.json({ tags: Array.from({ length: 1_000 }, (_, patch) => `v1.0.${patch}`) })
        : undefined;
    const { tags } = await explainRegistry(openFakeImg(fake).registry);
    expect(tags).toHaveLength(1_000);
    expect(calls(fake).filter((call) => call.includes("tags/list"))).toHaveLength(2);
  });

  test("a registry that sends Link headers ends its listing with a page without one", async () => {
    const fake = fakeOci({ pageSize: 50 });
    const digest = fake.push("v1.0.0");
    for (let patch = 1; patch < 100; patch += 1) fake.tag(`v1.0.${patch}`, digest);
    expect(await tagOf(openFakeImg(fake))).toBe("v1.0.99");
    expect(calls(fake).filter((call) => call.includes("tags/list"))).toHaveLength(2);
  });

  test.each([400, 413])(
    "a registry that answers HTTP %i to a large page is asked for its own",
    async (status) => {
      const fake = fakeOci({ pageSize: 50 });
      const digest = fake.push("v1.0.0");
      for (let patch = 1; patch < 70; patch += 1) fake.tag(`v1.0.${patch}`, digest);
      fake.options.instead = (request) =>
        request.url.includes("n=1000")
          ? errorOf(status, "PAGINATION_NUMBER_INVALID", "at most 100")
          : undefined;
      expect(await tagOf(openFakeImg(fake))).toBe("v1.0.69");
    },
  );

  test.each([
    ["itself", () => "/v2/o/app/tags/list?n=1000"],
    ["the same tags under another address", (page: number) => `/v2/o/app/tags/list?n=${page}`],
  ])("pages that link to %s are refused instead of being followed without end", async (_, link) => {
    const fake = fakeOci();
    fake.push("v1.0.0");
    fake.options.instead = () => {
      const next = `<${link(fake.requests.length)}>; rel="next"`;
      return Response.json({ tags: ["v1.0.0"] }, { headers: { link: next } });
    };
    await expect(openFakeImg(fake).registry.resolve()).rejects.toThrow("do not end");
    expect(fake.requests.length).toBeLessThan(20);
  });

  test.each([
    ["relative to the page", "?last=a&n=2"],
    ["another scheme and port", "http://registry.example:8080/v2/o/app/tags/list?last=a&n=2"],
    ["another host", "https://internal.example/v2/o/app/tags/list?last=a&n=2"],
  ])("a next page that is %s is asked for where the first one was", async (_, target) => {
    const fake = fakeOci({ auth: "basic", users: { u: "p" } });
    fake.push("v1.0.0");
    fake.options.instead = (request) => {
      if (!request.url.includes("tags/list") || !request.headers.has("authorization")) {
        return undefined;
      }
      const isFirst = !request.url.includes("last=");
      return Response.json(
        { tags: isFirst ? ["a"] : ["v1.0.0"] },
        isFirst ? { headers: { link: `<${target}>; rel="next"` } } : {},
      );
    };
    const registryLogin = { username: "u", password: "p" };
    expect(await tagOf(openFakeImg(fake, { registryLogin }))).toBe("v1.0.0");
    expect(calls(fake)).toContain("GET https://registry.example/v2/o/app/tags/list?last=a&n=2");
    const signed = fake.requests.filter(({ authorization }) => authorization !== "");
    expect(signed.every(({ call }) => call.includes("https://registry.example/"))).toBe(true);
    expect(fake.requests.some(({ call }) => call.includes("internal.example"))).toBe(false);
  });

  test("a next page whose path looks like another host is requested from the registry", async () => {
    const fake = fakeOci();
    fake.options.instead = (request) => {
      const link = '<https://registry.example//evil.example/x>; rel="next"';
      const isFirst = request.url.includes("tags/list");
      return Response.json({ tags: ["a"] }, isFirst ? { headers: { link } } : {});
    };
    await openFakeImg(fake).registry.resolve();
    expect(calls(fake)).toContain("GET https://registry.example//evil.example/x");
  });

  test("a tag without an image is skipped", async () => {
    const fake = fakeOci();
    fake.push("v1.0.0");
    fake.tag("v1.1.0", `sha256:${"0".repeat(64)}`);
    const world = openFakeImg(fake);
    expect(await tagOf(world)).toBe("v1.0.0");
    expect(await world.registry.exists?.("v1.0.0")).toBe(true);
    expect(await world.registry.exists?.("v0.9.0")).toBe(false);
  });

  test("an image cannot be downloaded", async () => {
    const fake = fakeOci();
    fake.push("v1.0.0");
    const { registry } = openFakeImg(fake);
    const answer = await registry.resolve();
    if (answer.kind !== "ready") throw new Error("not ready");
    await expect(registry.open(answer.artifact)).rejects.toMatchObject({ code: "config" });
  });

  test("Docker Hub is requested at its API host, and named as in docker login", async () => {
    const fake = fakeOci({ host: "registry-1.docker.io" });
    fake.push("v1.0.0");
    const answer = await openFakeImg(fake, {}, "img://o/app").registry.resolve();
    expect(answer).toMatchObject({ artifact: { url: "img://docker.io/o/app:v1.0.0" } });
  });
});

describe("a registry with an incomplete HEAD", () => {
  const DIGEST = "docker-content-digest";
  const get = (fake: ReturnType<typeof fakeOci>): number =>
    calls(fake).filter((call) => /^GET .*manifests\/v/.test(call)).length;

  test.each([
    ["has no Docker-Content-Digest", { headers: { [DIGEST]: "" } }],
    ["has a malformed digest", { headers: { [DIGEST]: "sha256:ABC" } }],
    ["is 404", { headers: { [DIGEST]: "" }, headStatus: 404 }],
    ["is 405", { headStatus: 405 }],
  ])("because it %s is asked by GET, and the digest is that of the bytes", async (_, options) => {
    const fake = fakeOci(options);
    const digest = fake.push("v1.0.0");
    const { registry } = openFakeImg(fake);
    const answer = await registry.resolve();
    expect(answer).toMatchObject({ artifact: { digest, revision: digest } });
    const before = fake.requests.length;
    expect(await registry.resolve()).toEqual(answer);
    expect(calls(fake).slice(before)).toEqual([
      "GET https://registry.example/v2/o/app/tags/list?n=1000",
      "HEAD https://registry.example/v2/o/app/manifests/v1.0.0",
      "GET https://registry.example/v2/o/app/manifests/v1.0.0",
    ]);
    fake.push("v1.0.0", { salt: "other" });
    expect(await registry.resolve()).not.toMatchObject({ artifact: { digest } });
  });

  test("a tag that neither HEAD nor GET finds is skipped", async () => {
    const fake = fakeOci({ headStatus: 404 });
    fake.push("v1.0.0");
    fake.tag("v1.1.0", `sha256:${"0".repeat(64)}`);
    expect(await tagOf(openFakeImg(fake))).toBe("v1.0.0");
  });

  test("bytes that differ from the digest of GET are refused", async () => {
    const fake = fakeOci({ headStatus: 405, headers: { [DIGEST]: `sha256:${"0".repeat(64)}` } });
    fake.push("v1.0.0");
    await expect(openFakeImg(fake).registry.resolve()).rejects.toMatchObject({ code: "integrity" });
  });

  test("GET is not sent during a rate limit, nor if HEAD states the digest", async () => {
    const used = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600" };
    const fake = fakeOci({ headers: { ...used, [DIGEST]: "" } });
    fake.push("v1.0.0");
    await expect(openFakeImg(fake).registry.resolve()).rejects.toMatchObject({
      code: "rate-limited",
    });
    const usual = fakeOci();
    usual.push("v1.0.0");
    await openFakeImg(usual).registry.resolve();
    expect([get(fake), get(usual)]).toEqual([0, 0]);
  });
});

describe("slots of images", () => {
  test("_ stands for +, and the tag keeps its spelling", async () => {
    const fake = fakeOci();
    for (const tag of ["v1.0.0_blue", "v1.1.0_green", "v0.9.0+blue"]) fake.push(tag);
    const { registry } = openFakeImg(fake, { slot: "blue" });
    expect(await registry.resolve()).toMatchObject({
      release: { tag: "v1.0.0_blue", slot: "blue", version: { buildMetadata: "blue" } },
      artifact: { name: "o/app:v1.0.0_blue", url: "img://registry.example/o/app:v1.0.0_blue" },
    });
    const excluded = await registry.resolve({ exclude: ["v1.0.0_blue"] });
    expect(excluded).toMatchObject({ release: { tag: "v0.9.0+blue" } });
    expect(await registry.exists?.("v1.0.0_blue")).toBe(true);
    const { tags } = await explainRegistry(registry);
    expect(tags.map(({ tag, chosen }) => [tag, chosen])).toEqual([
      ["v1.1.0_green", false],
      ["v1.0.0_blue", true],
      ["v0.9.0+blue", false],
    ]);
  });

  test("a literal + wins a tie, and other underscores have no meaning", async () => {
    const fake = fakeOci();
    for (const tag of ["v1.0.0_blue", "v1.0.0+blue", "my_branch", "v2_0_0"]) fake.push(tag);
    expect(await tagOf(openFakeImg(fake))).toBe("v1.0.0+blue");
  });

  test("CalVer has slots, too", async () => {
    const fake = fakeOci();
    for (const tag of ["2024.06.0_blue", "2024.07.0_green"]) fake.push(tag);
    const world = openFakeImg(fake, { calver: "YYYY.0M.MICRO", slot: "blue" });
    expect(await tagOf(world)).toBe("2024.06.0_blue");
  });
});

describe("an image for this machine", () => {
  const ARM = [linux("arm", "v5"), linux("arm", "v7"), linux("arm", "v6"), linux("arm64", "v8")];

  test.each([
    [{ os: "linux", arch: "x64" }, [linux("386"), linux("amd64", "v3"), linux("amd64")], 2],
    [{ os: "linux", arch: "amd64", variant: "v2" }, [linux("amd64"), linux("amd64", "v3")], 0],
    [{ os: "linux", arch: "arm", variant: "v6" }, ARM, 2],
    [{ os: "linux", arch: "arm" }, ARM, 1],
    [{ os: "linux", arch: "arm64" }, ARM, 3],
    [{ os: "linux", arch: "arm64" }, [linux("arm64")], 0],
    [{ os: "darwin", arch: "arm64" }, ARM, 3],
    [{ os: "win32", arch: "x64" }, [linux("amd64"), { os: "windows", architecture: "amd64" }], 1],
    [{ os: "linux", arch: "arm", variant: "v5" }, [linux("arm", "v6")], -1],
  ])("%j of %j", async (platform, platforms, nth) => {
    const fake = fakeOci();
    fake.push("v1.0.0", { platforms });
    const { artifacts, resolution } = await explainRegistry(
      openFakeImg(fake, { platform }).registry,
    );
    expect(artifacts.findIndex(({ chosen }) => chosen)).toBe(nth);
    expect(resolution.kind).toBe(nth < 0 ? "none" : "ready");
  });

  test("is pending within the grace period, then reported as missing", async () => {
    const fake = fakeOci();
    const created = at(NOW - HOUR / 4);
    fake.push("v1.0.0", { platforms: [linux("arm64")], created });
    const { registry, clock } = openFakeImg(fake);
    expect(await registry.resolve()).toMatchObject({ kind: "pending", since: new Date(created) });
    clock.advance(HOUR);
    expect(await registry.resolve()).toMatchObject({
      kind: "none",
      reason: "artifact-missing",
      message: expect.stringMatching(/v1\.0\.0 matches linux\/amd64, found linux\/arm64$/),
    });
  });

  test("attestations are skipped, and indexes may be nested", async () => {
    const fake = fakeOci();
    const wanted = fake.push("a", { salt: "wanted" });
    const type = "application/vnd.oci.image.index.v1+json";
    const inner = fake.put(
      { manifests: [{ digest: wanted, size: 1, platform: linux("amd64") }] },
      type,
    );
    const attestation = {
      digest: inner.digest,
      size: 1,
      platform: { os: "unknown", architecture: "unknown" },
      annotations: { "vnd.docker.reference.type": "attestation-manifest" },
    };
    const disguised = { ...attestation, platform: linux("amd64") };
    fake.tag("v1.0.0", fake.put({ manifests: [disguised, attestation, inner] }, type).digest);
    expect(await openFakeImg(fake).registry.resolve()).toMatchObject({
      artifact: { digest: wanted },
    });
  });

  test("is searched for in images whose index states no platform", async () => {
    const fake = fakeOci();
    const wanted = fake.push("a");
    const index = { manifests: [{ digest: wanted, size: 1 }] };
    fake.tag("v1.0.0", fake.put(index, "application/vnd.oci.image.index.v1+json").digest);
    expect(await openFakeImg(fake).registry.resolve()).toMatchObject({
      artifact: { digest: wanted },
    });
  });

  test("is never a chart", async () => {
    const fake = fakeOci();
    const mediaType = "application/vnd.cncf.helm.config.v1+json";
    const config = fake.put({}, mediaType);
    fake.tag("v1.0.0", fake.put({ schemaVersion: 2, config, layers: [] }).digest);
    expect(await openFakeImg(fake).registry.resolve()).toMatchObject({
      kind: "none",
      message: expect.stringContaining(mediaType),
    });
  });

  test("the placeholder time of reproducible builds is ignored", async () => {
    const fake = fakeOci();
    fake.push("v1.0.0", { created: "1970-01-01T00:00:00Z" });
    const answer = await openFakeImg(fake).registry.resolve();
    expect(answer.kind === "ready" && answer.release.createdAt).toBe(undefined);
  });
});

describe("malformed responses", () => {
  test.each([
    ["tags/list", { tags: [1] }, /tags\.0 should be string/],
    ["tags/list", { tags: "v1" }, /tags should be/],
    ["tags/list", [], /tags is missing/],
  ])("%s with %j names the field", async (path, body, message) => {
    const fake = fakeOci();
    fake.options.instead = (request) =>
      request.url.includes(path) ? Response.json(body) : undefined;
    await expect(openFakeImg(fake).registry.resolve()).rejects.toThrow(message);
  });

  test.each([
    [{ manifests: [{ digest: "sha256:abc", size: 1 }] }, /manifests\.0\.digest/],
    [{ manifests: {} }, /manifests should be/],
    [{ config: { digest: `sha256:${"0".repeat(64)}`, size: -1 }, layers: [] }, /config\.size/],
    [{ hello: 1 }, /config is missing/],
    [7, /the response should be/],
  ])("a manifest %j names the field", async (manifest, message) => {
    const fake = fakeOci();
    fake.tag("v1.0.0", fake.put(manifest).digest);
    await expect(openFakeImg(fake).registry.resolve()).rejects.toThrow(message);
  });

  test("bytes with another digest are refused", async () => {
    const fake = fakeOci();
    fake.push("v1.0.0");
    fake.options.instead = ({ method, url }) =>
      method === "GET" && url.includes("manifests/") ? Response.json({ other: 1 }) : undefined;
    await expect(openFakeImg(fake).registry.resolve()).rejects.toMatchObject({ code: "integrity" });
  });

  test("a proxy's page is refused as a listing", async () => {
    const fetch = async (): Promise<Response> => new Response("<html>log in</html>");
    await expect(openFakeImg({ fetch }).registry.resolve()).rejects.toThrow(/not JSON/);
  });

  test("a repository without remaining tags is empty", async () => {
    const fetch = async (): Promise<Response> => Response.json({ name: "o/app", tags: null });
    expect(await openFakeImg({ fetch }).registry.resolve()).toMatchObject({ reason: "empty" });
  });
});

describe("limits", () => {
  const limits = (events: readonly DewyEvent[]): DewyEvent[] =>
    events.filter((event) => event.type === "rate-limit" && !event.isRoutine);

  test("no request is sent until the pause of a 429 is over", async () => {
    const fake = fakeOci();
    fake.push("v1.0.0");
    fake.options.instead = () =>
      errorOf(429, "TOOMANYREQUESTS", "slow down", { "retry-after": "120" });
    const { registry, clock } = openFakeImg(fake);
    const limited = { code: "rate-limited", retryAfterMs: 120_000 };
    await expect(registry.resolve()).rejects.toMatchObject(limited);
    expect(fake.requests).toHaveLength(1);
    clock.advance(60_000);
    await expect(registry.resolve()).rejects.toMatchObject({ code: "rate-limited" });
    expect(fake.requests).toHaveLength(1);
    delete fake.options.instead;
    clock.advance(60_000);
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
  });

  test("without pulls left, no manifest is requested, and polling continues", async () => {
    const used = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600" };
    const fake = fakeOci({ headers: used });
    fake.push("v1.0.0");
    const { registry, events, clock } = openFakeImg(fake);
    await expect(registry.resolve()).rejects.toMatchObject({ code: "rate-limited" });
    await expect(registry.resolve()).rejects.toMatchObject({ code: "rate-limited" });
    expect(calls(fake).filter((call) => call.includes("<digest>"))).toEqual([]);
    expect(limits(events)).toEqual([
      {
        type: "rate-limit",
        host: "registry.example",
        limit: 100,
        remaining: 0,
        resetAt: new Date(clock.now() + 21_600_000),
      },
    ]);
    fake.options.headers = { ...used, "ratelimit-remaining": "5;w=21600" };
    expect(await registry.resolve()).toMatchObject({ kind: "ready" });
  });
});

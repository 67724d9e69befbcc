import { describe, expect, test } from "vitest";
import { openRegistry, parseRegistryUrl } from "../../../src/registries/open.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fetchOf, type Handler } from "../../fakes/handler.ts";

const HEX = "0123456789abcdef".repeat(4);
const ANSWER = {
  ...{ schema: 1, kind: "ready", platform: "linux-amd64", id: "7", tag: "v1.2.3" },
  artifact: { name: "app.tar.gz", url: "download/linux-amd64?tag=v1.2.3", digest: `sha256:${HEX}` },
};
const LINUX = { os: "linux", arch: "x64" };

function setup(
  handler: Handler,
  options: Parameters<typeof openRegistry>[1] = {},
  url = "https://versions.test/app",
): { registry: ReturnType<typeof openRegistry>; sent: string[] } {
  const sent: string[] = [];
  const fetch = fetchOf((request) => {
    const { headers, method } = request;
    const extra = ["authorization", "if-none-match"].flatMap((name) => headers.get(name) ?? []);
    sent.push([method, request.url, ...extra].join(" "));
    return handler(request);
  });
  const clock = fakeClock({ skipUpTo: 9_000 });
  return {
    registry: openRegistry(url, { env: {}, platform: LINUX, clock, fetch, ...options }),
    sent,
  };
}

const answering =
  (body: unknown): Handler =>
  () =>
    Response.json(body);

describe("a poll", () => {
  test("asks for this platform, and resolves the addresses of files", async () => {
    const { registry, sent } = setup(answering(ANSWER));
    expect(await registry.resolve()).toMatchObject({
      kind: "ready",
      release: { id: "7", tag: "v1.2.3", version: { segments: [1, 2, 3] } },
      artifact: {
        name: "app.tar.gz",
        url: "https://versions.test/app/download/linux-amd64?tag=v1.2.3",
        digest: `sha256:${HEX}`,
      },
    });
    expect(sent).toEqual(["GET https://versions.test/app/latest?platform=linux-amd64"]);
  });

  test("is conditional, and an unchanged answer comes from memory", async () => {
    const { registry, sent } = setup(({ headers }) =>
      headers.get("if-none-match") === '"a"'
        ? new Response(null, { status: 304 })
        : Response.json(ANSWER, { headers: { etag: '"a"' } }),
    );
    expect(await registry.resolve()).toEqual(await registry.resolve());
    expect(sent[1]).toMatch(/ "a"$/);
  });

  test("sends the token only where the handler asks for it, and then to no other host", async () => {
    const { registry, sent } = setup(
      ({ headers, url }) => {
        if (!headers.has("authorization") && !url.includes("cdn")) {
          return Response.json({}, { status: 401 });
        }
        if (url.includes("/latest")) return Response.json(ANSWER);
        return url.includes("cdn")
          ? new Response("bytes")
          : new Response(null, { status: 302, headers: { location: "https://cdn.test/x" } });
      },
      { env: { DEWY_HTTPS_TOKEN: "t0ken" } },
    );
    const answer = await registry.resolve();
    if (answer.kind !== "ready") throw new Error(answer.kind);
    expect(await new Response(await registry.open(answer.artifact)).text()).toBe("bytes");
    const latest = "GET https://versions.test/app/latest?platform=linux-amd64";
    expect(sent).toEqual([
      latest,
      `${latest} Bearer t0ken`,
      "GET https://versions.test/app/download/linux-amd64?tag=v1.2.3 Bearer t0ken",
      "GET https://cdn.test/x",
    ]);
  });

  test.each([
    [{ ...ANSWER, schema: 2 }, /version 2 of the contract, and this dewy reads version 1/],
    [{ name: "x" }, /schema is missing; is this the URL of a handler\?/],
    [{ ...ANSWER, kind: "later" }, /kind should be/],
    [{ ...ANSWER, tag: "" }, /tag: it is empty/],
    [{ ...ANSWER, tag: "a\nb" }, /control characters/],
    [{ ...ANSWER, artifact: { name: "../x", url: "a" } }, /names no file/],
    [{ ...ANSWER, artifact: { name: "x", url: "http://evil.test/a" } }, /plain http/],
    [
      { ...ANSWER, artifact: { name: "x", url: "https://169.254.169.254/a" } },
      /inside this machine/,
    ],
    [{ ...ANSWER, artifact: { name: "x", url: "file:///etc/passwd" } }, /not one of ghr/],
    [{ ...ANSWER, artifact: { name: "x" } }, /artifact\.url is missing/],
    [{ ...ANSWER, artifact: { name: "x", url: "a", digest: "sha256:zz" } }, /digest should be/],
  ])("refuses the answer %j", async (body, problem) => {
    await expect(setup(answering(body)).registry.resolve()).rejects.toThrow(problem);
  });

  test("passes on why there is nothing, and what the handler says about a failure", async () => {
    const none = { schema: 1, kind: "none", platform: "linux-amd64", reason: "no-version" };
    const { registry } = setup(answering({ ...none, message: "the tags are \u001b[31mred" }));
    expect(await registry.resolve()).toEqual({
      ...{ kind: "none", reason: "no-version", tag: undefined },
      message: "the tags are \\x1b[31mred",
    });
    const failing = setup(() =>
      Response.json({ error: { message: "the upstream is down" } }, { status: 502 }),
    );
    await expect(failing.registry.resolve()).rejects.toThrow(/HTTP 502: the upstream is down/);
    const html = setup(() => new Response("<h1>Hi</h1>"));
    await expect(html.registry.resolve()).rejects.toThrow(/not JSON; is this the URL of a handler/);
  });

  test("passes on that a version is pending, since when, and that there is none for this machine", async () => {
    const pending = {
      ...{ schema: 1, kind: "pending", platform: "linux-amd64", tag: "v1.3.0" },
      ...{ reason: "artifact-missing", createdAt: "2026-01-02T03:04:05Z", message: "not yet" },
    };
    expect(await setup(answering(pending)).registry.resolve()).toEqual({
      ...{ kind: "pending", tag: "v1.3.0", reason: "artifact-missing", message: "not yet" },
      since: new Date("2026-01-02T03:04:05Z"),
    });
    const none = { ...pending, kind: "none" };
    expect(await setup(answering(none)).registry.resolve()).toMatchObject({
      ...{ kind: "none", tag: "v1.3.0", reason: "artifact-missing", message: "not yet" },
    });
    const tagless = { ...pending, tag: "" };
    expect((await setup(answering(tagless)).registry.resolve()).kind).toBe("none");
  });

  test("is unchanged for a machine that has the version; an older answer is a rollback", async () => {
    const tags: string[] = [];
    const { registry } = setup(answering(ANSWER));
    const onTag = (tag: string): void => void tags.push(tag);
    const answer = await registry.resolve({ since: "v1.2.3", onTag });
    expect(answer).toMatchObject({ kind: "none", reason: "unchanged", tag: "v1.2.3" });
    expect(tags).toEqual(["v1.2.3"]);
    const older = await registry.resolve({ since: "v1.3.0" });
    expect(older).toMatchObject({ kind: "ready", release: { tag: "v1.2.3" } });
  });

  test.each([
    ["https://10.0.0.7/app", "https://10.0.0.7/app/download/linux-amd64?tag=v1.2.3"],
    ["https://10.0.0.7:8443/app", "https://10.0.0.7:8443/app/download/linux-amd64?tag=v1.2.3"],
    ["https://127.0.0.1/app?insecure=true", "http://127.0.0.1/app/download/linux-amd64?tag=v1.2.3"],
  ])(
    "takes an artifact of the handler %s itself, but of no other private host",
    async (url, own) => {
      const { registry } = setup(answering(ANSWER), {}, url);
      expect(await registry.resolve()).toMatchObject({ artifact: { url: own } });
      for (const other of ["https://10.0.0.8/a", `${new URL(own).protocol}//10.0.0.7:1/a`]) {
        const artifact = { name: "a", url: other };
        const { registry } = setup(answering({ ...ANSWER, artifact }), {}, url);
        await expect(registry.resolve()).rejects.toThrow(/inside this machine|plain http/);
      }
    },
  );

  test("offers no other tag than the answer, nor an excluded one", async () => {
    const { registry } = setup(answering(ANSWER));
    expect(await registry.resolve({ tag: "v1.0.0" })).toMatchObject({
      ...{ kind: "none", reason: "unknown-tag" },
      message: expect.stringContaining("a https:// server offers only its current version"),
    });
    expect(await registry.resolve({ exclude: ["v1.2.3"] })).toMatchObject({ reason: "filtered" });
    expect(registry.exists).toBeUndefined();
  });

  test("is explained in text that is safe on a terminal, and of the wanted tag only", async () => {
    const bad = "\u001b[2J";
    const tags = [{ tag: `v1${bad}`, chosen: false, reason: `why${bad}` }];
    const artifacts = [{ name: `app${bad}`, chosen: true, reason: "x".repeat(5_000) }];
    const { registry } = setup(answering({ ...ANSWER, tags, artifacts }));
    const { explanation } = await registry.resolve({ explain: true });
    expect(JSON.stringify(explanation)).not.toContain("\\u001b");
    expect(explanation?.tags).toEqual([
      { tag: "v1\\x1b[2J", chosen: false, reason: "why\\x1b[2J" },
    ]);
    expect(explanation?.artifacts[0]?.reason.length).toBeLessThan(2_100);
    expect(await registry.resolve({ explain: true, tag: "v1.2.3" })).toMatchObject({
      explanation: { tags: [{ tag: "v1.2.3", reason: "the server chose it" }] },
    });
  });

  test("is explained as far as the handler explains itself", async () => {
    const tags = [{ tag: "v1.2.3", chosen: true, reason: "the newest" }];
    const { registry } = setup(({ url }) =>
      Response.json(url.includes("/explain") ? { ...ANSWER, tags, artifacts: [] } : ANSWER),
    );
    expect(await registry.resolve({ explain: true })).toMatchObject({ explanation: { tags } });
    const { registry: silent } = setup(({ url }) =>
      url.includes("/explain") ? Response.json({}, { status: 404 }) : Response.json(ANSWER),
    );
    expect(await silent.resolve({ explain: true })).toMatchObject({
      explanation: { tags: [{ tag: "v1.2.3", reason: "the server chose it" }] },
    });
  });
});

describe("a report", () => {
  const deployment = { id: "7", tag: "v1.2.3", command: "server", host: "h", at: new Date(0) };

  test("is sent with the token, and without one not at all", async () => {
    const bodies: unknown[] = [];
    const handler: Handler = async (request) => {
      bodies.push(await request.json());
      return new Response(null, { status: 204 });
    };
    const { registry, sent } = setup(handler, { token: "t0ken" });
    await registry.report?.({ ...deployment, error: "why" });
    expect(sent).toEqual(["POST https://versions.test/app/report Bearer t0ken"]);
    const at = "1970-01-01T00:00:00.000Z";
    expect(bodies).toEqual([{ schema: 1, ...deployment, at, error: "why" }]);
    const quiet = setup(handler);
    await quiet.registry.report?.(deployment);
    expect(quiet.sent).toEqual([]);
  });

  test("that is refused names the variable, not the token", async () => {
    const { registry } = setup(() => Response.json({}, { status: 401 }), { token: "t0kensecret" });
    const report = registry.report?.(deployment);
    await expect(report).rejects.toMatchObject({ code: "credential", retryable: false });
    await expect(report).rejects.toThrow(/check DEWY_HTTPS_TOKEN$/);
    await expect(report).rejects.not.toThrow("t0kensecret");
  });
});

describe("the URL", () => {
  test.each([
    ["https://versions.example.com/app", "https://versions.example.com/app"],
    ["https://versions.example.com", "https://versions.example.com"],
    ["https://versions.example.com:8443/a/b/", "https://versions.example.com:8443/a/b"],
    ["https://127.0.0.1:3000/app?insecure=true", "http://127.0.0.1:3000/app"],
    ["https://localhost/app?insecure=true", "http://localhost/app"],
    ["https://10.0.0.7/app?allow=10.0.0.8", "https://10.0.0.7/app"],
  ])("%s is the handler at %s", (url, base) => {
    expect(parseRegistryUrl(url)).toMatchObject({ type: "https", base });
  });

  test.each([
    ["https://versions.example.com/app?insecure=true", "for this machine only"],
    ["https://user:pw@versions.example.com/app", "credentials do not belong in a URL"],
    ["https:///app", "is not a valid host"],
    ["https://a b/app", "is not a valid host"],
    ["https://versions.example.com/app?registry=x", 'unknown option "registry"'],
    ["https://versions.example.com/app?pre-release=true", 'unknown option "pre-release"'],
    ["http://versions.example.com/app", "did you mean https://?"],
    ["https://github.com/acme/app", "did you mean ghr://acme/app?"],
  ])("%s is refused", (url, problem) => {
    expect(() => parseRegistryUrl(url)).toThrow(problem);
  });
});

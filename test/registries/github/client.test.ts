import { describe, expect, test } from "vitest";
import { NotFoundError, RemoteError } from "../../../src/core/error.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import { GitHubClient } from "../../../src/registries/github/client.ts";
import {
  refsSchema,
  releaseSchema,
  releasesSchema,
  repositorySchema,
} from "../../../src/registries/github/schema.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { FakeGitHub } from "../../fakes/github.ts";
import { status } from "../../fakes/github_fault.ts";
import { strictFake } from "../../fakes/handler.ts";

const PATH = "/repos/acme/app";
const TOKEN = { GH_TOKEN: "ghp_reader" };

interface World {
  github: FakeGitHub;
  client: GitHubClient;
  clock: FakeClock;
  events: DewyEvent[];
}

function world(env: Record<string, string> = TOKEN): World {
  const clock = fakeClock({ skipUpTo: 29_999 });
  const github = new FakeGitHub({ clock });
  const events: DewyEvent[] = [];
  const client = clientOf(github.fetch, clock, { GITHUB_API_URL: github.urls.api, ...env }, events);
  return { github, client, clock, events };
}

function clientOf(
  fetch: typeof globalThis.fetch,
  clock: FakeClock,
  env: Record<string, string>,
  events: DewyEvent[] = [],
): GitHubClient {
  return new GitHubClient({ env, fetch, clock, emit: (event) => void events.push(event) });
}

const fail = (work: Promise<unknown>): Promise<RemoteError> =>
  work.then(
    () => Promise.reject(new Error("nothing was thrown")),
    (reason: RemoteError) => reason,
  );

describe("requests", () => {
  test.each([
    ["https://api.github.com", {}],
    ["https://ghe.test/api/v3", { GITHUB_API_URL: "https://ghe.test/api/v3/" }],
    ["https://ghe.test/api/v3", { GITHUB_ENDPOINT: "https://ghe.test/api/v3" }],
    [
      "https://one.test",
      { GITHUB_API_URL: "https://one.test", GITHUB_ENDPOINT: "https://two.test" },
    ],
  ])("go to %s with %o", async (base, env) => {
    const fake = strictFake().on(`GET ${base}${PATH}`, Response.json({ id: 1 }));
    const client = clientOf(fake.fetch, fakeClock(), { ...env, GH_TOKEN: "t" });
    await client.get(PATH, repositorySchema);
    const headers = fake.requests[0]?.headers;
    expect(headers?.get("accept")).toBe("application/vnd.github+json");
    expect(headers?.get("x-github-api-version")).toBe("2022-11-28");
    expect(headers?.get("user-agent")).toContain("dewy");
    expect(headers?.get("authorization")).toBe("Bearer t");
    fake.verify();
  });

  test("are conditional the second time, and what is unchanged comes from memory for free", async () => {
    const { github, client, events } = world();
    github.publish("v1.0.0");
    const path = `${PATH}/releases`;
    const first = await client.list(path, releasesSchema);
    const left = github.remaining("ghp_reader");
    expect(await client.list(path, releasesSchema)).toEqual(first);
    expect(github.remaining("ghp_reader")).toBe(left);
    const asked = events.findLast(({ type }) => type === "request");
    expect(asked).toMatchObject({ type: "request", status: 304, fromCache: true });
    github.publish("v1.1.0");
    expect((await client.list(path, releasesSchema))?.items).toHaveLength(2);
    github.verify();
  });

  test("of lists go through all pages, each of them conditional", async () => {
    const { github, client } = world();
    for (let patch = 0; patch < 65; patch += 1) github.publish(`v1.0.${patch}`);
    for (const _ of [1, 2]) {
      const list = await client.list(`${PATH}/releases?per_page=30`, releasesSchema);
      expect(list?.pages).toBe(3);
      expect(new Set(list?.items.map((release) => release.tag_name)).size).toBe(65);
    }
    expect(github.calls.map((call) => call.status)).toEqual([200, 200, 200, 304, 304, 304]);
  });

  test("of a list fail as a whole when one page fails", async () => {
    const { github, client } = world();
    for (let patch = 0; patch < 65; patch += 1) github.publish(`v1.0.${patch}`);
    github.inject(/page=2/, status(500), 4);
    const error = await fail(client.list(`${PATH}/releases?per_page=30`, releasesSchema));
    expect(error).toMatchObject({ status: 500 });
    github.verify();
  });

  test("do not take the token to where a page's Link leads", async () => {
    const headers = { link: '<https://else.test/repos?page=2>; rel="next"' };
    const fake = strictFake().on("GET https://api.github.com/x", Response.json([], { headers }));
    const client = clientOf(fake.fetch, fakeClock(), TOKEN);
    expect((await fail(client.list("/x", refsSchema))).message).toContain(
      "another host, else.test",
    );
    fake.verify();
  });

  test("for what is missing give nothing where that was expected, else a hint", async () => {
    const { client } = world({});
    const path = `${PATH}/releases/tags/v9`;
    expect(await client.get(path, releaseSchema, { missing: [404] })).toBeUndefined();
    const error = await fail(client.get(path, releaseSchema));
    expect(error).toBeInstanceOf(NotFoundError);
    expect(error.message).toContain("GH_TOKEN");
  });
});

describe("malformed answers", () => {
  const RELEASE = {
    id: 1,
    tag_name: "v1",
    draft: false,
    prerelease: false,
    created_at: "2026-01-01T00:00:00Z",
    published_at: "2026-01-01T00:00:00+00:00",
    upload_url: "https://u.test/",
    assets: [
      { id: 2, name: "a", state: "uploaded", size: 3, updated_at: "2026-01-01T00:00:00.123Z" },
    ],
  };
  const read = (body: unknown): Promise<unknown> => {
    const fake = strictFake().on("GET https://api.github.com/x", Response.json(body));
    return clientOf(fake.fetch, fakeClock(), {}).get("/x", releaseSchema);
  };

  test("are distinguished from good ones", async () => {
    expect(await read(RELEASE)).toMatchObject({ id: 1 });
  });

  test.each([
    ["tag_name should be string", { ...RELEASE, tag_name: 1 }],
    ["draft is missing", { ...RELEASE, draft: undefined }],
    ["published_at should be", { ...RELEASE, published_at: "yesterday" }],
    [
      "assets.0.size should be number",
      { ...RELEASE, assets: [{ ...RELEASE.assets[0], size: "s3cret" }] },
    ],
    ["id is missing", []],
    ["the response should be", "text"],
  ])("name the field: %s", async (field, body) => {
    const error = await fail(read(body));
    expect(error).toBeInstanceOf(RemoteError);
    expect(error.message).toContain(field);
    expect(error.message).not.toContain("s3cret");
  });
});

describe("rate limits", () => {
  const limits = (events: readonly DewyEvent[]) =>
    events.filter((event) => event.type === "rate-limit");
  const news = (events: readonly DewyEvent[]) =>
    limits(events).filter(({ isRoutine }) => !isRoutine);
  const ask = (client: GitHubClient): Promise<unknown> => client.get(PATH, repositorySchema);

  test("are known after the first answer", async () => {
    const { client, clock } = world();
    expect(client.limit).toBeUndefined();
    await ask(client);
    expect(client.limit).toMatchObject({ limit: 5000, remaining: 4999 });
    expect(Math.abs((client.limit?.resetAt ?? 0) - clock.now() - 3_600_000)).toBeLessThan(2_000);
  });

  test("that are low are news once, and reported with every answer", async () => {
    const { github, client, events } = world();
    await ask(client);
    github.useUp("ghp_reader", 400);
    for (const path of ["?a", "?b"]) await client.get(PATH + path, repositorySchema);
    expect(limits(events)).toHaveLength(3);
    expect(news(events)).toMatchObject([{ host: "api.github.test", remaining: 399, limit: 5000 }]);
  });

  test("that are used up end in an error that says how long, and nothing is asked until then", async () => {
    const { github, client, clock, events } = world();
    await ask(client);
    clock.advance(600_000);
    github.useUp("ghp_reader", 0);
    const error = await fail(client.get(`${PATH}?a`, repositorySchema));
    expect(error).toMatchObject({ code: "rate-limited", status: 403, retryable: true });
    expect(Math.abs((error.retryAfterMs ?? 0) - 3_000_000)).toBeLessThan(2_000);
    expect(news(events)).toHaveLength(1);

    const asked = github.calls.length;
    clock.advance(1_000_000);
    const again = await fail(ask(client));
    expect(again).toMatchObject({ code: "rate-limited" });
    expect(Math.abs((again.retryAfterMs ?? 0) - 2_000_000)).toBeLessThan(2_000);
    expect(github.calls).toHaveLength(asked);

    clock.advance(2_002_000);
    await ask(client);
    expect(github.calls).toHaveLength(asked + 1);
  });

  test.each([
    ["names a time", 403, { "retry-after": "90" }, 90_000],
    ["names no time", 429, {}, 60_000],
    ["names a time in weeks", 429, { "retry-after": "999999999" }, 3_600_000],
    [
      "names a time that has passed",
      429,
      { "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT" },
      60_000,
    ],
  ])("of the secondary kind are obeyed when GitHub %s", async (_, code, headers, waitMs) => {
    const { github, client, clock } = world();
    github.inject(/GET/, status(code, headers));
    const error = await fail(ask(client));
    expect(error).toMatchObject({ code: "rate-limited", retryAfterMs: waitMs });
    clock.advance(waitMs - 1);
    await fail(ask(client));
    clock.advance(1);
    await ask(client);
    github.verify();
  });

  test("of the secondary kind with a short pause are waited for", async () => {
    const { github, client, clock } = world();
    github.inject(/GET/, status(403, { "retry-after": "5" }));
    await ask(client);
    expect(clock.slept).toContain(5_000);
    github.verify();
  });

  test("are distinguished from a plain refusal", async () => {
    const { github, client } = world();
    github.inject(/GET/, status(403));
    expect(await fail(ask(client))).toMatchObject({ code: "credential" });
  });

  test("do not depend on our clock being right", async () => {
    const { clock } = world();
    const wrong = { ...clock, now: () => clock.now() + 86_400_000 };
    const github = new FakeGitHub({ clock });
    const skewed = clientOf(github.fetch, wrong, { GITHUB_API_URL: github.urls.api });
    await ask(skewed);
    const untilReset = (skewed.limit?.resetAt ?? 0) - wrong.monotonic();
    expect(Math.abs(untilReset - 3_600_000)).toBeLessThan(2_000);
  });
});

import { Octokit } from "@octokit/rest";
import { generateKeyPair, SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { FakeGitHub } from "./github.ts";
import { type ServedGitHub, serveGitHub } from "./github.ts";
import { cutAfter, status } from "./github_fault.ts";

const REPO = { owner: "acme", repo: "app" };
const QUIET = { debug() {}, info() {}, warn() {}, error() {} };
let served: ServedGitHub;
let github: FakeGitHub;

function octokit(auth?: string): Octokit {
  return new Octokit({ baseUrl: served.url, log: QUIET, ...(auth === undefined ? {} : { auth }) });
}

beforeEach(async () => {
  served = await serveGitHub({ clock: systemClock });
  github = served.github;
  for (let minor = 0; minor < 45; minor += 1) {
    github.publish(`v1.${minor}.0`, [{ name: "app_linux_amd64.tar.gz" }]);
  }
});
afterEach(() => served.close());

describe("the fake with GitHub's own client", () => {
  test("lists all pages of releases, newest first", async () => {
    const client = octokit("ghp_reader");
    const releases = await client.paginate(client.rest.repos.listReleases, {
      ...REPO,
      per_page: 20,
    });
    expect(releases.map((release) => release.tag_name)).toHaveLength(45);
    expect(releases[0]).toMatchObject({ tag_name: "v1.44.0", draft: false, prerelease: false });
    expect(github.calls).toHaveLength(3);
    github.verify();
  });

  test("shows drafts only with write access, and never by tag", async () => {
    github.publish("v2.0.0", [], { draft: true });
    const first = async (token: string): Promise<string | undefined> =>
      (await octokit(token).rest.repos.listReleases({ ...REPO, per_page: 1 })).data[0]?.tag_name;
    expect(await first("ghp_writer")).toBe("v2.0.0");
    expect(await first("ghp_reader")).toBe("v1.44.0");
    const byTag = octokit("ghp_writer").rest.repos.getReleaseByTag({ ...REPO, tag: "v2.0.0" });
    await expect(byTag).rejects.toMatchObject({ status: 404 });
  });

  test("lists the tags", async () => {
    const { data } = await octokit("ghp_reader").rest.git.listMatchingRefs({
      ...REPO,
      ref: "tags",
    });
    expect(data).toHaveLength(45);
    expect(data[0]?.ref).toBe("refs/tags/v1.0.0");
  });

  test("finds a release and streams its asset from another origin", async () => {
    const client = octokit("ghp_reader");
    const { data } = await client.rest.repos.getReleaseByTag({ ...REPO, tag: "v1.7.0" });
    const asset = data.assets[0];
    expect(asset).toMatchObject({ name: "app_linux_amd64.tar.gz", state: "uploaded" });
    expect(asset?.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    const { headers } = await client.rest.repos.getReleaseAsset({
      ...REPO,
      asset_id: asset?.id ?? 0,
      headers: { accept: "application/octet-stream" },
      request: { redirect: "manual" },
    });
    const location = headers.location ?? "";
    expect(new URL(location).origin).not.toBe(served.url);
    expect(await (await fetch(location)).text()).toContain("v1.7.0");
    github.verify();
  });

  test("accepts an upload once, with write access", async () => {
    const { id, tag } = github.release("v1.0.0");
    const upload = (token: string): Promise<unknown> => {
      const client = octokit(token);
      return client.rest.repos.uploadReleaseAsset({
        ...REPO,
        baseUrl: served.url,
        release_id: id,
        name: "a.txt",
        data: "hello",
      });
    };
    await expect(upload("ghp_reader")).rejects.toMatchObject({ status: 403 });
    await expect(upload("ghp_writer")).resolves.toMatchObject({ status: 201 });
    await expect(upload("ghp_writer")).rejects.toMatchObject({ status: 422 });
    expect(Buffer.from(github.release(tag).assets[1]?.bytes ?? []).toString()).toBe("hello");
  });

  test("counts requests; a 304 is free only with a token", async () => {
    for (const [identity, price] of [
      ["ghp_reader", 0],
      ["anonymous", 1],
    ] as const) {
      const client = octokit(identity === "anonymous" ? undefined : identity);
      const { headers } = await client.rest.git.listMatchingRefs({ ...REPO, ref: "tags" });
      const before = github.remaining(identity);
      const again = client.rest.git.listMatchingRefs({
        ...REPO,
        ref: "tags",
        headers: { "if-none-match": headers.etag ?? "" },
      });
      await expect(again).rejects.toMatchObject({ status: 304 });
      expect(before - github.remaining(identity)).toBe(price);
    }
  });

  test("changes the ETag of releases with every download, but not that of tags", async () => {
    const client = octokit("ghp_reader");
    const etags = async (): Promise<(string | undefined)[]> => [
      (await client.rest.repos.listReleases(REPO)).headers.etag,
      (await client.rest.git.listMatchingRefs({ ...REPO, ref: "tags" })).headers.etag,
    ];
    const [releases, tags] = await etags();
    github.countDownloads();
    const [releasesLater, tagsLater] = await etags();
    expect(releasesLater).not.toBe(releases);
    expect(tagsLater).toBe(tags);
  });

  test("refuses unknown tokens and exceeded limits", async () => {
    await expect(octokit("ghp_none").rest.repos.get(REPO)).rejects.toMatchObject({ status: 401 });
    github.useUp("ghp_reader", 0);
    await expect(octokit("ghp_reader").rest.repos.get(REPO)).rejects.toMatchObject({
      status: 403,
      response: { headers: { "x-ratelimit-remaining": "0" } },
    });
  });

  test("injects faults, and reports unused ones", async () => {
    github.inject(/GET .*\/releases$/, status(503));
    const list = (): Promise<unknown> => octokit("ghp_reader").rest.repos.listReleases(REPO);
    await expect(list()).rejects.toMatchObject({ status: 503 });
    await expect(list()).resolves.toMatchObject({ status: 200 });
    github.inject(/GET \/storage/, cutAfter(1));
    expect(() => github.verify()).toThrow("never came");
  });
});

test("the fake reports private headers at its storage", async () => {
  const asset = github.release("v1.0.0").assets[0];
  const url = `${github.urls.storage}/storage/${asset?.id}?sig=s3cretsignature`;
  const leak = await fetch(url, { headers: { "x-github-api-version": "2022-11-28" } });
  expect(leak.status).toBe(400);
  expect(() => github.verify()).toThrow("x-github-api-version");
});

test("the fake issues tokens only to its own App", async () => {
  const { privateKey, publicKey } = await generateKeyPair("RS256");
  const app = { id: "17", installationId: "42", publicKey };
  const withApp = await serveGitHub({ clock: systemClock, app, isPrivate: true });
  const now = Math.floor(Date.now() / 1000);
  const jwt = (exp: number): Promise<string> =>
    new SignJWT()
      .setProtectedHeader({ alg: "RS256" })
      .setIssuer("17")
      .setIssuedAt(now - 60)
      .setExpirationTime(exp)
      .sign(privateKey);
  const client = async (exp: number): Promise<Octokit> =>
    new Octokit({ baseUrl: withApp.url, auth: await jwt(exp), log: QUIET });
  const tooLong = (await client(now + 3600)).rest.apps.createInstallationAccessToken({
    installation_id: 42,
  });
  await expect(tooLong).rejects.toMatchObject({ status: 401 });
  const { data } = await (await client(now + 500)).rest.apps.createInstallationAccessToken({
    installation_id: 42,
  });
  const reader = new Octokit({ baseUrl: withApp.url, auth: data.token, log: QUIET });
  await expect(reader.rest.repos.get(REPO)).resolves.toMatchObject({ status: 200 });
  await withApp.close();
});

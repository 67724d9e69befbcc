import { describe, expect, test } from "vitest";
import { githubAttestations } from "../../../src/registries/github/attestations.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { FakeGitHub, type FakeGitHubOptions } from "../../fakes/github.ts";
import { status } from "../../fakes/github_fault.ts";

const SHA256 = "ab".repeat(32);
const signal = new AbortController().signal;

function fixture(options: Partial<FakeGitHubOptions> = {}, token?: string) {
  const clock = fakeClock({ skipUpTo: 20_000 });
  const github = new FakeGitHub({ clock, ...options });
  const env = { GITHUB_API_URL: github.urls.api, GH_TOKEN: token };
  const list = githubAttestations({ env, fetch: github.fetch, clock, emit: () => {} });
  return { github, ask: () => list("acme/app", SHA256, signal) };
}

describe("the attestations of GitHub", () => {
  test("are those of the file, in one request, the newest first", async () => {
    const { github, ask } = fixture();
    github.attest(SHA256, { mediaType: "first" });
    github.attest("cd".repeat(32), { mediaType: "of another file" });
    github.attest(SHA256, { mediaType: "second" });
    expect(await ask()).toEqual([{ mediaType: "second" }, { mediaType: "first" }]);
    expect(github.calls.map(({ call }) => call)).toEqual([
      `GET /repos/acme/app/attestations/sha256:${SHA256}?per_page=100`,
    ]);
  });

  test("are an empty list where GitHub answers 404", async () => {
    expect(await fixture().ask()).toEqual([]);
  });

  test("are those of a private repository with a token", async () => {
    const { github, ask } = fixture({ isPrivate: true }, "ghp_reader");
    github.attest(SHA256, { mediaType: "private" });
    expect(await ask()).toEqual([{ mediaType: "private" }]);
  });

  test("are not none while GitHub does not answer", async () => {
    const { github, ask } = fixture();
    github.inject(/attestations/, status(503), 10);
    await expect(ask()).rejects.toMatchObject({ code: "remote", retryable: true });
  });

  test("are not none when the rate limit is used up", async () => {
    const { github, ask } = fixture();
    github.useUp("anonymous", 0);
    await expect(ask()).rejects.toMatchObject({ code: "rate-limited" });
  });

  test("are not none with wrong credentials", async () => {
    await expect(fixture({}, "ghp_wrong").ask()).rejects.toMatchObject({ code: "credential" });
  });
});

import { describe, expect, test } from "vitest";
import type { Environment } from "../../../src/core/environment.ts";
import { githubEvidence } from "../../../src/registries/github/evidence.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { FakeGitHub } from "../../fakes/github.ts";

const SHA256 = "ab".repeat(32);
const signal = new AbortController().signal;

function fixture(registry: string | undefined, env: Environment = {}) {
  const clock = fakeClock();
  const github = new FakeGitHub({ clock, isPrivate: true });
  github.attest(SHA256, { mediaType: "of a private repository" });
  const io = {
    env: { GITHUB_API_URL: github.urls.api, ...env },
    fetch: github.fetch,
    clock,
    emit: () => {},
  };
  return { github, evidence: githubEvidence(registry, io) };
}

describe("the evidence on GitHub", () => {
  test.each([
    ["ghr://acme/app", "acme/app"],
    ["ghr://acme/app?pre-release=true", "acme/app"],
    ["s3://eu-west-1/releases/app", undefined],
    [undefined, undefined],
  ])("is for auto that of the repository in %s", (registry, repository) => {
    expect(fixture(registry).evidence.repository).toBe(repository);
  });

  test("is asked for with the credentials of ghr://, whatever the registry", async () => {
    const { evidence } = fixture("s3://eu-west-1/releases/app", { GH_TOKEN: "ghp_reader" });
    expect(await evidence.list("acme/app", SHA256, signal)).toHaveLength(1);
    const anonymous = fixture("ghr://acme/app");
    expect(await anonymous.evidence.list("acme/app", SHA256, signal)).toEqual([]);
  });
});

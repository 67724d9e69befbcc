import { memoryCache } from "dewy/cache";
import { type EntryOptions, latest, openArtifact, openRegistry, versions } from "dewy/github";
import { equal } from "../../runtime/check.ts";
import type { Cases, Peers } from "../case.ts";
import { assertReady, LINUX, listOf, rejects, tagsOf, textOf } from "../check.ts";

const REGISTRY = "ghr://acme/app";

function optionsOf({ github }: Peers, token = "ghp_writer"): EntryOptions {
  return { platform: LINUX, env: { GITHUB_API_URL: github }, token };
}

/** GitHub releases; downloads are redirected to another origin. */
export const github: Cases = {
  async "the newest release is found, and its artifact read from the storage"(peers) {
    const { release, artifact } = assertReady(await latest(REGISTRY, optionsOf(peers)));
    equal([release.tag, artifact.name], ["v1.10.0", "app_linux_amd64.tar.gz"], "newest");
    equal(
      artifact.digest,
      "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882",
      "digest",
    );
    equal(await textOf(await openArtifact(artifact.url, optionsOf(peers))), "0123456789", "bytes");
  },

  async "a download resumes at the storage"(peers) {
    const registry = openRegistry(REGISTRY, optionsOf(peers));
    const { artifact } = assertReady(await registry.resolve());
    equal(await textOf(await registry.open(artifact, { offset: 4 })), "456789", "rest");
  },

  async "an anonymous client gets the same answer"(peers) {
    const { GITHUB_API_URL } = optionsOf(peers).env ?? {};
    const options = { platform: LINUX, env: { GITHUB_API_URL } };
    equal(assertReady(await latest(REGISTRY, options)).release.tag, "v1.10.0", "newest");
  },

  async "versions are listed newest first, with dates and notes"(peers) {
    const listed = await listOf(versions(REGISTRY, optionsOf(peers)));
    equal(tagsOf(listed), ["v1.10.0", "v1.9.0", "v1.2.0"], "tags");
    const [newest] = listed;
    equal(
      [newest?.notes, newest?.publishedAt instanceof Date],
      ["What is new in v1.10.0", true],
      "newest",
    );
  },

  async "a version that is already there is unchanged"(peers) {
    const answer = await latest(REGISTRY, { ...optionsOf(peers), since: "v1.10.0" });
    equal(answer.kind === "none" && answer.reason, "unchanged", "reason");
    const older = await latest(REGISTRY, { ...optionsOf(peers), since: "v1.9.0" });
    equal(assertReady(older).release.tag, "v1.10.0", "newest");
  },

  async "a repeated question is answered from memory"(peers) {
    const statuses: unknown[] = [];
    const registry = openRegistry(REGISTRY, {
      ...optionsOf(peers),
      emit: (event) => {
        if (event.type === "request") statuses.push(event.status);
      },
    });
    await registry.resolve();
    const first = statuses.length;
    equal(assertReady(await registry.resolve()).release.tag, "v1.10.0", "newest");
    equal([...new Set(statuses.slice(first))], [304], "statuses");
  },

  async "a cache that isolates share makes the next question conditional"(peers) {
    const statuses: unknown[] = [];
    const options: EntryOptions = {
      ...optionsOf(peers),
      cache: memoryCache(),
      emit: (event) => {
        if (event.type === "request") statuses.push(event.status);
      },
    };
    await latest(REGISTRY, options);
    const first = statuses.length;
    equal(assertReady(await latest(REGISTRY, options)).release.tag, "v1.10.0", "newest");
    equal([...new Set(statuses.slice(first))], [304], "statuses");
  },

  async "a registry that does not answer is a timeout"({ here }) {
    const env = { GITHUB_API_URL: `${here}/silent` };
    await rejects(latest(REGISTRY, { platform: LINUX, env, timeoutMs: 100 }), "timeout", /0\.1 s/);
  },

  async "wrong credentials and a missing repository are told apart"(peers) {
    await rejects(latest(REGISTRY, optionsOf(peers, "wrong")), "credential", /wrong, expired/);
    await rejects(latest("ghr://a/b", optionsOf(peers)), "not-found", /HTTP 404: Not Found; /);
  },

  async "an empty repository is an answer"() {
    const fetch = async (): Promise<Response> => Response.json([]);
    const answer = await latest("ghr://acme/empty", { platform: LINUX, env: {}, fetch });
    equal(answer.kind === "none" && answer.reason, "empty", "reason");
  },
};

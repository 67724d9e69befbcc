import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { fakeS3 } from "../fakes/s3.ts";
import { serveFetch } from "../fakes/serve.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { ARTIFACT, makeArtifact } from "./archive.ts";
import { cliRuntimes, expectTidy, liveVersion, runDewy } from "./dewy.ts";

const KEY = `v1.0.0/${ARTIFACT}`;
const PAGE = "<html>Please sign in</html>\n";
const [node] = cliRuntimes;
const nodeCommand = node?.command ?? ["node"];

/**
 * A bucket whose ETags are not MD5 digests, as after a multipart upload. The first download gets
 * another answer.
 */
async function bucket(
  wrongAnswer: (right: Response) => Response | Promise<Response>,
  headers: Readonly<Record<string, string>> = { etag: '"0123456789abcdef0123456789abcdef-2"' },
): Promise<{ run(): ReturnType<typeof runDewy>; cwd: string; downloads(): number }> {
  const s3 = fakeS3("releases", Date.now);
  s3.store(KEY, await makeArtifact("v1.0.0"), { headers });
  let downloads = 0;
  const { url, close } = await serveFetch(async (request) => {
    const answer = await s3.handler(request);
    if (request.method !== "GET" || !request.url.includes(KEY)) return answer;
    downloads += 1;
    return downloads === 1 ? wrongAnswer(answer) : answer;
  });
  onTestFinished(close);
  const cwd = await tempDirectory();
  const registry = `s3://us-east-1/releases?endpoint=${url}`;
  const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
  const log = ["--log-level", "debug", "--log-format", "json"];
  return {
    cwd,
    downloads: () => downloads,
    run: () =>
      runDewy(nodeCommand, ["assets", "--registry", registry, "--once", ...log], { cwd, env }),
  };
}

describe("a version whose registry states no digest is deployed although the first download", () => {
  it("had other bytes of the right size, which are discarded when they cannot be extracted", async () => {
    const { run, cwd } = await bucket(async (right) => {
      const { byteLength } = await right.arrayBuffer();
      return new Response(new Uint8Array(byteLength).fill(7), right);
    });
    const first = await run();
    expect(first.code, first.stderr).toBe(3);
    expect(await readdir(join(cwd, ".dewy", "cache"))).toEqual([]);
    const second = await run();
    expect(second.code, second.stderr).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    await expectTidy(cwd);
  });

  it.each([
    ["with its length", { "content-length": String(PAGE.length) }],
    ["without its length", {}],
    ["with an ETag", { etag: '"page"' }],
  ])("was a short page %s", async (_, headers) => {
    const { run, cwd, downloads } = await bucket(() => new Response(PAGE, { headers }));
    const { code, stderr } = await run();
    expect(code, stderr).toBe(0);
    expect(await liveVersion(cwd)).toBe("v1.0.0");
    expect(downloads()).toBeLessThanOrEqual(3);
    await expectTidy(cwd);
  });
});

describe("a version that was not verified", () => {
  it("is logged once at level info, unlike a verified version", async () => {
    const isNote = ({ msg }: { msg: string }): boolean => msg.startsWith("Artifact not verified");
    const without = await (await bucket((right) => right)).run();
    expect(without.lines.filter(isNote)).toMatchObject([{ level: "INFO", tag: "v1.0.0" }]);
    const withMd5 = await (await bucket((right) => right, {})).run();
    expect(withMd5.lines.filter(isNote)).toEqual([]);
  });
});

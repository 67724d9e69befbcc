// The behaviour of the library on web standards only, the same on Node, Deno, Bun and workerd.
import {
  ConfigError,
  compareVersions,
  explain,
  latest,
  latestTag,
  openArtifact,
  openRegistry,
  parseRegistryUrl,
  parseVersion,
  type RegistryOptions,
  selectArtifact,
} from "../../mod.ts";
import { equal, rejects } from "./check.ts";

const LINUX = { os: "linux", arch: "x64" };

/** Runs all checks and returns their names. Throws if one fails. */
export async function libraryCase(): Promise<string[]> {
  const passed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    await check();
    passed.push(name);
  }
  return passed;
}

const checks: Record<string, () => void | Promise<void>> = {
  versions() {
    equal(parseVersion("v1.2.3-rc.1+blue")?.segments, [1, 2, 3], "parseVersion");
    equal(parseVersion(" v1.2.3 "), undefined, "parseVersion with spaces");
    equal(compareVersions("1.10.0", "v1.9.0"), 1, "compareVersions");
    equal(latestTag(["v1.0.0", "v1.10.0", "v1.9.0", "v2.0.0-rc.1"]), "v1.10.0", "latestTag");
    equal(latestTag(["v1.0.0+blue", "v2.0.0+green"], { slot: "blue" }), "v1.0.0+blue", "slot");
    equal(
      latestTag(["2024.06.1", "2024.10.0"], { calver: "YYYY.0M.MICRO" }),
      "2024.10.0",
      "calver",
    );
  },

  artifacts() {
    const names = ["app_darwin_arm64.zip", "app_linux_x86_64.tar.gz", "app_linux_arm64.tar.gz"];
    equal(selectArtifact(names, LINUX), "app_linux_x86_64.tar.gz", "selectArtifact");
  },

  locators() {
    equal(parseRegistryUrl("ghr://linyows/myapp").type, "ghr", "ghr");
    equal(parseRegistryUrl("file:///srv/releases").type, "file", "file");
    let thrown: unknown;
    try {
      parseRegistryUrl("ftp://example.test/app");
    } catch (error) {
      thrown = error;
    }
    equal(thrown instanceof ConfigError, true, "ConfigError");
  },

  async "newest version of a bucket, signed"() {
    const asked: string[] = [];
    const options = bucketOptions(asked);
    const answer = await latest("s3://eu-west-1/releases/app", options);
    if (answer.kind !== "ready") throw new Error(`latest: ${JSON.stringify(answer)}`);
    equal(answer.release.tag, "v1.1.0", "tag");
    equal(answer.artifact.name, "app_linux_amd64.tar.gz", "artifact");
    equal(
      asked.length > 0 && asked.every((value) => value.startsWith("AWS4-HMAC-SHA256")),
      true,
      "signed",
    );
    const bytes = await openRegistry("s3://eu-west-1/releases/app", options).open(answer.artifact);
    equal(await new Response(bytes).text(), "v1.1.0", "bytes");
  },

  async "why a version of a bucket was chosen"() {
    const why = await explain("s3://eu-west-1/releases/app", bucketOptions([]));
    equal(
      why.tags.map(({ tag, chosen }) => [tag, chosen]),
      [
        ["v1.1.0", true],
        ["v1.0.0", false],
      ],
      "tags",
    );
  },

  async "nothing in an empty repository"() {
    const fetch = async (): Promise<Response> => Response.json([]);
    const answer = await latest("ghr://linyows/myapp", { platform: LINUX, env: {}, fetch });
    equal(answer.kind === "none" && answer.reason, "empty", "reason");
  },

  async "refusal of a registry that is not there"() {
    const fetch = async (): Promise<Response> =>
      Response.json({ message: "Not Found" }, { status: 404 });
    await rejects(latest("ghr://a/b", { platform: LINUX, env: {}, fetch }), "not-found", "404");
    await rejects(latest("file:///srv/releases"), "config", "file on the edge");
  },

  async "bytes behind https"() {
    const stream = await openArtifact("https://example.test/app", {
      fetch: async () => new Response("bytes"),
    });
    equal(await new Response(stream).text(), "bytes", "openArtifact");
  },
};

/** A bucket with two versions, as path-style S3. */
function bucketOptions(authorizations: string[]): RegistryOptions {
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    authorizations.push(request.headers.get("authorization") ?? "none");
    const { pathname, searchParams } = new URL(request.url);
    const prefix = searchParams.get("prefix");
    if (prefix !== null) return new Response(listing(prefix));
    const headers = { etag: '"1"', "content-type": "application/gzip" };
    return new Response(request.method === "HEAD" ? null : pathname.split("/")[3], { headers });
  };
  return {
    platform: LINUX,
    endpoint: "http://s3.test",
    env: { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" },
    fetch,
  };
}

function listing(prefix: string): string {
  const folders = ["app/v1.0.0/", "app/v1.1.0/"];
  const body = folders.includes(prefix)
    ? `<Contents><Key>${prefix}app_linux_amd64.tar.gz</Key><Size>6</Size><ETag>"1"</ETag>` +
      "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
    : folders
        .map((folder) => `<CommonPrefixes><Prefix>${folder}</Prefix></CommonPrefixes>`)
        .join("");
  return `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>${body}</ListBucketResult>`;
}

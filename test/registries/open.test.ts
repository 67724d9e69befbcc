import { describe, expect, it } from "vitest";
import {
  ConfigError,
  explain,
  latest,
  openArtifact,
  openRegistry,
  parseRegistryUrl,
} from "../../mod.ts";
import { file } from "../../src/registries/file/driver.ts";
import { strictFake } from "../fakes/handler.ts";

const linux = { os: "linux", arch: "amd64" };
const quiet = { env: {}, platform: linux };

describe("openRegistry", () => {
  it("asks nobody before the first question", () => {
    const fake = strictFake();
    openRegistry("ghr://acme/app", { ...quiet, fetch: fake.fetch });
    expect(fake.requests).toEqual([]);
  });

  it.each([
    ["an unknown scheme", "ftp://host/path", "unsupported registry"],
    ["a mistyped scheme", "gh://acme/app", "did you mean ghr://?"],
    ["a single slash", "ghr:/acme/app", "write two slashes after the colon"],
    ["a scheme in capitals", "GHR://acme/app", "unsupported registry"],
    [
      "a scheme that is a property of every object",
      "constructor://acme/app",
      "unsupported registry",
    ],
    ["no URL at all", "acme/app", "<scheme>://"],
    ["an unknown option", "ghr://acme/app?prerelease=true", 'unknown option "prerelease"'],
    ["a CalVer format without a specifier", "ghr://acme/app?calver=foo", "no valid specifiers"],
    ["credentials in the URL", "ghr://user:secret@acme/app", "credentials"],
  ])("refuses %s", (_, url, why) => {
    const open = (): unknown => openRegistry(url, quiet);
    expect(open).toThrow(ConfigError);
    expect(open).toThrow(why);
    expect(open).not.toThrow("secret");
  });

  it("refuses a constraint that is not a range with the first question, before any request", async () => {
    const fake = strictFake();
    const registry = openRegistry("ghr://acme/app?constraint=banana", {
      ...quiet,
      fetch: fake.fetch,
    });
    await expect(registry.resolve()).rejects.toThrow(ConfigError);
    await expect(registry.resolve()).rejects.toThrow('Invalid constraint "banana"');
    expect(fake.requests).toEqual([]);
  });

  it.each([
    ["https://github.com/acme/app", "ghr://acme/app"],
    ["https://github.com/acme/app.git", "ghr://acme/app"],
    ["https://www.github.com/acme/app/releases/tag/v1.0.0", "ghr://acme/app"],
    ["github.com/acme/app", "ghr://acme/app"],
    ["https://hub.docker.com/r/acme/app/tags", "img://acme/app"],
    ["https://hub.docker.com/_/nginx", "img://docker.io/library/nginx"],
    ["ghcr.io/acme/app", "img://ghcr.io/acme/app"],
    ["1234.dkr.ecr.eu-west-1.amazonaws.com/app", "img://1234.dkr.ecr.eu-west-1.amazonaws.com/app"],
    ["https://my-bucket.s3.eu-west-1.amazonaws.com/app/", "s3://eu-west-1/my-bucket/app"],
    ["https://s3.eu-west-1.amazonaws.com/my-bucket/app", "s3://eu-west-1/my-bucket/app"],
    ["https://storage.googleapis.com/my-bucket/app", "gs://my-bucket/app"],
    ["https://console.cloud.google.com/storage/browser/my-bucket", "gs://my-bucket"],
  ])("suggests the registry URL that %s stands for", (address, url) => {
    expect(() => openRegistry(address, quiet)).toThrow(`did you mean ${url}?`);
    expect(() => openRegistry(url, quiet)).not.toThrow();
  });

  it("suggests nothing for an address that no driver knows", () => {
    expect(() => openRegistry("https://example.com/acme/app", quiet)).not.toThrow("did you mean");
    expect(() => openRegistry("https://github.com/acme", quiet)).not.toThrow("did you mean");
  });

  it("says how a directory can be read, where no host is there to read it", () => {
    expect(() => openRegistry("file:///srv", quiet)).toThrow("dewy/host");
    expect(() => openRegistry("file:///srv", { ...quiet, registries: { file } })).not.toThrow();
  });

  it("checks options given in code like those of the URL, and takes empty ones for unset", () => {
    expect(() => openRegistry("ghr://acme/app", { ...quiet, calver: "foo" })).toThrow("specifiers");
    expect(() => openRegistry("ghr://acme/app", { ...quiet, endpoint: "https://x" })).toThrow(
      '"endpoint"',
    );
    expect(() => openRegistry("ghr://acme/app", { ...quiet, calver: "", slot: "" })).not.toThrow();
  });
});

describe("latest and explain", () => {
  it.each([
    [{ prerelease: true }, 'unknown option "prerelease"; did you mean "preRelease"?'],
    [{ tokn: "x" }, 'unknown option "tokn"'],
  ])("refuse the unknown option in %j", async (wrong, message) => {
    const options = { ...quiet, ...(wrong as object) };
    await expect(latest("ghr://acme/app", options)).rejects.toThrow(message);
    await expect(explain("ghr://acme/app", options)).rejects.toThrow(message);
    await expect(openArtifact("https://example.com/a.tgz", options)).rejects.toThrow(message);
  });

  it.each(["", undefined])("refuse %j as a URL", async (url) => {
    const failure = latest(url as string, quiet);
    await expect(failure).rejects.toThrow(ConfigError);
    await expect(failure).rejects.toThrow("Cannot open a registry without a URL");
  });

  it("reject, rather than throw, when the URL is wrong", async () => {
    await expect(latest("nonsense", quiet)).rejects.toThrow(ConfigError);
    await expect(explain("nonsense", quiet)).rejects.toThrow(ConfigError);
  });

  it("look at one tag only, with a single request and without the policy of the URL", async () => {
    const release = {
      ...{ id: 7, tag_name: "v1.0.0-rc.1", draft: false, prerelease: true, assets: [] },
      ...{ created_at: "2020-01-01T00:00:00Z", published_at: null, upload_url: "https://u" },
    };
    const calls: string[] = [];
    const options = {
      ...quiet,
      tag: "v1.0.0-rc.1",
      constraint: "^2",
      fetch: async (input: RequestInfo | URL) => {
        calls.push(new Request(input).url);
        return Response.json(release);
      },
    };
    const answer = { kind: "none", reason: "artifact-missing", tag: "v1.0.0-rc.1" };
    expect(await latest("ghr://acme/app", options)).toMatchObject(answer);
    expect(await explain("ghr://acme/app", options)).toMatchObject({
      resolution: answer,
      tags: [{ tag: "v1.0.0-rc.1", chosen: true }],
    });
    const url = "https://api.github.com/repos/acme/app/releases/tags/v1.0.0-rc.1";
    expect(calls).toEqual([url, url]);
  });

  it("let an option in code win over the URL", async () => {
    const fake = strictFake();
    const tag = {
      ref: "refs/tags/v1.0.0-rc.1",
      object: { sha: "a".repeat(40), type: "commit", url: "" },
      node_id: "",
      url: "",
    };
    fake.on("GET /repos/acme/app/git/matching-refs/tags?per_page=100", Response.json([tag]));
    fake.on("GET /repos/acme/app/releases?per_page=100", Response.json([]));
    const why = await explain("ghr://acme/app?pre-release=false", {
      ...quiet,
      fetch: fake.fetch,
      preRelease: true,
    });
    fake.verify();
    expect(why.tags[0]?.reason).not.toContain("pre-release");
  });
});

describe("parseRegistryUrl", () => {
  it("reads the URL of every registry of the document", () => {
    const types = [
      "ghr://linyows/myapp",
      "s3://ap-northeast-1/my-releases/myapp",
      "gs://my-releases-bucket/myapp",
      "img://ghcr.io/myorg/myapp",
      "grpc://registry.example.com:9000",
      "file:///srv/releases",
    ].map((url) => parseRegistryUrl(url).type);
    expect(types).toEqual(["ghr", "s3", "gs", "oci", "grpc", "file"]);
  });
});

describe("openArtifact", () => {
  const url = "https://example.com/app.tar.gz";

  it("passes on what identifies the bytes, and resumes only if they are still the same", async () => {
    const url = "https://example.com/app.tar.gz";
    const found: (string | undefined)[] = [];
    const answer = (etag: string) => async (): Promise<Response> =>
      new Response("0123456789", { headers: { etag } });
    const fetch = answer('"a"');
    await openArtifact(url, { ...quiet, fetch, onValidator: (one) => void found.push(one) });
    expect(found).toEqual(['"a"']);
    const resumed = { ...quiet, offset: 4, validator: '"a"' };
    const rest = await openArtifact(url, { ...resumed, fetch });
    expect(await new Response(rest).text()).toBe("456789");
    await expect(openArtifact(url, { ...resumed, fetch: answer('"b"') })).rejects.toMatchObject({
      code: "integrity",
    });
  });

  it("resumes from a byte on where the server knows ranges", async () => {
    const fake = strictFake();
    const headers = { "content-range": "bytes 4-9/10" };
    fake.on(`GET ${url}`, new Response("456789", { status: 206, headers }));
    const stream = await openArtifact(url, { fetch: fake.fetch, offset: 4 });
    expect(await new Response(stream).text()).toBe("456789");
    expect(fake.requests[0]?.headers.get("range")).toBe("bytes=4-");
  });

  it("skips what is there already where the server knows none", async () => {
    const fetch = async (): Promise<Response> => new Response("0123456789");
    const stream = await openArtifact(url, { fetch, offset: 4 });
    expect(await new Response(stream).text()).toBe("456789");
  });

  it("refuses plain http and local files", async () => {
    await expect(openArtifact("http://example.com/a", quiet)).rejects.toThrow(ConfigError);
    await expect(openArtifact("file:///etc/passwd", quiet)).rejects.toThrow(ConfigError);
  });

  it("takes plain http where the caller allows it", async () => {
    const fetch = async (): Promise<Response> => new Response("bytes");
    const options = { ...quiet, fetch, allow: "http,mirror.example" };
    const stream = await openArtifact("http://mirror.example/a.tgz", options);
    expect(await new Response(stream).text()).toBe("bytes");
  });
});

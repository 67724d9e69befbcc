import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/core/error.ts";
import { type SplitUrl, splitUrl } from "../../src/core/url.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { parseFileUrl } from "../../src/registries/file_locator.ts";
import { parseGsArtifactUrl, parseGsUrl } from "../../src/registries/gcs/locator.ts";
import { parseGhrArtifactUrl, parseGhrUrl } from "../../src/registries/github/locator.ts";
import { parseGrpcUrl } from "../../src/registries/grpc/locator.ts";
import { loadRegistry } from "../../src/registries/load.ts";
import { parseImgArtifactUrl, parseImgUrl } from "../../src/registries/oci/locator.ts";
import { openRegistry } from "../../src/registries/open.ts";
import { parseS3ArtifactUrl, parseS3Url } from "../../src/registries/s3/locator.ts";
import { REFUSED, testVectors } from "../support/vectors.ts";

type Parser = (url: SplitUrl) => object;

const LOCATORS: ReadonlyMap<string, Parser> = new Map<string, Parser>([
  ["ghr", parseGhrUrl],
  ["s3", parseS3Url],
  ["gs", parseGsUrl],
  ["img", parseImgUrl],
  ["grpc", parseGrpcUrl],
  ["file", parseFileUrl],
]);
const ARTIFACTS: ReadonlyMap<string, Parser> = new Map<string, Parser>([
  ["ghr", parseGhrArtifactUrl],
  ["s3", parseS3ArtifactUrl],
  ["gs", parseGsArtifactUrl],
  ["img", parseImgArtifactUrl],
]);

function parse(url: unknown, parsers: ReadonlyMap<string, Parser>, out?: unknown): unknown {
  try {
    const split = splitUrl(String(url), "--registry");
    const parser = parsers.get(split.scheme);
    if (parser === undefined) return REFUSED;
    const all: Record<string, unknown> = { ...parser(split) };
    const asked = typeof out === "object" && out !== null ? Object.keys(out) : Object.keys(all);
    return Object.fromEntries(asked.map((key) => [key, all[key]]));
  } catch (error) {
    if (error instanceof ConfigError) return REFUSED;
    throw error;
  }
}

describe("vectors", () => {
  testVectors(
    "registry-url",
    ({ in: input, out }) => {
      // GITHUB_ARTIFACT is read by the ghr driver when it opens, so it is put where the driver puts it.
      const artifact = (input.env as Record<string, string>).GITHUB_ARTIFACT;
      const url =
        artifact === undefined || String(input.url).includes("artifact=")
          ? input.url
          : `${String(input.url)}?artifact=${artifact}`;
      return parse(url, LOCATORS, out);
    },
    ["parse"],
  );
  testVectors(
    "registry-url",
    ({ in: input, out }) => {
      return String(input.scheme ?? "") === "" || String(input.url).startsWith(String(input.scheme))
        ? parse(input.url, ARTIFACTS, out)
        : REFUSED;
    },
    ["artifactURL"],
  );
});

describe("every registry URL", () => {
  const urls = ["ghr://o/r", "s3://r/b/p", "gs://b/p", "img://ghcr.io/o/r", "file:///srv/app"];

  test.each(urls)("%s refuses a CalVer format or a constraint that cannot be used", async (url) => {
    expect(() =>
      LOCATORS.get(url.split(":")[0] ?? "")?.(splitUrl(`${url}?calver=foo`, "--registry")),
    ).toThrow(
      'calver format "foo" contains no valid specifiers (expected YYYY, YY, 0Y, MM, 0M, WW, 0W, DD, 0D, or MICRO)',
    );
    expect(parse(`${url}?calver=foo`, LOCATORS)).toBe(REFUSED);
    const invalid = `${url}?constraint=latest`;
    const options = { registries: hostRegistries };
    await expect(openRegistry(invalid, options).resolve()).rejects.toThrow(
      'Invalid constraint "latest"',
    );
    await expect(loadRegistry(invalid, options)).rejects.toThrow('Invalid constraint "latest"');
    expect(parse(`${url}?constraint=%5E1.2&calver=`, LOCATORS)).toMatchObject({
      constraint: "^1.2",
      calver: "",
    });
    expect(parse(`${url}?constraint=>=1+<2`, LOCATORS)).toMatchObject({ constraint: ">=1 <2" });
    expect(parse(`${url}?calver=YYYY.0M&constraint=^2024.06`, LOCATORS)).toMatchObject({
      constraint: "^2024.06",
    });
  });

  test("of a server that chooses itself has no constraint, but a CalVer format to check", () => {
    expect(parse("grpc://h:1?constraint=^1", LOCATORS)).toBe(REFUSED);
    expect(parse("grpc://h:1?calver=foo", LOCATORS)).toBe(REFUSED);
  });
});

describe("img://", () => {
  const img = (rest: string): object => parseImgUrl(splitUrl(`img://${rest}`, "--registry"));

  test.each([
    ["localhost:5000/a", true],
    ["localhost/a", true],
    ["127.0.0.1:5000/a", true],
    ["[::1]:5000/a", true],
    ["localhost:5000/a?insecure=false", false],
    ["registry.example/a", false],
    ["localhost.example/a", false],
    ["registry.example/a?insecure=true", true],
  ])("%s is spoken to without TLS: %s", (rest, plainHttp) => {
    expect(img(rest)).toMatchObject({ plainHttp });
  });

  test.each([
    "ghcr.io%2Fevil/a",
    "ghcr.io%40evil.example/a",
    "ghcr.io:x/a",
    "-.example/a",
    "ghcr.io/A",
    "registry.example:0/a",
    "registry.example:/a",
    "registry.example:65536/a",
  ])("%s is refused", (rest) => {
    expect(() => img(rest)).toThrow(ConfigError);
  });

  test.each([
    ["nginx", "library/nginx"],
    ["nginx/?pre-release=true", "library/nginx"],
    ["owner/app", "owner/app"],
    ["docker.io/nginx", "library/nginx"],
  ])("%s is %s of Docker Hub, as in docker pull", (rest, repository) => {
    expect(img(rest)).toMatchObject({ registry: "registry-1.docker.io", repository });
  });

  test.each(["", "ghcr.io", "localhost/", "nginx:5000"])("%s alone is not a repository", (rest) => {
    expect(() => img(rest)).toThrow(/is required: img:/);
  });

  test("says how a repository with capitals is written", () => {
    expect(() => img("ghcr.io/Acme/App")).toThrow("it must be lower case; did you mean acme/app?");
  });

  test("hosts have no case, and paths may be deep", () => {
    expect(img("Registry.Example:443/deep/path/app")).toMatchObject({
      registry: "registry.example:443",
      repository: "deep/path/app",
    });
  });
});

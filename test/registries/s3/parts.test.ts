import { describe, expect, test } from "vitest";
import { bucketAddress, objectAddress, s3Endpoint } from "../../../src/registries/s3/address.ts";
import { statedDigest } from "../../../src/registries/s3/registry.ts";

describe("bucketAddress", () => {
  test.each([
    ["us-east-1", "releases", "", "https://releases.s3.us-east-1.amazonaws.com"],
    ["cn-north-1", "releases", "", "https://releases.s3.cn-north-1.amazonaws.com.cn"],
    ["eusc-de-east-1", "releases", "", "https://releases.s3.eusc-de-east-1.amazonaws.eu"],
    ["us-east-1", "my.releases", "", "https://s3.us-east-1.amazonaws.com/my.releases"],
    ["us-east-1", "Old_Bucket", "", "https://s3.us-east-1.amazonaws.com/Old_Bucket"],
    ["us-east-1", "releases", "http://127.0.0.1:7480", "http://127.0.0.1:7480/releases"],
    ["us-east-1", "releases", "https://s3.example.com/sub", "https://s3.example.com/sub/releases"],
  ])("of %s %s at %j is %s", (region, bucket, endpoint, address) => {
    expect(bucketAddress({ region, bucket, endpoint })).toBe(address);
  });

  test.each([
    ["evil.test/", "b"],
    ["", "b"],
    ["us-east-1", ".."],
    ["us-east-1", "a/b"],
  ])("refuses region %j and bucket %j", (region, bucket) => {
    expect(() => bucketAddress({ region, bucket, endpoint: "" })).toThrow(/^Invalid S3/);
  });
});

describe("objectAddress", () => {
  test("keeps every character of a key through URL parsing", () => {
    const at = { region: "r", bucket: "b", endpoint: "http://s3.test" };
    const key = "a//b/%2e%2e/ +&=?#'\"\\!()*\n\t\u0001ü😀/";
    expect(decodeURIComponent(new URL(objectAddress(at, key)).pathname)).toBe(`/b/${key}`);
  });
});

describe("s3Endpoint", () => {
  test("prefers the URL, then the variable of S3, then the common one", () => {
    const env = { AWS_ENDPOINT_URL_S3: "https://s3.test/", AWS_ENDPOINT_URL: "https://all.test" };
    expect(s3Endpoint("http://url.test", env)).toBe("http://url.test");
    expect(s3Endpoint("", env)).toBe("https://s3.test");
    expect(s3Endpoint("", { ...env, AWS_ENDPOINT_URL_S3: "" })).toBe("https://all.test");
    expect(s3Endpoint("", {})).toBe("");
  });

  const profile = { name: "prod", s3Endpoint: "https://profile.test/" };

  test("uses the profile's endpoint if neither the URL nor the environment has one", () => {
    expect(s3Endpoint("", {}, profile)).toBe("https://profile.test");
    expect(s3Endpoint("", { AWS_ENDPOINT_URL: "https://all.test" }, profile)).toBe(
      "https://all.test",
    );
    expect(s3Endpoint("http://url.test", {}, profile)).toBe("http://url.test");
  });

  test.each([
    ["the environment says so", { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "TRUE" }, false, true],
    ["the profile says so", {}, true, true],
    ["the environment overrides it", { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "false" }, true, false],
  ])("ignores what is configured where %s", (_, variable, ignoresEndpoints, ignored) => {
    const env = { ...variable, AWS_ENDPOINT_URL: "https://all.test" };
    expect(s3Endpoint("", env, { ...profile, ignoresEndpoints })).toBe(
      ignored ? "" : "https://all.test",
    );
    expect(s3Endpoint("http://url.test", env, { ...profile, ignoresEndpoints })).toBe(
      "http://url.test",
    );
  });

  test("names the profile of an unusable endpoint_url, but not its value", () => {
    const read = (): string => s3Endpoint("", {}, { name: "prod", s3Endpoint: "http://me:pw@h" });
    expect(read).toThrow(/endpoint_url of the AWS profile "prod"/);
    expect(read).not.toThrow(/pw/);
  });

  test.each(["s3.test", "ftp://s3.test", "https://me:pw@s3.test", "https://s3.test?a=b"])(
    "names the variable that holds %j, but not its value",
    (value) => {
      const read = (): string => s3Endpoint("", { AWS_ENDPOINT_URL: value });
      expect(read).toThrow(/AWS_ENDPOINT_URL/);
      expect(read).not.toThrow(/pw/);
    },
  );
});

describe("statedDigest", () => {
  const MD5 = "0cc175b9c0f1b6a831c399e269772661";
  const SHA256 = "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="; // of "a"
  test.each([
    [
      "the strongest checksum",
      { "x-amz-checksum-sha256": SHA256, "x-amz-checksum-crc32": "6Le+Qw==" },
      "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    ],
    [
      "CRC64NVME",
      { "x-amz-checksum-crc64nvme": "AAAAAAAAAAE=", "x-amz-checksum-type": "FULL_OBJECT" },
      "crc64nvme:0000000000000001",
    ],
    ["CRC32", { "x-amz-checksum-crc32": "6Le+Qw==", etag: `"${MD5}"` }, "crc32:e8b7be43"],
    ["a simple ETag", { etag: `"${MD5}"` }, `md5:${MD5}`],
    [
      "a simple ETag beside a checksum of checksums",
      { "x-amz-checksum-sha256": `${SHA256}-2`, etag: `"${MD5}"` },
      `md5:${MD5}`,
    ],
    [
      "a simple ETag of SSE-S3",
      { etag: `"${MD5}"`, "x-amz-server-side-encryption": "AES256" },
      `md5:${MD5}`,
    ],
  ])("is %s", (_what, headers, digest) => {
    expect(statedDigest(new Headers(headers))).toBe(digest);
  });

  test.each([
    ["nothing is stated", {}],
    [
      "the checksum is one of checksums",
      { "x-amz-checksum-crc32": "6Le+Qw==", "x-amz-checksum-type": "COMPOSITE" },
    ],
    ["the upload had parts", { etag: `"${MD5}-2"` }],
    ["KMS encrypts", { etag: `"${MD5}"`, "x-amz-server-side-encryption": "aws:kms:dsse" }],
    [
      "the customer encrypts",
      { etag: `"${MD5}"`, "x-amz-server-side-encryption-customer-algorithm": "AES256" },
    ],
    ["a checksum has the wrong length", { "x-amz-checksum-sha256": "6Le+Qw==" }],
  ])("is unknown when %s", (_why, headers) => {
    expect(statedDigest(new Headers(headers))).toBeUndefined();
  });
});

import { describe, expect, test } from "vitest";
import { hostRegistries } from "../../../src/host/registries.ts";
import {
  assertMayAsk,
  assertResolvesElsewhere,
  readAnsweredArtifact,
} from "../../../src/registries/answered/artifact.ts";

const TARGET = "10.0.0.5:9000";
const HEX = "0123456789abcdef".repeat(4);

const read = (url: string, ...allow: string[]): ReturnType<typeof readAnsweredArtifact> =>
  readAnsweredArtifact({ url }, { target: TARGET, allow, registries: hostRegistries });

describe("an artifact URL that a server answers with", () => {
  test.each([
    ["ghr://o/r/tag/v1%2B2/app%20a.tar.gz", "app a.tar.gz"],
    ["s3://ap-northeast-1/bucket/a/b/app.tar.gz", "app.tar.gz"],
    ["gs://bucket/a/b/app.zip", "app.zip"],
    ["https://example.com/a/app%2Bx.tar.gz?sig=1", "app+x.tar.gz"],
    ["https://example.com:8443/app.tar.gz", "app.tar.gz"],
    ["https://8.8.8.8/app.tar.gz", "app.tar.gz"],
  ])("may be %s", (url, name) => {
    expect(read(url)).toEqual({ name, url });
  });

  test("may state a digest, which is not part of the address", () => {
    const url = "https://example.com/app.tar.gz";
    const artifact = { name: "app.tar.gz", url, digest: `sha256:${HEX}` };
    expect(read(`${url}#sha256=${HEX.toUpperCase()}`)).toEqual(artifact);
    expect(read(`s3://r/b/app.tar.gz#sha256=${HEX}`).digest).toBe(`sha256:${HEX}`);
  });

  test.each(["", "md5=00", "sha256=00", `sha256=${HEX}0`, `sha256=${HEX}&x=1`])(
    "must not have the fragment %j",
    (fragment) => {
      expect(() => read(`https://example.com/app.tar.gz#${fragment}`)).toThrow("sha256=<64 hex");
    },
  );

  test.each([
    ["file:///etc/passwd", "allow=file"],
    ["http://example.com/app.tar.gz", "allow=http"],
    ["s3://r/b/app.tar.gz?endpoint=https://evil.example.com", "allow=endpoint"],
    ["s3://r/b/app.tar.gz?endpoint=http://169.254.169.254", "allow=endpoint"],
    ["https://localhost/app.tar.gz", "allow=localhost"],
    ["https://LOCALHOST./app.tar.gz", "inside this machine"],
    ["https://127.0.0.1/app.tar.gz", "allow=127.0.0.1"],
    ["https://0x7f.1/app.tar.gz", "inside this machine"],
    ["https://2130706433/app.tar.gz", "inside this machine"],
    ["https://0/app.tar.gz", "inside this machine"],
    ["https://[::1]/app.tar.gz", "inside this machine"],
    ["https://[::ffff:169.254.169.254]/app.tar.gz", "inside this machine"],
    ["https://[fd00:ec2::254]/app.tar.gz", "inside this machine"],
    ["https://169.254.169.254/latest/meta-data", "inside this machine"],
    ["https://metadata.google.internal/x", "inside this machine"],
    ["https://10.0.0.5/app.tar.gz", "inside this machine"],
    ["https://10.0.0.5:9001/app.tar.gz", "inside this machine"],
    ["https://192.168.1.1/app.tar.gz", "inside this machine"],
    ["https://user:pw@example.com/app.tar.gz", "credentials"],
    ["https://example.com\\@127.0.0.1/app.tar.gz", "backslashes"],
    ["https://example.com/app .tar.gz", "blanks"],
    ["https://example.com/app\n.tar.gz", "control characters"],
    ["https://example.com/", "names no file"],
    ["https://example.com/a/%2E%2E%2F..", "names no file"],
    ["ftp://example.com/app.tar.gz", "not one of ghr, s3, gs, https"],
    ["FILE:///etc/passwd", "not one of ghr"],
    ["img://ghcr.io/o/r", "not one of ghr"],
    ["grpc://example.com", "not one of ghr"],
    ["javascript:alert(1)", "expected <scheme>"],
    ["ghr://o/r/app.tar.gz", "expected ghr://"],
    ["ghr://o/r/tag/v1/app.tar.gz?token=1", "unknown option"],
    ["https://example.com/%zz", "bad percent-encoding"],
    ["ghr://o/r/tag/v1/..%2Fapp.tar.gz", "names no file"],
    [`https://example.com/${"a".repeat(9000)}`, "too long"],
  ])("must not be %s", (url, problem) => {
    expect(() => read(url)).toThrow(problem);
  });

  test.each([
    ["file:///srv/app.tar.gz", ["file"]],
    ["http://example.com/app.tar.gz", ["http"]],
    ["https://10.0.0.7/app.tar.gz", ["10.0.0.7"]],
    ["https://10.0.0.7:8443/app.tar.gz", ["10.0.0.7"]],
    ["https://10.0.0.7:8443/app.tar.gz", ["10.0.0.7:8443"]],
    ["https://[::1]/app.tar.gz", ["[::1]"]],
    ["http://localhost:8080/app.tar.gz", ["http", "localhost:8080"]],
    ["s3://r/b/app.tar.gz?endpoint=https://minio.example.com", ["endpoint"]],
    ["s3://r/b/app.tar.gz?endpoint=http://10.0.0.7:9000", ["endpoint", "http", "10.0.0.7"]],
  ])("may be %s when %j is allowed by name", (url, allow) => {
    expect(read(url, ...allow).url).toBe(url);
    for (const missing of allow) {
      const rest = allow.filter((one) => one !== missing);
      expect(() => read(url, ...rest)).toThrow(`allow=${missing.replace(/:\d+$/, "")}`);
    }
  });

  test("may lead to the registry itself, which the user named", () => {
    expect(read("https://10.0.0.5:9000/artifacts/app.tar.gz").name).toBe("app.tar.gz");
    expect(() => read("http://10.0.0.5:9000/artifacts/app.tar.gz")).toThrow("allow=http");
    expect(read("http://10.0.0.5:9000/a.tar.gz", "http").name).toBe("a.tar.gz");
  });

  test.each([
    "127.0.0.1",
    "::1",
    "169.254.169.254",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "0.0.0.0",
  ])("must not have a name that stands for %s", (address) => {
    const url = new URL("https://files.example.com/a.zip");
    const check = (...allow: string[]): void =>
      assertResolvesElsewhere(url, { target: TARGET, allow, registries: hostRegistries }, [
        "8.8.8.8",
        address,
      ]);
    expect(check).toThrow(`"files.example.com" stands for ${address}`);
    expect(() => check("files.example.com")).not.toThrow();
  });

  test.each(["8.8.8.8", "10.1.2.3", "172.31.0.1", "192.168.0.1", "fd12:3456::1", "2606:4700::1"])(
    "may have a name that stands for %s",
    (address) => {
      const rules = { target: TARGET, allow: [], registries: hostRegistries };
      const url = new URL("https://files.example.com/a.zip");
      expect(() => assertResolvesElsewhere(url, rules, [address])).not.toThrow();
    },
  );

  test("must not be redirected where it must not be", () => {
    const rules = { target: TARGET, allow: [], registries: hostRegistries };
    expect(() => assertMayAsk(new URL("https://cdn.example.com/a"), rules)).not.toThrow();
    expect(() => assertMayAsk(new URL("https://169.254.169.254/a"), rules)).toThrow("inside");
  });
});

import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Proof } from "../../../src/core/proof.ts";
import { checksums } from "../../../src/verify/checksums/driver.ts";
import { sha256Hex, subjectOf, verifyContext } from "../../support/subject.ts";

const APP = "app_linux_amd64.tar.gz";
const signal = new AbortController().signal;
const SHA256 = sha256Hex("bytes");
const SHA512 = createHash("sha512").update("bytes").digest("hex");
const OTHER = sha256Hex("other");

function verify(files: Readonly<Record<string, string | Uint8Array>>): Promise<Proof> {
  const subject = subjectOf({ [APP]: "bytes", ...files });
  return checksums.open("", verifyContext()).verify(subject, signal);
}

const UTF_16 = Buffer.from(
  `\ufeffSHA256          ${SHA256.toUpperCase()}       C:\\dist\\${APP}\r\n`,
  "utf16le",
);

describe("a checksum file", () => {
  test.each<[string, string, string | Uint8Array]>([
    ["sha256sum", "SHA256SUMS", `${OTHER}  other\n${SHA256}  ${APP}\n`],
    ["sha256sum in binary mode", "sha256sum.txt", `${SHA256} *${APP}\r\n`],
    ["sha256sum of a path", "checksums.txt", `${SHA256}  ./dist/${APP}\n`],
    ["sha256sum of a path on Windows", "checksums.txt", `\\${SHA256} *dist\\\\${APP}\n`],
    ["sha256sum --tag", "app_1.0.0_checksums.txt", `SHA256 (${APP}) = ${SHA256}\n`],
    ["openssl 1", "app.sha256sums", `SHA256(${APP})= ${SHA256}\n`],
    ["openssl 3", "CHECKSUM", `SHA2-256(dist/${APP})= ${SHA256}\n`],
    ["sha256sum of the standard input", `${APP}.sha256`, `${SHA256}  -\n`],
    ["a bare digest", `${APP}.sha256`, SHA256.toUpperCase()],
    ["a bare digest beside the name without its ending", "app_linux_amd64.sha256", SHA256],
    ["a bare digest with a prefix", `${APP}.sha256.txt`, `sha256:${SHA256}\n`],
    ["sha512sum", "SHA512SUMS", `${SHA512}  ${APP}\n`],
    ["a bare SHA-512", `${APP}.sha512`, `${SHA512}\n`],
    ["both hashes", "hashes.txt", `${SHA256}  ${APP}\n${SHA512}  ${APP}\n`],
    [
      "sums of several algorithms",
      "checksums-bsd",
      `MD5 (${APP}) = ${"0".repeat(32)}\nSHA256 (${APP}) = ${SHA256}\nSHA1 (${APP}) = ${"0".repeat(40)}\n`,
    ],
    ["a name first", "checksums", `${APP}: ${SHA256}\n`],
    ["a name first, in columns", "sha256.txt", `${APP}\t${SHA256}\n`],
    [
      "certutil",
      `${APP}.sha256`,
      `SHA256 hash of ${APP}:\r\n${SHA256}\r\nCertUtil: -hashfile command completed successfully.\r\n`,
    ],
    ["Get-FileHash", `${APP}.sha256`, UTF_16],
    [
      "Get-FileHash as a list",
      `${APP}.sha256`,
      `Algorithm : SHA256\r\nHash      : ${SHA256}\r\nPath      : C:\\${APP}\r\n`,
    ],
    ["comments and empty lines", "SHASUMS256.txt", `\n# checksums\n\n  ${SHA256}  ${APP}  \n`],
    ["the same line twice", "SHA256_SUM", `${SHA256}  ${APP}\n${SHA256}  ${APP}\n`],
  ])("in the form of %s", async (_, name, content) => {
    expect(await verify({ [name]: content })).toEqual({
      kind: "checksums",
      evidence: name,
      checksums: name,
    });
  });

  test.each([
    ["another digest", `${OTHER}  ${APP}\n`, `has another digest for "${APP}"`],
    ["another SHA-512", `${"0".repeat(128)}  ${APP}\n`, "has another digest"],
    ["one right and one wrong hash", `${OTHER}  ${APP}\n${SHA512}  ${APP}\n`, "has another digest"],
    ["two digests for it", `${SHA256}  a/${APP}\n${OTHER}  b/${APP}\n`, "has several digests for"],
    ["other files only", `${SHA256}  other\n`, `does not list the SHA-256 or SHA-512 of "${APP}"`],
    ["a name that ends like it", `${SHA256}  my ${APP}\n`, "does not list"],
    ["a name that starts like it", `${SHA256}  ${APP}.old\n`, "does not list"],
    ["a digest without a name", `${SHA256}\n`, "does not list"],
    ["an MD5", `${"0".repeat(32)}  ${APP}\n`, "does not list"],
    ["a digest that is too long", `${SHA256}00  ${APP}\n`, "does not list"],
    ["nothing", "", "does not list"],
  ])("with %s is refused", async (_, content, reason) => {
    await expect(verify({ SHA256SUMS: content })).rejects.toMatchObject({
      code: "unverified",
      message: expect.stringContaining(`with checksums: SHA256SUMS: it ${reason}`),
    });
  });

  test("of the artifact alone does not stand for it under another name", async () => {
    const files = { [`${APP}.sha256`]: `${SHA256}  other\n${SHA256}\n` };
    await expect(verify(files)).rejects.toThrow("does not list");
  });

  test("without a name must be of one file only", async () => {
    const files = { "app_linux_amd64.sha256": SHA256, "app_linux_amd64.zip": "" };
    await expect(verify(files)).rejects.toThrow("app_linux_amd64.sha256: it does not list");
    const binary = { "app_linux_amd64.sha256": SHA256, app_linux_amd64: "" };
    await expect(verify(binary)).rejects.toThrow("the release has no checksum file");
  });

  test("is not taken for that of a file whose name it starts with", async () => {
    const line = `${SHA256}  ${APP}\n`;
    for (const name of ["app_1.0.0_checksums.txt", "app_1.0.0.sha256sums", "app_1.0.0-SHA256SUM"]) {
      const files = { "app_1.0.0": "", "app_1.0.0.tar.gz": "", [name]: line };
      expect(await verify(files)).toMatchObject({ evidence: name });
    }
  });

  test("of another file is not read", async () => {
    const sums = Object.fromEntries(
      Array.from({ length: 20 }, (_, at) => `file${at}`).flatMap((name) => [
        [name, ""],
        [`${name}.sha256`, `${SHA256}  ${APP}\n`],
      ]),
    );
    await expect(verify(sums)).rejects.toThrow("the release has no checksum file that lists it");
    expect(await verify({ ...sums, SHA256SUMS: `${SHA256}  ${APP}\n` })).toMatchObject({
      evidence: "SHA256SUMS",
    });
  });

  test("is not a signature, an archive, a list of other hashes, or too large", async () => {
    const line = `${SHA256}  ${APP}\n`;
    const names = [
      "SHA256SUMS.asc",
      "SHA256SUMS.sig",
      "checksum.tar.gz",
      "checksums.sha1",
      "x.sha256.json",
    ];
    await expect(verify(Object.fromEntries(names.map((name) => [name, line])))).rejects.toThrow(
      "the release has no checksum file",
    );
    const subject = subjectOf({ [APP]: "bytes", checksum_linux: line });
    const files = subject.files.map((file) => ({ ...file, size: 2 ** 20 + 1 }));
    const verifier = checksums.open("", verifyContext());
    await expect(verifier.verify({ ...subject, files }, signal)).rejects.toThrow(
      "the release has no checksum file",
    );
  });

  test("must not contradict another one", async () => {
    const files = { SHA256SUMS: `${SHA256}  ${APP}\n`, "checksums.txt": `${OTHER}  ${APP}\n` };
    await expect(verify(files)).rejects.toThrow("checksums.txt: it has another digest");
    expect(await verify({ ...files, "checksums.txt": `${OTHER}  other\n` })).toMatchObject({
      evidence: "SHA256SUMS",
    });
  });

  test("with SHA-512 is compared with the bytes that were hashed before", async () => {
    const subject = subjectOf({ [APP]: "bytes", SHA512SUMS: `${SHA512}  ${APP}\n` });
    const changed = { ...subject, open: () => new Blob(["other"]).stream() };
    const verifier = checksums.open("", verifyContext());
    await expect(verifier.verify(changed, signal)).rejects.toThrow("the file has changed");
  });
});

test("the error says how to make a checksum file, if the release has none", async () => {
  await expect(verify({})).rejects.toThrow(
    `Cannot verify "${APP}" of v1.0.0 with checksums: the release has no checksum file that lists it; make one in CI: sha256sum ${APP} > SHA256SUMS`,
  );
});

test("images have no checksum files", async () => {
  const image = { digests: async () => [], async *signatures() {} };
  const verifier = checksums.open("", verifyContext());
  await expect(
    verifier.verify({ ...subjectOf({ [APP]: "bytes" }), image }, signal),
  ).rejects.toThrow("it is for files, not for images");
});

test("the rule has no value", () => {
  expect(() => checksums.open("SHA256SUMS", verifyContext())).toThrow(
    expect.objectContaining({ code: "config" }),
  );
});

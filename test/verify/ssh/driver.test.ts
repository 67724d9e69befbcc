import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Proof } from "../../../src/core/proof.ts";
import { ssh } from "../../../src/verify/ssh/driver.ts";
import type { Subject, VerifyContext } from "../../../src/verify/types.ts";
import { missingPeer } from "../../peers/missing_peer.ts";
import { sshAccepts, sshKey } from "../../support/signing.ts";
import { sha256Hex, subjectOf, verifyContext } from "../../support/subject.ts";

const APP = "app_linux_amd64.tar.gz";
const signal = new AbortController().signal;
const noSshKeygen = missingPeer(["ssh-keygen"], "openssh-client");

const contextOf = (signers: string): VerifyContext =>
  verifyContext({ readTextFile: async () => signers });

const verify = (subject: Subject, signers: string): Promise<Proof> =>
  ssh.open("allowed_signers", contextOf(signers)).verify(subject, signal);

const release = (signature: string | Uint8Array, content: string | Uint8Array = "bytes"): Subject =>
  subjectOf({ [APP]: content, [`${APP}.sig`]: signature });

const fingerprintOf = (publicKey: string): string => {
  const blob = Buffer.from(publicKey.split(" ")[2] ?? "", "base64");
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
};

describe.skipIf(noSshKeygen !== undefined)(`a signature of ssh-keygen ${noSshKeygen ?? ""}`, () => {
  test.each<[string, number | undefined]>([
    ["ed25519", undefined],
    ["ecdsa", 256],
    ["ecdsa", 384],
    ["ecdsa", 521],
    ["rsa", 2048],
    ["rsa", 3072],
  ])("proves the key of %s %s", async (type, bits) => {
    const { publicKey, sign } = await sshKey(type, bits);
    // r and s of ECDSA differ in length.
    for (let round = 0; round < (type === "ecdsa" ? 8 : 1); round += 1) {
      expect(await verify(release(await sign(APP, "bytes")), publicKey)).toEqual({
        kind: "ssh",
        evidence: `${APP}.sig`,
        checksums: undefined,
        signer: fingerprintOf(publicKey),
      });
    }
    await expect(verify(release(await sign(APP, "bytes"), "other"), publicKey)).rejects.toThrow(
      `${APP}.sig: the signature is wrong, or of another file; find out who has published it, or sign it again in CI: ssh-keygen -Y sign -n file`,
    );
  });

  test("may be made with SHA-256", async () => {
    const { publicKey, sign } = await sshKey();
    const signature = await sign(APP, "bytes", "-O", "hashalg=sha256");
    expect(await verify(release(signature), publicKey)).toMatchObject({ kind: "ssh" });
  });

  test("may be of a checksum file that lists the artifact", async () => {
    const { publicKey, sign } = await sshKey();
    const verifyWith = async (checksums: string): Promise<Proof> => {
      const signature = await sign("SHA256SUMS", checksums);
      const files = { [APP]: "bytes", SHA256SUMS: checksums, "SHA256SUMS.sig": signature };
      return verify(subjectOf(files), publicKey);
    };
    expect(await verifyWith(`${sha256Hex("bytes")}  ${APP}\n`)).toMatchObject({
      evidence: "SHA256SUMS.sig",
      checksums: "SHA256SUMS",
    });
    await expect(verifyWith(`${sha256Hex("other")}  ${APP}\n`)).rejects.toThrow("another digest");
  });

  test("is refused by other keys and in other namespaces", async () => {
    const [{ publicKey, sign }, stranger] = [await sshKey(), await sshKey()];
    await expect(verify(release(await stranger.sign(APP, "bytes")), publicKey)).rejects.toThrow(
      `it is signed by ${fingerprintOf(stranger.publicKey)}, which is not an allowed signer`,
    );
    await expect(verify(release(await sign(APP, "bytes", "-n", "git")), publicKey)).rejects.toThrow(
      'it was made for the namespace "git", not "file"',
    );
  });

  test("is bound by the options of the allowed signer", async () => {
    const { publicKey, sign } = await sshKey();
    const subject = release(await sign(APP, "bytes"));
    const verifyWith = (options: string): Promise<Proof> =>
      verify(subject, publicKey.replace(" ", ` ${options} `));
    // The clock of the tests is at 2026-01-02T03:04:05Z.
    for (const options of [
      'namespaces="git,file"',
      'namespaces="f?l*"',
      'valid-after="20260102",valid-before="20260103Z"',
      "VALID-AFTER=20260102030405Z",
    ]) {
      expect(await verifyWith(options)).toMatchObject({ kind: "ssh" });
    }
    await expect(verifyWith('namespaces="git"')).rejects.toThrow('not for the namespace "file"');
    await expect(verifyWith('namespaces="*,!file"')).rejects.toThrow("not for the namespace");
    await expect(verifyWith("valid-before=202601020304Z")).rejects.toThrow("key is not valid now");
    await expect(verifyWith("valid-after=20260102030406Z")).rejects.toThrow("key is not valid now");
    await expect(verifyWith("cert-authority")).rejects.toThrow("which is not an allowed signer");
    await expect(verifyWith("no-such-option")).rejects.toMatchObject({
      code: "unverified",
      fault: "operator",
      message:
        'Cannot use "allowed_signers" for ssh: line 1: the option "no-such-option" is unknown',
    });
  });

  test("may be by any key in the file", async () => {
    const keys = [await sshKey(), await sshKey("ecdsa", 256)];
    const file = `# signers\n\n${keys.map(({ publicKey }) => publicKey).join("\r\n")}`;
    for (const { sign } of keys) {
      expect(await verify(release(await sign(APP, "bytes")), file)).toMatchObject({ kind: "ssh" });
    }
  });

  test("is refused with any byte changed", async () => {
    const { publicKey, sign } = await sshKey();
    const line = `${sha256Hex("bytes")}  ${APP}\n`;
    const files: Readonly<Record<string, Uint8Array>> = {
      [APP]: Buffer.from("bytes"),
      SHA256SUMS: Buffer.from(line),
      "SHA256SUMS.sig": await sign("SHA256SUMS", line),
    };
    expect(await verify(subjectOf(files), publicKey)).toMatchObject({ kind: "ssh" });
    const places = Object.entries(files).flatMap(([name, bytes]) =>
      [...bytes.keys()].map((at) => ({ name, at })),
    );
    const change = fc.record({
      place: fc.constantFrom(...places),
      by: fc.integer({ min: 1, max: 255 }),
    });
    const property = fc.asyncProperty(change, async ({ place: { name, at }, by }) => {
      const changed = Uint8Array.from(files[name] ?? []);
      changed[at] = (changed[at] ?? 0) ^ by;
      await expect(
        verify(subjectOf({ ...files, [name]: changed }), publicKey),
      ).rejects.toMatchObject({ code: "unverified" });
    });
    await fc.assert(property, { numRuns: 500 });
  });

  test.each(["ed25519", "ecdsa"])(
    "of a security key for %s is taken, as by ssh-keygen",
    async (type) => {
      const { line, signature } = securityKeySignature(type, "bytes");
      expect(await sshAccepts(line, "bytes", signature)).toBe(true);
      expect(await verify(release(signature), line)).toMatchObject({ kind: "ssh" });
      await expect(verify(release(signature, "other"), line)).rejects.toThrow(
        "wrong, or of another",
      );
    },
  );

  test("of RSA with SHA-1, or by a short key, is refused", async () => {
    const signed = (bits: number, format: string, hash: string): Promise<Proof> => {
      const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: bits });
      const { n = "", e = "" } = publicKey.export({ format: "jwk" });
      const modulus = Buffer.concat([Buffer.alloc(1), Buffer.from(n, "base64url")]);
      const key = [wire("ssh-rsa"), wire(Buffer.from(e, "base64url")), wire(modulus)];
      const bytes = sign(hash, signedData("bytes"), privateKey);
      const signature = Buffer.concat([wire(format), wire(bytes)]);
      return verify(
        release(armor(Buffer.concat(key), signature)),
        lineOf("ssh-rsa", Buffer.concat(key)),
      );
    };
    expect(await signed(2048, "rsa-sha2-256", "sha256")).toMatchObject({ kind: "ssh" });
    await expect(signed(2048, "ssh-rsa", "sha1")).rejects.toThrow(
      "signatures of ssh-rsa are not secure",
    );
    await expect(signed(1024, "rsa-sha2-256", "sha256")).rejects.toThrow("RSA key is too short");
  });

  test.each<[string, (signature: Buffer) => Buffer]>([
    ["with more behind it", (signature) => Buffer.concat([signature, Buffer.alloc(1)])],
    ["that is cut off", (signature) => signature.subarray(0, -1)],
  ])("of Ed25519 %s is refused", async (_, change) => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const key = Buffer.concat([wire("ssh-ed25519"), wire(coordinate(publicKey, "x"))]);
    const bytes = sign(null, signedData("bytes"), privateKey);
    const signature = Buffer.concat([wire("ssh-ed25519"), wire(bytes)]);
    const line = lineOf("ssh-ed25519", key);
    expect(await verify(release(armor(key, signature)), line)).toMatchObject({ kind: "ssh" });
    await expect(verify(release(armor(key, change(signature))), line)).rejects.toThrow(
      "it is malformed",
    );
  });

  test("of ECDSA has one form", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = Buffer.concat(
      ["ecdsa-sha2-nistp256", "nistp256", pointOf(publicKey)].map((field) => wire(field)),
    );
    const [r, s] = integersOf(signData(privateKey, signedData("bytes")));
    if (r === undefined || s === undefined) throw new Error("no signature");
    const verifyWith = (...integers: Buffer[]): Promise<Proof> => {
      const fields = ["ecdsa-sha2-nistp256", Buffer.concat(integers.map((one) => wire(one)))];
      const signature = armor(key, Buffer.concat(fields.map((field) => wire(field))));
      return verify(release(signature), lineOf("ecdsa-sha2-nistp256", key));
    };
    expect(await verifyWith(r, s)).toMatchObject({ kind: "ssh" });
    const padded = Buffer.concat([Buffer.alloc(1), s]);
    await expect(verifyWith(r, padded)).rejects.toThrow("it is malformed");
    await expect(verifyWith(r, s, Buffer.alloc(0))).rejects.toThrow("it is malformed");
    await expect(verifyWith(r, Buffer.alloc(0))).rejects.toThrow("it is malformed");
  });

  test("by a certificate is refused with a reason", async () => {
    const key = wire("ssh-ed25519-cert-v01@openssh.com");
    await expect(
      verify(release(armor(key, wire(""))), lineOf("ssh-ed25519-cert-v01@openssh.com", key)),
    ).rejects.toThrow("it is made with a certificate, which dewy does not verify");
  });
});

const wire = (content: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.byteLength);
  return Buffer.concat([length, bytes]);
};

const lineOf = (type: string, key: Buffer): string =>
  `release@example.com ${type} ${key.toString("base64")}\n`;

const signedData = (content: string): Buffer =>
  Buffer.concat([
    Buffer.from("SSHSIG"),
    wire("file"),
    wire(""),
    wire("sha512"),
    wire(createHash("sha512").update(content).digest()),
  ]);

function armor(key: Buffer, signature: Buffer): string {
  const head = Buffer.from("SSHSIG\0\0\0\x01");
  const bytes = Buffer.concat([
    head,
    ...[key, "file", "", "sha512", signature].map((field) => wire(field)),
  ]);
  const lines = bytes.toString("base64").match(/.{1,70}/g) ?? [];
  return `-----BEGIN SSH SIGNATURE-----\n${lines.join("\n")}\n-----END SSH SIGNATURE-----\n`;
}

/** As an authenticator signs: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.u2f */
function securityKeySignature(kind: string, content: string): { line: string; signature: string } {
  const sha256 = (data: string | Uint8Array): Buffer => createHash("sha256").update(data).digest();
  const [flags, counter] = [Buffer.of(1), Buffer.of(0, 0, 0, 7)];
  const signed = [sha256("ssh:"), flags, counter, sha256(signedData(content))];
  const { type, fields, signature } =
    kind === "ed25519" ? ed25519(Buffer.concat(signed)) : ecdsa(Buffer.concat(signed));
  const key = Buffer.concat([wire(type), ...fields.map(wire), wire("ssh:")]);
  const blob = Buffer.concat([wire(type), wire(signature), flags, counter]);
  return { line: lineOf(type, key), signature: armor(key, blob) };
}

interface Authenticated {
  type: string;
  fields: readonly (string | Buffer)[];
  signature: Buffer;
}

const coordinate = (key: KeyObject, name: "x" | "y"): Buffer =>
  Buffer.from(key.export({ format: "jwk" })[name] ?? "", "base64url");

function ed25519(data: Buffer): Authenticated {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const signature = sign(null, data, privateKey);
  const fields = [coordinate(publicKey, "x")];
  return { type: "sk-ssh-ed25519@openssh.com", fields, signature };
}

const pointOf = (key: KeyObject): Buffer =>
  Buffer.concat([Buffer.of(4), coordinate(key, "x"), coordinate(key, "y")]);

const signData = (key: KeyObject, data: Buffer): Buffer =>
  sign("sha256", data, { key, dsaEncoding: "ieee-p1363" });

/** r and s in their shortest form, with a zero in front of a high bit. */
function integersOf(raw: Buffer): Buffer[] {
  return [raw.subarray(0, 32), raw.subarray(32)].map((part) => {
    const short = part.subarray(part.findIndex((byte) => byte !== 0));
    return (short[0] ?? 0) < 0x80 ? short : Buffer.concat([Buffer.alloc(1), short]);
  });
}

function ecdsa(data: Buffer): Authenticated {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const integers = integersOf(signData(privateKey, data)).map((integer) => wire(integer));
  return {
    type: "sk-ecdsa-sha2-nistp256@openssh.com",
    fields: ["nistp256", pointOf(publicKey)],
    signature: Buffer.concat(integers),
  };
}

describe("ssh", () => {
  test("says how to sign a release that has no signature", async () => {
    await expect(verify(subjectOf({ [APP]: "bytes" }), EXAMPLE)).rejects.toThrow(
      `with ssh: the release has no *.sig for it, nor for a checksum file that lists it; sign it in CI: ssh-keygen -Y sign -n file -f KEY ${APP}`,
    );
  });

  test.each([
    [
      "a signature of another program",
      "untrusted comment: x",
      "it is not a signature of ssh-keygen",
    ],
    [
      "a signature that is cut off",
      armor(wire("ssh-ed25519"), wire("")).replace(/^.{20}\n/m, ""),
      "it is",
    ],
    ["a key that is cut off", armor(wire(""), wire("")), "which is not an allowed signer"],
  ])("refuses %s", async (_, signature, reason) => {
    await expect(verify(release(signature), EXAMPLE)).rejects.toThrow(reason);
  });

  test.each([
    ["", "it lists no keys"],
    ["# comment", "it lists no keys"],
    ["release@example.com", "line 1: expected principals, options, a key type and a key"],
    ["\nrelease@example.com ssh-ed25519 x", "line 2: expected"],
    [`release@example.com valid-after=2026 ssh-ed25519 AAAA`, 'line 1: "2026" is not a time'],
    [
      `release@example.com valid-after=20261340 ssh-ed25519 AAAA`,
      'line 1: "20261340" is not a time',
    ],
  ])("cannot use the file %j", async (text, reason) => {
    await expect(verify(subjectOf({ [APP]: "" }), text)).rejects.toMatchObject({
      fault: "operator",
      message: expect.stringContaining(`Cannot use "allowed_signers" for ssh: ${reason}`),
    });
  });

  test("needs a file", () => {
    expect(() => ssh.open("", verifyContext())).toThrow(
      expect.objectContaining({ code: "config" }),
    );
  });
});

describe.skipIf(noSshKeygen !== undefined)(`a release without a rule ${noSshKeygen ?? ""}`, () => {
  const offered = (subject: Subject): Promise<readonly Proof[]> =>
    ssh.offered?.(subject, verifyContext(), signal) ?? Promise.resolve([]);

  test("offers the proof of any key", async () => {
    const { publicKey, sign } = await sshKey();
    expect(await offered(release(await sign(APP, "bytes")))).toEqual([
      expect.objectContaining({ kind: "ssh", signer: fingerprintOf(publicKey) }),
    ]);
  });

  test("offers nothing without a signature, or with one of another program", async () => {
    expect(await offered(subjectOf({ [APP]: "bytes" }))).toEqual([]);
    expect(await offered(release("a signature of another program"))).toEqual([]);
    const { sign } = await sshKey();
    const other = { SHA256SUMS: "", "SHA256SUMS.sig": await sign("SHA256SUMS", "") };
    expect(await offered(subjectOf({ [APP]: "bytes", ...other }))).toEqual([]);
  });

  test("fails if what it offers does not hold", async () => {
    const { sign } = await sshKey();
    await expect(offered(release(await sign(APP, "other")))).rejects.toMatchObject({
      code: "unverified",
    });
  });
});

const EXAMPLE = `release@example.com ssh-ed25519 ${wire("ssh-ed25519").toString("base64")}\n`;

import { execFile } from "node:child_process";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import { tempDirectory } from "./temp_directory.ts";

const run = promisify(execFile);

type Content = string | Uint8Array;

/** A key, and the program that signs with it. */
export interface SigningKey {
  /** As the rule of `--verify` wants it: a line, or the text of a file. */
  publicKey: string;
  /** Signs a file of this name, and returns the signature. */
  sign(name: string, content: Content, ...flags: readonly string[]): Promise<Uint8Array>;
  /** Whether the program itself takes a signature. */
  accepts(name: string, content: Content, signature: Content): Promise<boolean>;
}

export async function minisignKey(): Promise<SigningKey> {
  const directory = await tempDirectory();
  const [publicFile, secretFile] = [join(directory, "key.pub"), join(directory, "key")];
  await run("minisign", ["-G", "-W", "-p", publicFile, "-s", secretFile]);
  return {
    publicKey: await readFile(publicFile, "utf8"),
    async sign(name, content, ...flags) {
      const file = join(directory, name);
      await writeFile(file, content);
      await run("minisign", ["-S", "-s", secretFile, "-m", file, ...flags]);
      return readFile(`${file}.minisig`);
    },
    async accepts(name, content, signature) {
      const file = join(directory, name);
      await Promise.all([writeFile(file, content), writeFile(`${file}.minisig`, signature)]);
      return succeeds("minisign", ["-V", "-p", publicFile, "-m", file]);
    },
  };
}

/** A key of ssh-keygen, as a line of an allowed signers file. */
export async function sshKey(type = "ed25519", bits?: number): Promise<SigningKey> {
  const directory = await tempDirectory();
  const [key, signers] = [join(directory, "key"), join(directory, "signers")];
  const size = bits === undefined ? [] : ["-b", String(bits)];
  await run("ssh-keygen", ["-q", "-t", type, ...size, "-N", "", "-C", "comment", "-f", key]);
  const publicKey = `release@example.com ${await readFile(`${key}.pub`, "utf8")}`;
  await writeFile(signers, publicKey);
  return {
    publicKey,
    async sign(name, content, ...flags) {
      const file = join(directory, name);
      await writeFile(file, content);
      await rm(`${file}.sig`, { force: true });
      const args = flags.includes("-n") ? flags : ["-n", "file", ...flags];
      await run("ssh-keygen", ["-q", "-Y", "sign", "-f", key, ...args, file]);
      return readFile(`${file}.sig`);
    },
    accepts: (_, content, signature) => sshAccepts(publicKey, content, signature),
  };
}

/** A key of GnuPG, whose agent ends with the test. */
export async function gpgKey(algorithm = "ed25519", subkey?: string): Promise<SigningKey> {
  const home = await tempDirectory();
  await chmod(home, 0o700);
  onTestFinished(() => run("gpgconf", ["--homedir", home, "--kill", "all"]).then(() => {}));
  const gpg = (...args: readonly string[]) =>
    run("gpg", ["--homedir", home, "--batch", "--quiet", "--passphrase", "", ...args]);
  await gpg("--quick-generate-key", "release@example.com", algorithm, "sign", "never");
  if (subkey !== undefined) {
    const { stdout: list } = await gpg("--list-keys", "--with-colons");
    const [, fingerprint = ""] = /^fpr:{9}([0-9A-F]+):/m.exec(list) ?? [];
    await gpg("--quick-add-key", fingerprint, subkey, "sign");
  }
  const { stdout: publicKey } = await gpg("--armor", "--export");
  return {
    publicKey,
    async sign(name, content, ...flags) {
      const [file, signature] = [join(home, name), join(home, `${name}.signature`)];
      await writeFile(file, content);
      await rm(signature, { force: true });
      const kind = flags.includes("--clear-sign") ? [] : ["--detach-sign"];
      await gpg("--output", signature, ...flags, ...kind, file);
      return readFile(signature);
    },
    async accepts(name, content, signature) {
      const [file, signed] = [join(home, name), join(home, `${name}.signature`)];
      await Promise.all([writeFile(file, content), writeFile(signed, signature)]);
      return succeeds("gpg", ["--homedir", home, "--batch", "--verify", signed, file]);
    },
  };
}

/** Whether ssh-keygen takes a signature by a key of the allowed signers. */
export async function sshAccepts(
  signers: string,
  content: Content,
  signature: Content,
): Promise<boolean> {
  const directory = await tempDirectory();
  const [list, file, signed] = ["signers", "file", "file.sig"].map((name) => join(directory, name));
  if (list === undefined || file === undefined || signed === undefined) return false;
  await Promise.all([
    writeFile(list, signers),
    writeFile(file, content),
    writeFile(signed, signature),
  ]);
  const args = [
    "-Y",
    "verify",
    "-n",
    "file",
    "-I",
    "release@example.com",
    "-f",
    list,
    "-s",
    signed,
  ];
  return succeeds("sh", ["-c", 'exec ssh-keygen "$@" < "$0"', file, ...args]);
}

async function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}

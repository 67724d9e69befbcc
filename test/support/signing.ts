import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
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

async function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}

import { spawn } from "node:child_process";
import { chmod, readFile } from "node:fs/promises";
import { basename } from "node:path";
import type { CommandContext } from "../../agent/context.ts";
import { ConfigError, HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { hashOfFile } from "../../host/download/read_file.ts";
import { writeFileAtomic } from "../../host/files/atomic_file.ts";
import { fileError, hasCode } from "../../host/files/file_error.ts";
import { editIndex } from "../../verify/index_file/edit.ts";
import { type Index, parseIndex } from "../../verify/index_file/format.ts";
import type { SignIndexConfig } from "../flags/sign_index.ts";

/** Writes the index, and signs it with a program of the publisher: dewy has no keys. */
export async function runSignIndex(
  config: SignIndexConfig,
  context: CommandContext,
): Promise<number> {
  const { tag, files, index: path, expiresInMs, signer } = config;
  const { stop } = context.signals;
  const before = await readIndex(path);
  const version = tag === undefined ? undefined : { tag, files: await digestsOf(files, stop) };
  const now = context.clock.now();
  const text = editIndex(before, { version, now, expiresInMs });
  stop.throwIfAborted();
  await writeFileAtomic(path, text);
  // It is published, and other users may serve it.
  await chmod(path, 0o644);
  const [program, ...args] = signer;
  if (program !== undefined) await sign(program, [...args, path], stop);
  const expires = new Date(now + expiresInMs).toISOString();
  const next = program === undefined ? "; sign it, and publish both files" : "";
  context.stdout.write(`${path} written; it expires at ${expires}${next}\n`);
  return 0;
}

async function readIndex(path: string): Promise<Index | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return undefined;
    throw fileError("read", path, cause);
  }
  const index = parseIndex(text);
  if (typeof index !== "string") return index;
  throw new ConfigError(`Cannot extend "${path}": ${index}`);
}

async function digestsOf(
  files: readonly string[],
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const digests: [name: string, digest: string][] = [];
  for (const file of files) {
    const name = basename(file);
    if (digests.some(([other]) => other === name)) {
      throw new ConfigError(`Cannot list "${name}" twice: the files of a release have other names`);
    }
    const hash = await hashOfFile(file, signal).catch((cause: unknown) => {
      signal.throwIfAborted();
      throw fileError("read", file, cause);
    });
    digests.push([name, `sha256:${hash}`]);
  }
  return Object.fromEntries(digests);
}

/** The program has the terminal: it may ask for a password. */
async function sign(program: string, args: readonly string[], stop: AbortSignal): Promise<void> {
  const child = spawn(program, args, { stdio: "inherit", signal: stop });
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", resolve);
  }).catch((cause: unknown) => {
    stop.throwIfAborted();
    throw new HostError(`Cannot run "${program}" to sign the index: ${messageOf(cause)}`, {
      cause,
      fault: "operator",
    });
  });
  if (exitCode === 0) return;
  const end = exitCode === null ? "was killed" : `exited with exit code ${exitCode}`;
  throw new HostError(`Cannot sign the index: ${program} ${end}`, { fault: "operator" });
}

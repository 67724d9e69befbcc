import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { CommandContext } from "../../agent/context.ts";
import { ConfigError } from "../../core/error.ts";
import type { Artifact } from "../../core/types.ts";
import { hashOfFile, streamFile } from "../../host/download/read_file.ts";
import { fileError } from "../../host/files/file_error.ts";
import { readFilesOf } from "../../verify/read_files.ts";
import type { Subject } from "../../verify/types.ts";

type LocalFile = Pick<Subject, "tag" | "name" | "sha256" | "size" | "open" | "files">;

/** A file with everything beside it, or `sha256:<hex>`, of which only the evidence is known. */
export async function localSubject(target: string, context: CommandContext): Promise<Subject> {
  const local = digestOnly(target) ?? (await localFile(target, context.signals.stop));
  return { ...local, read: readLocal(context) };
}

/** Adds files of this machine to a release. They count before its own of the same name. */
export async function addEvidence(
  subject: Subject,
  paths: readonly string[],
  context: CommandContext,
): Promise<Subject> {
  if (paths.length === 0) return subject;
  if (subject.image !== undefined) {
    throw new ConfigError(
      "Cannot use --evidence with an image: its signatures are in the registry; cosign attach puts them there",
    );
  }
  const given = await Promise.all(paths.map(evidenceFile));
  const names = new Set(given.map(({ name }) => name));
  const read = readLocal(context);
  return {
    ...subject,
    files: [...given, ...subject.files.filter(({ name }) => !names.has(name))],
    read: (file, maxBytes) =>
      given.includes(file) ? read(file, maxBytes) : subject.read(file, maxBytes),
  };
}

function readLocal({ clock, signals }: CommandContext): Subject["read"] {
  const open = async ({ url }: Artifact) => streamFile(await realpath(url));
  return readFilesOf({ registry: { open }, clock, signal: signals.stop });
}

function digestOnly(target: string): LocalFile | undefined {
  const [, sha256] = /^sha256:([0-9a-f]{64})$/.exec(target) ?? [];
  if (sha256 === undefined) return undefined;
  const name = "artifact";
  return { tag: target, name, sha256, files: [{ name, url: target }] };
}

async function localFile(target: string, signal: AbortSignal): Promise<LocalFile> {
  const { path, size } = await regularFile(target, "verify");
  return {
    tag: dirname(resolve(target)),
    name: basename(target),
    sha256: await hashOfFile(path, signal),
    size,
    open: () => streamFile(path),
    files: await filesOf(dirname(target)),
  };
}

async function evidenceFile(path: string): Promise<Artifact> {
  const { size } = await regularFile(path, "use --evidence");
  return { name: basename(path), url: path, size };
}

async function regularFile(path: string, action: string): Promise<{ path: string; size: number }> {
  try {
    const real = await realpath(path);
    const found = await stat(real);
    if (found.isFile()) return { path: real, size: found.size };
  } catch (cause) {
    throw fileError(action, path, cause);
  }
  throw new ConfigError(`Cannot ${action} "${path}": it is not a file; a registry has :// in it`);
}

async function filesOf(directory: string): Promise<readonly Artifact[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map(({ name }) => ({ name, url: join(directory, name) }));
}

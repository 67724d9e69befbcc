import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXTRACT_LIMITS, type ExtractLimits } from "../../../src/host/archive/budget.ts";
import { extractArchive } from "../../../src/host/archive/extract.ts";

/** A directory for one test, with a sibling that must not change. */
export interface Sandbox {
  /** Everything. */
  root: string;
  /** Where archives are extracted. */
  target: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Makes a directory for one test. */
export async function sandbox(): Promise<Sandbox> {
  const root = await mkdtemp(join(tmpdir(), "dewy-archive-"));
  await mkdir(join(root, "outside"));
  await writeFile(join(root, "outside", "secret"), "untouched");
  return {
    root,
    target: join(root, "target"),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

/** Writes an archive into a sandbox and extracts it there. */
export async function extractBytes(
  box: Sandbox,
  bytes: Uint8Array,
  name: string,
  limits: Partial<ExtractLimits> = {},
  signal: AbortSignal = new AbortController().signal,
): ReturnType<typeof extractArchive> {
  const file = join(box.root, "archive.bin");
  await writeFile(file, bytes);
  return await extractArchive({
    file,
    name,
    directory: box.target,
    limits: { ...EXTRACT_LIMITS, ...limits },
    signal,
  });
}

/**
 * Everything below a directory: `"<mode>:<content>"` for files, `"<mode>"` for directories (their paths end
 * in `/`), `"-> <target>"` for links.
 */
export async function treeOf(directory: string, prefix = ""): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for (const name of (await readdir(directory)).sort()) {
    const path = join(directory, name);
    const stats = await lstat(path);
    const mode = (stats.mode & 0o7777).toString(8).padStart(4, "0");
    if (stats.isSymbolicLink()) tree[prefix + name] = `-> ${await readlink(path)}`;
    else if (stats.isDirectory()) {
      tree[`${prefix}${name}/`] = mode;
      Object.assign(tree, await treeOf(path, `${prefix}${name}/`));
    } else if (stats.isFile()) tree[prefix + name] = `${mode}:${await readFile(path, "utf8")}`;
    else tree[prefix + name] = "special";
  }
  return tree;
}

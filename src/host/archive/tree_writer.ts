import {
  closeSync,
  constants,
  fchmodSync,
  futimesSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { chmod, open, utimes } from "node:fs/promises";
import { BatchWriter, DiskFault } from "../download/batch_writer.ts";
import type { Budget } from "./budget.ts";
import { type ArchiveEntry, BrokenRule, entryPath, readBody } from "./entry.ts";
import { checkTarget, type DirectoryNode, newDirectory, Tree, type TreeNode } from "./tree.ts";

// Without the set-user-ID, set-group-ID and sticky bits.
const PERMISSIONS = 0o777;
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
// Up to this size a few synchronous calls cost far less than the thread pool.
const SMALL_FILE_BYTES = 1 << 18;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Symbolic links come last, so that nothing can be written through one. */
export class TreeWriter {
  readonly #directory: string;
  readonly #budget: Budget;
  readonly #tree = new Tree();
  /** Files and links so far. */
  leaves = 0;

  constructor(directory: string, budget: Budget) {
    this.#directory = directory;
    this.#budget = budget;
  }

  async add(entry: ArchiveEntry): Promise<void> {
    this.#budget.takeEntry();
    const segments = entryPath(entry.name);
    switch (entry.type) {
      case "directory":
        return this.#directoryEntry(segments, entry);
      case "file":
        return await this.#file(segments, entry);
      case "symlink":
        return this.#symlink(segments, entry.link, entry.mtime);
      case "hardlink":
        return this.#hardlink(segments, entry);
      default:
        throw new BrokenRule(
          `it is a ${entry.type}; a release has files, directories and links only`,
        );
    }
  }

  /** Creates the symbolic links, then sets the modes and times of directories. */
  async finish(report: (name: string) => void): Promise<void> {
    const links: PendingLink[] = [];
    collectLinks(this.#tree.root, [], links);
    for (const { segments, target } of links) {
      report(segments.join("/"));
      this.#tree.requireInside(segments, target);
    }
    for (const link of links) this.#makeLink(link);
    await this.#sealDirectories(this.#tree.root, this.#directory, true);
  }

  #directoryEntry(segments: readonly string[], entry: ArchiveEntry): void {
    // The target belongs to the caller.
    if (segments.length === 0) return;
    const parent = this.#parent(segments);
    const name = segments.at(-1) ?? "";
    let node = parent.children.get(name);
    if (node !== undefined && node.kind !== "directory") {
      throw new BrokenRule(`there is a ${node.kind} of the same name`);
    }
    if (node === undefined) {
      node = newDirectory();
      parent.children.set(name, node);
      mkdirSync(this.#path(segments), { mode: DIRECTORY_MODE });
    }
    node.mode = entry.mode === undefined ? undefined : entry.mode & PERMISSIONS;
    node.mtime = entry.mtime;
  }

  async #file(segments: readonly string[], entry: ArchiveEntry): Promise<void> {
    this.#budget.requireBytes(entry.size);
    this.#makeRoom(segments, { kind: "file" });
    const path = this.#path(segments);
    if (entry.size <= SMALL_FILE_BYTES) await this.#writeSmall(path, entry);
    else await this.#writeLarge(path, entry);
  }

  async #writeSmall(path: string, entry: ArchiveEntry): Promise<void> {
    const chunks: Uint8Array[] = [];
    await readBody(entry, (chunk) => {
      this.#budget.takeBytes(chunk.byteLength);
      chunks.push(chunk);
    });
    const file = openSync(path, NEW_FILE, 0o600);
    try {
      for (const piece of chunks) writeWhole(file, piece);
      fchmodSync(file, fileMode(entry));
      if (entry.mtime !== undefined) futimesSync(file, entry.mtime, entry.mtime);
    } finally {
      closeSync(file);
    }
  }

  async #writeLarge(path: string, entry: ArchiveEntry): Promise<void> {
    const file = await open(path, NEW_FILE, 0o600);
    const writer = new BatchWriter(file, 0);
    try {
      await readBody(entry, (chunk) => {
        this.#budget.takeBytes(chunk.byteLength);
        return writer.write(chunk);
      });
      await writer.settle();
      await file.chmod(fileMode(entry));
      if (entry.mtime !== undefined) await file.utimes(entry.mtime, entry.mtime);
    } catch (error) {
      throw error instanceof DiskFault ? error.cause : error;
    } finally {
      await writer.abandon();
      await file.close();
    }
  }

  #symlink(segments: readonly string[], target: string, mtime: Date | undefined): void {
    checkTarget(target);
    this.#makeRoom(segments, { kind: "symlink", target, mtime });
  }

  #hardlink(segments: readonly string[], entry: ArchiveEntry): void {
    const from = entryPath(entry.link);
    const source = this.#tree.find(from);
    // tar stores a second name of a symbolic link as a hard link to it.
    if (source?.kind === "symlink") {
      this.#symlink(segments, source.target, source.mtime);
      return;
    }
    if (source?.kind !== "file") {
      throw new BrokenRule(
        `it is a hard link to ${JSON.stringify(entry.link)}, which is not a file before it in the archive`,
      );
    }
    if (from.join("/") === segments.join("/")) return;
    this.#makeRoom(segments, { kind: "file" });
    linkSync(this.#path(from), this.#path(segments));
  }

  /** The last entry of a name wins, but not over a directory. */
  #makeRoom(segments: readonly string[], node: TreeNode): void {
    const name = segments.at(-1);
    if (name === undefined) throw new BrokenRule("it has no name");
    const parent = this.#parent(segments);
    const before = parent.children.get(name);
    if (before?.kind === "directory") throw new BrokenRule("there is a directory of the same name");
    // Not overwritten: the file may have other names.
    if (before?.kind === "file") unlinkSync(this.#path(segments));
    parent.children.set(name, node);
    this.leaves += 1;
  }

  #parent(segments: readonly string[]): DirectoryNode {
    return this.#tree.parent(segments, (path) => {
      this.#budget.takeEntry();
      mkdirSync(`${this.#directory}/${path}`, { mode: DIRECTORY_MODE });
    });
  }

  #path(segments: readonly string[]): string {
    return `${this.#directory}/${segments.join("/")}`;
  }

  #makeLink({ segments, target, mtime }: PendingLink): void {
    const path = this.#path(segments);
    symlinkSync(target, path);
    if (mtime === undefined) return;
    try {
      lutimesSync(path, mtime, mtime);
    } catch {
      // Not every file system stores the times of links.
    }
  }

  async #sealDirectories(node: DirectoryNode, path: string, isRoot: boolean): Promise<void> {
    for (const [name, child] of node.children) {
      if (child.kind === "directory") await this.#sealDirectories(child, `${path}/${name}`, false);
    }
    if (isRoot) return;
    if (node.mtime !== undefined) await utimes(path, node.mtime, node.mtime);
    // The umask does not apply, as for files.
    await chmod(path, node.mode ?? DIRECTORY_MODE);
  }
}

function fileMode({ mode }: ArchiveEntry): number {
  return mode === undefined ? FILE_MODE : mode & PERMISSIONS;
}

function writeWhole(file: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.byteLength) written += writeSync(file, bytes, written);
}

type PendingLink = Extract<TreeNode, { kind: "symlink" }> & { segments: readonly string[] };

function collectLinks(node: DirectoryNode, way: string[], links: PendingLink[]): void {
  for (const [name, child] of node.children) {
    if (child.kind === "symlink") links.push({ ...child, segments: [...way, name] });
    if (child.kind !== "directory") continue;
    way.push(name);
    collectLinks(child, way, links);
    way.pop();
  }
}

import { BrokenRule } from "./entry.ts";

export interface DirectoryNode {
  kind: "directory";
  children: Map<string, TreeNode>;
  /** Set at the end, because a read-only directory cannot be filled. */
  mode: number | undefined;
  mtime: Date | undefined;
}

export type TreeNode =
  | DirectoryNode
  | { kind: "symlink"; target: string; mtime: Date | undefined }
  | { kind: "file" };

const MAX_TARGET_BYTES = 1024;
const MAX_LINK_HOPS = 40;
const MAX_LINK_STEPS = 1000;

/** The release so far: the target is new and private, so rules are checked here without races. */
export class Tree {
  readonly root: DirectoryNode = newDirectory();

  /** Calls `onNew` for each missing directory on the way, outermost first. */
  parent(segments: readonly string[], onNew: (path: string) => void): DirectoryNode {
    let directory = this.root;
    for (const [depth, segment] of segments.slice(0, -1).entries()) {
      const path = (): string => segments.slice(0, depth + 1).join("/");
      let node = directory.children.get(segment);
      if (node === undefined) {
        node = newDirectory();
        directory.children.set(segment, node);
        onNew(path());
      } else if (node.kind !== "directory") {
        const what = node.kind === "symlink" ? "the symbolic link" : "the file";
        throw new BrokenRule(`its path goes through ${what} ${JSON.stringify(path())}`);
      }
      directory = node;
    }
    return directory;
  }

  /** Does not follow links. */
  find(segments: readonly string[]): TreeNode | undefined {
    let node: TreeNode | undefined = this.root;
    for (const segment of segments) {
      if (node?.kind !== "directory") return undefined;
      node = node.children.get(segment);
    }
    return node;
  }

  /** Call it when all entries are known: a later link can change where an earlier one leads. */
  requireInside(segments: readonly string[], target: string): void {
    const todo = target.split("/").reverse();
    const way: (TreeNode | undefined)[] = [this.root];
    for (const segment of segments.slice(0, -1)) way.push(childOf(way.at(-1), segment));
    let hops = 0;
    for (let steps = 0; todo.length > 0; steps += 1) {
      if (steps > MAX_LINK_STEPS) throw new BrokenRule("its target takes too many steps");
      const segment = todo.pop();
      if (segment === undefined || segment === "" || segment === ".") continue;
      if (segment === "..") {
        way.pop();
        if (way.length === 0) throw new BrokenRule(leaves(target));
        continue;
      }
      const next = childOf(way.at(-1), segment);
      if (next?.kind !== "symlink") {
        way.push(next);
        continue;
      }
      hops += 1;
      if (hops > MAX_LINK_HOPS) throw new BrokenRule("it is a symbolic link to itself");
      todo.push(...next.target.split("/").reverse());
    }
  }
}

export function checkTarget(target: string): void {
  if (target === "") throw new BrokenRule("it is a symbolic link to nothing");
  if (target.includes("\0")) throw new BrokenRule("its link target has a NUL character");
  if (target.includes("\uFFFD")) throw new BrokenRule("its link target is not UTF-8");
  if (Buffer.byteLength(target) > MAX_TARGET_BYTES) {
    throw new BrokenRule("its link target is too long");
  }
  if (target.startsWith("/")) throw new BrokenRule(leaves(target));
}

function leaves(target: string): string {
  return `it is a symbolic link to ${JSON.stringify(target)}, which leaves the directory`;
}

export function newDirectory(): DirectoryNode {
  return { kind: "directory", children: new Map(), mode: undefined, mtime: undefined };
}

function childOf(node: TreeNode | undefined, segment: string): TreeNode | undefined {
  return node?.kind === "directory" ? node.children.get(segment) : undefined;
}

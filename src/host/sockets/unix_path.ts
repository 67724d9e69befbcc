import { lstat, rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { HostError } from "../../core/error.ts";
import { AddressInUseError } from "./bind_error.ts";
import type { ListenSpec } from "./listen_spec.ts";

const ANSWER_MS = 2_000;

/**
 * Makes sure that a socket may be put at a path: what is there must be a socket that nobody listens on any more.
 *
 * @param spec the path.
 * @throws AddressInUseError when somebody listens; HostError when it is something else than a socket, or the directory is not there.
 */
export async function freeUnixPath(spec: ListenSpec & { kind: "unix" }): Promise<void> {
  const there = await lstat(spec.path).catch(() => undefined);
  if (there === undefined) return checkDirectory(spec.path);
  if (!there.isSocket()) {
    throw new HostError(
      `Cannot listen on unix:${spec.path}: there is something else than a socket. Remove it, or choose another path`,
      { retryable: false },
    );
  }
  if (await answers(spec.path)) throw new AddressInUseError(spec, []);
}

/** Runtimes say "permission denied" of a directory that is not there. */
async function checkDirectory(path: string): Promise<void> {
  const directory = dirname(path);
  const there = await stat(directory).catch(() => undefined);
  if (there?.isDirectory() === true) return;
  throw new HostError(
    `Cannot listen on unix:${path}: there is no directory ${directory}; make it first: mkdir -p ${directory}`,
    { retryable: false },
  );
}

/** A full backlog answers EAGAIN, which means that somebody listens: only a refusal says that nobody does. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (isAlive: boolean): void => {
      socket.destroy();
      resolve(isAlive);
    };
    socket.setTimeout(ANSWER_MS, () => end(true));
    socket.once("connect", () => end(true));
    socket.once("error", (error: NodeJS.ErrnoException) => end(!isRefusal(error)));
  });
}

function isRefusal({ code }: NodeJS.ErrnoException): boolean {
  return code === "ECONNREFUSED" || code === "ENOENT";
}

/**
 * Removes the path of a socket at the orderly end, unless another server has taken it meanwhile.
 *
 * @param path the path.
 * @param inode the file's inode when it was ours.
 */
export async function removeUnixPath(path: string, inode: number | undefined): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there?.isSocket() === true && there.ino === inode) await rm(path, { force: true });
}

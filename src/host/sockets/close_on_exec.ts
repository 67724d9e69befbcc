/**
 * Sockets that this process inherited must reach its generations and nothing else: a hook that left a daemon behind
 * would take connections that nobody answers. Node and Bun see to that themselves (what is not in `stdio` is closed
 * in the child); Deno hands every inherited descriptor on to every child.
 *
 * @module
 */
import { FIRST_DESCRIPTOR } from "./inherited.ts";
import { libc } from "./libc.ts";

/**
 * Keeps descriptors from the children of this process.
 *
 * @param fds the descriptors.
 * @returns false where that cannot be done: Deno without the permission for FFI.
 */
export function keepFromChildren(fds: readonly number[]): boolean {
  if (!isDeno()) return true;
  const calls = libc();
  if (calls === undefined) return false;
  for (const fd of fds) calls.closeOnExec(fd, true);
  return true;
}

/** The entries in `stdio` of a child, from 3 on. */
export type Inheritance = readonly (number | "ignore")[];

/**
 * Starts a child that inherits descriptors, as 3 and following.
 *
 * @param fds the descriptors in this process.
 * @param start starts it at once, with these entries in `stdio` from 3 on.
 * @returns what `start` returned.
 */
export function withInherited<T>(fds: readonly number[], start: (stdio: Inheritance) => T): T {
  if (!isDeno()) return start(fds);
  const calls = libc();
  try {
    for (const fd of fds) calls?.closeOnExec(fd, false);
    // Naming them would clear O_NONBLOCK, which an asyncio app that is running on the same socket relies on.
    return start(fds.map((fd, index) => (fd === FIRST_DESCRIPTOR + index ? "ignore" : fd)));
  } finally {
    for (const fd of fds) calls?.closeOnExec(fd, true);
  }
}

function isDeno(): boolean {
  return "Deno" in globalThis;
}

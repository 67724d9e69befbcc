/**
 * Inherited sockets must reach the generations and nothing else: a daemon left behind by a hook
 * would take connections and never answer them. Node and Bun close every descriptor that is not in
 * `stdio`; Deno passes all inherited descriptors to every child.
 *
 * @module
 */
import { FIRST_DESCRIPTOR } from "./inherited.ts";
import { libc } from "./libc.ts";

/** Returns false on Deno without the permission for FFI. */
export function keepFromChildren(fds: readonly number[]): boolean {
  if (!isDeno()) return true;
  const calls = libc();
  if (calls === undefined) return false;
  for (const fd of fds) calls.closeOnExec(fd, true);
  return true;
}

/** The entries in the `stdio` of a child, from 3 on. */
type Inheritance = readonly (number | "ignore")[];

/** `start` must not be asynchronous. */
export function withInherited<T>(fds: readonly number[], start: (stdio: Inheritance) => T): T {
  if (!isDeno()) return start(fds);
  const calls = libc();
  try {
    for (const fd of fds) calls?.closeOnExec(fd, false);
    // Naming them would clear O_NONBLOCK, which a running asyncio app on the same socket relies on.
    return start(fds.map((fd, index) => (fd === FIRST_DESCRIPTOR + index ? "ignore" : fd)));
  } finally {
    for (const fd of fds) calls?.closeOnExec(fd, true);
  }
}

function isDeno(): boolean {
  return "Deno" in globalThis;
}

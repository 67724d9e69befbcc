import { FIRST_DESCRIPTOR } from "./inherited.ts";
import { libc } from "./libc.ts";

/**
 * Inherited sockets must reach the generations and nothing else: a daemon left behind by a hook
 * would take connections and never answer them. Node and Bun close every descriptor that is not in
 * `stdio`; Deno does so only with the permission for FFI. Returns whether it is done.
 */
export function keepFromChildren(fds: readonly number[]): boolean {
  if (!isDeno()) return true;
  const calls = libc();
  if (calls === undefined) return false;
  for (const fd of fds) calls.closeOnExec(fd, true);
  return true;
}

/** `start` gets the entries of `stdio` from 3 on. It must not be asynchronous. */
export function withInherited<T>(
  fds: readonly number[],
  start: (stdio: readonly (number | "ignore")[]) => T,
): T {
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

import { type CliRuntime, cliRuntimes } from "../dewy.ts";

/**
 * Which tests of this directory run: all (`npm run test:server`), a hundred switches of each app
 * instead of five (`npm run soak`), or the covering set of CI (`npm run test:cover`). The covering
 * set includes each kind of app, connection and failure once, and each runtime several times.
 */
export const suite: "all" | "soak" | "cover" =
  process.env.DEWY_SOAK === "1" ? "soak" : process.env.DEWY_COVER === "1" ? "cover" : "all";

export type RuntimeName = "Node" | "Deno" | "Bun";

/** The runtimes of a test. `covering` are those in the covering set. */
export function on(...covering: readonly RuntimeName[]): readonly CliRuntime[] {
  return cliRuntimes.filter(({ name }) => suite !== "cover" || covering.includes(nameOf(name)));
}

export interface OnRuntime<T> {
  runtime: CliRuntime;
  name: string;
  one: T;
}

/**
 * The cases of a test on all runtimes. `covering` has the indexes of the cases in the covering set.
 */
export function casesOn<T>(
  all: readonly T[],
  covering: Partial<Record<RuntimeName, readonly number[]>>,
): OnRuntime<T>[] {
  return cliRuntimes.flatMap((runtime) => {
    const { name } = runtime;
    const chosen = covering[nameOf(name)] ?? [];
    const ones = all.filter((_, index) => suite !== "cover" || chosen.includes(index));
    return ones.map((one) => ({ runtime, name, one }));
  });
}

function nameOf(name: string): RuntimeName {
  return name.split(" ", 1)[0] as RuntimeName;
}

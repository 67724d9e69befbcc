import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";

export type GenerationCgroups = ReturnType<typeof generationCgroups>;

/**
 * Opens the control groups of a working directory, and removes the empty ones of earlier dewy processes. Each generation
 * has one, where dewy may create it. A process cannot leave its group by anything it does to itself.
 * https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
export function generationCgroups(root: string) {
  const prefix = `dewy-${createHash("sha256").update(root).digest("hex").slice(0, 16)}-`;
  const own = ownDirectory();
  const remove = (name: string): void => {
    if (own === undefined) return;
    attempt(() => rmdirSync(join(own, name)));
  };
  if (own !== undefined) {
    const names = attempt(() => readdirSync(own)) ?? [];
    for (const name of names.filter((one) => one.startsWith(prefix))) remove(name);
  }
  return {
    /** Returns the directory that the main process has to join, if that is possible. */
    make: (id: string) => {
      if (own === undefined) return undefined;
      const directory = join(own, `${prefix}${id}`);
      return attempt(() => {
        mkdirSync(directory);
        return directory;
      });
    },
    remove: (id: string) => remove(`${prefix}${id}`),
    idOf: (pid: number) => {
      const name = pathOf(pid)
        ?.split("/")
        .find((part) => part.startsWith(prefix));
      return name?.slice(prefix.length);
    },
  };
}

/**
 * The directory of dewy's own control group; `undefined` if the group has limits. Programs look up limits, for example to
 * size a heap, in their own group, and not all look in its parents.
 */
function ownDirectory(): string | undefined {
  const path = pathOf("self");
  const mount = attempt(() => readFileSync("/proc/self/mountinfo", "utf8"))
    ?.split("\n")
    .map((line) => line.split(" "))
    .find((fields) => fields[fields.indexOf("-") + 1] === "cgroup2");
  const [, , , root = "", at = ""] = mount ?? [];
  if (path === undefined || mount === undefined) return undefined;
  const inside = root !== "/" && path.startsWith(root) ? path.slice(root.length) : path;
  const directory = join(at, inside);
  const isLimited = ["memory.max", "memory.high", "cpu.max"].some((name) => {
    const limit = attempt(() => readFileSync(join(directory, name), "utf8"));
    return limit !== undefined && !limit.startsWith("max");
  });
  return isLimited ? undefined : directory;
}

/** Version 2 has the hierarchy number 0: https://man7.org/linux/man-pages/man7/cgroups.7.html */
function pathOf(pid: number | "self"): string | undefined {
  const text = attempt(() => readFileSync(`/proc/${pid}/cgroup`, "utf8"));
  return /^0::(.*)$/m.exec(text ?? "")?.[1];
}

/** Every failure is ignored: processes exit at any time, and there are several ways to recognize them. */
export function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/**
 * A control group for each generation, where dewy may make one: nothing that its processes do to themselves hides them
 * there. https://docs.kernel.org/admin-guide/cgroup-v2.html
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";

/** The control groups of a working directory. */
export interface GenerationCgroups {
  /**
   * Makes one.
   *
   * @param id the generation's id.
   * @returns its directory; `undefined` where it cannot be had.
   */
  make(id: string): string | undefined;
  /** Removes that of a generation, unless something runs in it. */
  remove(id: string): void;
  /** The id of the generation that a process belongs to; `undefined` when it belongs to none of the directory. */
  idOf(pid: number): string | undefined;
}

/**
 * Opens the control groups of a working directory, and removes what earlier ones have left.
 *
 * @param root the working directory.
 * @returns the control groups; where none can be had, they are never made.
 */
export function generationCgroups(root: string): GenerationCgroups {
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
    make: (id) => {
      if (own === undefined) return undefined;
      const directory = join(own, `${prefix}${id}`);
      return attempt(() => {
        mkdirSync(directory);
        return directory;
      });
    },
    remove: (id) => remove(`${prefix}${id}`),
    idOf: (pid) => {
      const name = pathOf(pid)
        ?.split("/")
        .find((part) => part.startsWith(prefix));
      return name?.slice(prefix.length);
    },
  };
}

/**
 * Where dewy's own control group is. One with limits of its own is left alone: programs look for the limits that
 * hold for them, such as the size of a heap, in the group that they are in, and not all look further up.
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

/** https://man7.org/linux/man-pages/man7/cgroups.7.html: the hierarchy of version 2 has the number 0. */
function pathOf(pid: number | "self"): string | undefined {
  const text = attempt(() => readFileSync(`/proc/${pid}/cgroup`, "utf8"));
  return /^0::(.*)$/m.exec(text ?? "")?.[1];
}

/** No part of this is worth a failure: there are other signs. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

import { readdir, readlink } from "node:fs/promises";
import { join, sep } from "node:path";

/** The children of a directory that processes were started from or work in, as far as dewy may read `/proc`. */
export async function usedDirectories(parent: string): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  await Promise.all(
    pids.flatMap((pid) =>
      ["cwd", "exe", "root"].map(async (link) => {
        const target = await readlink(join("/proc", pid, link)).catch(() => "");
        if (!target.startsWith(parent + sep)) return;
        const [name = ""] = target.slice(parent.length + 1).split(sep);
        used.add(name);
      }),
    ),
  );
  return used;
}

// What a fleet costs: upstream calls, operations of the bucket and bytes, for each host and window, of
// 10, 100 and 1,000 agents with and without a shared cache, and with staged rollouts. Run it with
// `npm run bench -- fleet [hosts...]`. The registry and the bucket are fakes in a process of their own;
// up to 100 agents share a process.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../mod.ts";
import { Fleet } from "../test/e2e/fleet/fleet.ts";
import type { Counts } from "../test/e2e/fleet/services.ts";

const SIZES = process.argv.slice(2).map(Number);
const AGENTS_IN_A_PROCESS = 100;
/** Also the interval of polls. */
const WINDOW_MS = 30_000;
const WINDOWS = 2;
const START_MS = 300_000;
const TAG = "v1.0.0";
const E2E = fileURLToPath(new URL("../test/e2e/fleet/", import.meta.url));

interface Way {
  way: string;
  isShared: boolean;
  flags: readonly string[];
}

const WAYS: readonly Way[] = [
  { way: "each host asks", isShared: false, flags: [] },
  { way: "shared cache", isShared: true, flags: [] },
  {
    way: "and rollouts",
    isShared: true,
    flags: ["--fleet", "web", "--fleet-host", "HOST", "--rollout", "100%"],
  },
];

async function main(): Promise<void> {
  const rows = [];
  for (const hosts of SIZES.length > 0 ? SIZES : [10, 100, 1000]) {
    for (const way of WAYS) rows.push(rowOf(hosts, way, await measureFleet(hosts, way)));
  }
  console.log(`windows of ${WINDOW_MS / 1000} s, a poll of each host in a window`);
  console.table(rows);
}

interface Measured {
  start: Counts;
  idle: Counts;
}

/** The counts of the first deploy, and of windows in which nothing changes. */
async function measureFleet(hosts: number, { isShared, flags }: Way): Promise<Measured> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-bench-fleet-"));
  const fleet = await Fleet.open({
    commandOf: async (file) => [process.execPath, `${E2E}${file}`],
    directory,
    environment: { ...process.env, DEWY_RUNTIME_DIR: join(directory, "run") },
    hosts,
    processes: Math.ceil(hosts / AGENTS_IN_A_PROCESS),
    argv: (services) => [
      ...["assets", "--registry", "ghr://acme/app", "--interval", `${WINDOW_MS / 1000}s`],
      ...(isShared ? ["--cache", Fleet.cacheUrl(services, `${WINDOW_MS / 1000}s`)] : []),
      ...flags,
    ],
  });
  try {
    await fleet.services.tell({ do: "publish", tag: TAG, isGood: true });
    await fleet.startAll();
    const deadline = performance.now() + START_MS;
    while ((await fleet.versions())[TAG] !== hosts) {
      if (performance.now() > deadline) throw new Error("the hosts do not deploy");
      await systemClock.sleep(500);
    }
    // Reports of the deploys, and their last evaluation.
    await systemClock.sleep(WINDOW_MS);
    const start = await fleet.services.count();
    await systemClock.sleep(WINDOWS * WINDOW_MS);
    return { start, idle: await fleet.services.count() };
  } finally {
    await fleet.close();
    await rm(directory, { recursive: true, force: true });
  }
}

function rowOf(hosts: number, { way }: Way, { start, idle }: Measured): Record<string, unknown> {
  const operations = (counts: Counts): number =>
    Object.values(counts.operations).reduce((sum, count) => sum + count, 0);
  const each = (total: number): string => (total / hosts / WINDOWS).toFixed(2);
  return {
    hosts,
    way,
    "downloads of a release": start.downloads.length,
    "upstream calls of a release": start.calls,
    "upstream calls/window": idle.calls / WINDOWS,
    "operations/host/window": each(operations(idle)),
    "bytes/host/window": Math.round(idle.bytes / hosts / WINDOWS),
  };
}

await main();

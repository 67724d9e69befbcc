import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { neutralEnvironment, ROOT, runtimes } from "../../runtime/runtimes.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { Fleet, type FleetOptions } from "./fleet.ts";

/** A hundred agents take both cores for minutes. */
const [HOSTS, PROCESSES] = process.env.DEWY_SOAK === "1" ? [100, 20] : [20, 4];
const TIMEOUT_MS = 140_000;

/** A fleet of agents on Node that ends with the test. */
export async function openFleet(argv: FleetOptions["argv"]): Promise<Fleet> {
  const [node] = runtimes;
  const fleet = await Fleet.open({
    commandOf: async (file) =>
      (await node?.command(join(ROOT, "test/e2e/fleet", file))) ?? ["node"],
    directory: await tempDirectory(),
    environment: neutralEnvironment(),
    hosts: HOSTS,
    processes: PROCESSES,
    argv,
  });
  onTestFinished(() => fleet.close());
  return fleet;
}

export async function untilAllRun(fleet: Fleet, tag: string): Promise<void> {
  const all = { timeout: TIMEOUT_MS, interval: 200 };
  await expect.poll(() => fleet.versions(), all).toEqual({ [tag]: fleet.hosts.length });
}

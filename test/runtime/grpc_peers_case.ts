// Polls servers that do not speak gRPC, all at once. An error event without a listener would end
// this process.
import process from "node:process";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { createHostIo } from "../../src/host/io.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { openRegistry } from "../../src/registries/open.ts";

const DEADLINE_MS = 10_000;
// Backoff is skipped and deadlines are shortened.
const clock: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(ms < DEADLINE_MS ? 0 : ms / 5, signal),
};
const io = await createHostIo({ env: process.env, clock });

async function outcome(url: string): Promise<unknown> {
  try {
    return await openRegistry(url, { ...io, registries: hostRegistries }).resolve();
  } catch (error) {
    const { name, code, retryable, message } = error as Record<string, unknown>;
    return { name, code, retryable, message };
  }
}

const peers: Record<string, string> = JSON.parse(process.env.PEERS ?? "{}");
const outcomes = await Promise.all(
  Object.entries(peers).map(async ([name, url]) => [name, await outcome(url)] as const),
);
console.log(JSON.stringify(Object.fromEntries(outcomes)));

// Machines that poll, in a process of their own: each is a registry with its own connection. Prints
// a line when all have polled once; then, for each line on standard input, polls each once within
// that many milliseconds, and prints the latencies, the CPU time and the delays of the event loop.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { openRegistry } from "../../dist/mod.js";
import { createHostIo } from "../../dist/src/host/io.js";

const { registry: url, env, platforms, first, step, machines: total } = JSON.parse(process.argv[2]);
const machines = [];
for (let at = first; at < total; at += step) {
  const platform = platforms[at % platforms.length];
  machines.push({ at, registry: openRegistry(url, await createHostIo({ env, platform, fetch })) });
}

async function round(intervalMs) {
  const polls = machines.map(async ({ at, registry }) => {
    await sleep((at * intervalMs) / total);
    const startedAt = performance.now();
    const answer = await registry.resolve();
    if (answer.kind !== "ready") throw new Error(`expected a release, not ${answer.kind}`);
    return performance.now() - startedAt;
  });
  return Promise.all(polls);
}

// Connections take long on a busy machine; they are not measured.
for (let left = 5; left > 0; left -= 1) {
  if (
    await round(5_000).then(
      () => true,
      () => false,
    )
  )
    break;
}
const delays = monitorEventLoopDelay({ resolution: 5 });
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  delays.reset();
  delays.enable();
  const before = process.cpuUsage();
  const latencies = await round(Number(line));
  const { user, system } = process.cpuUsage(before);
  delays.disable();
  const loopP99Ms = delays.percentile(99) / 1e6;
  console.log(JSON.stringify({ latencies, cpuMs: (user + system) / 1e3, loopP99Ms }));
}
process.exit(0);

/**
 * Polls many times under one signal, and prints how many bytes of heap each round has left behind.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { pollLoop } from "../../src/deploy/loop.ts";

const WARM_UP = 10_000;
const ROUNDS = 60_000;

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

const stop = new AbortController();
let now = 0;
let rounds = 0;
let before = 0;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function heapBytes(): Promise<number> {
  for (let time = 0; time < 5; time += 1) {
    collectGarbage();
    await turn();
  }
  return process.memoryUsage().heapUsed;
}

await pollLoop({
  poll: async () => {
    rounds += 1;
    if (rounds === WARM_UP) before = await heapBytes();
    if (rounds === ROUNDS) {
      const left = (await heapBytes()) - before;
      process.stdout.write(`${left / (ROUNDS - WARM_UP)}\n`);
      stop.abort();
    }
    return { kind: "fine" };
  },
  intervalMs: 10_000,
  onWake: () => () => {},
  clock: {
    now: () => now,
    monotonic: () => now,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      now += ms;
      await turn();
    },
  },
  emit: () => {},
  signal: stop.signal,
});

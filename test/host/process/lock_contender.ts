// Acquires locks on command, one line of standard input each: `take <path> <milliseconds since the epoch>` waits for that
// moment busily, so that several processes try at once; `release` releases the lock. With FAST_HEARTBEAT=1, the heartbeat
// comes every 200 ms.

import process from "node:process";
import { createInterface } from "node:readline";
import { acquireLock, type Lock } from "../../../src/host/process/lock.ts";

if (process.env.FAST_HEARTBEAT === "1") {
  const { setInterval: slow } = globalThis;
  const fast = (beat: () => void, ms: number) => slow(beat, ms / 50);
  globalThis.setInterval = fast as typeof setInterval;
}

let held: Lock | undefined;

async function take(path: string, at: number): Promise<string> {
  while (Date.now() < at);
  try {
    held = await acquireLock(path, "assets");
    return "won";
  } catch (error) {
    const isLocked = (error as { code?: string }).code === "locked";
    return isLocked ? "lost" : String(error);
  }
}

process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const [word, path = "", at = ""] = line.split(" ");
  if (word === "take") process.stdout.write(`${await take(path, Number(at))}\n`);
  else {
    await held?.release();
    held = undefined;
    process.stdout.write("released\n");
  }
}

#!/usr/bin/env node
import { onUncaught, openProcess } from "./src/host/process_io.ts";

// First of all: a signal that comes before its handler would end the program or open the inspector.
const io = openProcess();
let crashes = 0;
onUncaught((error) => void crash(error));

try {
  const { run } = await import("./src/app/run.ts");
  await io.exit(await run(process.argv.slice(2), io));
} catch (error) {
  await crash(error);
}

/** What nobody expected: one line without secrets, and the exit code of a failing application. */
async function crash(error: unknown): Promise<void> {
  crashes += 1;
  if (crashes > 1) process.exit(4);
  const { crashText } = await import("./src/app/crash_text.ts");
  io.stderr.write(crashText(error, io.env));
  await io.exit(4);
}

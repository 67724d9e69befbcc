#!/usr/bin/env node
import { openProcess } from "./src/host/process/io.ts";

// This comes first: a signal without a handler would end the program or open the inspector.
const io = openProcess();
let isCrashing = false;
io.onUncaught((error) => void crash(error));

try {
  const { run } = await import("./src/cli/run.ts");
  await io.exit(await run(process.argv.slice(2), io));
} catch (error) {
  await crash(error);
}

/** Prints one line without secrets, and exits like an application that failed. */
async function crash(error: unknown): Promise<void> {
  if (isCrashing) return;
  isCrashing = true;
  try {
    const { crashText } = await import("./src/agent/uncaught.ts");
    io.stderr.write(crashText(error, io.env));
    await io.exit(4);
  } catch {
    process.exit(4);
  }
}

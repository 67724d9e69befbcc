#!/usr/bin/env node
import { exitWith, onUncaught, openProcess } from "./src/host/process_io.ts";

// First of all: a signal that comes before its handler would end the program or open the inspector.
const io = openProcess();
onUncaught((error) => void crash(error));

try {
  const { run } = await import("./src/app/run.ts");
  await exitWith(await run(process.argv.slice(2), io));
} catch (error) {
  await crash(error);
}

async function crash(error: unknown): Promise<void> {
  const { printable } = await import("./src/app/printable.ts");
  const { redactText } = await import("./src/app/redact_text.ts");
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  io.stderr.write(`Error: ${printable(redactText(text, io.env))}; this is a bug in dewy\n`);
  await exitWith(4);
}

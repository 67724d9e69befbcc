import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DewyEvent } from "../../src/core/event.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { SECRET } from "./signed.ts";

export async function secretFile(text: string = `${SECRET}\n`): Promise<string> {
  const path = join(await tempDirectory(), "secret");
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

export function webhookEvents(events: readonly DewyEvent[]): DewyEvent[] {
  return events.filter(({ type }) => type === "webhook");
}

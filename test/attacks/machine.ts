// A machine that dewy keeps up to date, with the real flow of a deploy.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { statePath } from "../../src/agent/agent.ts";
import type { CommandContext } from "../../src/agent/context.ts";
import { runAssets } from "../../src/cli/commands/assets.ts";
import { readAssets } from "../../src/cli/flags/assets.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { logLineOf } from "../../src/cli/log/lines.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { DeployState } from "../../src/deploy/state.ts";
import { stateFile } from "../../src/host/files/state_file.ts";
import { createHostIo } from "../../src/host/io.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { fakeProcess } from "../cli/process.ts";
import { VERSION_FILE } from "../e2e/archive.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import type { Courier } from "./couriers.ts";

export interface Machine {
  root: string;
  poll(options?: PollOptions): Promise<Polled>;
  /** The version whose files are live. */
  live(): Promise<string | undefined>;
  state(): Promise<DeployState>;
  changeState(change: (state: DeployState) => DeployState): Promise<unknown>;
  /** The directories of releases, complete or not. */
  releases(): Promise<readonly string[]>;
}

interface PollOptions {
  /** How much later than now it is. */
  laterMs?: number;
  flags?: readonly string[];
  /** Receives every event when it happens. */
  on?: (event: DewyEvent) => void;
}

export interface Polled {
  exitCode: number;
  events: readonly DewyEvent[];
  /** Why a version did not come. */
  reasons: string;
}

export async function machine(courier: Courier): Promise<Machine> {
  const root = await tempDirectory();
  const runtime = await tempDirectory();
  const env = { DEWY_RUNTIME_DIR: runtime, ...courier.env };
  const store = stateFile(statePath(root), () => {});
  return {
    root,
    async poll({ laterMs = 0, flags = [], on } = {}) {
      const events: DewyEvent[] = [];
      const argv = ["assets", "--once", "--directory", root, "--registry", courier.url];
      const config = readAssets(parseArgv([...argv, ...flags]));
      const emit = (event: DewyEvent): void => {
        events.push(event);
        on?.(event);
      };
      const fetch = courier.fetch ?? (() => Promise.reject(new Error("no network")));
      const clock = impatientClock(laterMs);
      const context: CommandContext = {
        ...fakeProcess({ env }),
        ...{ clock, fetch, emit, version: "0.0.0" },
        ...{ registries: hostRegistries, notifiers: {} },
        io: await createHostIo({ env, fetch, clock, emit }),
        redactor: () => (text) => text,
      };
      const exitCode = await runAssets(config, context);
      return { exitCode, events, reasons: events.flatMap(reasonIn).join("\n") };
    },
    live: () => readFile(join(root, "current", VERSION_FILE), "utf8").catch(() => undefined),
    state: store.load,
    changeState: store.update,
    releases: () => readdir(join(root, "releases")).catch(() => []),
  };
}

const PATIENCE_MS = 10_000;

/** Retries come at once. Timeouts, which are longer, are those of the system. */
function impatientClock(laterMs: number): Clock {
  return {
    ...systemClock,
    now: () => Date.now() + laterMs,
    sleep: (ms, signal) => systemClock.sleep(ms < PATIENCE_MS ? 0 : ms, signal),
  };
}

function reasonIn(event: DewyEvent): string[] {
  if (event.type === "failed") return [event.error.message];
  if (event.type === "waiting") return [event.reason];
  return event.type === "listing-stale" ? [logLineOf(event)?.message ?? ""] : [];
}

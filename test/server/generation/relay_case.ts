/**
 * A dewy that is killed: once the helpers of an app's output run, or once the app does. The variable `CASE` says where.
 */

import { startRelay } from "../../../src/server/generation/output_relay.ts";
import { startGeneration } from "../../../src/server/generation/process.ts";

/** What the test wants. */
export interface RelayCase {
  directory: string;
  prefix: string;
  /** Absent: dewy is killed before there is an app. */
  app?: readonly [string, ...string[]];
}

const { directory, prefix, app } = JSON.parse(process.env.CASE ?? "") as RelayCase;
if (app === undefined) {
  startRelay({ directory, prefix, onOutput: () => {} });
} else {
  await startGeneration({
    command: app,
    cwd: "/",
    env: process.env,
    sockets: [],
    generation: 1,
    runDirectory: directory,
    prefix,
    onOutput: () => {},
  });
}
process.kill(process.pid, "SIGKILL");

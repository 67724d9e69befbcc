/**
 * Several agents in one process, each with its own command line and directory, as the command runs it. The argument is an
 * {@link AgentsConfig} in JSON. Prints the log lines of all of them, with the host of each.
 *
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../../src/cli/run.ts";
import { openProcess, type ProcessIo } from "../../../src/host/process/io.ts";

export interface AgentsConfig {
  hosts: readonly string[];
  /** Each host has a directory in it. */
  directory: string;
  /** Of all of them. `HOST` is replaced by the name of the host. */
  argv: readonly string[];
}

const { hosts, directory, argv } = JSON.parse(process.argv[2] ?? "") as AgentsConfig;
const io = openProcess();

async function runHost(host: string): Promise<void> {
  const root = join(directory, host);
  await mkdir(root, { recursive: true });
  const words = argv.map((word) => word.replaceAll("HOST", host));
  const line = [
    ...words,
    "--directory",
    root,
    "--name",
    host,
    "--log-format",
    "json",
    "--log-level",
    "info",
  ];
  const code = await run(line, { ...io, argv: line, stderr: sinkOf(host) });
  console.log(JSON.stringify({ host, level: "info", msg: "exited", code }));
}

function sinkOf(host: string): ProcessIo["stderr"] {
  return {
    isTerminal: false,
    write: (text) => {
      for (const line of text.split("\n").filter((one) => one !== "")) {
        const fields = line.startsWith("{") ? JSON.parse(line) : { level: "error", msg: line };
        console.log(JSON.stringify({ ...fields, host }));
      }
    },
  };
}

await Promise.all(hosts.map(runHost));
process.exit();

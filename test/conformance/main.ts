// Runs the suite in a process of Node, Deno or Bun. PEERS and the outcomes are JSON.
import process from "node:process";
import { runCases } from "./run.ts";

console.log(JSON.stringify(await runCases(JSON.parse(process.env.PEERS ?? ""))));

/** Aborts a program that ignores SIGTERM, and exits at once. */
import process from "node:process";
import { run } from "../../../src/host/process/run.ts";

const end = new AbortController();
run({
  command: ["/bin/sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.05; done"],
  cwd: "/",
  env: { PATH: process.env.PATH },
  timeoutMs: 60_000,
  signal: end.signal,
  onLine: (pid) => {
    console.log(pid);
    end.abort();
    setTimeout(() => process.exit(0), 100);
  },
}).catch(() => {});

// Loaded before dewy: records the arguments and the environment of every process that it starts.
import childProcess from "node:child_process";
import { appendFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import process from "node:process";

const record = (args, env) =>
  appendFileSync(process.env.SPAWNED_FILE, `${JSON.stringify({ args, env })}\n`);

const { prototype } = childProcess.ChildProcess;
const { spawn } = prototype;
prototype.spawn = function (options) {
  record(options.args, options.envPairs);
  return spawn.call(this, options);
};
for (const name of ["spawnSync", "execFileSync"]) {
  const original = childProcess[name];
  childProcess[name] = (file, args, options) => {
    const { env = process.env } = options ?? {};
    record(
      [file, ...(args ?? [])],
      Object.entries(env).map((pair) => pair.join("=")),
    );
    return original(file, args, options);
  };
}
syncBuiltinESMExports();

// Loaded before dewy: kills it just before a certain change of the disk. The file KILL_ARM has the
// number of the change, counted from when the file was written; the changes are listed next to it.
// The disk is what the next dewy finds, so that this is a crash at every step, whatever the steps
// are. With "and its parent" in the file, the holder of the sockets does not start dewy again.
import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const { KILL_ARM = "", DEWY_GENERATION } = process.env;
let armed = 0;
let count = 0;
/** Node's functions call each other. */
let isCounting = false;

function step(what, path) {
  if (isCounting || !fs.existsSync(KILL_ARM)) return;
  isCounting = true;
  try {
    const { mtimeMs } = fs.statSync(KILL_ARM);
    count = mtimeMs === armed ? count + 1 : 1;
    armed = mtimeMs;
    const text = fs.readFileSync(KILL_ARM, "utf8");
    fs.appendFileSync(`${KILL_ARM}.steps`, `${what} ${path}\n`);
    if (count < Number.parseInt(text, 10)) return;
    fs.rmSync(KILL_ARM);
    if (text.includes("parent")) process.kill(process.ppid, "SIGKILL");
    process.kill(process.pid, "SIGKILL");
  } catch {
    // The test has removed the file in between: it is not a step of the command any more.
  } finally {
    isCounting = false;
  }
}

const isRead = (flags = "r") => flags === "r" || (typeof flags === "number" && (flags & 3) === 0);

/** The path that a call changes, or `undefined`. */
const CHANGES = {
  rename: (_, to) => to,
  symlink: (_, path) => path,
  link: (_, path) => path,
  mkdir: (path) => path,
  rm: (path) => path,
  rmdir: (path) => path,
  unlink: (path) => path,
  truncate: (path) => path,
  appendFile: (path) => (typeof path === "string" ? path : "an open file"),
  writeFile: (path) => (typeof path === "string" ? path : "an open file"),
  open: (path, flags) => (isRead(flags) ? undefined : path),
};

function patch(module, name, path) {
  const original = module[name];
  module[name] = (...args) => {
    const changed = path(...args);
    if (changed !== undefined) step(name.replace("Sync", ""), String(changed));
    return original.apply(module, args);
  };
}

if (KILL_ARM !== "" && DEWY_GENERATION === undefined) {
  for (const [name, path] of Object.entries(CHANGES)) {
    patch(promises, name, path);
    patch(fs, `${name}Sync`, path);
  }
  syncBuiltinESMExports();
}

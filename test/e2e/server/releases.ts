import { execFile } from "node:child_process";
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import { ROOT } from "../../runtime/runtimes.ts";
import { LAST_FILE, VERSION_FILE } from "../archive.ts";

/** The apps of ./apps, and how each gets its socket. */
export type AppKind =
  /** Blocks in accept(), one connection at a time; SERVER_STARTER_PORT. */
  | "python"
  /** LISTEN_FDS. */
  | "node"
  /** SERVER_STARTER_PORT only. */
  | "c-server-starter"
  /** LISTEN_FDS only, and only when LISTEN_PID is its own. */
  | "c-listen-fds"
  /** Takes the sockets over as from an older nginx. */
  | "nginx"
  /** Does not support handoff: $PORT. */
  | "port"
  /** Ignores the socket and binds $APP_BIND itself. */
  | "bind";

/** The behaviour of a release that must not go live. */
export type BadBehaviour =
  | "exits-at-once"
  | "exits-after-3s"
  | "dies-after-3s"
  /** Exits when the file `crash` exists, and then as soon as it is started. */
  | "crash-loops"
  | "hangs"
  | "ignores-sigterm"
  | "forks-children"
  | "floods-output"
  | "not-executable"
  | "needs-library"
  | "other-machine"
  | "sick"
  /** Becomes ready and keeps running, but answers 500 and logs why: only its users notice. */
  | "answers-errors";

/** How an app leaves the process that dewy started: see ./apps/background.py. */
export type BackgroundMode =
  | "stays"
  | "daemon"
  | "fork"
  | "worker"
  | "gunicorn"
  | "nginx"
  | "nginx-behind";

/** The program of a release, in its directory. */
export const PROGRAM = "bin/app";

const APPS = join(ROOT, "test/e2e/server/apps");
const BUILT = join(ROOT, "node_modules", ".dewy-test");
const run = promisify(execFile);

/** Returns the artifact of an app that answers with its version, a tar.gz. */
export async function makeApp(kind: AppKind, version: string): Promise<Uint8Array<ArrayBuffer>> {
  return pack(version, await program(kind, version));
}

/** Returns the artifact of a version that does not work. */
export async function makeBadApp(
  behaviour: BadBehaviour,
  version: string,
): Promise<Uint8Array<ArrayBuffer>> {
  switch (behaviour) {
    case "sick":
      return pack(version, await script("listen.cjs", { VERSION: version, MODE: "sick" }));
    case "answers-errors":
      return pack(version, await script("listen.cjs", { VERSION: version, MODE: "errors" }));
    case "dies-after-3s":
      return pack(version, await script("listen.cjs", { VERSION: version, MODE: "mortal" }));
    case "not-executable":
      return pack(version, await program("node", version), 0o644);
    case "needs-library":
      return pack(version, await needsLibrary());
    case "other-machine":
      return pack(version, await ofOtherMachine());
    default:
      return pack(version, await script("bad.sh", { BEHAVIOUR: behaviour }));
  }
}

/** Returns the artifact of a version whose processes leave the one that dewy started. */
export async function makeBackgroundApp(
  mode: BackgroundMode,
  version: string,
): Promise<Uint8Array<ArrayBuffer>> {
  return pack(version, await script("background.py", { VERSION: version, MODE: mode }));
}

function program(kind: AppKind, version: string): Promise<Buffer> {
  const VERSION = version;
  switch (kind) {
    case "python":
      return script("blocking.py", { VERSION });
    case "node":
      return script("listen.cjs", { VERSION, MODE: "inherit" });
    case "port":
      return script("listen.cjs", { VERSION, MODE: "port" });
    case "bind":
      return script("listen.cjs", { VERSION, MODE: "bind" });
    case "nginx":
      return script("nginx.sh", { VERSION });
    case "c-server-starter":
      return compile("c-server-starter", []);
    case "c-listen-fds":
      return compile("c-listen-fds", ["-DLISTEN_FDS_ONLY"]);
  }
}

async function script(name: string, values: Readonly<Record<string, string>>): Promise<Buffer> {
  const text = await readFile(join(APPS, name), "utf8");
  return Buffer.from(text.replace(/@([A-Z]+)@/g, (whole, key: string) => values[key] ?? whole));
}

const compiled = new Map<string, Promise<Buffer>>();

function compile(name: string, options: readonly string[]): Promise<Buffer> {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const binary = gcc(name, [...options, "-O2", "-pthread", join(APPS, "threads.c")]);
  compiled.set(name, binary);
  return binary;
}

/** An executable that needs a library which is on no machine. */
async function needsLibrary(): Promise<Buffer> {
  await gcc("libdewymissing.so", ["-shared", "-fPIC", "-x", "c", "/dev/null"]);
  const stub = join(APPS, "threads.c");
  const library = [`-L${BUILT}`, "-Wl,--no-as-needed", "-ldewymissing"];
  return gcc("needs-library", ["-pthread", stub, ...library]);
}

/** An executable with another machine type in its ELF header. */
async function ofOtherMachine(): Promise<Buffer> {
  const bytes = await readFile("/bin/true");
  bytes.writeUInt16LE(22, 18);
  return bytes;
}

async function gcc(name: string, options: readonly string[]): Promise<Buffer> {
  await mkdir(BUILT, { recursive: true });
  const file = join(BUILT, `${name}.${process.pid}`);
  await run("gcc", ["-o", file, ...options]);
  const bytes = await readFile(file);
  await rename(file, join(BUILT, name));
  return bytes;
}

async function pack(
  version: string,
  program: Uint8Array,
  mode = 0o755,
): Promise<Uint8Array<ArrayBuffer>> {
  const file = (name: string, body: string | Uint8Array, mode = 0o644) => ({
    header: {
      name,
      size: typeof body === "string" ? Buffer.byteLength(body) : body.length,
      type: "file" as const,
      mode,
      mtime: new Date("2026-01-01T00:00:00Z"),
    },
    body,
  });
  const tar = await packTar([
    file(VERSION_FILE, version),
    file(PROGRAM, program, mode),
    // nginx sends 1000 bytes of it per second.
    file("slow.txt", `${version}\n`.padEnd(6000, ".")),
    file(LAST_FILE, version),
  ]);
  return new Uint8Array(gzipSync(tar, { level: 1 }));
}

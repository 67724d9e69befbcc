/**
 * Images with one program in them, `container_app/app.c`.
 *
 * Debian: `apt-get install -y --no-install-recommends gcc libc6-dev`.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import type { ImageLayer, PushedImage } from "./docker_registry.ts";

const SOURCE = fileURLToPath(new URL("container_app/app.c", import.meta.url));
const call = promisify(execFile);

export interface AppImage {
  version: string;
  /** The variables that `app.c` documents. */
  env?: Readonly<Record<string, string>>;
  /** The ports of EXPOSE. Defaults to 3000. */
  ports?: readonly number[];
  /** Its USER. Defaults to root. */
  user?: string;
  /** The interval of a HEALTHCHECK in seconds. */
  checkEveryS?: number;
  /** Runs instead of the app. */
  command?: readonly string[];
}

export async function appImage(options: AppImage): Promise<PushedImage> {
  const { version, env = {}, ports = [3000], user, checkEveryS, command = ["/app"] } = options;
  const variables = Object.entries({ ...env, VERSION: version });
  const second = 1_000_000_000;
  return {
    layer: await appLayer(),
    // Podman ignores the HEALTHCHECK of an OCI image.
    isDocker: true,
    config: {
      Cmd: command,
      Env: variables.map(([name, value]) => `${name}=${value}`),
      ExposedPorts: Object.fromEntries(ports.map((port) => [`${port}/tcp`, {}])),
      StopSignal: "SIGTERM",
      ...(user === undefined ? {} : { User: user }),
      ...(checkEveryS === undefined
        ? {}
        : {
            Healthcheck: {
              Test: ["CMD", "/app", "check"],
              Interval: checkEveryS * second,
              Timeout: second,
              Retries: 1,
            },
          }),
    },
  };
}

let layer: Promise<ImageLayer> | undefined;

/** Compiled once; the program is the same in all images. */
function appLayer(): Promise<ImageLayer> {
  layer ??= makeLayer();
  return layer;
}

async function makeLayer(): Promise<ImageLayer> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-app-"));
  try {
    const program = join(directory, "app");
    await call("gcc", ["-static", "-O2", "-pthread", "-o", program, SOURCE], { timeout: 60_000 });
    const body = await readFile(program);
    const mtime = new Date("2026-01-01T00:00:00Z");
    const file = { name: "app", size: body.length, type: "file", mode: 0o755, mtime } as const;
    const passwd = "app:x:1234:1234::/:/app\n";
    const tar = await packTar([
      { header: file, body },
      { header: { ...file, name: "etc/passwd", size: passwd.length, mode: 0o644 }, body: passwd },
    ]);
    return {
      bytes: new Uint8Array(gzipSync(tar, { level: 1 })),
      diffId: `sha256:${createHash("sha256").update(tar).digest("hex")}`,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

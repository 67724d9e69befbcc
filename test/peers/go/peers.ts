/**
 * Programs that are built from Go modules: pinned here, built once, and kept between runs.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, open, readFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { startGuardian, untilItAnswers } from "../guardian.ts";

/**
 * Programs by name, with the versions that the tests were written against. Cosign takes minutes to
 * build, so only `npm run soak` does.
 */
export const GO_PEERS = {
  crane: { module: "github.com/google/go-containerregistry/cmd/crane", version: "v0.20.6" },
  versitygw: { module: "github.com/versity/versitygw/cmd/versitygw", version: "v1.8.0" },
  "fake-gcs-server": { module: "github.com/fsouza/fake-gcs-server", version: "v1.56.1" },
  actionlint: { module: "github.com/rhysd/actionlint/cmd/actionlint", version: "v1.7.12" },
  // Newer ones need modules that the module proxy of the CI does not serve.
  nfpm: { module: "github.com/goreleaser/nfpm/v2/cmd/nfpm", version: "v2.43.4" },
  cosign: { module: "github.com/sigstore/cosign/v3/cmd/cosign", version: "v3.1.3" },
} as const;

export type GoPeer = keyof typeof GO_PEERS;

export function isBuiltHere(name: GoPeer): boolean {
  return name !== "cosign" || process.env.DEWY_SOAK === "1";
}

export const GO_PEER_DIRECTORY: string = join(
  process.env.XDG_CACHE_HOME || join(homedir(), ".cache"),
  "dewy-peers",
);

export function goPeerPath(name: GoPeer): string {
  return join(GO_PEER_DIRECTORY, `${name}@${GO_PEERS[name].version}`);
}

/**
 * Returns why a program cannot be started, for the title of a skipped suite, or `undefined` if it
 * can.
 */
export function missingGoPeer(name: GoPeer): string | undefined {
  if (existsSync(goPeerPath(name))) return undefined;
  return isBuiltHere(name)
    ? `skipped: ${name} was not built, see the start of the output`
    : `skipped: only npm run soak builds ${name}`;
}

export interface Serving {
  /** Stops it and removes its data. */
  stop(): Promise<void>;
}

export interface Start {
  args: readonly string[];
  env?: Readonly<Record<string, string>>;
}

/**
 * Starts a program, and waits until it answers over HTTP at `endpoint`. `start` gets a temporary
 * directory for its data.
 */
export async function serveGoPeer(
  name: GoPeer,
  endpoint: string,
  start: (directory: string) => Promise<Start>,
): Promise<Serving> {
  const directory = await mkdtemp(join(tmpdir(), `dewy-${name}-`));
  const guardian = startGuardian(directory);
  const log = join(directory, "log");
  try {
    const output = await open(log, "w");
    const { args, env } = await start(directory);
    const server = spawn(goPeerPath(name), args, {
      stdio: ["ignore", output.fd, output.fd],
      env: { ...process.env, ...env },
    });
    guardian.watch(server);
    await output.close();
    await untilItAnswers(endpoint, [server]);
  } catch (error) {
    const logged = await readFile(log, "utf8").catch(() => "");
    await guardian.stop();
    throw new Error(`${name} did not start: ${String(error)}\n${logged.slice(-2000)}`);
  }
  return { stop: guardian.stop };
}

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { DeployState } from "../../../src/deploy/state.ts";
import type { AppImage } from "../../peers/container_app.ts";
import { type CliRuntime, cliRuntimes, type Dewy, until } from "../dewy.ts";
import type { LoadResult } from "../server/load.ts";
import { deployed, startTestLoad } from "../server/served_app.ts";
import { lanes } from "../server/start_load.ts";
import { newOperator, type Operator } from "../steer/operator.ts";
import {
  type ContainerPeers,
  type ServedContainers,
  type ServeOptions,
  serveContainers,
} from "./served_containers.ts";

/** The runtime of tests that run on one only. */
export const NODE: CliRuntime = cliRuntimes[0] as CliRuntime;

/** Deploys v1.0.0 of a new app. */
export async function firstDeploy(
  peers: ContainerPeers,
  flags: readonly string[] = [],
): Promise<{ app: ServedContainers; dewy: Dewy }> {
  const app = await serveContainers(peers, NODE);
  await app.publish("v1.0.0");
  const dewy = app.start(flags);
  await deployed(dewy, "v1.0.0");
  return { app, dewy };
}

/** Starts an app that an operator steers, and deploys versions of it one after another. */
export async function steerContainers(
  peers: ContainerPeers,
  tags: readonly string[],
  {
    flags = [],
    image = {},
    ...options
  }: ServeOptions & { flags?: readonly string[]; image?: Partial<AppImage> } = {},
): Promise<SteeredContainers> {
  const [operator, app] = [await newOperator(), await serveContainers(peers, NODE, options)];
  const start = (more: readonly string[] = []): Dewy =>
    app.start([...flags, ...more], operator.env);
  const dewy = start();
  for (const tag of tags) {
    await app.publish(tag, image);
    await operator.run("poll");
    await deployed(dewy, tag);
  }
  return { ...app, operator, dewy, restart: start };
}

export interface SteeredContainers extends ServedContainers {
  operator: Operator;
  /** The first dewy. */
  dewy: Dewy;
  /** Starts another dewy when the one before has ended. */
  restart(flags?: readonly string[]): Dewy;
}

export async function stateOf({ directory }: ServedContainers): Promise<DeployState> {
  return JSON.parse(await readFile(join(directory, ".dewy", "state.json"), "utf8"));
}

/** Waits until these and no other containers run, by their tags. */
export async function runningOnly(
  app: ServedContainers,
  tags: readonly string[],
  about: () => string,
): Promise<void> {
  let running: readonly string[] = [];
  await until(
    async () => {
      running = await app.running();
      return running.join() === tags.join();
    },
    () => `only ${tags.join()}, not ${running.join()}\n${about()}`,
  );
}

/** Sends a request through the proxy over a new connection. */
export async function get(app: ServedContainers, path = "/"): Promise<string> {
  const url = `http://127.0.0.1:${app.port}${path}`;
  const response = await fetch(url, { headers: { connection: "close" } });
  return response.text();
}

/** Waits until this many replicas of a version have answered. */
export async function answersOf(
  app: ServedContainers,
  version: string,
  replicas: number,
): Promise<void> {
  const seen = new Set<string>();
  await until(
    async () => {
      const text = await get(app);
      if (text.startsWith(`${version} `)) seen.add(text);
      return seen.size === replicas;
    },
    () => `${replicas} replicas of ${version}, only ${[...seen].join(", ")}`,
  );
}

/** Clients with and without keep-alive. */
export function startLoad(app: ServedContainers): ReturnType<typeof startTestLoad> {
  const target = { host: "127.0.0.1", port: app.port };
  return startTestLoad([lanes.keepAlive(target), lanes.perRequest(target)]);
}

/** Allows for the requests in flight when a container crashes. */
export function expectAlmostNothingLost({ total, samples }: LoadResult): void {
  expect(total.failed, JSON.stringify(samples)).toBeLessThan(total.answered / 20);
}

/** Resolves with the logged error of a failed deploy. */
export async function failureOf(dewy: Dewy, tag: string): Promise<string> {
  const line = await dewy.seen(
    `the failure of ${tag}`,
    ({ msg, error }) => msg === "Deploy failed" && String(error).includes(` ${tag}: `),
  );
  return String(line.error);
}

/** Waits until a version is marked bad and rolled back, and returns the reason. */
export async function remembered(app: ServedContainers, dewy: Dewy, tag: string): Promise<string> {
  const file = join(app.directory, ".dewy", "state.json");
  let reason = "";
  await until(
    async () => {
      const state = JSON.parse(await readFile(file, "utf8")) as DeployState;
      reason = state.bad.find((one) => one.tag === tag)?.reason ?? "";
      return reason !== "" && state.switching === undefined;
    },
    () => `${tag} in the memory\n${dewy.stderr()}`,
  );
  return reason;
}

/** Waits until a container is replaced. */
export async function replaced(app: ServedContainers, dewy: Dewy, id: string): Promise<void> {
  const before = (await app.containers()).length;
  await until(
    async () => {
      const containers = await app.containers();
      const alive = containers.filter(({ state }) => state === "running");
      return containers.every((one) => one.id !== id) && alive.length >= Math.min(before, 2);
    },
    () => `another than ${id}\n${dewy.stderr()}`,
  );
}

/** Stops dewy with SIGTERM, which removes the containers. */
export async function endPolitely(app: ServedContainers, dewy: Dewy): Promise<void> {
  dewy.child.kill("SIGTERM");
  expect(await dewy.ended(), dewy.stderr()).toBe(0);
  expect(await app.containers()).toEqual([]);
}

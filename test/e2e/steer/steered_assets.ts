import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { DeployState } from "../../../src/deploy/state.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { makeArtifact } from "../archive.ts";
import { type CliRuntime, type Dewy, liveVersion, startDewy } from "../dewy.ts";
import { filePublisher, type Publisher } from "../publishers.ts";
import { deployed } from "../server/served_app.ts";
import { NODE, newOperator, type Operator } from "./operator.ts";

export const LOG: readonly string[] = ["--log-level", "debug", "--log-format", "json"];

/** `dewy assets` in a directory of its own, and the operator who steers it. */
export interface SteeredAssets {
  cwd: string;
  publisher: Publisher;
  operator: Operator;
  publish(...tags: readonly string[]): Promise<void>;
  /** Starts dewy, also again. It polls at the start, and then only if it is asked. */
  start(
    flags?: readonly string[],
    options?: { env?: Readonly<Record<string, string>>; command?: CliRuntime["command"] },
  ): Dewy;
  live(): Promise<string | undefined>;
  state(): Promise<DeployState>;
}

export async function steerAssets(
  options: { runtime?: CliRuntime; operator?: Operator; publisher?: Publisher } = {},
): Promise<SteeredAssets> {
  const { runtime = NODE, publisher = await filePublisher() } = options;
  const operator = options.operator ?? (await newOperator(runtime));
  const cwd = await tempDirectory();
  return {
    cwd,
    publisher,
    operator,
    publish: async (...tags) => {
      for (const tag of tags) await publisher.publish(tag, await makeArtifact(tag));
    },
    start: (flags = [], { env = {}, command = runtime.command } = {}) =>
      startDewy(command, ["assets", "--registry", publisher.url, "-i", "1h", ...LOG, ...flags], {
        cwd,
        env: { ...operator.env, ...publisher.env, ...env },
      }),
    live: () => liveVersion(cwd),
    state: async () => JSON.parse(await readFile(join(cwd, ".dewy", "state.json"), "utf8")),
  };
}

/** Deploys versions one after another, so that all of them are on disk and the last one is live. */
export async function deployEach(
  app: SteeredAssets,
  tags: readonly string[],
  flags: readonly string[] = [],
): Promise<Dewy> {
  const [first = "", ...others] = tags;
  await app.publish(first);
  const dewy = app.start(flags);
  await deployed(dewy, first);
  for (const tag of others) {
    await app.publish(tag);
    await app.operator.succeed("poll");
    await deployed(dewy, tag);
  }
  expect(await app.live()).toBe(tags.at(-1));
  return dewy;
}

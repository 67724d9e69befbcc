import type { AppRelease } from "../../deployers/runner.ts";
import type { ContainerSpec } from "../engine/engine.ts";

/** A release that can be started: its image is here. */
export interface ContainerRelease extends AppRelease {
  /** What all of its containers are started with. */
  spec: Omit<ContainerSpec, "name" | "labels">;
  /** The port inside the containers for each port of the front. */
  containerPorts: readonly number[];
  /** The ports that the image exposes. */
  exposedPorts: readonly number[];
  /** Differs when {@link ContainerRelease.spec} does, the image apart. */
  config: string;
}

/** Makes sure that the image of a release is here, and says how to start it. Does not ask the network for one that is. */
export type PrepareRelease = (
  release: AppRelease,
  signal: AbortSignal,
) => Promise<ContainerRelease>;

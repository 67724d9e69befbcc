import * as v from "valibot";
import { HostError } from "../../core/error.ts";
import { parseSchema } from "../../http/json.ts";
import type { EngineContainer, EngineImage, PublishedPort } from "./engine.ts";

const text = v.nullish(v.string(), "");
const labels = v.nullish(v.record(v.string(), v.string()), {});
const health = v.nullish(v.object({ Status: text }));
const binding = v.object({ HostIp: text, HostPort: text });

const check = v.nullish(
  v.object({
    Test: v.nullish(v.array(v.string()), []),
    /** Nanoseconds; 0 for Docker's default of 30 s. */
    Interval: v.nullish(v.number(), 0),
  }),
);
const DEFAULT_INTERVAL_MS = 30_000;
/**
 * 128 plus SIGKILL or SIGTERM: the app may not have exited by itself. Podman emits no event of a
 * stop if its cleanup process is first to notice the exit.
 */
const SIGNAL_CODES: ReadonlySet<number> = new Set([137, 143]);

// https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerInspect
const Container = v.object({
  Id: v.string(),
  Name: v.string(),
  Image: v.string(),
  RestartCount: v.nullish(v.number(), 0),
  /** Podman's `Config.Image`. */
  ImageName: text,
  State: v.object({
    Status: v.string(),
    ExitCode: v.number(),
    OOMKilled: v.nullish(v.boolean(), false),
    StartedAt: text,
    Health: health,
    // Podman before 4.
    Healthcheck: health,
  }),
  Config: v.object({ Image: text, Labels: labels, Healthcheck: check }),
  NetworkSettings: v.object({
    Ports: v.nullish(v.record(v.string(), v.nullish(v.array(binding))), {}),
  }),
});

// https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageInspect
const Image = v.object({
  Id: v.string(),
  RepoTags: v.nullish(v.array(v.string()), []),
  /** Podman's `Config.User`. */
  User: text,
  Healthcheck: check,
  Config: v.nullish(
    v.object({
      User: text,
      ExposedPorts: v.nullish(v.record(v.string(), v.unknown()), {}),
      Healthcheck: check,
    }),
  ),
});

export function parseContainers(output: string, program: string): EngineContainer[] {
  return parseOutput(v.array(Container), output, program).map((one) => {
    const { State: state } = one;
    const isRunning = state.Status === "running" || state.Status === "paused";
    return {
      id: one.Id,
      name: one.Name.replace(/^\//, ""),
      image: one.ImageName || one.Config.Image,
      imageId: withAlgorithm(one.Image),
      status: state.Status,
      checkEveryMs: intervalMs(one.Config.Healthcheck),
      health: healthStatus(state.Health?.Status ?? state.Healthcheck?.Status),
      exitCode: isRunning ? undefined : state.ExitCode,
      wasOutOfMemory: state.OOMKilled,
      restarts: one.RestartCount,
      wasSignalled: !isRunning && !state.OOMKilled && SIGNAL_CODES.has(state.ExitCode),
      startedAt: state.StartedAt,
      labels: one.Config.Labels,
      // Podman still lists the ports of a container that has exited.
      ports: isRunning ? publishedPorts(one.NetworkSettings.Ports) : [],
    };
  });
}

export function parseImage(output: string, program: string): EngineImage | undefined {
  const [image] = parseOutput(v.array(Image), output, program);
  if (image === undefined) return undefined;
  const { Config: config } = image;
  const found = config?.Healthcheck ?? image.Healthcheck;
  const [test] = found?.Test ?? [];
  const isChecked = test !== undefined && test !== "NONE";
  return {
    id: withAlgorithm(image.Id),
    exposedPorts: tcpPorts(Object.keys(config?.ExposedPorts ?? {})),
    user: config?.User || image.User,
    healthcheck: isChecked ? { intervalMs: intervalMs(found) } : undefined,
    names: image.RepoTags,
  };
}

/** Throws a HostError that names the wrong field. */
export function parseOutput<S extends v.GenericSchema>(
  schema: S,
  output: string,
  program: string,
): v.InferOutput<S> {
  const action = `Cannot read the output of ${program}`;
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch (cause) {
    const message = `${action}: it is not JSON; is another program installed under that name?`;
    throw new HostError(message, { cause });
  }
  const fail = (problem: string): HostError =>
    new HostError(`${action}: ${problem}; does dewy support its version?`);
  return parseSchema(schema, value, fail);
}

function intervalMs(found: v.InferOutput<typeof check>): number {
  return (found?.Interval ?? 0) / 1e6 || DEFAULT_INTERVAL_MS;
}

/** Docker prints image IDs with their algorithm, Podman without. */
function withAlgorithm(id: string): string {
  return id.includes(":") ? id : `sha256:${id}`;
}

function healthStatus(status: string | undefined): string | undefined {
  return status === undefined || status === "" || status === "none" ? undefined : status;
}

function publishedPorts(
  ports: v.InferOutput<typeof Container>["NetworkSettings"]["Ports"],
): PublishedPort[] {
  return Object.entries(ports).flatMap(([name, bindings]) =>
    tcpPorts([name]).flatMap((container) =>
      (bindings ?? []).flatMap(({ HostIp: host, HostPort }) => {
        const port = Number(HostPort);
        return port > 0 ? [{ container, host: reachable(host), port }] : [];
      }),
    ),
  );
}

/** A wildcard address cannot be connected to. */
function reachable(host: string): string {
  if (host === "" || host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/** Skips UDP ports and ranges. */
function tcpPorts(names: readonly string[]): number[] {
  return names
    .flatMap((name) => {
      const [, port] = /^(\d+)(?:\/tcp)?$/.exec(name) ?? [];
      return port === undefined ? [] : [Number(port)];
    })
    .sort((one, other) => one - other);
}

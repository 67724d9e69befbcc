import * as v from "valibot";
import { HostError } from "../../core/error.ts";
import type { EngineContainer, EngineImage, PublishedPort } from "./engine.ts";

const text = v.nullish(v.string(), "");
const labels = v.nullish(v.record(v.string(), v.string()), {});
const health = v.nullish(v.object({ Status: text }));
const binding = v.object({ HostIp: text, HostPort: text });

const check = v.nullish(
  v.object({
    Test: v.nullish(v.array(v.string()), []),
    /** Nanoseconds; 0 is Docker's 30 s. */
    Interval: v.nullish(v.number(), 0),
  }),
);
const DEFAULT_INTERVAL_MS = 30_000;
/**
 * 128 and SIGKILL or SIGTERM, which do not prove that the app ended by itself. Podman writes no event of a stop if its
 * cleanup is first to notice the end.
 */
const SIGNAL_CODES: ReadonlySet<number> = new Set([137, 143]);

// https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerInspect
const Container = v.object({
  Id: v.string(),
  Name: v.string(),
  Image: v.string(),
  /** Podman: the image as it was named. */
  ImageName: text,
  State: v.object({
    Status: v.string(),
    ExitCode: v.number(),
    OOMKilled: v.nullish(v.boolean(), false),
    StartedAt: text,
    Health: health,
    /** Podman before 4. */
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
  /** Podman. */
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

/**
 * Reads what `inspect` of containers says.
 *
 * @param output a JSON array.
 * @param program who said it, for errors.
 * @returns the containers, in that order.
 * @throws HostError that names the field which is wrong.
 */
export function parseContainers(output: string, program: string): EngineContainer[] {
  return parse(v.array(Container), output, program).map((one) => {
    const { State: state } = one;
    const isRunning = state.Status === "running" || state.Status === "paused";
    return {
      id: one.Id,
      name: one.Name.replace(/^\//, ""),
      image: one.ImageName || one.Config.Image,
      imageId: withAlgorithm(one.Image),
      status: state.Status,
      checkEveryMs: intervalMs(one.Config.Healthcheck),
      health: said(state.Health?.Status ?? state.Healthcheck?.Status),
      exitCode: isRunning ? undefined : state.ExitCode,
      wasOutOfMemory: state.OOMKilled,
      wasSignalled: !isRunning && !state.OOMKilled && SIGNAL_CODES.has(state.ExitCode),
      startedAt: state.StartedAt,
      labels: one.Config.Labels,
      // Podman goes on naming the ports of a container that has ended.
      ports: isRunning ? publishedPorts(one.NetworkSettings.Ports) : [],
    };
  });
}

/**
 * Reads what `inspect` of one image says.
 *
 * @param output a JSON array.
 * @param program who said it, for errors.
 * @returns the image; `undefined` when the array is empty.
 * @throws HostError that names the field which is wrong.
 */
export function parseImage(output: string, program: string): EngineImage | undefined {
  const [image] = parse(v.array(Image), output, program);
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

/**
 * Checks a piece of JSON against a schema.
 *
 * @param schema what it should be.
 * @param output the text.
 * @param program who said it, for errors.
 * @returns the checked value.
 * @throws HostError that names the field which is wrong.
 */
export function parse<T>(schema: v.GenericSchema<unknown, T>, output: string, program: string): T {
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch (cause) {
    throw new HostError(
      `Cannot read what ${program} says: it is no JSON; is it a program of that name that dewy does not know?`,
      { cause },
    );
  }
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? "the answer";
  const wrong =
    issue.received === "undefined" ? "is missing" : `should be ${issue.expected ?? issue.type}`;
  throw new HostError(
    `Cannot read what ${program} says: ${field} ${wrong}; is its version one that dewy knows?`,
  );
}

function intervalMs(found: v.InferOutput<typeof check>): number {
  return (found?.Interval ?? 0) / 1e6 || DEFAULT_INTERVAL_MS;
}

/** Docker names an image by its algorithm, Podman does not. */
function withAlgorithm(id: string): string {
  return id.includes(":") ? id : `sha256:${id}`;
}

function said(status: string | undefined): string | undefined {
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

/** An address of all interfaces is none to connect to. */
function reachable(host: string): string {
  if (host === "" || host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/** `3000/tcp`; UDP cannot be proxied, and a range of ports stands for no single one. */
function tcpPorts(names: readonly string[]): number[] {
  return names
    .flatMap((name) => {
      const [, port] = /^(\d+)(?:\/tcp)?$/.exec(name) ?? [];
      return port === undefined ? [] : [Number(port)];
    })
    .sort((one, other) => one - other);
}

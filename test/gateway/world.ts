import type { DewyEvent } from "../../src/core/event.ts";
import type { Artifact, Deployment, Platform, Registry } from "../../src/core/types.ts";
import type { VersionQuestion } from "../../src/gateway/contract.ts";
import { Gateway, type GatewayOptions } from "../../src/gateway/gateway.ts";
import { formatPlatform, normalizePlatform } from "../../src/platform/platform.ts";
import { parseVersion } from "../../src/version/version.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";

export const AMD64: Platform = { os: "linux", arch: "amd64" };
export const ARM64: Platform = { os: "linux", arch: "arm64" };
export const ORIGIN = "http://gateway.test:9000";
export const INTERVAL_MS = 10_000;
export const MAX_STALE_MS = 3_600_000;

/** An upstream registry that a test controls. */
export interface FakeUpstream {
  registry: Registry;
  /** The newest tag; `undefined`: there is none. */
  tag: string | undefined;
  bytes: Uint8Array<ArrayBuffer>;
  /** What the listing states about the artifact. */
  stated: Partial<Artifact>;
  /** The files of the release, as the listing states them. */
  files: readonly Artifact[] | undefined;
  /** Thrown by the next questions. */
  failure: Error | undefined;
  /** Polls wait for this. */
  gate: Promise<void>;
  /** The polled platforms, and the maximum age of the listing. */
  questions: string[];
  opened: { artifact: Artifact; offset: number }[];
  reports: Deployment[];
}

export function fakeUpstream(options: { anyPlatform?: boolean } = {}): FakeUpstream {
  const upstream: FakeUpstream = {
    tag: "v1.0.0",
    bytes: new TextEncoder().encode("0123456789"),
    stated: { size: 10, revision: "secret-path-1" },
    files: undefined,
    failure: undefined,
    gate: Promise.resolve(),
    questions: [],
    opened: [],
    reports: [],
    registry: {
      anyPlatform: options.anyPlatform ?? true,
      async resolve({ platform = AMD64, artifact, maxAgeMs } = {}) {
        const { os, arch } = normalizePlatform(platform);
        const wanted = artifact === undefined ? "" : ` ${artifact}`;
        upstream.questions.push(`${formatPlatform(platform)}${wanted} ${maxAgeMs}`);
        await upstream.gate;
        if (upstream.failure !== undefined) throw upstream.failure;
        const { tag } = upstream;
        const version = parseVersion(tag ?? "");
        if (tag === undefined || version === undefined) {
          return { kind: "none", reason: "empty", message: "nothing at s3://private-bucket" };
        }
        if (artifact === "late") return { kind: "pending", tag, reason: "artifact-missing" };
        if (os === "aix") return { kind: "none", reason: "artifact-missing", tag, message: "none" };
        if (os === "plan9") return { kind: "pending", tag, reason: "artifact-missing" };
        if (artifact?.startsWith("no")) {
          return { kind: "none", reason: "artifact-missing", tag, message: "none" };
        }
        const name = artifact ?? `app_${os}_${arch}.tar.gz`;
        return {
          kind: "ready",
          release: { id: `id of ${tag}`, tag, version, createdAt: new Date(Date.UTC(2026, 0, 1)) },
          artifact: { name, url: `file:///private/${tag}/${name}`, ...upstream.stated },
          files: upstream.files,
        };
      },
      async open(artifact, { offset = 0 } = {}) {
        upstream.opened.push({ artifact, offset });
        return new Blob([upstream.bytes.subarray(offset)]).stream();
      },
      report: async (deployment) => void upstream.reports.push(deployment),
    },
  };
  return upstream;
}

export interface GatewayWorld {
  gateway: Gateway;
  upstream: FakeUpstream;
  clock: FakeClock;
  events: DewyEvent[];
  stopping: AbortController;
  /** The `artifact_url` of an answer. */
  address(question?: Partial<VersionQuestion>): Promise<string>;
  get(url: string, init?: RequestInit): Promise<Response>;
}

export function gatewayWorld(parts: Partial<GatewayOptions> = {}): GatewayWorld {
  const upstream = fakeUpstream();
  const clock = fakeClock();
  const events: DewyEvent[] = [];
  const stopping = new AbortController();
  const gateway = new Gateway({
    open: () => upstream.registry,
    intervalMs: INTERVAL_MS,
    maxStaleMs: MAX_STALE_MS,
    secret: new Uint8Array(32).fill(7),
    publicUrl: undefined,
    direct: false,
    token: undefined,
    clock,
    emit: (event) => void events.push(event),
    signal: new AbortController().signal,
    stopping: stopping.signal,
    ...parts,
  });
  return {
    gateway,
    upstream,
    clock,
    events,
    stopping,
    address: async (overrides = {}) => {
      const answer = await gateway.current(question(overrides));
      return answer?.artifactUrl ?? "";
    },
    get: async (url, init) => {
      const response = await gateway.fetch(new Request(url, init));
      if (response === undefined) throw new Error(`nothing at ${url}`);
      return response;
    },
  };
}

export function question(parts: Partial<VersionQuestion> = {}): VersionQuestion {
  return {
    ...AMD64,
    artifact: undefined,
    address: "192.0.2.1",
    headers: new Headers(),
    origin: ORIGIN,
    ...parts,
  };
}

import type { InstanceStatus, Mode } from "../control/protocol.ts";
import type { Clock } from "../core/clock.ts";
import type { EventSink } from "../core/event.ts";
import type { Redact } from "../core/secret.ts";
import type { AdminContainer } from "./container.ts";

export interface AdminOptions {
  config: {
    /** The first of the ten ports to try. */
    port: number;
    host: string;
    tokenFile: string | undefined;
    /** Whether `/metrics` needs no token. */
    metricsPublic: boolean;
  };
  mode: Mode;
  /** The working directory, whose journal is shown. */
  root: string;
  status(): Promise<InstanceStatus>;
  /** The number of backends in rotation, over all ports of the proxy. */
  backends?(): number;
  /** For `/api/containers`. */
  containers?(signal: AbortSignal): Promise<readonly AdminContainer[]>;
  /** The last lines of the app's output, oldest first. */
  appLines?(signal: AbortSignal): Promise<readonly string[]>;
  /** The last lines of dewy's own log, oldest first. */
  ownLines(): readonly string[];
  /** The text of `/metrics`; absent without `--telemetry`. */
  metrics?(): Promise<string>;
  /** Receives the events of this process, after which the page may have changed. */
  subscribe(sink: EventSink): () => void;
  redact: Redact;
  emit: EventSink;
  clock: Clock;
}

export interface AdminServer {
  /** Absent if it could not be opened. */
  url: string | undefined;
  close(): Promise<void>;
}

/** Opens the status page and the admin API. If no port can be opened, dewy warns and continues without them. */
export async function openAdmin(_options: AdminOptions): Promise<AdminServer> {
  return { url: undefined, close: async () => {} };
}

import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import type { Clock } from "../core/clock.ts";
import { RegistryService } from "../gen/dewy_pb.ts";
import { Health, type HealthCheckRequest } from "../gen/health_pb.ts";

export interface HealthOptions {
  isServing(): boolean;
  /** Aborted when the server closes, which ends watches. */
  closing: AbortSignal;
  clock: Clock;
}

// https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

const SERVICES: ReadonlySet<string> = new Set(["", RegistryService.typeName, Health.typeName]);
const WATCH_INTERVAL_MS = 1_000;
const MAX_WATCHES = 256;

/** Routes the calls of `grpc.health.v1.Health`. https://grpc.io/docs/guides/health-checking/ */
export function healthRoutes(options: HealthOptions): (router: ConnectRouter) => void {
  const { isServing, closing } = options;
  let watches = 0;
  const statusOf = ({ service }: HealthCheckRequest): number => {
    if (!SERVICES.has(service)) return SERVICE_UNKNOWN;
    return isServing() && !closing.aborted ? SERVING : NOT_SERVING;
  };

  async function* watch(
    request: HealthCheckRequest,
    { signal }: HandlerContext,
  ): AsyncGenerator<{ status: number }> {
    if (watches >= MAX_WATCHES) {
      throw new ConnectError("Too many watches; use Check", Code.ResourceExhausted);
    }
    watches += 1;
    try {
      const ended = AbortSignal.any([signal, closing]);
      let sent: number | undefined;
      while (!signal.aborted) {
        const status = statusOf(request);
        if (status !== sent) yield { status };
        sent = status;
        if (closing.aborted) throw new ConnectError("The server is closing", Code.Unavailable);
        await options.clock.sleep(WATCH_INTERVAL_MS, ended).catch(() => {});
      }
    } finally {
      watches -= 1;
    }
  }

  return (router) =>
    router.service(Health, {
      check(request) {
        const status = statusOf(request);
        if (status !== SERVICE_UNKNOWN) return { status };
        throw new ConnectError("Unknown service", Code.NotFound);
      },
      watch,
    });
}

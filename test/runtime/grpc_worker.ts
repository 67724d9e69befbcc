// Queries servers of Connect and gRPC-Web with only `fetch`.
import { openRegistry } from "../../mod.ts";

/**
 * Runs in a worker. Of the two `grpc://127.0.0.1:<port>?no-tls=true`, `url` is a server that speaks
 * HTTP/1.1, and `plain` is a plain gRPC server.
 */
export async function grpcInWorker(url: string, plain: string): Promise<string[]> {
  const results: string[] = [];
  const options = {
    env: { DEWY_REGISTRY_TOKEN: "s3cr3t" },
    platform: { os: "linux", arch: "amd64" },
  };
  for (const protocol of [undefined, "connect", "grpc-web"] as const) {
    const chosen = protocol === undefined ? {} : { protocol };
    const registry = openRegistry(url, { ...options, ...chosen });
    const answer = await registry.resolve();
    if (answer.kind !== "ready") throw new Error(JSON.stringify(answer));
    const { id, tag } = answer.release;
    await registry.report?.({ id, tag, command: "edge", host: "edge", at: new Date(0) });
    results.push(`${protocol ?? "by default"}: ${tag}`);
  }
  const refused = await openRegistry(plain, { ...options, clock: hasty })
    .resolve()
    .then(
      () => "answered",
      (error) => error.message,
    );
  results.push(refused);
  return results;
}

/** Skips the pauses between attempts, but not the timeouts. */
const hasty = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms > 8_000 ? ms : 0);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    }),
};

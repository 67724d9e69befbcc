import type { KvNamespace } from "dewy/cache";

/** A runtime, without its version. */
export type RuntimeKind = "node" | "deno" | "bun" | "workerd" | "chromium";

/** Where the fakes of peers.ts listen: base URLs without a slash at the end. */
export interface Peers {
  kind: RuntimeKind;
  /** GitHub's API; its storage has another origin, and refuses every CORS preflight. */
  github: string;
  /** An S3 endpoint with the bucket `releases`. */
  s3: string;
  /** Google's hosts, below `/<host>`, and an emulator below `/emulator`. */
  google: string;
  /** A service account's key, as JSON. */
  googleKey: string;
  /** `host:port` of an OCI registry; its tokens and blobs have other origins. */
  oci: string;
  /** `host:port` of a server that speaks Connect and gRPC-Web over HTTP/1.1. */
  connect: string;
  /** `host:port` of a plain gRPC server, which speaks only HTTP/2. */
  grpc: string;
  /** `host:port` of a handler of `dewy/handler`, which has the registry `app`, and takes reports. */
  handler: string;
  /** A namespace of Workers KV; only in workerd. */
  kv?: KvNamespace;
  /** test/fakes/handler_echo.ts, at two origins. */
  here: string;
  there: string;
  /** Nothing listens here. */
  refused: string;
}

export type Run = (peers: Peers) => void | Promise<void>;

/** A case that some runtimes cannot run, with the reason. */
export interface Conditional {
  run: Run;
  skip: Partial<Readonly<Record<RuntimeKind, string>>>;
}

/** By what they show, as a sentence. */
export type Cases = Readonly<Record<string, Run | Conditional>>;

export interface Outcome {
  area: string;
  name: string;
  status: "passed" | "failed" | "skipped";
  /** The error, or the reason. */
  note?: string;
}

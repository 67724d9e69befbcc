/** Where a channel leads. */
export interface GrpcChannelOptions {
  /** `https://host:port`, or `http://host:port` for plain text (h2c). */
  baseUrl: string;
  /** A file of PEM certificates to trust as well; empty: none. */
  caFile: string;
}

/** How one call is made. */
export interface GrpcCallOptions {
  /** Ends the call. */
  signal: AbortSignal;
  /** The deadline that is sent to the server, in milliseconds. */
  timeoutMs: number;
  /** Metadata that is sent along. */
  headers: Readonly<Record<string, string>>;
}

/** The machine that asks, in Go's spelling: `dewy.CurrentRequest`. */
export interface GrpcQuestion {
  /** `amd64`, `arm64`, … */
  arch: string;
  /** `linux`, `darwin`, … */
  os: string;
}

/** What the server answers: `dewy.CurrentResponse`. */
export interface GrpcAnswer {
  /** The server's identifier of the release. */
  id: string;
  /** The tag; empty: there is none. */
  tag: string;
  /** Where the artifact is; empty: it is not there yet. */
  artifactUrl: string;
  /** When it was published, since the Unix epoch. */
  createdAt?: { seconds: bigint; nanos: number } | undefined;
}

/** What became of a deploy: `dewy.ReportRequest`. */
export interface GrpcReport {
  /** The identifier of the answer. */
  id: string;
  /** The tag of the answer. */
  tag: string;
  /** `server`, `assets` or `container`. */
  command: string;
  /** What went wrong; absent when nothing did. */
  err?: string;
}

/** A way to a server, kept open between calls where the protocol has connections of its own. */
export interface GrpcChannel {
  /** Asks for the version; rejects with a ConnectError of `@connectrpc/connect`. */
  current(question: GrpcQuestion, how: GrpcCallOptions): Promise<GrpcAnswer>;
  /** Tells the outcome of a deploy; rejects as `current` does. */
  report(report: GrpcReport, how: GrpcCallOptions): Promise<void>;
  /** Drops the connection; the next call makes a new one. */
  hangUp(): void;
}

/** Opens a channel for gRPC over HTTP/2, which `fetch` cannot; nothing is sent before the first call. */
export type OpenGrpcChannel = (options: GrpcChannelOptions) => Promise<GrpcChannel>;

/** Options of {@link OpenGrpcChannel}. */
export interface GrpcChannelOptions {
  /** `https://host:port`, or `http://host:port` for plain text (h2c). */
  baseUrl: string;
  /** A file of PEM certificates to trust in addition; may be empty. */
  caFile: string;
}

/** Options of one call. */
export interface GrpcCallOptions {
  /** Aborts the call. */
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

/** The answer of the server: `dewy.CurrentResponse`. */
export interface GrpcAnswer {
  /** The server's identifier of the release. */
  id: string;
  /** The tag; empty if there is none. */
  tag: string;
  /** The URL of the artifact; empty if it does not exist yet. */
  artifactUrl: string;
  /** The URLs of the release's small files, such as signatures. Defaults to none. */
  fileUrls?: readonly string[] | undefined;
  /** When it was published, since the Unix epoch. */
  createdAt?: { seconds: bigint; nanos: number } | undefined;
}

/** The version that the server would answer with: `dewy.WatchResponse`. */
export type GrpcAnnouncement = Pick<GrpcAnswer, "id" | "tag">;

/** The outcome of a deploy: `dewy.ReportRequest`. */
export interface GrpcReport {
  /** The identifier of the answer. */
  id: string;
  /** The tag of the answer. */
  tag: string;
  /** `server`, `assets` or `container`. */
  command: string;
  /** The error of a failed deploy. */
  err?: string | undefined;
}

/** A connection to a server, kept open between calls if the protocol allows that. */
export interface GrpcChannel {
  /** Asks for the version; rejects with a ConnectError of `@connectrpc/connect`. */
  current(question: GrpcQuestion, how: GrpcCallOptions): Promise<GrpcAnswer>;
  /** Reports a deploy; rejects as `current` does. */
  report(report: GrpcReport, how: GrpcCallOptions): Promise<void>;
  /** Streams announcements of versions until the signal is aborted; rejects as `current` does. */
  watch?(
    question: GrpcQuestion,
    how: Omit<GrpcCallOptions, "timeoutMs">,
  ): AsyncIterable<GrpcAnnouncement>;
  /** Closes the connection; the next call opens another. */
  hangUp(): void;
}

/** Opens a channel for gRPC over HTTP/2, which `fetch` does not support. Nothing is sent before the first call. */
export type OpenGrpcChannel = (options: GrpcChannelOptions) => Promise<GrpcChannel>;

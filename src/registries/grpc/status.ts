/** The codes of gRPC and Connect. https://grpc.io/docs/guides/status-codes/ */
export const Code = {
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;

/** A failed call: the part of a `ConnectError` of `@connectrpc/connect` that dewy reads. */
export interface CallError extends Error {
  readonly code: number;
  /** The message without the code. */
  readonly rawMessage: string;
  /** Headers and trailers. */
  readonly metadata: Headers;
}

/** Made where the package itself is not loaded. */
export class StatusError extends Error implements CallError {
  override readonly name = "ConnectError";
  readonly code: number;
  readonly rawMessage: string;
  readonly metadata: Headers;

  constructor(
    message: string,
    code: number,
    { cause, metadata = new Headers() }: { cause?: unknown; metadata?: Headers } = {},
  ) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
    this.rawMessage = message;
    this.metadata = metadata;
  }
}

/** What a call threw, by name, since each copy of the package has its own class. Other errors become its cause. */
export function callErrorOf(thrown: unknown): CallError {
  if (isCallError(thrown)) return thrown;
  const { name, message } = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = name === "AbortError" ? Code.Canceled : Code.Unknown;
  return new StatusError(message, code, { cause: thrown });
}

function isCallError(thrown: unknown): thrown is CallError {
  return thrown instanceof Error && thrown.name === "ConnectError" && "rawMessage" in thrown;
}

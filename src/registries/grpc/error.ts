import {
  ConfigError,
  CredentialError,
  type DewyError,
  type ErrorCode,
  NotFoundError,
  RemoteError,
} from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import { refusalIn, serverMessage } from "../../http/errors.ts";
import { type NetworkCauseKind, networkCause } from "../../http/network_cause.ts";
import { retryAfterMs } from "../../http/retry.ts";
import { type CallError, Code } from "./status.ts";

export interface GrpcErrorContext {
  method: string;
  baseUrl: string;
  protocol: "grpc" | "grpc-web" | "connect";
  token: string;
  /** Milliseconds since the Unix epoch. */
  now: number;
}

/** Codes after which the same call cannot go better, and which say nothing more special. */
const LASTING: ReadonlySet<number> = new Set([
  Code.InvalidArgument,
  Code.AlreadyExists,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.DataLoss,
]);

const REMOTE_CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [Code.DeadlineExceeded, "timeout"],
  [Code.ResourceExhausted, "rate-limited"],
]);
const CODE_NAMES: ReadonlyMap<number, string> = new Map([
  [Code.Canceled, "CANCELLED"],
  [Code.Unknown, "UNKNOWN"],
  [Code.InvalidArgument, "INVALID_ARGUMENT"],
  [Code.DeadlineExceeded, "DEADLINE_EXCEEDED"],
  [Code.NotFound, "NOT_FOUND"],
  [Code.AlreadyExists, "ALREADY_EXISTS"],
  [Code.PermissionDenied, "PERMISSION_DENIED"],
  [Code.ResourceExhausted, "RESOURCE_EXHAUSTED"],
  [Code.FailedPrecondition, "FAILED_PRECONDITION"],
  [Code.Aborted, "ABORTED"],
  [Code.OutOfRange, "OUT_OF_RANGE"],
  [Code.Unimplemented, "UNIMPLEMENTED"],
  [Code.Internal, "INTERNAL"],
  [Code.Unavailable, "UNAVAILABLE"],
  [Code.DataLoss, "DATA_LOSS"],
  [Code.Unauthenticated, "UNAUTHENTICATED"],
]);

/** Translates what a call threw. https://grpc.io/docs/guides/status-codes/ */
export function grpcError(error: CallError, context: GrpcErrorContext): DewyError {
  if (isBrokenConnection(error)) return connectionError(error, context);
  const { method, baseUrl, token, now } = context;
  const said = serverMessage(error.rawMessage, [token]);
  const [, unreadable] = /^parse binary: (.*)$/s.exec(said) ?? [];
  if (unreadable !== undefined) {
    const answer = method === "Current" ? "dewy.CurrentResponse" : "google.protobuf.Empty";
    return new RemoteError(
      `Cannot call ${method} of ${baseUrl}: the response is not a ${answer}: ${unreadable}`,
      { ...remote(context, error), retryable: false },
    );
  }
  const name = CODE_NAMES.get(error.code) ?? `status ${error.code}`;
  const what = `Cannot call ${method} of ${baseUrl}: ${name}${said === "" ? "" : `: ${said}`}`;
  const cause = error;
  switch (error.code) {
    case Code.Unauthenticated:
      return new CredentialError(
        `${what}; set DEWY_REGISTRY_TOKEN to a token that the server takes`,
        { cause },
      );
    case Code.PermissionDenied:
      return new CredentialError(`${what}; the server does not allow this`, { cause });
    case Code.NotFound:
      return new NotFoundError(`${what}; the server has nothing for this machine`, { cause });
    case Code.Unimplemented:
      return new ConfigError(`${what}; ${whyUnimplemented(context)}`, { cause });
    default: {
      return new RemoteError(`${what}${foreign(error, context)}`, {
        ...remote(context, cause),
        retryable: !LASTING.has(error.code),
        retryAfterMs: retryAfterMs(error.metadata, now),
        code: REMOTE_CODES.get(error.code) ?? "remote",
      });
    }
  }
}

/** Whether the connection broke before the server answered. */
export function isBrokenConnection(error: CallError): boolean {
  // Statuses come from trailers and have no cause; what a runtime threw is kept as one.
  // CANCELLED: another call on the same connection was given up.
  if (error.code === Code.Canceled) return true;
  return error.cause !== undefined || /^http\/2 (stream|connection)/.test(error.rawMessage);
}

function connectionError(error: CallError, context: GrpcErrorContext): RemoteError {
  const { baseUrl, method } = context;
  const refusal = refusalIn(error);
  const { kind, reason, retryable } =
    refusal === undefined
      ? networkCause(error)
      : { kind: "refused" as const, reason: refusal.message, retryable: false };
  const hint = hintFor(kind, context);
  const shown = `Cannot call ${method} of ${baseUrl}: ${reason}${hint === "" ? "" : `; ${hint}`}`;
  return new RemoteError(redactText(shown, [context.token]), {
    ...remote(context, error),
    retryable,
  });
}

/** The most likely mistake. The hint never suggests turning TLS off for a server that has spoken TLS. */
function hintFor(kind: NetworkCauseKind, { baseUrl, protocol }: GrpcErrorContext): string {
  const isPlain = baseUrl.startsWith("http:");
  switch (kind) {
    case "not-tls":
      return "check the port; only a server without TLS, such as one on this machine, needs no-tls=true";
    case "no-common-protocol":
      return "gRPC needs HTTP/2: use a port where it is enabled, or protocol=connect with `dewy registry`";
    case "not-http2":
    case "reset":
    case "closed":
    case "closed-in-handshake":
    case "hidden":
    case "other":
      if (protocol !== "grpc") return needsFetchProtocol(protocol);
      return `is it a gRPC server?${isPlain ? " If it is, it may expect TLS: try without no-tls=true" : ""}`;
    case "not-http":
      return protocol === "grpc" ? "" : needsFetchProtocol(protocol);
    default:
      return "";
  }
}

/** Returns whether something answered over HTTP, but not as this protocol does. */
export function isForeignAnswer({ rawMessage }: CallError): boolean {
  return /^(HTTP \d|unsupported content type|missing trailer)/.test(rawMessage);
}

function foreign(error: CallError, { protocol }: GrpcErrorContext): string {
  if (!isForeignAnswer(error)) return "";
  return protocol === "grpc"
    ? "; what answers there is no gRPC server"
    : `; ${needsFetchProtocol(protocol)}`;
}

function whyUnimplemented(context: GrpcErrorContext): string {
  const { protocol, method } = context;
  const missing = `the server has no dewy.RegistryService/${method}`;
  return protocol === "grpc" ? missing : `${missing}; or ${needsFetchProtocol(protocol)}`;
}

function needsFetchProtocol(protocol: "grpc-web" | "connect"): string {
  const name = protocol === "connect" ? "Connect" : "gRPC-Web";
  return (
    `the server does not speak ${name}, which protocol=${protocol} needs: \`dewy registry\` does, ` +
    "a plain gRPC server can only be asked from a host, with protocol=grpc"
  );
}

function remote(
  { baseUrl }: GrpcErrorContext,
  cause: unknown,
): { method: string; url: string; cause: unknown } {
  return { method: "POST", url: baseUrl, cause };
}

import { create } from "@bufbuild/protobuf";
import { EmptySchema, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ContextKey,
  createContextKey,
  type HandlerContext,
} from "@connectrpc/connect";
import { DewyError, type ErrorCode } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import {
  type CurrentRequest,
  type CurrentResponse,
  CurrentResponseSchema,
  RegistryService,
  type ReportRequest,
  type WatchRequest,
} from "../gen/dewy_pb.ts";
import { normalizePlatform } from "../platform/platform.ts";
import type { DeployReport, RegistryLogic, VersionAnswer, VersionQuestion } from "./contract.ts";
import { type WatchOptions, watchStreams } from "./watch_streams.ts";

export interface Caller {
  /** The IP address; `undefined` where the runtime does not say. */
  address: string | undefined;
  /** `<scheme>://<host>` as the caller reached the server. */
  origin: string | undefined;
}

export const callerKey: ContextKey<Caller> = createContextKey<Caller>(
  { address: undefined, origin: undefined },
  { description: "the caller" },
);

/** Maximum size of a request in bytes; a report with its error is far below. */
export const MAX_REQUEST_BYTES: number = 64 * 1024;
/** The longest deadline that a caller can set, in milliseconds. */
export const MAX_DEADLINE_MS: number = 10 * 60_000;

const MAX_ID_LENGTH = 1024;
const MAX_ERROR_LENGTH = 4096;

export interface RouteOptions extends WatchOptions {
  /** Receives errors that callers must not see. */
  emit: EventSink;
}

/** Routes the calls of `dewy.RegistryService` to a registry's logic. */
export function registryRoutes(
  logic: RegistryLogic,
  { emit, clock, closing }: RouteOptions,
): (router: ConnectRouter) => void {
  const failed = (error: unknown): ConnectError => {
    if (!(error instanceof ConnectError || error instanceof DewyError)) {
      const reason = messageOf(error);
      emit({ type: "warning", message: "Call failed", fields: { reason }, important: true });
    }
    return rpcError(error);
  };
  const guarded = async <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    try {
      return await unlessAborted(signal, work);
    } catch (error) {
      throw failed(error);
    }
  };
  const stream = watchStreams({ clock, closing });
  async function* watch(request: WatchRequest, context: HandlerContext) {
    const open = logic.watch?.bind(logic);
    if (open === undefined) throw new ConnectError("Poll instead", Code.Unimplemented);
    try {
      const question = readQuestion(request, context);
      yield* stream((signal) => open(question, signal), context.signal);
    } catch (error) {
      throw failed(error);
    }
  }
  return (router) =>
    router.service(RegistryService, {
      watch,
      current: (request, context) =>
        guarded(context.signal, async () =>
          toResponse(await logic.current(readQuestion(request, context), context.signal)),
        ),
      report: (request, context) =>
        guarded(context.signal, async () => {
          await logic.report?.(readReport(request, context), context.signal);
          return create(EmptySchema);
        }),
    });
}

/** Logic that ignores the signal must not outlast the caller. */
function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(ConnectError.from(signal.reason, Code.Canceled));
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", abort));
  });
}

type Question = Pick<CurrentRequest, "arch" | "os"> & { arifactName?: string };

function readQuestion(request: Question, context: HandlerContext): VersionQuestion {
  for (const [name, value] of [
    ["os", request.os],
    ["arch", request.arch],
  ] as const) {
    if (!isPlainName(value)) throw invalid(`${name} is not a name such as linux or amd64`);
  }
  const { os, arch } = normalizePlatform(request);
  const artifact = request.arifactName || undefined;
  if (artifact !== undefined && !isFileName(artifact)) {
    throw invalid("arifact_name is not a file name");
  }
  return { os, arch, artifact, headers: context.requestHeader, ...context.values.get(callerKey) };
}

function readReport(request: ReportRequest, context: HandlerContext): DeployReport {
  const { id, tag, command, err } = request;
  if (id.length > MAX_ID_LENGTH) throw invalid("id is too long");
  if (tag === "" || plainText(tag, MAX_ID_LENGTH) !== tag) throw invalid("tag is not a tag");
  if (!isPlainName(command)) throw invalid("command is not a name such as server or assets");
  return {
    id,
    tag,
    command,
    error: err === undefined ? undefined : plainText(err, MAX_ERROR_LENGTH) || "unknown",
    address: context.values.get(callerKey).address,
  };
}

function invalid(problem: string): ConnectError {
  return new ConnectError(problem, Code.InvalidArgument);
}

/** An empty tag means that there is no version; an empty artifact URL, that it is not complete yet. */
function toResponse(answer: VersionAnswer | undefined): CurrentResponse {
  if (answer === undefined) return create(CurrentResponseSchema);
  const { tag, id = tag, artifactUrl = "", fileUrls = [], createdAt } = answer;
  return create(CurrentResponseSchema, {
    id,
    tag,
    artifactUrl,
    fileUrls: [...fileUrls],
    createdAt: createdAt && timestampFromDate(createdAt),
  });
}

/** Makes text from outside a single line without control characters, cut to a length in UTF-16 units. */
function plainText(text: string, maxLength: number): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu, " ").trim();
  return line.length <= maxLength ? line : `${line.slice(0, maxLength - 1)}…`;
}

/** Whether a text is a file name without a path, control characters and surrogates. */
function isFileName(name: string): boolean {
  return name.length <= 255 && plainText(name, 255) === name && !/[\\/]|^\.{0,2}$/.test(name);
}

/** Whether a text is a short name: without spaces, control characters and paths. */
function isPlainName(name: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{0,31}$/i.test(name);
}

// https://grpc.io/docs/guides/status-codes/
const CODES: Readonly<Record<ErrorCode, Code>> = {
  config: Code.FailedPrecondition,
  locked: Code.FailedPrecondition,
  credential: Code.PermissionDenied,
  "not-found": Code.NotFound,
  conflict: Code.Aborted,
  "rate-limited": Code.Unavailable,
  timeout: Code.Unavailable,
  remote: Code.Unavailable,
  integrity: Code.DataLoss,
  unverified: Code.FailedPrecondition,
  archive: Code.Internal,
  host: Code.Unavailable,
  deploy: Code.Internal,
  aborted: Code.Canceled,
};

/** A `DewyError` reaches the caller with its message; other errors are only in the log, since they may hold anything. */
function rpcError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof DewyError) return new ConnectError(error.message, CODES[error.code]);
  return new ConnectError("The registry failed; its log says why", Code.Internal);
}

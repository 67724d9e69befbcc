/**
 * The contract `dewy.RegistryService` in front of a registry's logic.
 *
 * @module
 */
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
import { DewyError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import {
  type CurrentRequest,
  type CurrentResponse,
  CurrentResponseSchema,
  RegistryService,
  type ReportRequest,
} from "../gen/dewy_pb.ts";
import { normalizePlatform } from "../platform/platform.ts";
import type { DeployReport, RegistryLogic, VersionAnswer, VersionQuestion } from "./contract.ts";
import { isFileName, isPlainName, plainText } from "./plain_text.ts";
import { rpcError } from "./rpc_error.ts";

/** What the host knows of a call. */
export interface Caller {
  /** The IP address; `undefined` where the runtime does not say. */
  address: string | undefined;
  /** `<scheme>://<host>` as the caller reached the server. */
  origin: string | undefined;
}

/** Where the host puts who calls. */
export const callerKey: ContextKey<Caller> = createContextKey<Caller>(
  { address: undefined, origin: undefined },
  { description: "the caller" },
);

/** The largest request, in bytes: a report with its error is far below. */
export const MAX_REQUEST_BYTES: number = 64 * 1024;
/** The longest deadline that a caller can ask for, in milliseconds. */
export const MAX_DEADLINE_MS: number = 10 * 60_000;

const MAX_ID_LENGTH = 1024;
const MAX_ERROR_LENGTH = 4096;

/**
 * Routes the calls of the contract to a registry's logic.
 *
 * @param logic what answers them.
 * @param emit hears of failures that are none of the caller's business.
 * @returns a function that adds the routes to a router.
 */
export function registryRoutes(
  logic: RegistryLogic,
  emit: EventSink,
): (router: ConnectRouter) => void {
  const guarded = async <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    try {
      return await unlessAborted(signal, work);
    } catch (error) {
      if (!(error instanceof ConnectError || error instanceof DewyError)) {
        const reason = messageOf(error);
        emit({ type: "warning", message: "A call failed", fields: { reason }, important: true });
      }
      throw rpcError(error);
    }
  };
  return (router) =>
    router.service(RegistryService, {
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

/** Logic that does not look at the signal must not outlast the caller. */
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

function readQuestion(request: CurrentRequest, context: HandlerContext): VersionQuestion {
  for (const [name, value] of [
    ["os", request.os],
    ["arch", request.arch],
  ] as const) {
    if (!isPlainName(value)) throw invalid(`${name} is no name such as linux or amd64`);
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
  if (tag === "" || plainText(tag, MAX_ID_LENGTH) !== tag) throw invalid("tag is no tag");
  if (!isPlainName(command)) throw invalid("command is no name such as server or assets");
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

/** Without a tag there is no version; without an artifact's address it is not complete yet. */
function toResponse(answer: VersionAnswer | undefined): CurrentResponse {
  if (answer === undefined) return create(CurrentResponseSchema);
  const { tag, id = tag, artifactUrl = "", createdAt } = answer;
  return create(CurrentResponseSchema, {
    id,
    tag,
    artifactUrl,
    ...(createdAt === undefined ? {} : { createdAt: timestampFromDate(createdAt) }),
  });
}

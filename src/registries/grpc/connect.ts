import type { GrpcCallOptions, GrpcChannel } from "./channel.ts";
import { Code, StatusError } from "./status.ts";
import { waryFetch } from "./wary_fetch.ts";
import { decodeAnswer, encodeTexts } from "./wire.ts";

export const SERVICE = "dewy.RegistryService";

/**
 * Opens a channel that speaks Connect over `fetch`. Only `Watch`, which streams, needs the packages of Connect.
 * https://connectrpc.com/docs/protocol
 */
export function openConnectChannel(baseUrl: string, fetch: typeof globalThis.fetch): GrpcChannel {
  const call = async <T>(
    method: string,
    message: Uint8Array<ArrayBuffer>,
    { signal, timeoutMs, headers }: GrpcCallOptions,
    read: (bytes: Uint8Array) => T,
  ): Promise<T> => {
    const response = await waryFetch(fetch)(`${baseUrl}/${SERVICE}/${method}`, {
      method: "POST",
      headers: {
        ...headers,
        "content-type": "application/proto",
        "connect-protocol-version": "1",
        "connect-timeout-ms": String(timeoutMs),
      },
      body: message,
      signal,
    });
    const type = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
    if (response.status !== 200) throw await failureOf(response, type);
    if (type !== "application/proto") {
      await response.body?.cancel();
      throw new StatusError(`unsupported content type ${type}`, Code.Unknown, {
        metadata: response.headers,
      });
    }
    const bytes = new Uint8Array(await response.arrayBuffer());
    try {
      return read(bytes);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new StatusError(`parse binary: ${why}`, Code.InvalidArgument);
    }
  };
  return {
    current: ({ arch, os }, how) =>
      call("Current", encodeTexts({ 1: arch, 2: os }), how, decodeAnswer),
    report: ({ id, tag, command, err }, how) =>
      call("Report", encodeTexts({ 1: id, 2: tag, 3: command, 4: err }), how, () => {}),
    async *watch(question, how) {
      const { openFetchChannel } = await import("./web.ts");
      yield* openFetchChannel("connect", baseUrl, fetch).watch?.(question, how) ?? [];
    },
    hangUp() {},
  };
}

const NAMES = new Map(
  Object.entries(Code).map(([name, code]) => [
    name.replace(/\B[A-Z]/g, (letter) => `_${letter}`).toLowerCase(),
    code,
  ]),
);

/** https://connectrpc.com/docs/protocol/#http-to-error-code */
const BY_STATUS: Readonly<Record<number, number>> = {
  400: Code.Internal,
  401: Code.Unauthenticated,
  403: Code.PermissionDenied,
  404: Code.Unimplemented,
  429: Code.Unavailable,
  502: Code.Unavailable,
  503: Code.Unavailable,
  504: Code.Unavailable,
};

async function failureOf(response: Response, type: string): Promise<StatusError> {
  const { status, headers: metadata } = response;
  const byStatus = BY_STATUS[status] ?? Code.Unknown;
  const text = await response.text();
  if (type !== "application/json") return new StatusError(`HTTP ${status}`, byStatus, { metadata });
  const { code, message } = readError(text);
  return new StatusError(message ?? `HTTP ${status}`, NAMES.get(code ?? "") ?? byStatus, {
    metadata,
  });
}

/** https://connectrpc.com/docs/protocol/#error-end-stream */
function readError(text: string): { code?: string; message?: string } {
  try {
    const { code, message } = Object(JSON.parse(text));
    return {
      ...(typeof code === "string" && { code, message: "" }),
      ...(typeof message === "string" && { message }),
    };
  } catch {
    return {};
  }
}

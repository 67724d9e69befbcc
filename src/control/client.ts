import { once } from "node:events";
import { connect, type Socket } from "node:net";
import * as v from "valibot";
import { systemClock } from "../core/clock.ts";
import { AbortedError, ERROR_CODES, HostError } from "../core/error.ts";
import { TimeoutError, withTimeout } from "../core/timeout.ts";
import { systemCode } from "../host/files/atomic_file.ts";
import type { FoundInstance } from "./instances.ts";
import { readLines } from "./lines.ts";
import { ControlReply, type ControlRequest, PROTOCOL, protocolMessage } from "./protocol.ts";

type DoneReply = Extract<ControlReply, { kind: "done" }>;

export interface AskOptions {
  onProgress?: ((text: string) => void) | undefined;
  /** Called when dewy can have received the request. */
  onSent?: (() => void) | undefined;
  signal?: AbortSignal | undefined;
  /** Defaults to 5 s. */
  connectMs?: number;
  /** How long dewy may send nothing. Defaults to 60 s. */
  silenceMs?: number;
  /** Defaults to {@link PROTOCOL}. */
  protocol?: number;
}

/** dewy ended, or stopped answering, after it had received a command. */
class LostInstanceError extends HostError {
  override readonly name: string = "LostInstanceError";
}

/**
 * Sends a request to a running instance and waits for its answer.
 *
 * @throws LostInstanceError with the code `deploy` if dewy ends before it has answered; a DewyError with the code of the
 *   failure if it answers that the command failed.
 */
export async function askInstance(
  instance: FoundInstance,
  request: Omit<ControlRequest, "protocol">,
  options: AskOptions = {},
): Promise<DoneReply> {
  const { protocol = PROTOCOL, signal } = options;
  if (signal?.aborted) throw aborted(signal);
  const socket = await open(instance, options);
  socket.write(`${JSON.stringify({ ...request, protocol })}\n`);
  options.onSent?.();
  try {
    const reply = await lastReply(socket, instance, request, options);
    if (reply.kind === "done") return reply;
    throw failureOf(reply, { protocol, dewy: request.dewy });
  } finally {
    socket.destroy();
  }
}

const FORBIDDEN = "it belongs to another user; run the command as that user, or with sudo";
const REASONS: Readonly<Record<string, string>> = {
  EACCES: FORBIDDEN,
  EPERM: FORBIDDEN,
  ENOENT: "it has no control socket; its log says why",
};

async function open(
  instance: FoundInstance,
  { connectMs = 5_000, signal }: AskOptions,
): Promise<Socket> {
  const { socket: path, directory, holder } = instance;
  if (path === undefined) {
    const why =
      holder === undefined
        ? "dewy does not run there"
        : `${holder} holds the directory and has no control socket; wait until it ends, or see its log`;
    throw new HostError(`Cannot reach ${directory}: ${why}`);
  }
  const socket = connect({ path });
  socket.on("error", () => {});
  try {
    const connected = once(socket, "connect", { signal });
    await withTimeout(connected, { clock: systemClock, ms: connectMs, what: "connection" });
    return socket;
  } catch (cause) {
    socket.destroy();
    if (signal?.aborted) throw aborted(signal);
    const name = nameOf(instance);
    if (cause instanceof TimeoutError) {
      throw new HostError(`${name} does not answer`, { code: "timeout" });
    }
    const why = REASONS[systemCode(cause) ?? ""] ?? "its control socket does not answer";
    throw new HostError(`Cannot reach ${name}: ${why}`, { cause });
  }
}

function nameOf({ process: running, directory }: FoundInstance): string {
  return `dewy (pid ${running?.pid}) in ${directory}`;
}

type LastReply = Extract<ControlReply, { kind: "done" | "failed" }>;

function lastReply(
  socket: Socket,
  instance: FoundInstance,
  { request }: Omit<ControlRequest, "protocol">,
  { onProgress, signal, silenceMs = 60_000 }: AskOptions,
): Promise<LastReply> {
  const lost = (how: string): LostInstanceError => {
    const isStatus = request.command === "status";
    const then = isStatus
      ? ""
      : `; what came of "${request.command}" is not known, but if dewy had accepted it, it is finished at the next start`;
    return new LostInstanceError(`${nameOf(instance)} ${how}${then}`, {
      code: isStatus ? "timeout" : "deploy",
      retryable: false,
    });
  };
  return new Promise((resolve, reject) => {
    let silence: ReturnType<typeof setTimeout>;
    const settle = (act: () => void): void => {
      clearTimeout(silence);
      signal?.removeEventListener("abort", onAbort);
      act();
    };
    const fail = (error: Error): void => settle(() => reject(error));
    const onAbort = (): void => fail(aborted(signal));
    const listen = (): void => {
      clearTimeout(silence);
      const seconds = silenceMs / 1000;
      silence = setTimeout(() => fail(lost(`has not answered for ${seconds} s`)), silenceMs);
    };
    listen();
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("close", () => fail(lost("ended before it answered")));
    socket.once("end", () => fail(lost("ended before it answered")));
    readLines(socket, {
      onTooLong: () => fail(lost("sent an answer that is longer than 1 MiB")),
      onLine: (line) => {
        listen();
        const reply = parseReply(line);
        if (reply === "invalid") fail(lost("sent an answer that this command does not understand"));
        else if (reply?.kind === "progress") onProgress?.(reply.text);
        else if (reply?.kind === "done" || reply?.kind === "failed") settle(() => resolve(reply));
      },
    });
  });
}

const Kind = v.looseObject({ kind: v.string() });
const KNOWN = new Set(ControlReply.options.map(({ entries }) => entries.kind.literal as string));

/** Returns `undefined` for a kind that a newer dewy has added. */
function parseReply(line: string): ControlReply | "invalid" | undefined {
  const json = v.safeParse(v.pipe(v.string(), v.parseJson(), Kind), line);
  if (!json.success) return "invalid";
  if (!KNOWN.has(json.output.kind)) return undefined;
  const reply = v.safeParse(ControlReply, json.output);
  return reply.success ? reply.output : "invalid";
}

function failureOf(
  { message, code, protocol, dewy }: Extract<ControlReply, { kind: "failed" }>,
  command: { protocol: number; dewy: string },
): HostError {
  if (protocol !== undefined && protocol !== command.protocol) {
    const text = protocolMessage(command, { protocol, dewy: dewy ?? "of another version" });
    return new HostError(text, { code: "config", fault: "operator", retryable: false });
  }
  // `aborted` would be exit code 0: here, not the operator has stopped the command, but dewy has ended.
  const known = ERROR_CODES.find((one) => one === code && one !== "aborted") ?? "deploy";
  return new HostError(message, { code: known, retryable: false });
}

function aborted(signal: AbortSignal | undefined): AbortedError {
  return new AbortedError("Stopped: the command that dewy has received goes on", {
    cause: signal?.reason,
  });
}

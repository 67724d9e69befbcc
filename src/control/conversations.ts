import type { Socket } from "node:net";
import * as v from "valibot";
import { systemClock } from "../core/clock.ts";
import { DewyError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import type { Operator } from "../core/operator.ts";
import { withTimeout } from "../core/timeout.ts";
import { readLines } from "./lines.ts";
import {
  type ControlReply,
  ControlRequest,
  type InstanceStatus,
  PROTOCOL,
  protocolMessage,
  type SteerCommand,
} from "./protocol.ts";

/** Answers the requests of commands. */
export interface ControlHandler {
  status(): Promise<InstanceStatus>;
  /** Rejects with a DewyError if the command fails, and when dewy stops. It is not aborted if the client goes away. */
  steer(
    command: SteerCommand,
    operator: Operator,
    progress: (text: string) => void,
  ): Promise<{ text: string; live?: string | undefined }>;
}

export interface ConversationParts {
  /** The version of this dewy. */
  version: string;
  handler: ControlHandler;
  /** Defaults to {@link PROTOCOL}. */
  protocol?: number;
}

export interface ConversationTimeouts {
  /** How long a client may take to send its request, and to take the answer. */
  clientMs: number;
  /** The pause between two signs of life. */
  aliveMs: number;
}

const MAX_CONNECTIONS = 64;
const MAX_UNREAD_BYTES = 1024 * 1024;

/** Answers the clients of the control socket: one request for each connection. */
export class Conversations {
  readonly #parts: ConversationParts;
  readonly #timeouts: ConversationTimeouts;
  readonly #connections = new Set<Socket>();
  readonly #answers = new Set<Promise<void>>();

  constructor(parts: ConversationParts, timeouts: ConversationTimeouts) {
    this.#parts = parts;
    this.#timeouts = timeouts;
  }

  /** Waits for the answers, for at most `ms`, and disconnects the clients. */
  async end(ms: number): Promise<void> {
    const timeout = { clock: systemClock, ms, what: "end of commands" };
    await withTimeout(Promise.all(this.#answers), timeout).catch(() => {});
    for (const socket of this.#connections) socket.destroy();
  }

  accept(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#connections.size >= MAX_CONNECTIONS) {
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    const overdue = setTimeout(() => socket.destroy(), this.#timeouts.clientMs);
    socket.once("close", () => {
      clearTimeout(overdue);
      this.#connections.delete(socket);
    });
    let hasRequest = false;
    const onRequest = (work: () => Promise<ControlReply>): void => {
      if (hasRequest) return;
      hasRequest = true;
      clearTimeout(overdue);
      const answer = this.#answer(socket, work).finally(() => this.#answers.delete(answer));
      this.#answers.add(answer);
    };
    socket.once("end", () => {
      if (!hasRequest) socket.destroy();
      // Fails if the client is gone, and not if it has only closed its writing side.
      else send(socket, { kind: "alive" });
    });
    readLines(socket, {
      onLine: (line) => onRequest(() => this.#carryOut(line, socket)),
      onTooLong: () => {
        onRequest(async () => failed("config", "the request is longer than 1 MiB"));
        socket.pause();
      },
    });
  }

  async #answer(socket: Socket, work: () => Promise<ControlReply>): Promise<void> {
    const alive = setInterval(() => send(socket, { kind: "alive" }), this.#timeouts.aliveMs);
    alive.unref();
    const reply = await work().catch(failureOf);
    clearInterval(alive);
    if (socket.destroyed) return;
    const overdue = setTimeout(() => socket.destroy(), this.#timeouts.clientMs);
    await new Promise<void>((resolve) => {
      socket.once("close", () => {
        clearTimeout(overdue);
        resolve();
      });
      socket.end(`${JSON.stringify(reply)}\n`, () => resolve());
    });
  }

  async #carryOut(line: string, socket: Socket): Promise<ControlReply> {
    const { protocol = PROTOCOL, version: dewy, handler } = this.#parts;
    const json = v.safeParse(v.pipe(v.string(), v.parseJson(), Greeting), line);
    if (!json.success) return failed("config", "the request is not valid");
    const client = json.output;
    if (client.protocol !== protocol) {
      const message = protocolMessage(client, { protocol, dewy });
      return { ...failed("config", message), protocol, dewy };
    }
    const parsed = v.safeParse(ControlRequest, client);
    if (!parsed.success) return failed("config", "the request is not valid");
    const { request, operator } = parsed.output;
    if (request.command === "status") {
      return { kind: "done", text: "", status: await handler.status() };
    }
    const progress = (text: string): void => send(socket, { kind: "progress", text });
    const { text, live } = await handler.steer(request, operator, progress);
    return { kind: "done", text, live };
  }
}

/** The part of a request that every protocol has. */
const Greeting = v.looseObject({ protocol: v.number(), dewy: v.string() });

function send(socket: Socket, reply: ControlReply): void {
  if (socket.destroyed || socket.writableEnded) return;
  socket.write(`${JSON.stringify(reply)}\n`);
  if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
}

function failureOf(error: unknown): ControlReply {
  return failed(error instanceof DewyError ? error.code : "host", messageOf(error));
}

function failed(code: string, message: string): Extract<ControlReply, { kind: "failed" }> {
  return { kind: "failed", code, message };
}

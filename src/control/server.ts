import { chmod, lstat, rename, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import * as v from "valibot";
import { systemClock } from "../core/clock.ts";
import type { Environment } from "../core/environment.ts";
import { DewyError, HostError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Operator } from "../core/operator.ts";
import { withTimeout } from "../core/timeout.ts";
import { hostError } from "../host/files/atomic_file.ts";
import { keepFromChildren } from "../host/sockets/close_on_exec.ts";
import { MAX_PATH_BYTES } from "../host/sockets/listen_spec.ts";
import {
  type InstanceFile,
  readInstanceFile,
  removeAbandoned,
  removeInstanceDirectory,
  socketPath,
  writeInstanceFile,
} from "./instance_file.ts";
import { readLines } from "./lines.ts";
import {
  type ControlReply,
  ControlRequest,
  type InstanceStatus,
  type Mode,
  PROTOCOL,
  protocolMessage,
  type SteerCommand,
} from "./protocol.ts";
import { makeInstanceDirectory } from "./runtime_directory.ts";

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

export interface ControlParts {
  /** The real path of the working directory, whose lock this process holds. */
  root: string;
  name: string;
  mode: Mode;
  /** The version of this dewy. */
  version: string;
  handler: ControlHandler;
  env: Environment;
  emit: EventSink;
  /** Defaults to {@link PROTOCOL}. */
  protocol?: number;
  timeouts?: Partial<ControlTimeouts>;
}

export interface ControlTimeouts {
  /** How long a client may take to send its request, and to take the answer. */
  clientMs: number;
  /** The pause between two signs of life. */
  aliveMs: number;
  /** The pause between two checks that the socket is still in its place. */
  checkMs: number;
  /** How long commands may take to end once the socket is closed. */
  closeMs: number;
}

const TIMEOUTS: ControlTimeouts = {
  clientMs: 5_000,
  aliveMs: 10_000,
  checkMs: 30_000,
  closeMs: 2_000,
};

export interface Control {
  close(): Promise<void>;
}

const HINT =
  "set RuntimeDirectory=dewy-NAME in the systemd unit, or DEWY_RUNTIME_DIR for dewy and its commands";
const MAX_CONNECTIONS = 64;
const MAX_UNREAD_BYTES = 1024 * 1024;

/**
 * Opens the socket over which commands reach this process. Only its user and root can open it. If it cannot be opened,
 * dewy warns and continues without it.
 */
export async function openControl(parts: ControlParts): Promise<Control> {
  const control = new ControlSocket(parts);
  await control.open();
  return control;
}

class ControlSocket implements Control {
  readonly #parts: ControlParts;
  readonly #timeouts: ControlTimeouts;
  readonly #file: InstanceFile;
  readonly #connections = new Set<Socket>();
  readonly #answers = new Set<Promise<void>>();
  #directory: string | undefined;
  #server: Server | undefined;
  /** Identifies the file of the socket. */
  #inode: number | undefined;
  #check: ReturnType<typeof setInterval> | undefined;
  #hasWarned = false;
  /** A repeated attempt to open. */
  #opening: Promise<void> | undefined;
  #isClosed = false;

  constructor(parts: ControlParts) {
    this.#parts = parts;
    this.#timeouts = { ...TIMEOUTS, ...parts.timeouts };
    const { name, mode, root, version } = parts;
    const since = new Date().toISOString();
    this.#file = { pid: process.pid, name, mode, directory: root, dewy: version, since };
  }

  async open(): Promise<void> {
    await this.#openOrWarn();
    if (this.#directory !== undefined) await removeAbandoned(dirname(this.#directory));
    this.#check = setInterval(() => void this.#openAgain(), this.#timeouts.checkMs);
    this.#check.unref();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#check);
    await this.#opening;
    this.#server?.close();
    if (this.#directory !== undefined && (await this.#isOwn(this.#directory))) {
      await removeInstanceDirectory(this.#directory);
    }
    const timeout = { clock: systemClock, ms: this.#timeouts.closeMs, what: "end of commands" };
    await withTimeout(Promise.all(this.#answers), timeout).catch(() => {});
    for (const socket of this.#connections) socket.destroy();
  }

  async #openOrWarn(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      if (this.#hasWarned) return;
      this.#hasWarned = true;
      this.#parts.emit({
        type: "warning",
        important: true,
        message:
          "Control socket not available; commands such as dewy rollback cannot reach this process",
        fields: { reason: messageOf(error), hint: HINT },
      });
    }
  }

  async #open(): Promise<void> {
    const directory = await makeInstanceDirectory(this.#parts.root, this.#parts.env);
    this.#directory = directory;
    try {
      await this.#listen(socketPath(directory));
    } finally {
      // Last, so that the socket of an instance that is found answers; without one, it is found as well.
      await writeInstanceFile(directory, this.#file);
    }
  }

  async #listen(path: string): Promise<void> {
    await rm(path, { force: true });
    // Runtimes remove the path that they have opened when they close it; by then it may be another process's.
    const temporary = `${path}.new`;
    if (Buffer.byteLength(temporary) > MAX_PATH_BYTES) {
      throw new HostError(`Cannot listen on ${path}: the path is too long for a socket`, {
        retryable: false,
      });
    }
    await rm(temporary, { force: true });
    const server = await listen(temporary, (socket) => this.#accept(socket));
    try {
      await chmod(temporary, 0o600);
      await rename(temporary, path);
      this.#inode = (await lstat(path)).ino;
    } catch (cause) {
      server.close();
      throw hostError(`listen on ${path}`, cause);
    }
    this.#server?.close();
    this.#server = server;
  }

  /** Cleaners of temporary files, and the end of a user's session, remove the socket. */
  async #openAgain(): Promise<void> {
    if (this.#opening !== undefined || (await this.#isInPlace()) || this.#isClosed) return;
    this.#opening = this.#openOrWarn().finally(() => {
      this.#opening = undefined;
    });
  }

  async #isInPlace(): Promise<boolean> {
    if (this.#directory === undefined || this.#inode === undefined) return false;
    const status = await lstat(socketPath(this.#directory)).catch(() => undefined);
    return status?.ino === this.#inode && (await this.#isOwn(this.#directory));
  }

  /** A dewy that has taken over the lock has put its own file there. */
  async #isOwn(directory: string): Promise<boolean> {
    const file = await readInstanceFile(directory);
    return typeof file === "object" && file.pid === process.pid && file.since === this.#file.since;
  }

  #accept(socket: Socket): void {
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

function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    // A script may close its writing side before it reads the answer.
    const server = createServer({ allowHalfOpen: true }, onConnection);
    server.once("error", (cause) => reject(hostError(`listen on ${path}`, cause)));
    server.listen(path, () => {
      server.on("error", () => {});
      server.unref();
      resolve(server);
    });
    keepFromApp(server);
  });
}

/** Deno lets every child process inherit the sockets that `node:net` listens on. */
function keepFromApp(server: Server): void {
  const { _handle: handle } = server as unknown as { _handle?: { fd?: number } | null };
  if (handle?.fd !== undefined && handle.fd >= 0) keepFromChildren([handle.fd]);
}

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

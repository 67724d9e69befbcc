import { chmod, lstat, rename, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import type { Environment } from "../core/environment.ts";
import { HostError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { hostError } from "../host/files/atomic_file.ts";
import { keepFromChildren } from "../host/sockets/close_on_exec.ts";
import { MAX_PATH_BYTES } from "../host/sockets/listen_spec.ts";
import {
  type ConversationParts,
  Conversations,
  type ConversationTimeouts,
} from "./conversations.ts";
import {
  type InstanceFile,
  readInstanceFile,
  removeAbandoned,
  removeInstanceDirectory,
  socketPath,
  writeInstanceFile,
} from "./instance_file.ts";
import type { Mode } from "./protocol.ts";
import { makeInstanceDirectory } from "./runtime_directory.ts";

interface ControlParts extends ConversationParts {
  /** The real path of the working directory, whose lock this process holds. */
  root: string;
  name: string;
  mode: Mode;
  env: Environment;
  emit: EventSink;
  timeouts?: Partial<ControlTimeouts>;
}

interface ControlTimeouts extends ConversationTimeouts {
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
  readonly #conversations: Conversations;
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
    this.#conversations = new Conversations(parts, this.#timeouts);
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
    await this.#conversations.end(this.#timeouts.closeMs);
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
    const server = await listen(temporary, (socket) => this.#conversations.accept(socket));
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
}

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

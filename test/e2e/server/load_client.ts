/**
 * The load client: reads a {@link Load} as its argument, sends it, and prints a line of JSON for
 * each version it sees. The {@link LoadResult} follows at the end: after SIGTERM, the time or the
 * number of requests. It talks to loopback only.
 *
 * It implements HTTP itself, because it has to know whether a byte of the answer had come when the
 * connection ended, and whether the connection was a new one.
 *
 * @module
 */
import { connect, type Socket } from "node:net";
import type { Lane, LaneResult, Load, LoadResult } from "./load.ts";

const MAX_SAMPLES = 20;
const MESSAGE_PAUSE_MS = 50;
const STEP_MS = 500;
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

type Outcome =
  | { kind: "answered"; version: string; keep: boolean }
  | { kind: "failed"; reason: string; anyByte: boolean; detail: string };

interface Tally extends LaneResult {
  latencies: number[];
}

const load: Load = JSON.parse(process.argv[2] ?? "");
const start = Date.now();
const tallies = load.lanes.map(({ name }) => newTally(name));
const versions: LoadResult["versions"] = [];
const samples: LoadResult["samples"] = [];
let begun = 0;
let longestStallMs = 0;
let awakeAt = performance.now();
let stopped = false;

process.on("SIGTERM", () => {
  stopped = true;
});
setInterval(() => {
  longestStallMs = Math.max(longestStallMs, Math.round(performance.now() - awakeAt - STEP_MS));
  awakeAt = performance.now();
}, STEP_MS).unref();
for (const { target } of load.lanes) {
  if ("host" in target && !LOOPBACK.test(target.host))
    throw new Error(`Cannot send a load to ${target.host}: it is not loopback`);
}
await Promise.all(
  load.lanes.flatMap((lane, index) => {
    const tally = tallies[index];
    return tally === undefined ? [] : Array.from({ length: lane.workers }, () => work(lane, tally));
  }),
);
print({ result: result() });
process.exit(0);

/** Sends one request after another until the load ends. */
async function work(lane: Lane, tally: Tally): Promise<void> {
  let kept: Socket | undefined;
  while (!stopped && Date.now() - start < load.maxMs && begun < load.maxRequests) {
    begun += 1;
    tally.sent += 1;
    const began = performance.now();
    const reused = kept !== undefined && !kept.destroyed;
    let socket = reused && kept !== undefined ? kept : open(lane, tally);
    let outcome = await exchange(socket, lane);
    if (outcome.kind === "failed" && reused && !outcome.anyByte) {
      tally.retried += 1;
      socket = open(lane, tally);
      outcome = await exchange(socket, lane);
    }
    kept = outcome.kind === "answered" && outcome.keep && lane.keepAlive ? socket : undefined;
    if (kept === undefined) socket.destroy();
    record(lane, tally, outcome, performance.now() - began);
    if (lane.paceMs > 0) await new Promise((resolve) => setTimeout(resolve, lane.paceMs));
  }
  kept?.destroy();
}

function open(lane: Lane, tally: Tally): Socket {
  tally.connections += 1;
  const socket = connect(lane.target);
  socket.setNoDelay(true);
  // Between two requests there is no other listener.
  socket.on("error", () => {});
  return socket;
}

/** One request and its answer, or a conversation over an upgraded connection. */
function exchange(socket: Socket, lane: Lane): Promise<Outcome> {
  const { kind = "get", keepAlive, path = "/" } = lane;
  const connection = `Connection: ${keepAlive ? "keep-alive" : "close"}`;
  if (kind === "get") {
    return ask(socket, `GET ${path} HTTP/1.1\r\nHost: app\r\n${connection}\r\n\r\n`, answerOf);
  }
  if ("echo" in kind) return converse(socket, path, kind.echo);
  const head = `POST ${path} HTTP/1.1\r\nHost: app\r\n${connection}\r\nContent-Length: ${kind.upload}\r\n\r\n`;
  void send(socket, head, kind.upload);
  return ask(socket, "", (received) => {
    const outcome = answerOf(received);
    const isWhole = received.endsWith(`\r\n\r\n${kind.upload}`);
    if (outcome?.kind !== "answered" || isWhole) return outcome;
    return { kind: "failed", reason: "not all of the body came", anyByte: true, detail: "" };
  });
}

/** Sends in pieces, as fast as the server reads them. */
async function send(socket: Socket, head: string, bytes: number): Promise<void> {
  const piece = Buffer.alloc(64 * 1024, "x");
  socket.write(head);
  for (let left = bytes; left > 0 && !socket.destroyed; left -= piece.length) {
    if (socket.write(left < piece.length ? piece.subarray(0, left) : piece)) continue;
    await taken(socket);
  }
}

function taken(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}

/** An upgrade, and messages that come back one by one. */
async function converse(socket: Socket, path: string, messages: number): Promise<Outcome> {
  const upgrade = `GET ${path} HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`;
  const opened = await ask(socket, upgrade, (received) =>
    received.endsWith("\r\n\r\n")
      ? { kind: "answered", version: "upgraded", keep: true }
      : undefined,
  );
  for (let number = 0; number < messages && opened.kind === "answered"; number += 1) {
    const message = `message ${number}.`;
    const outcome = await ask(socket, message, (received) =>
      received === message ? { kind: "answered", version: "upgraded", keep: true } : undefined,
    );
    if (outcome.kind === "failed")
      return { ...outcome, reason: `echo: ${outcome.reason}`, anyByte: true };
    await new Promise((resolve) => setTimeout(resolve, MESSAGE_PAUSE_MS));
  }
  return opened.kind === "answered" ? { ...opened, keep: false } : opened;
}

/** Sends bytes and waits for the whole answer. */
function ask(
  socket: Socket,
  bytes: string,
  parse: (received: string) => Outcome | undefined,
): Promise<Outcome> {
  return new Promise((resolve) => {
    let received = "";
    const settle = (outcome: Outcome): void => {
      calm();
      socket.off("data", onData).off("error", onError).off("end", onEnd).off("close", onEnd);
      resolve(outcome);
    };
    const began = Date.now();
    const fail = (reason: string): void => {
      const state = socket.connecting ? "connecting" : `port ${socket.localPort}`;
      const detail = `after ${Date.now() - began} ms, ${state}, ${received.length} bytes received`;
      settle({ kind: "failed", reason, anyByte: received !== "", detail });
    };
    const onData = (chunk: Buffer): void => {
      received += chunk.toString("latin1");
      const outcome = parse(received);
      if (outcome !== undefined) settle(outcome);
    };
    const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message);
    const onEnd = (): void => fail(received === "" ? "closed before the answer" : "truncated");
    const calm = whenOver(load.timeoutMs, () => fail("timeout"));
    socket.on("data", onData).on("error", onError).on("end", onEnd).on("close", onEnd);
    socket.write(bytes);
  });
}

/**
 * Calls back after some time, unless the returned function is called first. The time is counted in
 * steps: after this process or the machine has stalled, an answer may wait unread, and timers run
 * first.
 */
function whenOver(ms: number, callback: () => void): () => void {
  let left = ms;
  let timer = setTimeout(step, STEP_MS);
  function step(): void {
    left -= STEP_MS;
    if (left > 0) timer = setTimeout(step, STEP_MS);
    else callback();
  }
  return () => clearTimeout(timer);
}

/** The answer, once it is complete. */
function answerOf(received: string): Outcome | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const head = received.slice(0, end);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
  const body = received.slice(end + 4);
  if (!(body.length >= length)) return undefined;
  const status = head.split(" ", 2)[1] ?? "";
  if (status !== "200")
    return { kind: "failed", reason: `status ${status}`, anyByte: true, detail: body };
  const named = /\r\nx-version: *(\S+)/i.exec(head)?.[1];
  const version = named ?? body.split(/\s/, 1)[0] ?? "";
  return { kind: "answered", version, keep: !/\r\nconnection: *close/i.test(head) };
}

function record(lane: Lane, tally: Tally, outcome: Outcome, ms: number): void {
  if (outcome.kind === "failed") {
    tally.failed += 1;
    tally.reasons[outcome.reason] = (tally.reasons[outcome.reason] ?? 0) + 1;
    const { reason, detail } = outcome;
    const sample = { lane: lane.name, target: lane.target, at: Date.now(), reason, detail };
    if (samples.length < MAX_SAMPLES) samples.push(sample);
    return;
  }
  tally.answered += 1;
  tally.latencies.push(ms);
  const now = Date.now();
  const known = versions.find(({ version }) => version === outcome.version);
  if (known !== undefined) {
    known.last = now;
    known.answers += 1;
    return;
  }
  versions.push({ version: outcome.version, first: now, last: now, answers: 1 });
  print({ version: outcome.version, at: now });
}

function result(): LoadResult {
  const all = newTally("total");
  for (const tally of tallies) {
    for (const count of ["sent", "answered", "failed", "retried", "connections"] as const)
      all[count] += tally[count];
    for (const [reason, times] of Object.entries(tally.reasons))
      all.reasons[reason] = (all.reasons[reason] ?? 0) + times;
    for (const latency of tally.latencies) all.latencies.push(latency);
  }
  const { name: _, ...total } = summary(all);
  return {
    lanes: tallies.map(summary),
    total,
    versions,
    samples,
    longestStallMs,
    ms: Date.now() - start,
  };
}

function newTally(name: string): Tally {
  const latency = { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  const counts = { sent: 0, answered: 0, failed: 0, retried: 0, connections: 0 };
  return { name, ...counts, reasons: {}, latency, histogram: {}, latencies: [] };
}

function summary({ latencies, ...tally }: Tally): LaneResult {
  const sorted = latencies.sort((a, b) => a - b);
  const at = (share: number): number => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return Math.round(value * 100) / 100;
  };
  const histogram: Record<string, number> = {};
  for (const latency of sorted) {
    const below = `<${2 ** Math.max(0, Math.floor(Math.log2(latency)) + 1)}`;
    histogram[below] = (histogram[below] ?? 0) + 1;
  }
  const latency = { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) };
  return { ...tally, latency, histogram };
}

function print(line: object): void {
  console.log(JSON.stringify(line));
}

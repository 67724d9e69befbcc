/**
 * What a command and a running dewy say to each other over the control socket: one JSON object per line. The command
 * sends one {@link ControlRequest}; dewy answers with any number of progress lines and one last line.
 *
 * @module
 */
import * as v from "valibot";

/** Raised when an older dewy could misunderstand a request. New optional fields do not raise it. */
export const PROTOCOL = 1;

const operator = { user: v.string(), message: v.optional(v.string()) };
const tag = v.string();
const dryRun = v.optional(v.boolean());

/** What an operator asks for. */
export const SteerCommand = v.variant("command", [
  v.object({ command: v.literal("rollback"), tag: v.optional(tag), dryRun }),
  v.object({ command: v.literal("deploy"), tag, dryRun }),
  v.object({ command: v.literal("pin"), tag }),
  v.object({ command: v.literal("unpin") }),
  v.object({ command: v.literal("pause") }),
  v.object({ command: v.literal("resume") }),
  v.object({ command: v.literal("skip"), tag }),
  v.object({ command: v.literal("unskip"), tag: v.optional(tag) }),
  v.object({ command: v.literal("trust accept"), tag }),
  v.object({ command: v.literal("poll") }),
  v.object({ command: v.literal("restart") }),
]);
export type SteerCommand = v.InferOutput<typeof SteerCommand>;

export const ControlRequest = v.object({
  protocol: v.number(),
  /** The version of the dewy that asks. */
  dewy: v.string(),
  operator: v.object(operator),
  request: v.variant("command", [
    ...SteerCommand.options,
    v.object({ command: v.literal("status") }),
  ]),
});
export type ControlRequest = v.InferOutput<typeof ControlRequest>;

const when = v.string();
const decision = { ...operator, at: when };

/** The app as its supervisor sees it. */
export const AppStatus = v.object({
  health: v.picklist([
    "serving", // ready and answering
    "starting", // nothing serves yet
    "restarting", // it has exited and is started again
    "degraded", // fewer replicas than wanted
    "finished", // it has exited by itself, as --restart on-failure allows
    "down", // nothing serves
  ]),
  generations: v.optional(
    v.array(
      v.object({
        /** Absent if it was started by an earlier dewy process that did not record it. */
        number: v.optional(v.number()),
        pid: v.number(),
        tag: v.string(),
        state: v.picklist(["starting", "serving", "standby", "draining"]),
        since: v.optional(when),
      }),
    ),
  ),
  replicas: v.optional(
    v.array(
      v.object({
        container: v.string(),
        tag: v.string(),
        state: v.string(),
        address: v.optional(v.string()),
        since: v.optional(when),
      }),
    ),
  ),
  /** How many replicas are wanted. */
  wanted: v.optional(v.number()),
  /** After crashes and failed starts, since this dewy process started. */
  restarts: v.optional(v.number()),
});
export type AppStatus = v.InferOutput<typeof AppStatus>;

export const Mode = v.picklist(["server", "assets", "container"]);
export type Mode = v.InferOutput<typeof Mode>;

export const NotifierStatus = v.object({
  /** Its URL without secrets. */
  notifier: v.string(),
  /** `failing`: what it could not deliver is tried again. */
  state: v.picklist(["fine", "failing"]),
  error: v.optional(v.string()),
  /** When it began to fail. */
  since: v.optional(when),
  /** When it is tried again. */
  retryAt: v.optional(when),
  /** How many notifications wait. */
  waiting: v.number(),
  /** How many were given up since this dewy process started. */
  lost: v.number(),
});
export type NotifierStatus = v.InferOutput<typeof NotifierStatus>;

/** Everything `dewy status` shows about an instance. */
export const InstanceStatus = v.object({
  name: v.string(),
  /** Absent if the instance does not run and has left no trace of it. */
  mode: v.optional(Mode),
  directory: v.string(),
  /** Why this status is only that of the directory although dewy runs, or why there is none. */
  problem: v.optional(v.string()),
  /** Redacted; absent if the instance does not run. */
  registry: v.optional(v.string()),
  /** The dewy process; absent if the instance does not run. */
  process: v.optional(v.object({ pid: v.number(), dewy: v.string(), since: when })),
  /** The address of the status page; absent if it is not open. */
  admin: v.optional(v.string()),
  /** The live version. */
  live: v.optional(v.object({ tag: v.string(), directory: v.string(), since: v.optional(when) })),
  /** What dewy does: `idle`, `polling`, or a phase of a deploy with its version. */
  phase: v.object({
    name: v.string(),
    tag: v.optional(v.string()),
    since: v.optional(when),
  }),
  /** Absent for `dewy assets` and if the instance does not run. */
  app: v.optional(AppStatus),
  lastPoll: v.optional(v.object({ at: when, outcome: v.string(), error: v.optional(v.string()) })),
  /** The last polls, the latest last; `lastPoll` is one of them. */
  polls: v.optional(
    v.array(v.object({ at: when, outcome: v.string(), error: v.optional(v.string()) })),
  ),
  nextPollAt: v.optional(when),
  /** What the registry's API still allows, by host. */
  rateLimits: v.optional(
    v.array(
      v.object({ host: v.string(), remaining: v.number(), limit: v.number(), resetAt: when }),
    ),
  ),
  notifiers: v.optional(v.array(NotifierStatus)),
  /** When the next deploy window opens; absent while one is open, and without windows. */
  windowOpensAt: v.optional(when),
  /** Available versions that do not come, or not yet. */
  waiting: v.array(
    v.object({
      tag: v.string(),
      why: v.string(),
      reason: v.string(),
      until: v.optional(when),
    }),
  ),
  /** The highest version deployed here. */
  highest: v.optional(v.string()),
  /** When the registry's listing last changed, and how long it may stay the same without a warning. */
  listing: v.optional(v.object({ changedAt: when, maxMs: v.optional(v.number()) })),
  bad: v.array(v.object({ tag: v.string(), reason: v.string(), at: when })),
  skipped: v.array(
    v.object({ ...decision, tag: v.string(), andEarlier: v.optional(v.literal(true)) }),
  ),
  pinned: v.optional(v.object({ ...decision, tag: v.string() })),
  paused: v.optional(v.object(decision)),
  /** The signers that versions must have, each with the version that it was first seen with, or accepted with. */
  signers: v.optional(
    v.array(v.object({ kind: v.string(), signer: v.string(), tag: v.string(), at: when })),
  ),
  /** A command that is being carried out, or that waits for the next start. */
  order: v.optional(v.object({ ...decision, kind: v.string(), tag: v.optional(v.string()) })),
});
export type InstanceStatus = v.InferOutput<typeof InstanceStatus>;

/** Whether the listing has not changed for longer than `--max-staleness`. */
export function isStale({ listing }: Pick<InstanceStatus, "listing">, now: number): boolean {
  const { changedAt = "", maxMs = Number.POSITIVE_INFINITY } = listing ?? {};
  return now - Date.parse(changedAt) > maxMs;
}

export const ControlReply = v.variant("kind", [
  v.object({ kind: v.literal("progress"), text: v.string() }),
  /** Says that the command still waits or works. Readers ignore kinds that they do not know, too. */
  v.object({ kind: v.literal("alive") }),
  v.object({
    kind: v.literal("done"),
    /** One sentence for the operator. */
    text: v.string(),
    /** Machine-readable: the live version afterwards. */
    live: v.optional(v.string()),
    status: v.optional(InstanceStatus),
  }),
  v.object({
    kind: v.literal("failed"),
    message: v.string(),
    /** A code of DewyError. */
    code: v.string(),
    /** What the answering dewy speaks, if the request's protocol is another one. */
    protocol: v.optional(v.number()),
    dewy: v.optional(v.string()),
  }),
]);
export type ControlReply = v.InferOutput<typeof ControlReply>;

/** The answer to a request of another protocol, from the side of the command and of the dewy that runs. */
export function protocolMessage(
  command: { protocol: number; dewy: string },
  running: { protocol: number; dewy: string },
): string {
  const versions = `dewy ${running.dewy} runs, and this command is dewy ${command.dewy}`;
  return command.protocol > running.protocol
    ? `${versions}: the running dewy is too old for it; restart it with the new version`
    : `${versions}: the command is too old for it; update the command`;
}

/** `pin v1.2.0` */
export function commandText(command: SteerCommand): string {
  const tag = "tag" in command ? command.tag : undefined;
  return tag === undefined ? command.command : `${command.command} ${tag}`;
}

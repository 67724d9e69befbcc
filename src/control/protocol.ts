/**
 * What a command and a running dewy say to each other over the control socket: one JSON object per line. The command
 * sends one {@link ControlRequest}; dewy answers with any number of progress lines and one last line.
 *
 * @module
 */
import * as v from "valibot";

/** Raised when an older dewy could misunderstand a request. New optional fields do not raise it. */
export const PROTOCOL = 1;

const operator = { user: v.string(), message: v.exactOptional(v.string()) };
const tag = v.string();
const dryRun = v.exactOptional(v.boolean());

/** What an operator asks for. */
export const SteerCommand = v.variant("command", [
  v.object({ command: v.literal("rollback"), tag: v.exactOptional(tag), dryRun }),
  v.object({ command: v.literal("deploy"), tag, dryRun }),
  v.object({ command: v.literal("pin"), tag }),
  v.object({ command: v.literal("unpin") }),
  v.object({ command: v.literal("pause") }),
  v.object({ command: v.literal("resume") }),
  v.object({ command: v.literal("skip"), tag }),
  v.object({ command: v.literal("unskip"), tag: v.exactOptional(tag) }),
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
  generations: v.exactOptional(
    v.array(
      v.object({
        /** Absent if it was started by an earlier dewy process that did not record it. */
        number: v.exactOptional(v.number()),
        pid: v.number(),
        tag: v.string(),
        state: v.picklist(["starting", "serving", "standby", "draining"]),
        since: v.exactOptional(when),
      }),
    ),
  ),
  replicas: v.exactOptional(
    v.array(
      v.object({
        container: v.string(),
        tag: v.string(),
        state: v.string(),
        address: v.exactOptional(v.string()),
        since: v.exactOptional(when),
      }),
    ),
  ),
  /** How many replicas are wanted. */
  wanted: v.exactOptional(v.number()),
  /** After crashes and failed starts, since this dewy process started. */
  restarts: v.exactOptional(v.number()),
});
export type AppStatus = v.InferOutput<typeof AppStatus>;

export const Mode = v.picklist(["server", "assets", "container"]);
export type Mode = v.InferOutput<typeof Mode>;

/** Everything `dewy status` shows about an instance. */
export const InstanceStatus = v.object({
  name: v.string(),
  /** Absent if the instance does not run and has left no trace of it. */
  mode: v.exactOptional(Mode),
  directory: v.string(),
  /** Why this status is only that of the directory although dewy runs, or why there is none. */
  problem: v.exactOptional(v.string()),
  /** Redacted; absent if the instance does not run. */
  registry: v.exactOptional(v.string()),
  /** The dewy process; absent if the instance does not run. */
  process: v.exactOptional(v.object({ pid: v.number(), dewy: v.string(), since: when })),
  /** The live version. */
  live: v.exactOptional(
    v.object({ tag: v.string(), directory: v.string(), since: v.exactOptional(when) }),
  ),
  /** What dewy does: `idle`, `polling`, or a phase of a deploy with its version. */
  phase: v.object({
    name: v.string(),
    tag: v.exactOptional(v.string()),
    since: v.exactOptional(when),
  }),
  /** Absent for `dewy assets` and if the instance does not run. */
  app: v.exactOptional(AppStatus),
  lastPoll: v.exactOptional(
    v.object({ at: when, outcome: v.string(), error: v.exactOptional(v.string()) }),
  ),
  nextPollAt: v.exactOptional(when),
  /** Available versions that do not come, or not yet. */
  waiting: v.array(
    v.object({
      tag: v.string(),
      why: v.string(),
      reason: v.string(),
      until: v.exactOptional(when),
    }),
  ),
  bad: v.array(v.object({ tag: v.string(), reason: v.string(), at: when })),
  skipped: v.array(
    v.object({ ...decision, tag: v.string(), andEarlier: v.exactOptional(v.literal(true)) }),
  ),
  pinned: v.exactOptional(v.object({ ...decision, tag: v.string() })),
  paused: v.exactOptional(v.object(decision)),
  /** A command that is being carried out, or that waits for the next start. */
  order: v.exactOptional(
    v.object({ ...decision, kind: v.string(), tag: v.exactOptional(v.string()) }),
  ),
});
export type InstanceStatus = v.InferOutput<typeof InstanceStatus>;

export const ControlReply = v.variant("kind", [
  v.object({ kind: v.literal("progress"), text: v.string() }),
  /** Says that the command still waits or works. Readers ignore kinds that they do not know, too. */
  v.object({ kind: v.literal("alive") }),
  v.object({
    kind: v.literal("done"),
    /** One sentence for the operator. */
    text: v.string(),
    /** Machine-readable: the live version afterwards. */
    live: v.exactOptional(v.string()),
    status: v.exactOptional(InstanceStatus),
  }),
  v.object({
    kind: v.literal("failed"),
    message: v.string(),
    /** A code of DewyError. */
    code: v.string(),
    /** What the answering dewy speaks, if the request's protocol is another one. */
    protocol: v.exactOptional(v.number()),
    dewy: v.exactOptional(v.string()),
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

import { setMaxListeners } from "node:events";
import { commandText, type SteerCommand } from "../control/protocol.ts";
import { exclusive } from "../core/concurrency.ts";
import { ConfigError, DeployError, DewyError, NotFoundError } from "../core/error.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Operator } from "../core/operator.ts";
import { abortWith } from "../core/timeout.ts";
import { backoffMs } from "../deploy/backoff.ts";
import type { DeployContext } from "../deploy/deployer.ts";
import { asDewyError, failedEvent } from "../deploy/loop.ts";
import { orderBy, withoutOrder } from "../deploy/order_state.ts";
import {
  carryOutDeploy,
  carryOutRollback,
  finishDeploy,
  type OrderRun,
  stageForOrder,
  untilAborted,
} from "../deploy/orders.ts";
import { checkPin, leftByDeploy, planRollback } from "../deploy/rollback_plan.ts";
import type { Trial } from "../deploy/sequence.ts";
import {
  type DeployOrder,
  type DeployState,
  findRelease,
  type Order,
  type RollbackOrder,
} from "../deploy/state.ts";
import { formatPolicy } from "../verify/policy.ts";
import { type DecisionCommand, decide, isDecision } from "./decide.ts";
import { type Polls, pollText } from "./polls.ts";
import type { Supervision } from "./types.ts";

export interface Answer {
  text: string;
  /** The tag of the live version afterwards. */
  live?: string | undefined;
}

export interface SteeringParts {
  context: DeployContext;
  supervision: Supervision | undefined;
  polls: Polls;
  /** Aborted when dewy stops. */
  stop: AbortSignal;
  background(work: Promise<unknown>): void;
  /** Subscribes to everything that happens, for progress. Returns the function that unsubscribes. */
  subscribe(sink: EventSink): () => void;
}

type Progress = (text: string) => void;
type OrderCommand = Extract<SteerCommand, { command: "rollback" | "deploy" | "pin" | "restart" }>;

/** An order that waits or is carried out. Equal commands share one. */
interface Pending {
  key: string;
  /** `rollback of alice` */
  name: string;
  /** Aborted when another order supersedes this one, and when dewy stops. */
  ended: AbortController;
  listeners: Set<Progress>;
  /** What stays done if it is superseded. */
  done?: string;
  outcome: Promise<Answer>;
}

interface Accepted<O extends Order> {
  order: O;
  text: string;
}

interface Carrying {
  work(run: OrderRun): Promise<string>;
  /** Set if the order stays on record for another attempt in an outage: no operator waits for it any more. */
  attempt?: { count: number; retryInMs: number };
}

const FIRST_RETRY_MS = 10_000;

/** The registry or the network is down, so that nothing was decided. */
function isOutage(error: unknown): boolean {
  return error instanceof DewyError && error.fault === "remote" && error.retryable;
}

/** The reason of the superseded. */
class SupersededError extends DeployError {}

/**
 * Carries out the commands of operators, one after another in the order in which they arrive. `rollback` and `deploy`
 * supersede the orders before them and an automatic deploy; the others wait for a switch underway.
 */
export class Steering {
  readonly #parts: SteeringParts;
  readonly #inTurn = exclusive();
  readonly #afterSwitches = exclusive();
  readonly #accepting = exclusive();
  #pending: readonly Pending[] = [];
  /** The failures that an event of their own has reported. */
  readonly #reported = new Set<unknown>();
  #begin: (trial: Trial | undefined) => void = () => {};
  readonly #begun: Promise<Trial | undefined>;

  constructor(parts: SteeringParts) {
    this.#parts = parts;
    // Each command that waits has its own; from the eleventh on, Node would warn on standard error.
    setMaxListeners(0, parts.stop);
    const recovered = new Promise<Trial | undefined>((resolve) => {
      this.#begin = resolve;
    });
    // Commands that arrive before wait for the recovery and for the order on record.
    void this.#accepting(() => recovered);
    this.#begun = this.#inTurn(async () => this.#resume(await recovered));
  }

  async steer(command: SteerCommand, operator: Operator, progress: Progress): Promise<Answer> {
    const { stop, context } = this.#parts;
    if (stop.aborted) throw stoppingError();
    const isDry = "dryRun" in command && command.dryRun === true;
    if (!isDry) context.emit({ type: "ordered", command: commandText(command), operator });
    try {
      return await untilAborted(this.#carryOut(command, operator, progress), stop);
    } catch (error) {
      if (stop.aborted) throw stoppingError();
      const isReported = command.command === "poll" || this.#reported.delete(error);
      if (!isDry && !isReported) {
        const reason = asDewyError(error).message;
        context.emit({ type: "refused", command: commandText(command), operator, reason });
      }
      throw error;
    }
  }

  /**
   * Called after recovery: finishes the order that an earlier dewy process has left on record. `trial` is the release that
   * recovery has resumed; it is returned if no order asks for it.
   */
  begin(trial: Trial | undefined): Promise<Trial | undefined> {
    this.#begin(trial);
    return this.#begun;
  }

  async #resume(trial: Trial | undefined): Promise<Trial | undefined> {
    const { context, background } = this.#parts;
    const { order } = await context.store.load();
    if (order === undefined) return trial;
    const ordered = order.kind === "deploy" && trial?.order?.id === order.id ? trial : undefined;
    const retryInMs = await this.#tryToFinish(order, ordered, 1);
    if (retryInMs !== undefined) background(this.#keepTrying(order, retryInMs));
    return ordered === undefined ? trial : undefined;
  }

  /** Returns the pause before the next attempt if only the registry or the network is at fault. */
  async #tryToFinish(
    order: Order,
    trial: Trial | undefined,
    count: number,
  ): Promise<number | undefined> {
    const pending = this.#add(`resumed ${order.id}`, `${order.kind} of ${order.user}`);
    const retryInMs = backoffMs(FIRST_RETRY_MS, count, Math.random);
    try {
      await this.#finish(order, pending, {
        work: (run) =>
          trial === undefined ? this.#perform(order, run) : this.#resumeDeploy(trial, run),
        attempt: { count, retryInMs },
      });
      return undefined;
    } catch (error) {
      return isOutage(error) ? retryInMs : undefined; // It is reported already.
    }
  }

  /** Until it is carried out, another command replaces it, or dewy stops. */
  async #keepTrying(order: Order, firstPauseMs: number): Promise<void> {
    const { context, stop } = this.#parts;
    let pauseMs: number | undefined = firstPauseMs;
    for (let count = 2; pauseMs !== undefined; count += 1) {
      await context.clock.sleep(pauseMs, stop);
      pauseMs = await this.#inTurn(async () => {
        const { order: latest } = await context.store.load();
        return latest?.id === order.id ? this.#tryToFinish(order, undefined, count) : undefined;
      });
    }
  }

  #carryOut(command: SteerCommand, operator: Operator, progress: Progress): Promise<Answer> {
    if (command.command === "poll") return this.#poll(progress);
    if ((command.command === "rollback" || command.command === "deploy") && command.dryRun) {
      return this.#dryRun(command, progress);
    }
    if (isDecision(command) && command.command !== "pin") {
      return this.#patiently(progress, () => this.#decide(command, operator));
    }
    return this.#order(command, operator, progress);
  }

  async #decide(command: DecisionCommand, operator: Operator): Promise<Answer> {
    const { clock, store, calver = "", verify } = this.#parts.context;
    const live = await this.#live();
    let text = "";
    await store.update((state) => {
      const decided = decide(command, state, { operator, now: clock.now(), calver, live });
      text = decided.text;
      return decided.state;
    });
    if (command.command !== "trust accept") return { text, live };
    this.#parts.polls.trigger();
    const rules =
      verify?.mode === "rules" ? `; --verify ${formatPolicy(verify)} still applies` : "";
    return { text: `${text}${rules}`, live };
  }

  /** Waits for a switch underway, and says so. A `rollback` or `deploy` meanwhile does not wait for this. */
  #patiently<T>(progress: Progress, work: () => Promise<T>): Promise<T> {
    const { switches } = this.#parts.context;
    return this.#afterSwitches(async () => {
      await this.#begun;
      for (;;) {
        await this.#untilIdle(progress);
        const done = await this.#inTurn(async () => {
          return switches.underway.size > 0 ? undefined : { value: await work() };
        });
        if (done !== undefined) return done.value;
      }
    });
  }

  async #untilIdle(progress: Progress): Promise<void> {
    const { context, stop } = this.#parts;
    const { store, switches } = context;
    const state = await store.load();
    const { switching, afterHook } = state;
    if (switching !== undefined) {
      const tag = findRelease(state, switching.to)?.tag;
      progress(`Waiting until the switch to ${tag} has ended…`);
    } else if (afterHook !== undefined && switches.isUnderway(afterHook.directory)) {
      const tag = findRelease(state, afterHook.directory)?.tag;
      progress(`Waiting for the after-deploy hook of ${tag}…`);
    }
    await untilAborted(switches.idle(), stop);
  }

  async #live(): Promise<string | undefined> {
    const { store, deployer } = this.#parts.context;
    return findRelease(await store.load(), await deployer.live())?.tag;
  }

  async #poll(progress: Progress): Promise<Answer> {
    const { polls, stop } = this.#parts;
    if (polls.isClosed) throw new ConfigError("Cannot poll: dewy runs with --once");
    if (polls.isRunning) progress("Waiting for the end of the current poll…");
    const { result, settled } = await untilAborted(polls.next(), stop);
    if (settled !== undefined) progress(this.#watching(result.live));
    const final = settled === undefined ? result : await untilAborted(settled, stop);
    const live = await this.#live();
    try {
      return { text: pollText(final), live };
    } catch (error) {
      if (live !== undefined) progress(`${live} is live`);
      throw error;
    }
  }

  #watching(tag: string | undefined): string {
    const { bakeMs = 0 } = this.#parts.context.deployer;
    return `${tag} serves; watching it for ${Math.ceil(bakeMs / 1000)} s`;
  }

  /** An equal command that arrives meanwhile shares the outcome. */
  async #order(command: OrderCommand, operator: Operator, progress: Progress): Promise<Answer> {
    const key = JSON.stringify([command.command, "tag" in command ? command.tag : undefined]);
    const equal = this.#pending.find((one) => one.key === key && !one.ended.signal.aborted);
    if (equal !== undefined) {
      progress(`Joining the ${equal.name}`);
      equal.listeners.add(progress);
      return equal.outcome;
    }
    const pending = this.#add(key, `${command.command} of ${operator.user}`);
    pending.listeners.add(progress);
    const work =
      command.command === "rollback" || command.command === "deploy"
        ? this.#urgent(command, operator, pending)
        : this.#patient(command, operator, pending);
    pending.outcome = untilAborted(work, pending.ended.signal);
    work.catch(() => {}).finally(() => this.#remove(pending));
    return pending.outcome;
  }

  #add(key: string, name: string): Pending {
    const ended = new AbortController();
    const outcome = Promise.resolve({ text: "" });
    const pending: Pending = { key, name, ended, listeners: new Set(), outcome };
    this.#pending = [...this.#pending, pending];
    return pending;
  }

  #remove(pending: Pending): void {
    this.#pending = this.#pending.filter((one) => one !== pending);
  }

  /** `rollback` and `deploy`: recorded at once. */
  async #urgent(
    command: Extract<SteerCommand, { command: "rollback" | "deploy" }>,
    operator: Operator,
    pending: Pending,
  ): Promise<Answer> {
    const accepted = this.#accepting(async (): Promise<Accepted<Order> | string> => {
      pending.ended.signal.throwIfAborted();
      return command.command === "rollback"
        ? this.#acceptRollback(command.tag, operator, pending)
        : this.#acceptDeploy(command.tag, operator, pending);
    });
    const finished = this.#inTurn(async () => {
      const result = await accepted;
      if (typeof result === "string") return { text: result, live: await this.#live() };
      const { order, text } = result;
      const done = await this.#finish(order, pending, this.#carrying(order));
      return { text: `${done}${text}`, live: await this.#live() };
    });
    // A refusal is answered at once.
    const [, answer] = await Promise.all([accepted, finished]);
    return answer;
  }

  async #acceptRollback(
    tag: string | undefined,
    operator: Operator,
    pending: Pending,
  ): Promise<Accepted<RollbackOrder> | string> {
    const { context } = this.#parts;
    const plan = await planRollback(tag, context);
    if (plan.kind === "already") return `${plan.tag} is live already`;
    const { target, left } = plan;
    const { deploying } = context.switches;
    const order: RollbackOrder = {
      ...orderBy(operator, this.#parts.context),
      kind: "rollback",
      tag: target.tag,
      directory: target.directory,
      left,
    };
    await this.#record(order, pending);
    const { pinned } = await this.#parts.context.store.load();
    const isElsewhere = pinned !== undefined && pinned.tag !== target.tag;
    const pin = isElsewhere ? `still pinned to ${pinned.tag}` : undefined;
    const comes =
      deploying === undefined || deploying === left || pinned !== undefined
        ? undefined
        : `${deploying}, which was being prepared, comes with a later poll; dewy pin ${target.tag} keeps it away`;
    const notes = [plan.note, pin, comes].filter((note) => note !== undefined);
    return { order, text: notes.map((note) => `; ${note}`).join("") };
  }

  async #acceptDeploy(
    tag: string,
    operator: Operator,
    pending: Pending,
  ): Promise<Accepted<DeployOrder>> {
    const { context } = this.#parts;
    checkPin(await context.store.load(), tag);
    const left = await leftByDeploy(tag, context);
    const order: DeployOrder = { ...orderBy(operator, context), kind: "deploy", tag, left };
    await this.#record(order, pending);
    return { order, text: "" };
  }

  /** From here on, the order survives a restart. It supersedes the orders before it and an automatic deploy. */
  async #record(order: Order, pending: Pending): Promise<void> {
    const { store, switches } = this.#parts.context;
    await store.update((state) => ({ ...state, order }));
    for (const other of this.#pending.slice(0, this.#pending.indexOf(pending))) {
      if (other.ended.signal.aborted) continue;
      const done = other.done === undefined ? "" : `${other.done}, but `;
      const message = `${done}superseded by the ${pending.name}`;
      other.ended.abort(new SupersededError("activate", message, { fault: "operator" }));
    }
    const wanted = order.kind === "deploy" ? order.tag : undefined;
    switches.overtake(`superseded by the ${pending.name}`, wanted);
  }

  /** `pin` and `restart`: they wait for a switch underway. */
  async #patient(
    command: Extract<SteerCommand, { command: "pin" | "restart" }>,
    operator: Operator,
    pending: Pending,
  ): Promise<Answer> {
    const { context, supervision } = this.#parts;
    if (command.command === "restart" && supervision === undefined) {
      throw new ConfigError(`Cannot restart: dewy ${context.command} runs no app here`);
    }
    return this.#patiently(
      (text) => tell(pending, text),
      async () => {
        pending.ended.signal.throwIfAborted();
        if (command.command === "pin") return this.#pin(command, operator, pending);
        if ((await context.deployer.live()) === undefined) {
          throw new NotFoundError("Cannot restart: no version is live");
        }
        const order: Order = { ...orderBy(operator, context), kind: "restart" };
        await this.#recordInTurn(pending, (state) => ({ ...state, order }));
        const text = await this.#finish(order, pending, this.#carrying(order));
        return { text, live: await this.#live() };
      },
    );
  }

  /** Nothing is recorded if another command has superseded this one, because that has its own order on record. */
  #recordInTurn(pending: Pending, change: (state: DeployState) => DeployState): Promise<void> {
    return this.#accepting(async () => {
      pending.ended.signal.throwIfAborted();
      await this.#parts.context.store.update(change);
    });
  }

  /** The pin and the deploy that it needs are recorded together. */
  async #pin(
    command: Extract<SteerCommand, { command: "pin" }>,
    operator: Operator,
    pending: Pending,
  ): Promise<Answer> {
    const { tag } = command;
    const { context } = this.#parts;
    const { clock, calver = "" } = context;
    const live = await this.#live();
    // Unlike a deploy of an older version, a pin leaves nothing behind: after unpin, newer versions come again.
    const order: DeployOrder | undefined =
      live === tag ? undefined : { ...orderBy(operator, context), kind: "deploy", tag };
    let pinned = "";
    await this.#recordInTurn(pending, (before) => {
      const { state, text } = decide(command, before, { operator, now: clock.now(), calver, live });
      pinned = text;
      return order === undefined ? state : { ...state, order };
    });
    if (order === undefined) return { text: `${pinned}, which is live`, live };
    pending.done = pinned;
    tell(pending, pinned);
    context.switches.overtake(`superseded by the ${pending.name}`, tag);
    const text = await this.#finish(order, pending, this.#carrying(order)).catch((error) => {
      tell(pending, `Still pinned to ${tag}; to end that: dewy unpin`);
      throw error;
    });
    return { text: `${pinned}; ${text}`, live: await this.#live() };
  }

  /** Carries out an order that is on record, and removes it from the record unless it goes on later. */
  async #finish(order: Order, pending: Pending, { work, attempt }: Carrying): Promise<string> {
    const { context, stop, background, subscribe } = this.#parts;
    const { signal } = pending.ended;
    const detach = abortWith(pending.ended, stop);
    const progress: Progress = (text) => tell(pending, text);
    const unsubscribe = subscribe(progressOf("tag" in order ? order.tag : "", progress));
    let goesOn = false;
    try {
      signal.throwIfAborted();
      return await work({ context, signal, stop, progress, background });
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const live = await this.#live();
      if (live !== undefined) progress(`${live} is live`);
      goesOn = attempt !== undefined && isOutage(thrown);
      const tag = "tag" in order ? order.tag : undefined;
      const retryInMs = goesOn ? attempt?.retryInMs : undefined;
      context.emit(failedEvent(asDewyError(thrown), attempt?.count ?? 1, { tag, retryInMs }));
      if (attempt === undefined) this.#reported.add(thrown);
      throw thrown;
    } finally {
      unsubscribe();
      detach();
      this.#remove(pending);
      if (!stop.aborted && !goesOn) {
        await context.store.update((state) => withoutOrder(state, order));
      }
    }
  }

  #carrying(order: Order): Carrying {
    return { work: (run) => this.#perform(order, run) };
  }

  async #perform(order: Order, run: OrderRun): Promise<string> {
    switch (order.kind) {
      case "rollback": {
        await carryOutRollback(order, run);
        return order.left === undefined
          ? `rolled back to ${order.tag}`
          : `rolled back from ${order.left} to ${order.tag}`;
      }
      case "deploy":
        return this.#deploy(order, run);
      case "restart":
        return this.#restart(order, run);
    }
  }

  async #deploy(order: DeployOrder, run: OrderRun): Promise<string> {
    const { tag } = order;
    await this.#untilDeployed(tag, run);
    const { isNew, note } = await carryOutDeploy(order, run);
    const text = isNew ? `${tag} deployed` : `${tag} is live`;
    return note === undefined ? text : `${text}; ${note}`;
  }

  async #resumeDeploy(trial: Trial, run: OrderRun): Promise<string> {
    await finishDeploy(trial, run);
    return `${trial.release.tag} deployed`;
  }

  /** If the same version is being deployed already, its outcome decides first. */
  async #untilDeployed(tag: string, { context, signal, progress }: OrderRun): Promise<void> {
    const { switches, store } = context;
    const state = await store.load();
    const switchingTo = findRelease(state, state.switching?.to)?.tag;
    if (!switches.isDeploying(tag) && switchingTo !== tag) return;
    progress(`${tag} is being deployed already; waiting for the outcome…`);
    await untilAborted(switches.settled(tag), signal);
    await untilAborted(switches.idle(), signal);
  }

  async #restart(order: Order, { context, signal }: OrderRun): Promise<string> {
    const { switches, emit } = context;
    const tag = await this.#live();
    emit({ type: "app-restart", signal: `restart of ${order.user}` });
    const name = tag ?? "the app";
    await switches.exclusively(async () => {
      signal.throwIfAborted();
      await this.#parts.supervision?.restart("operator", signal).catch((cause: unknown) => {
        if (signal.aborted) throw cause;
        const message = `Cannot restart ${name}: ${messageOf(cause)}`;
        const { retryable } = asDewyError(cause);
        throw new DeployError("verify", message, { cause, retryable });
      });
    });
    return `${name} restarted`;
  }

  async #dryRun(
    command: Extract<SteerCommand, { command: "rollback" | "deploy" }>,
    progress: Progress,
  ): Promise<Answer> {
    const { context, stop, subscribe } = this.#parts;
    const live = await this.#live();
    if (command.command === "rollback") {
      const plan = await planRollback(command.tag, context);
      if (plan.kind === "already") return { text: `${plan.tag} is live already`, live };
      const note = plan.note === undefined ? "" : `; ${plan.note}`;
      return { text: `would roll back from ${plan.left} to ${plan.target.tag}${note}`, live };
    }
    const { tag } = command;
    checkPin(await context.store.load(), tag);
    progress(`Looking for ${tag}…`);
    const unsubscribe = subscribe(progressOf(tag, progress));
    const { note } = await stageForOrder(tag, { context, signal: stop }).finally(unsubscribe);
    const now = live === undefined ? "no version is live" : `${live} is live`;
    const text = live === tag ? `${tag} is live already` : `would deploy ${tag}; ${now}`;
    return { text: note === undefined ? text : `${text}; ${note}`, live };
  }
}

function tell({ listeners }: Pending, text: string): void {
  for (const listener of listeners) listener(text);
}

/** Turns the events of a version into progress for an operator, each step once. */
function progressOf(tag: string, progress: Progress): EventSink {
  const told = new Set<string>();
  return (event) => {
    const text = "tag" in event && event.tag === tag ? stepText(event) : undefined;
    if (text === undefined || told.has(text)) return;
    told.add(text);
    progress(text);
  };
}

function stepText(event: DewyEvent): string | undefined {
  switch (event.type) {
    case "download-progress":
      return `Downloading ${event.tag}…`;
    case "image-pulling":
      return `Pulling ${event.tag}…`;
    case "activated":
      return `Starting ${event.tag}…`;
    default:
      return undefined;
  }
}

function stoppingError(): DewyError {
  return new DeployError(
    "activate",
    "dewy is stopping; an order on record is finished at its next start (dewy status shows it)",
    { fault: "operator", retryable: true },
  );
}

import type { Operation } from "../world/store.ts";
import type { World } from "../world/world.ts";

/** What may become of an operation, instead of being carried out and answered in its turn. */
const READ_DEVIATIONS = ["overtaken", "last", "late", "lost", "killed"] as const;
const WRITE_DEVIATIONS = [...READ_DEVIATIONS, "unanswered", "late answer", "killed after"] as const;
export type Deviation = (typeof WRITE_DEVIATIONS)[number];

/** The steps that deviate, by their number. All others are carried out in the order in which they were sent. */
export type Plan = ReadonlyMap<number, Deviation>;

/** Longer than an operation may take, so that the client has given up when it is carried out or answered. */
const LATE_MS = 12_000;
const REBOOT_MS = 3_000;

interface Aside {
  operation: Operation;
  /** How many other operations go first. */
  after: number;
}

/**
 * The network of a small fleet. It owns every operation of the store: one at a time is a step, and the plan says what
 * becomes of it.
 */
export class PlannedNetwork {
  readonly #plan: Plan;
  readonly #world: World;
  readonly #queue: Operation[] = [];
  readonly #aside: Aside[] = [];
  /** For each step so far, what else could have become of it. */
  readonly choices: (readonly Deviation[])[] = [];
  /** What the steps were, for messages. */
  readonly steps: string[] = [];

  constructor(world: World, plan: Plan) {
    this.#world = world;
    this.#plan = plan;
  }

  send(operation: Operation): void {
    this.#queue.push(operation);
  }

  /** Takes the next step; `false` if no operation waits, so that time may pass. */
  step(): boolean {
    const first = this.#queue.shift();
    if (first === undefined) {
      const next = this.#aside.shift();
      if (next === undefined) return false;
      this.#carryOut(next.operation);
      return true;
    }
    const number = this.choices.length;
    this.choices.push(first.call === "write" ? WRITE_DEVIATIONS : READ_DEVIATIONS);
    const deviation = this.#plan.get(number);
    const { host, call, key } = first;
    this.steps.push(
      `${number} ${host} ${call} ${key.replace("fleet/shop/", "")} ${deviation ?? ""}`,
    );
    if (deviation !== undefined) this.#world.truth.note(`step ${this.steps.at(-1)}`);
    this.#deviate(first, deviation);
    return true;
  }

  #deviate(operation: Operation, deviation: Deviation | undefined): void {
    const { time, hosts } = this.#world;
    const host = hosts.get(operation.host);
    if (deviation === "unanswered" || deviation === "late answer" || deviation === "killed after") {
      operation.apply();
    }
    switch (deviation) {
      case undefined:
        this.#carryOut(operation);
        break;
      case "overtaken":
        this.#aside.push({ operation, after: 1 });
        break;
      case "last":
        this.#aside.push({ operation, after: Number.POSITIVE_INFINITY });
        break;
      case "late":
        time.after(LATE_MS, () => this.#carryOut(operation));
        break;
      case "late answer":
        time.after(LATE_MS, () => operation.answer());
        break;
      case "lost":
      case "unanswered":
        operation.fail(deviation);
        break;
      case "killed":
      case "killed after":
        host?.kill();
        time.after(REBOOT_MS, () => host?.boot());
    }
  }

  #carryOut(operation: Operation): void {
    operation.apply();
    operation.answer();
    for (const aside of this.#aside) aside.after -= 1;
    const due = this.#aside.findIndex(({ after }) => after <= 0);
    if (due < 0) return;
    const [next] = this.#aside.splice(due, 1);
    if (next !== undefined) this.#queue.push(next.operation);
  }
}

/** `12:lost,31:killed`, as `DEWY_FLEET_PLAN` has it. */
export function planText(plan: Plan): string {
  return [...plan].map(([step, deviation]) => `${step}:${deviation}`).join(",");
}

export function parsePlan(text: string): Plan {
  const entries = text.split(",").filter((entry) => entry !== "");
  return new Map(
    entries.map((entry): [number, Deviation] => {
      const [step = "", name = ""] = entry.split(":");
      const deviation = WRITE_DEVIATIONS.find((one) => one === name);
      if (deviation === undefined)
        throw new Error(`not a deviation: ${name}; one of ${WRITE_DEVIATIONS.join(", ")}`);
      return [Number(step), deviation];
    }),
  );
}

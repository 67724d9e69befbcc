import type { RolloutCheck } from "../../../src/fleet/check/types.ts";
import { operatorWriter } from "../../../src/fleet/records.ts";
import type { Rollout, WaveSize } from "../../../src/fleet/types.ts";
import { type Fate, Host } from "./host.ts";
import { type Random, seededRandom } from "./random.ts";
import { Bucket, type Network } from "./store.ts";
import { quiet, VirtualTime } from "./time.ts";
import { Truth } from "./truth.ts";

export interface WorldOptions {
  seed: number;
  hosts: number;
  waves: readonly WaveSize[];
  bakeMs: number;
  maxFailures: number;
  memberTtlMs: number;
  pollMs: number;
  /** How far system times are off, at most. */
  skewMs: number;
  /** How long a deploy takes, at most. */
  deployMs: number;
  /** What runs at the start. */
  running: string | undefined;
  rollbackOnHalt?: boolean;
  check?: RolloutCheck;
}

/** A bucket, a registry, and the machines of a fleet, on one clock. The same seed gives the same history. */
export class World {
  readonly options: WorldOptions;
  readonly random: Random;
  readonly time: VirtualTime = new VirtualTime();
  readonly hosts: Map<string, Host> = new Map();
  readonly truth: Truth;
  readonly bucket: Bucket;
  readonly network: Network;
  readonly #fates: Map<string, (host: string) => Fate> = new Map();
  #offered: string | undefined;

  constructor(options: WorldOptions, connect: (world: World) => Network) {
    const { bakeMs, memberTtlMs, running } = options;
    this.options = options;
    this.random = seededRandom(options.seed);
    this.truth = new Truth({ time: this.time, hosts: this.hosts, bakeMs, memberTtlMs });
    this.bucket = new Bucket(this.time, (key, body, by) => this.truth.written(key, body, by));
    this.network = connect(this);
    if (running !== undefined) this.publish(running);
    for (let at = 0; at < options.hosts; at += 1) this.join(`web-${at + 1}`, running);
  }

  /** A machine comes into being, and its agent starts. */
  join(name: string, running: string | undefined): Host {
    const { skewMs } = this.options;
    const skew = this.random.between(-skewMs, skewMs);
    const rate = 1 + this.random.between(-0.0002, 0.0002);
    const host = new Host(name, this, { skewMs: skew, rate }, running);
    this.hosts.set(name, host);
    host.boot();
    return host;
  }

  publish(tag: string, fate: (host: string) => Fate = () => "good"): void {
    this.truth.note(`${tag} is published`);
    this.#fates.set(tag, fate);
    this.#offered = tag;
  }

  /** An operator changes the rollout at once, as `dewy fleet` does. */
  operate(command: string, change: (rollout: Rollout) => Rollout): void {
    const key = "fleet/shop/rollout.json";
    const found = this.bucket.objects.get(key);
    if (found === undefined) return;
    const before = JSON.parse(new TextDecoder().decode(found.body)) as Rollout;
    const changed = change(before);
    if (changed === before) return;
    this.truth.note(`an operator: ${command}`);
    this.truth.isOperator = true;
    const writer = operatorWriter(command, "alice");
    const after = { ...changed, revision: before.revision + 1, writer };
    this.bucket.put(key, JSON.stringify(after), "alice");
    this.truth.isOperator = false;
  }

  get offered(): string | undefined {
    return this.#offered;
  }

  fate(tag: string, host: string): Fate {
    return this.#fates.get(tag)?.(host) ?? "good";
  }

  /** Lets time pass until then, or until an invariant is violated. */
  async run(ms: number, isEnough: () => boolean = () => false): Promise<void> {
    const until = this.time.now + ms;
    while (this.truth.violation === undefined && !isEnough() && this.time.step(until)) {
      await quiet();
    }
  }

  /** What is wrong at the end, some time after the last fault. */
  unsettled(): string | undefined {
    const { violation, rollout } = this.truth;
    if (violation !== undefined) return violation;
    const tag = this.#offered;
    if (tag === undefined || this.options.running === tag) return undefined;
    if (rollout?.tag !== tag) return `${tag} was not rolled out, but ${rollout?.tag ?? "nothing"}`;
    if (rollout.state === "running") return `the rollout of ${tag} does not end`;
    if (rollout.state !== "done") return undefined;
    const without = [...this.hosts.values()].filter(
      (host) => host.isUp && host.held === undefined && host.tag !== tag && !host.bad.has(tag),
    );
    if (without.length === 0) return undefined;
    return `${tag} is done, but not on ${without.map(({ name }) => name).join(", ")}`;
  }

  /** A failure with everything that is needed to see it again. */
  failure(what: string, again: string): Error {
    const { history } = this.truth;
    // Also all that a host named in the failure has done.
    const host = /web-\d+/.exec(what)?.[0] ?? "none";
    const own = history.slice(0, -40).filter((line) => line.split(/[ +:]/).includes(host));
    const lines = [...own.slice(-30), "…", ...history.slice(-40)].join("\n  ");
    return new Error(`${what}\nTo see it again: ${again}\nWhat happened before:\n  ${lines}`);
  }
}

import type { Random } from "../world/random.ts";
import type { Network, Operation } from "../world/store.ts";
import type { World } from "../world/world.ts";

export interface FaultRates {
  /** The share of the requests that never arrive. */
  lost: number;
  /** The share of the requests that are carried out, but not answered. */
  unanswered: number;
  /** The share of the requests that arrive up to a minute late, long after their client has given up. */
  late: number;
  /** How often the store turns nearly every request away, on average, and for how long at most. */
  stormEveryMs: number;
  stormMs: number;
}

/** A network between many hosts and a bucket, with faults until they end. */
export class FaultyNetwork {
  readonly #world: World;
  readonly #random: Random;
  readonly #rates: FaultRates;
  #isStorm = false;
  #isMended = false;

  constructor(world: World, rates: FaultRates) {
    this.#world = world;
    this.#random = world.random.fork("network");
    this.#rates = rates;
    this.#plan();
  }

  mend(): void {
    this.#isMended = true;
    this.#isStorm = false;
  }

  readonly send: Network = (operation) => {
    const random = this.#random;
    const { lost, unanswered, late } = this.#rates;
    const isCutOff = this.#world.hosts.get(operation.host)?.isCutOff === true;
    const [there, back] = [this.#delay(), this.#delay()];
    if (isCutOff) return this.#after(there, () => operation.fail("connection refused"));
    if (this.#isMended) return this.#carryOut(operation, there, back);
    if (this.#isStorm && random.chance(0.95)) {
      return this.#after(there, () => operation.fail("503 Slow Down"));
    }
    const roll = random();
    if (roll < lost) return this.#after(there, () => operation.fail("connection reset"));
    if (roll < lost + unanswered) {
      return this.#after(there, () => {
        operation.apply();
        operation.fail("connection reset");
      });
    }
    const delay = roll < lost + unanswered + late ? random.between(1_000, 60_000) : there;
    const answer = random.chance(late) ? random.between(1_000, 60_000) : back;
    this.#carryOut(operation, delay, answer);
  };

  #carryOut(operation: Operation, there: number, back: number): void {
    this.#after(there, () => {
      operation.apply();
      this.#after(back, () => operation.answer());
    });
  }

  /** Mostly a few milliseconds, at times half a second. */
  #delay(): number {
    return 3 + 500 * this.#random() ** 6;
  }

  #after(ms: number, run: () => void): void {
    this.#world.time.after(ms, run);
  }

  #plan(): void {
    const { stormEveryMs, stormMs } = this.#rates;
    this.#after(stormEveryMs * this.#random.between(0.5, 1.5), () => {
      if (this.#isMended) return;
      this.#world.truth.note("a storm of 503 begins");
      this.#isStorm = true;
      this.#after(stormMs * this.#random(), () => {
        this.#isStorm = false;
        this.#plan();
      });
    });
  }
}

export interface MachineFaults {
  /** How often a machine is killed, on average, and for how long at most. */
  killEveryMs: number;
  downMs: number;
  /** The share of the killed machines that never come back. */
  dies: number;
  /** How often a machine cannot reach the store, on average, and for how long at most. */
  cutOffEveryMs: number;
  cutOffMs: number;
  /** How often an operator pins a machine, on average, and for how long at most. */
  holdEveryMs: number;
  holdMs: number;
}

/** Lets machines fail until then; afterwards all of them that are not dead are well. */
export function failMachines(world: World, faults: MachineFaults, untilMs: number): void {
  const random = world.random.fork("machines");
  const { time, hosts } = world;
  const until = time.now + untilMs;
  const often = (everyMs: number, ms: number, begin: (name: string) => () => void): void => {
    for (const name of hosts.keys()) {
      const again = (): void => {
        const inMs = -Math.log(1 - random()) * everyMs;
        if (time.now + inMs > until) return;
        time.after(inMs, () => {
          const end = begin(name);
          time.after(Math.min(ms * random(), until - time.now), () => {
            end();
            again();
          });
        });
      };
      again();
    }
  };
  often(faults.killEveryMs, faults.downMs, (name) => {
    const host = hosts.get(name);
    host?.kill();
    return random.chance(faults.dies) ? () => {} : () => host?.boot();
  });
  often(faults.cutOffEveryMs, faults.cutOffMs, (name) => {
    hosts.get(name)?.cutOff(true);
    return () => hosts.get(name)?.cutOff(false);
  });
  often(faults.holdEveryMs, faults.holdMs, (name) => {
    hosts.get(name)?.hold("pinned");
    return () => hosts.get(name)?.hold(undefined);
  });
}

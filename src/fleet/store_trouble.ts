import type { Clock } from "../core/clock.ts";
import { IntegrityError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { withDeadline } from "../core/timeout.ts";
import type { FleetStore } from "./records.ts";

interface TroubleOptions extends FleetStore {
  clock: Clock;
  emit: EventSink;
}

/** A store that may be down, slow or broken: reported once, and once when it is over. */
export class StoreTrouble {
  readonly #options: TroubleOptions;
  #error: unknown;

  constructor(options: TroubleOptions) {
    this.#options = options;
  }

  get isNow(): boolean {
    return this.#error !== undefined;
  }

  /** Why a host waits. */
  get reason(): string {
    return this.#error instanceof IntegrityError ? this.#error.message : UNREACHABLE;
  }

  /** Runs work on the store; `undefined` if that fails. Rejects only if the signal is aborted. */
  async attempt<T>(
    ms: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    const { clock, emit, store, fleet } = this.#options;
    try {
      return await withDeadline(clock, ms, signal, work);
    } catch (error) {
      signal.throwIfAborted();
      const isNew = !this.isNow;
      this.#error = error;
      const fields = { fleet, store: store.name, error: messageOf(error) };
      if (isNew) emit({ type: "warning", important: true, message: TROUBLE, fields });
      return undefined;
    }
  }

  end(): void {
    const { emit, fleet } = this.#options;
    if (!this.isNow) return;
    this.#error = undefined;
    emit({ type: "warning", message: REACHED, fields: { fleet } });
  }
}

const UNREACHABLE = "the store of the fleet cannot be used now; what runs is kept";
const TROUBLE = "Cannot use the store of the fleet; what runs is kept, and nothing new is taken";
const REACHED = "Store of the fleet is in use again";

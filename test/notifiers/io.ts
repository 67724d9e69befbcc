import type { DewyEvent } from "../../src/core/event.ts";
import type { NotifierIo } from "../../src/notifiers/driver.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";
import { type StrictFake, strictFake } from "../fakes/handler.ts";

/** A world around a notifier. */
export interface FakeNotifierIo extends NotifierIo {
  clock: FakeClock;
  /** The server. */
  server: StrictFake;
  /** Every event that was told. */
  events: DewyEvent[];
}

/**
 * Makes the world of a notifier.
 *
 * @param overrides what differs from a machine called `web-1` with a token.
 * @returns the world.
 */
export function notifierIo(overrides: Partial<NotifierIo> = {}): FakeNotifierIo {
  const server = strictFake();
  const events: DewyEvent[] = [];
  return {
    env: { SLACK_TOKEN: "xoxb-test-token" },
    fetch: server.fetch,
    emit: (event) => void events.push(event),
    host: { name: "web-1", color: "#421AA9" },
    ...overrides,
    clock: fakeClock(),
    server,
    events,
  };
}

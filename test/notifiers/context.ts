import type { DewyEvent } from "../../src/core/event.ts";
import type { NotifierContext } from "../../src/notifiers/driver.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";
import { type StrictFake, strictFake } from "../fakes/handler.ts";

export interface FakeNotifierContext extends NotifierContext {
  clock: FakeClock;
  server: StrictFake;
  /** Everything that was emitted. */
  events: DewyEvent[];
}

/** A machine called `web-1` with a Slack token. */
export function notifierContext(overrides: Partial<NotifierContext> = {}): FakeNotifierContext {
  const server = strictFake();
  const events: DewyEvent[] = [];
  return {
    env: { SLACK_TOKEN: "xoxb-test-token" },
    fetch: server.fetch,
    emit: (event) => void events.push(event),
    redact: String,
    programEnv: { PATH: process.env.PATH },
    host: { name: "web-1", color: "#421AA9" },
    instance: {
      name: "app",
      mode: "server",
      directory: "/opt/app",
      registry: "ghr://owner/app",
    },
    ...overrides,
    clock: fakeClock(),
    server,
    events,
  };
}

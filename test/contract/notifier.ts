/**
 * The behaviour of every notifier: the same entries of the journal give the same facts, and no trouble of the service loses
 * or repeats a notification. A test file sets up the driver with a fake of its service, and names the cases that do not
 * apply, each with a reason.
 *
 * @module
 */
import { describe, expect, it, onTestFinished } from "vitest";
import { redactorOf } from "../../src/agent/redactor.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { JournalEntry } from "../../src/journal/entry.ts";
import type { NotifierContext } from "../../src/notifiers/driver.ts";
import { type Notifications, openNotifiers } from "../../src/notifiers/open.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { type NotifierTable, secretsIn } from "../../src/notifiers/urls.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";
import { fetchOf, type Handler } from "../fakes/handler.ts";
import { tempDirectory } from "../support/temp_directory.ts";

/** How a service behaves from now on. */
export type Behaviour =
  | "fine"
  /** Nothing listens. */
  | "down"
  /** It accepts the request, and never answers. */
  | "slow"
  /** Too many requests: try again in 30 s. */
  | "busy"
  /** It fails, such as with 500. */
  | "broken"
  /** The token or the password is wrong. */
  | "denied"
  /** This message is not acceptable, such as 400. */
  | "refusing";

/** A fake of the service that a notifier sends to. */
export interface ContractService {
  /** The URL of the notifier, without options. */
  url: string;
  /** The notifier is opened with it, such as `fetch` and `env`. */
  context?: Partial<NotifierContext>;
  /** Defaults to dewy's own. */
  table?: NotifierTable;
  /** What must never be printed: tokens, passwords, the path of a secret URL. */
  secrets: readonly string[];
  behave(how: Behaviour): void;
  /** How often it was called, successfully or not. */
  attempts(): number;
  /**
   * What arrived, oldest first: all text of each message that a person sees, without escapes (`&lt;`), in one string.
   * Markup may stay.
   */
  arrived(): Promise<readonly string[]>;
}

export interface ContractNotifier {
  /** Starts a service with nothing in it. `onTestFinished` cleans it up. */
  setup(): Promise<ContractService>;
  /** Cases that do not apply, with the reason. */
  skip?: Partial<Record<Exclude<Behaviour, "fine"> | "quiet", string>>;
}

const HOST = "web-1.example";
const START = Date.UTC(2026, 4, 4, 7);
const RETRY_AFTER_MS = 30_000;
/** Of markup that must neither become a mention nor a link, nor vanish. */
const ODD = "<!channel> & *bold* @everyone [x](http://y.example) <b>`code`</b>";

type Entry = Omit<JournalEntry, "at">;

/** Entries, and the facts that each notification of them has to say. */
export const CONTRACT_ENTRIES: readonly (readonly [Entry, readonly string[]])[] = [
  [{ event: "started", mode: "server", dewy: "1.2.3" }, ["Dewy", "1.2.3", "server"]],
  [{ event: "downloaded", tag: "v1.1.0" }, ["Downloaded", "v1.1.0"]],
  [
    {
      event: "hook",
      tag: "v1.1.0",
      when: "before",
      command: "./migrate && echo <ok>",
      exitCode: 0,
      durationMs: 1_500,
      stdout: "migrated 3 tables\n<b>done</b> & well",
    },
    ["Before Deploy Hook", "./migrate && echo <ok>", "migrated 3 tables", "<b>done</b> & well"],
  ],
  [{ event: "server-started", tag: "v1.1.0", restarted: true }, ["restarted", "v1.1.0"]],
  [
    { event: "deployed", tag: "v1.1.0", mode: "server", user: "alice", message: ODD },
    ["Deployed", "v1.1.0", "alice", ODD],
  ],
  [
    {
      event: "hook",
      tag: "v1.1.0",
      when: "after",
      command: "./smoke-test",
      exitCode: 3,
      durationMs: 250,
      stderr: "checkout fails\n```\n*not bold*",
    },
    ["After Deploy Hook", "./smoke-test", "3", "checkout fails", "*not bold*"],
  ],
  [
    {
      event: "app-exited",
      tag: "v1.1.0",
      signal: "SIGSEGV",
      retryInMs: 1_000,
      lastLines: ["panic: <nil> & void", "  at main.go:7"],
    },
    ["v1.1.0", "SIGSEGV", "1s", "panic: <nil> & void", "  at main.go:7"],
  ],
  [
    { event: "rolled-back", tag: "v1.1.0", to: "v1.0.0", reason: "it keeps crashing" },
    ["Rolled back", "v1.1.0", "v1.0.0", "it keeps crashing"],
  ],
  [
    { event: "failed", tag: "v1.2.0", reason: "Cannot reach x.example: timeout", count: 2 },
    ["Error", "2", "Cannot reach x.example: timeout"],
  ],
  [
    { event: "ordered", command: "pin v1.0.0", user: "bob", message: "until Monday" },
    ["pin v1.0.0", "bob", "until Monday"],
  ],
  [
    { event: "waiting", tag: "v1.2.0", reason: "pinned to v1.0.0 by bob" },
    ["v1.2.0", "waits", "pinned to v1.0.0 by bob"],
  ],
  [{ event: "stopping", signal: "SIGTERM" }, ["Stop", "terminated"]],
];

/** Declares the tests of a notifier. */
export function notifierContract(name: string, notifier: ContractNotifier): void {
  const when = (what: keyof NonNullable<ContractNotifier["skip"]>): typeof it.skip => {
    const reason = notifier.skip?.[what];
    return reason === undefined
      ? it
      : (((title: string, test: () => Promise<void>) =>
          it.skip(`${title} (skipped: ${reason})`, test)) as typeof it.skip);
  };
  const open = (query = ""): Promise<Opened> => openService(notifier, query);

  describe(`${name}: the notifier contract`, () => {
    it("says the facts of every event, in order, with the name of the host", async () => {
      const { service, push, until } = await open();
      for (const [entry] of CONTRACT_ENTRIES) push(entry);
      await until(async () => (await service.arrived()).length === CONTRACT_ENTRIES.length);
      const messages = await service.arrived();
      for (const [index, [entry, facts]] of CONTRACT_ENTRIES.entries()) {
        for (const fact of [...facts, HOST]) {
          expect(messages[index], `${entry.event}: ${fact}`).toContain(fact);
        }
      }
      expect(service.attempts()).toBe(CONTRACT_ENTRIES.length);
    });

    it("says when it happened if it is delivered late", async () => {
      const { service, clock, push, until } = await open();
      service.behave("down");
      push({ event: "downloaded", tag: "v1.1.0" });
      push({ event: "hook", when: "after", command: "true", exitCode: 0 });
      await until(() => service.attempts() === 1);
      clock.advance(10 * 60_000);
      service.behave("fine");
      await until(async () => (await service.arrived()).length === 2);
      for (const message of await service.arrived()) {
        expect(message).toContain("2026-05-04 07:00 UTC");
      }
    });

    when("quiet")("sends only what matters with quiet=true", async () => {
      const { service, push, until } = await open("quiet=true");
      push({ event: "downloaded", tag: "v1.1.0" });
      push({ event: "hook", when: "before", command: "true", exitCode: 0 });
      push({ event: "failed", reason: "disk full", count: 1 });
      await until(async () => (await service.arrived()).length === 1);
      expect((await service.arrived()).join()).toContain("disk full");
    });

    for (const trouble of ["down", "broken"] as const) {
      when(trouble)(
        `delivers once, and in order, what waited while it was ${trouble}`,
        async () => {
          const { service, push, until, notifications } = await open();
          service.behave(trouble);
          push({ event: "downloaded", tag: "v1.1.0" });
          push({ event: "stopping", signal: "SIGTERM" });
          await until(() => service.attempts() >= 3);
          expect(notifications.status()).toMatchObject([{ state: "failing", waiting: 2 }]);
          service.behave("fine");
          await until(async () => (await service.arrived()).length === 2);
          const messages = await service.arrived();
          expect(messages[0]).toContain("v1.1.0");
          expect(messages[1]).toContain("terminated");
          await until(() => notifications.status()[0]?.waiting === 0);
          expect(notifications.status()).toMatchObject([{ state: "fine", lost: 0 }]);
        },
      );
    }

    when("slow")("gives up an attempt that gets no answer, and tries again", async () => {
      const { service, clock, push, until, notifications } = await open();
      service.behave("slow");
      push({ event: "downloaded", tag: "v1.1.0" });
      await until(() => service.attempts() === 1);
      await clock.sleeping(10_000);
      clock.advance(10_000);
      service.behave("fine");
      await until(async () => (await service.arrived()).length === 1);
      await until(() => notifications.status()[0]?.state === "fine");
    });

    when("busy")("waits for as long as the service asks", async () => {
      const { service, clock, push, until, notifications } = await open();
      service.behave("busy");
      push({ event: "downloaded", tag: "v1.1.0" });
      const retryAt = (): number => Date.parse(notifications.status()[0]?.retryAt ?? "");
      await until(() => !Number.isNaN(retryAt()), { hasten: false });
      expect(retryAt() - clock.now()).toBeGreaterThanOrEqual(RETRY_AFTER_MS);
      service.behave("fine");
      await until(async () => (await service.arrived()).length === 1);
    });

    when("denied")("keeps what a wrong token could not send, and says so", async () => {
      const { service, events, push, until, notifications } = await open();
      service.behave("denied");
      push({ event: "downloaded", tag: "v1.1.0" });
      await until(() => notifications.status()[0]?.state === "failing", { hasten: false });
      expect(warnings(events)).toContainEqual(
        expect.objectContaining({ message: "Notification not delivered yet", important: true }),
      );
      service.behave("fine");
      await until(async () => (await service.arrived()).length === 1);
      expect(lost(events)).toEqual([]);
    });

    when("refusing")("gives up a message that the service refuses, not the next one", async () => {
      const { service, events, push, until } = await open();
      service.behave("refusing");
      push({ event: "downloaded", tag: "v1.1.0" });
      await until(() => lost(events).length === 1, { hasten: false });
      expect(service.attempts()).toBe(1);
      service.behave("fine");
      push({ event: "downloaded", tag: "v1.2.0" });
      await until(async () => (await service.arrived()).length === 1);
      expect((await service.arrived()).join()).toContain("v1.2.0");
    });

    it("shows no secret in its status, its warnings and the log of its requests", async () => {
      const { service, events, push, until, notifications } = await open();
      const shown: string[] = [];
      for (const trouble of ["down", "broken", "denied", "refusing"] as const) {
        if (notifier.skip?.[trouble] !== undefined) continue;
        service.behave(trouble);
        const before = service.attempts();
        push({ event: "downloaded", tag: trouble });
        await until(() => service.attempts() > before);
        await until(
          () => notifications.status()[0]?.state === "failing" || lost(events).length > 0,
        );
        shown.push(JSON.stringify(notifications.status()));
      }
      shown.push(JSON.stringify(events));
      for (const secret of service.secrets) expect(shown.join("\n")).not.toContain(secret);
    });
  });
}

interface Opened {
  service: ContractService;
  notifications: Notifications;
  clock: FakeClock;
  events: readonly DewyEvent[];
  push(entry: Entry): void;
  /** Waits for a condition. The pauses between attempts are skipped, except with `hasten: false`. */
  until(condition: Condition, options?: { hasten?: boolean }): Promise<void>;
}

type Condition = () => boolean | Promise<boolean>;

async function openService(notifier: ContractNotifier, query: string): Promise<Opened> {
  const service = await notifier.setup();
  const { url, table = notifiers, context = {} } = service;
  const clock = fakeClock({ now: START });
  const events: DewyEvent[] = [];
  const full: Omit<NotifierContext, "redact"> = {
    env: {},
    programEnv: {},
    fetch: globalThis.fetch,
    emit: (event) => void events.push(event),
    host: { name: HOST, color: "#421AA9" },
    instance: { name: "app", mode: "server", directory: "/opt/app", registry: "ghr://owner/app" },
    ...context,
    clock,
  };
  const text = query === "" ? url : `${url}${url.includes("?") ? "&" : "?"}${query}`;
  const redact = redactorOf(table)(full.env, { SECRETS: secretsIn([text], table).join("\n") });
  const notifications = openNotifiers([text], table, { ...full, redact });
  notifications.start({ name: "app", directory: await tempDirectory() });
  onTestFinished(async () => {
    const closed = notifications.close(0);
    clock.advance(0);
    await closed;
  });
  let count = 0;
  const push = (entry: Entry): void => {
    count += 1;
    const at = new Date(clock.now()).toISOString();
    notifications.push({ id: `entry-${count}`, ...entry, at } as JournalEntry);
  };
  const until: Opened["until"] = async (condition, { hasten = true } = {}) => {
    await waitFor(condition, () => {
      const retryAt = Date.parse(notifications.status()[0]?.retryAt ?? "");
      if (hasten && retryAt > clock.now()) clock.advance(retryAt - clock.now());
    });
  };
  return { service, notifications, clock, events, push, until };
}

const PATIENCE_MS = 45_000;

async function waitFor(condition: Condition, meanwhile: () => void): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`the condition never held: ${condition}`);
    meanwhile();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function warnings(events: readonly DewyEvent[]): readonly DewyEvent[] {
  return events.filter(({ type }) => type === "warning");
}

function lost(events: readonly DewyEvent[]): readonly DewyEvent[] {
  return events.filter(({ type }) => type === "notifications-lost");
}

/** A fake service as a function: for notifiers that send over HTTP with the context's `fetch`. */
export function httpService(options: {
  /** Accepts a message, or throws if the real service would not understand it. */
  accept: Handler;
  /** Defaults to 401. */
  denied?: Handler;
  /** Defaults to 400. */
  refused?: Handler;
}): Pick<ContractService, "behave" | "attempts"> & { fetch: typeof globalThis.fetch } {
  const { accept, denied, refused } = options;
  let how: Behaviour = "fine";
  let attempts = 0;
  const answer = (status: number, headers = {}): Handler => {
    return () => new Response("no", { status, headers });
  };
  const handlers: Readonly<Record<Behaviour, Handler>> = {
    fine: accept,
    down: () => {
      throw Object.assign(new TypeError("fetch failed"), {
        cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }),
      });
    },
    slow: () => new Promise(() => {}),
    busy: answer(429, { "retry-after": `${RETRY_AFTER_MS / 1_000}` }),
    broken: answer(500),
    denied: denied ?? answer(401),
    refusing: refused ?? answer(400),
  };
  return {
    behave: (next) => {
      how = next;
    },
    attempts: () => attempts,
    fetch: fetchOf((request) => {
      attempts += 1;
      return handlers[how](request);
    }),
  };
}

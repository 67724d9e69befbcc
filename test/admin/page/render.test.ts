import { describe, expect, test } from "vitest";
import { fingerprint, renderPage, renderSections } from "../../../src/admin/page/render.ts";
import type { PageView } from "../../../src/admin/page/view.ts";
import type { InstanceStatus } from "../../../src/control/protocol.ts";
import type { JournalEntry } from "../../../src/journal/entry.ts";
import { isoAgo, NOW, realisticView, view } from "./views.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** What a reader sees of a piece of markup. */
function textOf(markup: string): string {
  return markup
    .replaceAll(/<(svg|style|script|head)\b.*?<\/\1>/gs, "")
    .replaceAll(/<span class="mark" aria-hidden="true">.?<\/span>/g, "")
    .replaceAll(/<\/(?:p|li|dt|dd|h\d|th|td|summary)>/g, " ")
    .replaceAll(/<[^>]*>/g, "")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&")
    .replaceAll(/\s+/g, " ")
    .trim();
}

const section = (id: keyof ReturnType<typeof renderSections>, shown: PageView): string =>
  textOf(renderSections(shown)[id]);

const entriesView = (...entries: JournalEntry[]): PageView => view({}, { entries });

describe("the summary", () => {
  test("says what runs and since when, and where", () => {
    expect(
      section(
        "summary",
        view({
          lastPoll: { at: isoAgo(20 * SECOND), outcome: "fine" },
          nextPollAt: isoAgo(-40 * SECOND),
        }),
      ),
    ).toBe(
      "Serving v1.4.2 for 3 h, since 11:02 UTC " +
        "Registry ghr://acme/checkout Polled 20 s ago, next in 40 s Directory /opt/checkout " +
        "dewy 0.1.0, pid 812, up 12 days",
    );
  });

  test("shows where a deploy is", () => {
    const { summary } = renderSections(
      view({ phase: { name: "verify", tag: "v1.5.0", since: isoAgo(8 * SECOND) } }),
    );
    expect(textOf(summary)).toContain(
      "Stage (done) Before hook (done) Activate (done) Verify 8 s Bake Commit After hook",
    );
    expect(summary.match(/aria-current="step"/g)).toHaveLength(1);
  });

  test("shows only the phases that a rollback has", () => {
    const order = { kind: "rollback", tag: "v1.4.1", user: "alice", at: isoAgo(SECOND) };
    expect(
      section("summary", view({ phase: { name: "activate", tag: "v1.4.1" }, order })),
    ).toContain(
      "since 11:02 UTC Activate Verify Commit Ordered: rollback v1.4.1 by alice just now ",
    );
  });

  test.each<[string, Partial<InstanceStatus>]>([
    [
      "The registry did not answer 1 min ago: timeout",
      { lastPoll: { at: isoAgo(MINUTE), outcome: "unreachable", error: "timeout" } },
    ],
    [
      "Paused by alice 2 h ago: fire",
      { paused: { user: "alice", message: "fire", at: isoAgo(2 * HOUR) } },
    ],
    [
      "Pinned to v1.4.2 by alice 2 h ago",
      { pinned: { tag: "v1.4.2", user: "alice", at: isoAgo(2 * HOUR) } },
    ],
    [
      "No deploy window is open; the next one opens in 20 h, at 2 May 10:02 UTC",
      { windowOpensAt: isoAgo(-20 * HOUR) },
    ],
    [
      "The registry may be frozen: its listing last changed 2 h ago",
      { listing: { changedAt: isoAgo(2 * HOUR), maxMs: HOUR } },
    ],
    ["dewy ended while it switched to v1.5.0", { phase: { name: "interrupted", tag: "v1.5.0" } }],
    [
      "Notifications wait: 3 for mail://ops@acme.example, no route",
      {
        notifiers: [
          {
            notifier: "mail://ops@acme.example",
            state: "failing",
            error: "no route",
            waiting: 3,
            lost: 0,
          },
        ],
      },
    ],
  ])("says %j", (text, changes) => {
    expect(section("summary", view(changes))).toContain(text);
    expect(section("summary", view())).not.toContain(text.slice(0, 6));
  });
});

describe("the app", () => {
  test("lists generations, the serving one first", () => {
    const generations = [
      { number: 1, pid: 10, tag: "v1", state: "standby" as const, since: isoAgo(HOUR) },
      { pid: 11, tag: "v2", state: "serving" as const },
    ];
    expect(section("app", view({ app: { health: "serving", generations, restarts: 1 } }))).toBe(
      "Generations Version State Generation Up for " +
        "v2 serving pid 11 – v1 standby 1 pid 10 1 h 1 restart since dewy started",
    );
  });

  test("lists replicas and how many are wanted", () => {
    const replicas = [
      { container: "a-2", tag: "v1", state: "unhealthy", address: "127.0.0.1:2" },
      { container: "a-1", tag: "v1", state: "serving", since: isoAgo(HOUR) },
    ];
    const app = { health: "degraded" as const, replicas, wanted: 2 };
    expect(section("app", view({ mode: "container", app }))).toBe(
      "Replicas 1 of 2 serving Container Version State Up for " +
        "a-1 v1 serving 1 h a-2 127.0.0.1:2 v1 unhealthy –",
    );
  });

  test("is left out without an app", () => {
    expect(renderSections(view({ app: undefined })).app).toBe(
      '<section id="app" hidden></section>',
    );
  });
});

describe("what is held back", () => {
  test("is listed with its reasons", () => {
    const shown = view({
      waiting: [
        {
          tag: "v2.0.0",
          why: "min-age",
          reason: "published 2026-05-01T12:40:11.000Z, --min-age is 24h0m0s",
          until: isoAgo(-22 * HOUR),
        },
      ],
      skipped: [
        { tag: "v1.4.9", andEarlier: true, user: "mia", message: "twice", at: isoAgo(HOUR) },
      ],
      bad: Array.from({ length: 7 }, (_, index) => ({
        tag: `v0.${index}`,
        reason: `Cannot deploy v0.${index}: it exited`,
        at: isoAgo(HOUR),
      })),
    });
    expect(section("versions", shown)).toBe(
      "Held back Waiting v2.0.0 published 12:40 UTC, --min-age is 24h0m0s; until 2 May 12:02 UTC (in 22 h) " +
        "Skipped v1.4.9 and earlier, by mia 1 h ago: twice " +
        "Bad v0.6 it exited, 1 h ago v0.5 it exited, 1 h ago v0.4 it exited, 1 h ago " +
        "v0.3 it exited, 1 h ago v0.2 it exited, 1 h ago and 2 earlier",
    );
  });

  test("is left out if nothing is", () => {
    expect(renderSections(view()).versions).toContain("hidden");
  });
});

describe("polls", () => {
  const polls = [
    { at: isoAgo(3 * MINUTE), outcome: "fine" },
    { at: isoAgo(2 * MINUTE), outcome: "unreachable", error: "timeout" },
    { at: isoAgo(MINUTE), outcome: "waiting" },
  ];

  test("are counted, and the last one is described", () => {
    const shown = view({ polls, lastPoll: polls[2], nextPollAt: isoAgo(-MINUTE) });
    expect(renderSections(shown).polls).toContain('aria-label="2 of the last 3 polls were fine"');
    expect(section("polls", shown)).toBe(
      "Polls Last 1 min ago: fine, a version waits; next in 1 min.",
    );
  });

  test("have the rate limits beside them", () => {
    const limit = {
      host: "api.github.com",
      remaining: 4_871,
      limit: 5_000,
      resetAt: isoAgo(-HOUR),
    };
    const shown = view({ rateLimits: [limit] });
    expect(section("polls", shown)).toContain(
      "api.github.com: 4,871 of 5,000 requests left, reset in 1 h",
    );
    expect(renderSections(shown).polls).toContain('class="good" width="97.4%"');
    expect(renderSections(view({ rateLimits: [{ ...limit, remaining: 499 }] })).polls).toContain(
      'class="bad" width="10.0%"',
    );
    expect(renderSections(view({ rateLimits: [{ ...limit, limit: 0 }] })).polls).toContain(
      'width="0.0%"',
    );
  });
});

test("notifiers say whether they deliver", () => {
  const notifiers = [
    { notifier: "slack://deploys", state: "fine" as const, waiting: 0, lost: 2 },
    {
      notifier: "mail://ops@acme.example",
      state: "failing" as const,
      error: "no route",
      since: isoAgo(HOUR),
      waiting: 3,
      lost: 0,
    },
  ];
  expect(section("notifiers", view({ notifiers }))).toBe(
    "Notifiers slack://deploys fine 2 lost mail://ops@acme.example failing for 1 h, 3 waiting, no route",
  );
});

describe("the history", () => {
  const at = isoAgo(HOUR);

  test.each<[string, JournalEntry]>([
    [
      "v2 Deployed from v1 in 1m14s 1 h ago 13:02 UTC stage 2.3s bake 1m",
      {
        at,
        event: "deployed",
        tag: "v2",
        previousTag: "v1",
        durationMs: 74_000,
        phases: { stage: 2_345, activate: 99, bake: 60_000 },
      },
    ],
    [
      "v2 Deployed 1 h ago 13:02 UTC by mia: now",
      { at, event: "deployed", tag: "v2", user: "mia", message: "now" },
    ],
    [
      "v2 Rolled back to v1 in 2s 1 h ago 13:02 UTC by mia",
      {
        at,
        event: "rolled-back",
        tag: "v2",
        to: "v1",
        reason: "asked for",
        user: "mia",
        durationMs: 2_000,
      },
    ],
    [
      "v2 Rolled back to v1 after 41s 1 h ago 13:02 UTC in bake: it exited bake 41s",
      {
        at,
        event: "rolled-back",
        tag: "v2",
        to: "v1",
        phase: "bake",
        reason: "Cannot deploy v2: it exited",
        phases: { bake: 41_000 },
      },
    ],
    [
      "v2 Failed 1 h ago 13:02 UTC in stage: no disk",
      { at, event: "failed", tag: "v2", phase: "stage", reason: "Cannot deploy v2: no disk" },
    ],
    ["v2 Superseded by v3 1 h ago", { at, event: "superseded", tag: "v2", by: "v3" }],
    [
      "v2 Given up 1 h ago 13:02 UTC paused by mia",
      { at, event: "given-up", tag: "v2", reason: "paused by mia" },
    ],
    [
      "App exited v1 exit code 137; next attempt in 1s 1 h ago 13:02 UTC Last lines of its output out of memory",
      {
        at,
        event: "app-exited",
        tag: "v1",
        exitCode: 137,
        retryInMs: 1_000,
        lastLines: ["out of memory"],
      },
    ],
    [
      "dewy started dewy 0.1.0 server; ghr://acme/checkout",
      { at, event: "started", dewy: "0.1.0", mode: "server", registry: "ghr://acme/checkout" },
    ],
    [
      'Command pin v1 by mia: "now" 1 h ago',
      { at, event: "ordered", command: "pin v1", user: "mia", message: "now" },
    ],
  ])("says %j", (text, entry) => {
    expect(section("deploys", entriesView(entry))).toContain(`History ${text}`);
  });

  test("shows a long reason on demand", () => {
    const reason = `${"x".repeat(300)} end`;
    const { deploys } = renderSections(entriesView({ at, event: "failed", tag: "v2", reason }));
    expect(deploys).toMatch(/<summary>x{240}…<\/summary><p>x{300} end<\/p>/);
  });

  test("draws phases in proportion, and deploys in proportion to each other", () => {
    const { deploys } = renderSections(
      entriesView(
        {
          at,
          event: "deployed",
          tag: "v1",
          deploy: "a",
          durationMs: 100,
          phases: { stage: 25, bake: 75, commit: 0 },
        },
        { at, event: "deployed", tag: "v2", deploy: "b", durationMs: 200, phases: { stage: 200 } },
      ),
    );
    const widths = (pattern: RegExp): (string | undefined)[] =>
      [...deploys.matchAll(pattern)].map(([, width]) => width);
    expect(widths(/class="bar"[^>]* width="([\d.]+)%"/g)).toEqual(["100.0", "50.0"]);
    expect(widths(/<rect[^>]* width="([\d.]+)%"/g)).toEqual(["100.00", "25.00", "75.00"]);
  });
});

describe("log lines", () => {
  test("lose their colours, and what else controls a terminal", () => {
    const line =
      "\u001b[1;31mred\u001b[0m\tblue \u001b]8;;https://evil.example\u0007link\u0008\u202e";
    const { "app-log": app, deploys } = renderSections(
      view(
        {},
        { appLines: [line], entries: [{ at: isoAgo(0), event: "app-exited", lastLines: [line] }] },
      ),
    );
    for (const markup of [app, deploys]) expect(markup).toContain("red\tblue link\\x08\\u202e");
  });

  test("are shown only if they are given", () => {
    const { "app-log": app, "dewy-log": own } = renderSections(
      view({}, { appLines: ["level=ERROR <b>", "WARNING two"], ownLines: [] }),
    );
    expect(textOf(app)).toBe("Output of the app level=ERROR <b> WARNING two");
    expect(app).toContain('<span class="bad">level');
    expect(app).toContain('<span class="warn">WARN');
    expect(textOf(own)).toBe("Log of dewy No output yet.");
    expect(
      section(
        "dewy-log",
        view(
          {},
          {
            ownLines: [
              'time=2026-05-01T14:01:20.123Z level=INFO msg="Said \\"yes\\"" version=v1',
              "time=2026-05-01T14:01:21Z level=WARN msg=Slow <b>",
              "torn",
            ],
          },
        ),
      ),
    ).toBe('Log of dewy 14:01:20 Said \\"yes\\" version=v1 14:01:21 WARN Slow <b> torn');
    expect(renderSections(view())["app-log"]).toBe('<section id="app-log" hidden></section>');
  });
});

describe("the page", () => {
  test("has the state first in its title, and an icon with a mark of its own for each tone", () => {
    const page = renderPage(view({ app: { health: "down" } }), { nonce: "abc" });
    expect(page).toContain("<title>Down · checkout v1.4.2</title>");
    const icon = (changes: Partial<InstanceStatus>): string | undefined =>
      /data-icon="([^"]*)"/.exec(renderSections(view(changes)).summary)?.[1];
    expect(page).toContain(
      `<link id="icon" rel="icon" type="image/svg+xml" href="${icon({ app: { health: "down" } })}">`,
    );
    expect(icon({ app: { health: "down" } })).not.toBe(icon({}));
  });

  test("has the sections as they are sent later", () => {
    const page = renderPage(realisticView(), { nonce: "abc" });
    for (const markup of Object.values(renderSections(realisticView())))
      expect(page).toContain(markup);
  });

  test("has its nonce, and neither attributes that it would not cover nor addresses", () => {
    const page = renderPage(realisticView(), { nonce: "abc" });
    expect(page).toContain('<style nonce="abc">');
    expect(page).toContain('<script nonce="abc">');
    expect(page).not.toMatch(/<[^>]* (?:style|on\w+)=/);
    expect(page.replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(
      /(?:src|href)="(?:https?:)?\/\//,
    );
  });

  test("says that lines are hidden", () => {
    const text = "Log lines and operators’ messages are hidden; --admin-token-file shows them.";
    expect(textOf(renderPage(view({}, { isRestricted: true }), { nonce: "a" }))).toContain(text);
    expect(textOf(renderPage(view(), { nonce: "a" }))).not.toContain(text);
  });

  test("lets no text from outside become markup", () => {
    const evil = `"'><img src=x onerror=alert(1)>`;
    const plain = JSON.stringify(realisticView());
    const poisoned: PageView = JSON.parse(plain, (key, value) =>
      typeof value === "string" &&
      !/^(?:at|since|until|resetAt|nextPollAt|windowOpensAt|event|name|state|health|outcome|mode|key)$/.test(
        key,
      )
        ? `${value}${evil}`
        : value,
    );
    const page = renderPage(poisoned, { nonce: "abc" });
    expect(page).toContain("&lt;img src=x onerror=alert(1)&gt;");
    expect(page).not.toContain("<img");
    expect(page.match(/<script/g)).toHaveLength(1);
  });
});

test("a section has the same fingerprint until more than time has passed", () => {
  const prints = (shown: PageView): string[] =>
    Object.values(renderSections(shown)).map(fingerprint);
  const shown = realisticView();
  const later = { ...shown, now: NOW + 20 * SECOND };
  expect(renderSections(later)).not.toEqual(renderSections(shown));
  expect(prints(later)).toEqual(prints(shown));
  expect(prints(view({ app: { health: "down" } }))[0]).not.toBe(prints(view())[0]);
});

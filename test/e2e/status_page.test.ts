import { writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PageView } from "../../src/admin/page/view.ts";
import { isoAgo, NOW, realisticView, view } from "../admin/page/views.ts";
import { freePort } from "../peers/ports.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { findingsOf, launchBrowser, NO_BROWSER, openTab } from "./browser.ts";
import { deployed, serveApp } from "./server/served_app.ts";
import { servePage } from "./status_page_server.ts";
import { NODE } from "./steer/operator.ts";

const MINUTE = 60_000;
const by = { user: "alice", message: "checkout fails", at: isoAgo(MINUTE) };

/** Everything at once that can be wrong, with texts that are long. */
const TROUBLED: PageView = view(
  {
    name: "a-name-that-is-as-long-as-a-name-can-be-without-a-space-in-it",
    mode: "container",
    registry: `img://registry.example/${"very-long/".repeat(12)}app`,
    app: {
      health: "degraded",
      wanted: 2,
      restarts: 3,
      replicas: ["unhealthy", "starting"].map((state, index) => ({
        container: `checkout-1714572000-a-long-name-${index}`,
        tag: "v1.4.2-rc.1+build.20260501",
        state,
        address: `127.0.0.1:3276${index}`,
        since: isoAgo(MINUTE),
      })),
    },
    paused: by,
    pinned: { ...by, tag: "v1.4.2" },
    order: { ...by, kind: "deploy", tag: "v1.5.0" },
    windowOpensAt: isoAgo(-MINUTE),
    lastPoll: { at: isoAgo(MINUTE), outcome: "unreachable", error: `x${"/long".repeat(80)}` },
    rateLimits: [{ host: "api.github.com", remaining: 1, limit: 60, resetAt: isoAgo(-MINUTE) }],
    notifiers: [
      {
        notifier: "slack://a",
        state: "failing",
        error: "503",
        since: isoAgo(MINUTE),
        waiting: 3,
        lost: 1,
      },
    ],
    bad: [{ tag: "v1.4.3", reason: "x".repeat(400), at: isoAgo(MINUTE) }],
  },
  {
    isRestricted: true,
    host: "a-machine.with-a-long-name.in-a-domain.example",
    entries: [
      {
        at: isoAgo(MINUTE),
        event: "failed",
        tag: "v1.4.3",
        phase: "verify",
        reason: "x".repeat(400),
      },
      { at: isoAgo(MINUTE), event: "app-exited", tag: "v1.4.2", lastLines: ["x".repeat(400)] },
    ],
  },
);

describe.skipIf(NO_BROWSER)(`the status page in Chromium ${NO_BROWSER ?? ""}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());

  test.each([
    ["on a good day", "light", 360],
    ["on a good day", "light", 1280],
    ["on a good day", "dark", 360],
    ["on a good day", "dark", 1280],
    ["on a bad day", "light", 360],
    ["on a bad day", "dark", 1280],
  ] as const)(
    "is accessible, as wide as the window, and asks no other host: %s, %s, %d pixels",
    async (day, colorScheme, width) => {
      const shown = day === "on a good day" ? realisticView() : TROUBLED;
      await using server = await servePage(shown);
      const viewport = { width, height: 800 };
      await using tab = await openTab(browser, server.url, { colorScheme, viewport });
      const { page, complaints } = tab;
      await page.waitForSelector("#connection[data-state=live]");
      for (const details of await page.locator("summary").all()) await details.click();
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      expect(await findingsOf(page)).toEqual([]);
      expect(complaints).toEqual([]);
    },
  );

  test("shows what changes, and keeps what the reader has opened, selected and scrolled", async () => {
    const first = realisticView();
    await using server = await servePage(first);
    await using tab = await openTab(browser, server.url, {
      viewport: { width: 1280, height: 800 },
    });
    const { page, complaints } = tab;
    await page.waitForSelector("#connection[data-state=live]");
    expect(await page.title()).toBe("Serving, deploying v1.5.2 · checkout v1.5.2");
    const icon = await page.locator("#icon").getAttribute("href");

    const summary = page.getByText("Last lines of the app");
    await summary.click();
    await page.evaluate(() => {
      const lines = document.querySelectorAll("#app-log pre span");
      getSelection()?.selectAllChildren(lines[20] as Element);
      const log = document.querySelector("#app-log .log") as Element;
      log.scrollTop = -100;
      scrollTo(0, 300);
    });
    const read = () =>
      page.evaluate(() => ({
        selected: String(getSelection()),
        focused: document.activeElement?.textContent,
        scrolled: scrollY,
        log: document.querySelector("#app-log .log")?.scrollTop,
        isOpen: document.querySelector("details")?.open,
      }));
    const before = await read();
    expect(before).toMatchObject({ focused: "Last lines of the app", log: -100, isOpen: true });
    expect(before.selected).toMatch(/ms/);

    const { appLines = [], entries, status } = first;
    server.show({
      ...first,
      status: { ...status, phase: { name: "idle" } },
      entries: [
        ...entries,
        { at: new Date(NOW).toISOString(), event: "deployed", tag: "v1.5.2", deploy: "new" },
      ],
      appLines: [...appLines.slice(3), "one more", "and another"],
    });
    await page.waitForFunction(() => document.title === "Serving · checkout v1.5.2");
    expect(await page.locator("#icon").getAttribute("href")).not.toBe(icon);
    expect(await page.locator("#news").textContent()).toBe("Serving");
    expect(await page.locator(".steps").count()).toBe(0);
    expect(await page.locator("#app-log").textContent()).toContain("and another");
    expect(await page.locator("#app-log pre span").count()).toBe(appLines.length - 1);
    expect(await page.locator("#deploys li.deploy h3").first().textContent()).toBe(
      "v1.5.2 Deployed",
    );
    const { scrolled, log, ...kept } = await read();
    expect(kept).toMatchObject({
      selected: before.selected,
      focused: before.focused,
      isOpen: true,
    });
    expect(scrolled).toBeGreaterThan(0);
    expect(log).toBeLessThan(0);
    expect(complaints).toEqual([]);
  });

  test("keeps times current, in the reader's time zone", async () => {
    await using server = await servePage(realisticView());
    await using tab = await openTab(browser, server.url, { timezoneId: "Asia/Tokyo" });
    const { page } = tab;
    const live = page.locator(".live time");
    await expect.poll(() => live.first().textContent()).toMatch(/^(?:49|5\d) s$/);
    expect(await live.last().textContent()).toBe("23:01");
    expect(await page.locator("#deploys .when").last().textContent()).toBe(
      "4 days ago 27 Apr 23:02",
    );
  });

  test("says when the connection was lost, and connects again", async () => {
    await using server = await servePage(view());
    await using tab = await openTab(browser, server.url);
    const { page } = tab;
    await page.clock.install();
    await page.reload();
    const connection = page.locator("#connection");
    await page.waitForSelector("#connection[data-state=live]");
    server.cut(true);
    await expect
      .poll(async () => {
        await page.clock.runFor(1_000);
        return connection.textContent();
      })
      .toMatch(/^Connection lost \d s ago$/);
    expect(await page.locator("#news").textContent()).toBe("Connection lost");
    server.cut(false);
    await expect
      .poll(async () => {
        await page.clock.runFor(1_000);
        return connection.getAttribute("data-state");
      })
      .toBe("live");
    expect(await page.locator("#news").textContent()).toBe("Connected again");
  });

  test("connects again if it receives nothing, not even a sign of life", async () => {
    await using server = await servePage(view());
    await using tab = await openTab(browser, server.url);
    const { page } = tab;
    await page.clock.install();
    await page.reload();
    await page.waitForSelector("#connection[data-state=live]");
    const again = page.waitForRequest(/api\/events$/);
    await page.clock.runFor(47_000);
    await again;
    await page.waitForSelector("#connection[data-state=live]");
  });

  test("follows the deploys of dewy server", async () => {
    const app = await serveApp(NODE, "node");
    const token = join(await tempDirectory(), "token");
    await writeFile(token, "correct-horse-battery-staple-01\n", { mode: 0o600 });
    await app.publish("v1.0.0");
    const port = await freePort();
    const flags = ["--name", "checkout", "--admin-port", `${port}`, "--admin-token-file", token];
    const dewy = app.start([...flags, "--bake", "3s"]);
    await deployed(dewy, "v1.0.0");
    const httpCredentials = { username: "", password: "correct-horse-battery-staple-01" };
    await using tab = await openTab(browser, `http://127.0.0.1:${port}/`, { httpCredentials });
    const { page, complaints } = tab;
    await page.waitForSelector("#connection[data-state=live]");
    expect(await page.title()).toBe("Serving · checkout v1.0.0");
    expect(await page.locator(".place").textContent()).toBe(`server ${hostname()}`);

    await app.publish("v1.1.0");
    await page.waitForFunction(
      () => document.title === "Serving, deploying v1.1.0 · checkout v1.1.0",
    );
    await page.waitForSelector(".steps .now >> text=Bake");
    await page.waitForFunction(() => document.title === "Serving · checkout v1.1.0");
    await app.publishBad("exits-at-once", "v1.2.0");
    await page.waitForSelector("#deploys >> text=v1.2.0 Rolled back to v1.1.0");
    await page.waitForSelector("#versions >> text=v1.2.0");
    expect(await page.locator(".deploy h3").allTextContents()).toEqual([
      expect.stringMatching(/^v1\.2\.0 Rolled back to v1\.1\.0 after /),
      expect.stringMatching(/^v1\.1\.0 Deployed from v1\.0\.0 in /),
      expect.stringMatching(/^v1\.0\.0 Deployed in /),
    ]);
    const [, ...phases] = await page.locator(".deploy").allTextContents();
    for (const text of phases) expect(text).toMatch(/bake 3(?:\.\ds|s)/);
    await expect.poll(() => page.locator("#dewy-log").textContent()).toContain("Deployed");
    expect(await page.locator("#app-log pre").textContent()).toBeTruthy();
    expect(complaints).toEqual([]);
  });

  test("works without scripts", async () => {
    await using server = await servePage(realisticView());
    await using tab = await openTab(browser, server.url, { javaScriptEnabled: false });
    const { page, complaints } = tab;
    expect(await page.getByRole("heading", { level: 2 }).allTextContents()).toEqual([
      "Serving, deploying v1.5.2",
      "Generations",
      "Held back",
      "Polls",
      "Notifiers",
      "History",
      "Output of the app",
      "Log of dewy",
    ]);
    expect(await page.locator("#connection").textContent()).toBe("As of 14:02 UTC");
    await page.getByText("Last lines of the app").click();
    expect(await page.getByText("panic: pq").isVisible()).toBe(true);
    expect(complaints).toEqual([]);
  });

  test("runs no script and loads no style but its own", async () => {
    await using server = await servePage(view());
    await using tab = await openTab(browser, server.url);
    const { page, complaints } = tab;
    await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "document.title = 'evil'";
      document.body.append(script);
      document.body.setAttribute("style", "display: none");
    });
    expect(await page.title()).toBe("Serving · checkout v1.4.2");
    expect(await page.locator("h1").isVisible()).toBe(true);
    expect(complaints).toHaveLength(2);
  });
});

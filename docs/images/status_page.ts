// Makes the pictures of the status page for the README, of a made-up afternoon. It needs Chromium, and pngquant to make
// them smaller:
//
//   npm run screenshot
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { renderPage } from "../../src/admin/page/render.ts";
import { NOW, realisticView } from "../../test/admin/page/views.ts";

const ADDRESS = "http://web-3.acme.example/";
const WIDTH = 1280;
const MARGIN = 24;
const PICTURES = { light: "status-page.png", dark: "status-page-dark.png" } as const;

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
for (const colorScheme of ["light", "dark"] as const) {
  const context = await browser.newContext({
    colorScheme,
    timezoneId: "UTC",
    viewport: { width: WIDTH, height: 1600 },
    deviceScaleFactor: 1.5,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  await page.clock.setFixedTime(NOW);
  await page.route("**/*", (route) =>
    route.request().url() === ADDRESS
      ? route.fulfill({
          contentType: "text/html",
          body: renderPage(realisticView(), { nonce: "" }),
        })
      : route.fulfill({ contentType: "text/event-stream", body: "retry: 60000\n\n" }),
  );
  await page.goto(ADDRESS);
  await page.waitForSelector("#connection[data-state=live]");
  await page.addStyleTag({ content: ".logs, footer { display: none !important; }" });
  const boxes = [page.locator("#notifiers"), page.locator("#deploys")].map((one) =>
    one.boundingBox(),
  );
  const ends = (await Promise.all(boxes)).map((box) => (box?.y ?? 0) + (box?.height ?? 0));
  const path = join(import.meta.dirname, PICTURES[colorScheme]);
  const clip = { x: 0, y: 0, width: WIDTH, height: Math.ceil(Math.max(...ends)) + MARGIN };
  await page.screenshot({ path, clip });
  execFileSync("pngquant", ["--force", "--speed", "1", "--output", path, "64", path]);
}
await browser.close();

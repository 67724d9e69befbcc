import { expect, test } from "vitest";
import { createProgressLine } from "../../../src/cli/log/progress_line.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fakeProcess } from "../process.ts";

const MIB = 1024 ** 2;

function progress(received: number, total?: number) {
  const base = { type: "download-progress", tag: "v1", artifact: "app.tar.gz", received } as const;
  return total === undefined ? base : { ...base, total };
}

test("a terminal shows progress and speed", () => {
  const io = fakeProcess({ isTerminal: true });
  const clock = fakeClock();
  const line = createProgressLine(io.stderr, clock.now);
  line.sink(progress(0, 100 * MIB));
  clock.advance(2000);
  line.sink(progress(45 * MIB, 100 * MIB));
  expect(io.err().split("\r\u001b[K").at(-1)).toBe("app.tar.gz 45% 22.5 MiB/s");
  line.sink({
    type: "downloaded",
    tag: "v1",
    artifact: "app.tar.gz",
    bytes: 1,
    resumedFrom: 0,
    durationMs: 1,
  });
  expect(io.err().endsWith("\r\u001b[K")).toBe(true);
});

test("without a total the bytes are shown", () => {
  const io = fakeProcess({ isTerminal: true });
  const line = createProgressLine(io.stderr, fakeClock().now);
  line.sink(progress(3 * MIB));
  expect(io.err()).toContain("app.tar.gz 3 MiB");
});

test("the line is not drawn more often than ten times a second", () => {
  const io = fakeProcess({ isTerminal: true });
  const line = createProgressLine(io.stderr, fakeClock().now);
  for (let received = 0; received < 1000; received += 1) line.sink(progress(received, 1000));
  expect(io.err().split("app.tar.gz")).toHaveLength(2);
});

test("log lines and the progress line do not mix", () => {
  const io = fakeProcess({ isTerminal: true });
  const line = createProgressLine(io.stderr, fakeClock().now);
  line.sink(progress(1, 2));
  line.write("a log line\n");
  const drawn = "app.tar.gz 50%";
  expect(io.err()).toContain(`${drawn}\r\u001b[Ka log line\n\r\u001b[K${drawn}`);
});

test("control characters in names are escaped", () => {
  const io = fakeProcess({ isTerminal: true });
  const line = createProgressLine(io.stderr, fakeClock().now);
  line.sink({ ...progress(1, 2), artifact: "a\u001b]0;owned\u0007" });
  expect(io.err()).toContain("a\\x1b]0;owned\\x07");
});

test("nothing is drawn on a pipe", () => {
  const io = fakeProcess();
  const line = createProgressLine(io.stderr, fakeClock().now);
  line.sink(progress(1, 2));
  line.clear();
  line.write("log\n");
  expect(io.err()).toBe("log\n");
});

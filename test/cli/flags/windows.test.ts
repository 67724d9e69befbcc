import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileWindows, type DeployWindows } from "../../../src/cli/flags/windows.ts";
import { runCase, runtimes } from "../../runtime/runtimes.ts";

const MINUTE = 60_000;

async function windows(...texts: string[]): Promise<DeployWindows> {
  const compiled = await compileWindows(texts);
  if (compiled === undefined) throw new Error("no window");
  return compiled;
}

function iso(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString().replace(":00.000Z", "Z");
}

async function opening(text: string, from: string): Promise<string | undefined> {
  return iso((await windows(text)).opensAt(Date.parse(from)));
}

describe("a window", () => {
  test.each([
    // 2026-06-01 is a Monday; Berlin is two hours ahead.
    ["mon-fri 09:00-17:00 Europe/Berlin", "2026-06-01T06:59Z", "2026-06-01T07:00Z"],
    ["mon-fri 09:00-17:00 Europe/Berlin", "2026-06-01T07:00Z", undefined],
    ["mon-fri 09:00-17:00 Europe/Berlin", "2026-06-01T14:59Z", undefined],
    ["mon-fri 09:00-17:00 Europe/Berlin", "2026-06-01T15:00Z", "2026-06-02T07:00Z"],
    ["mon-fri 09:00-17:00 Europe/Berlin", "2026-06-05T15:00Z", "2026-06-08T07:00Z"],
    ["sat,sun 10:00-12:00 UTC", "2026-06-05T15:00Z", "2026-06-06T10:00Z"],
    ["sat,sun 10:00-12:00 UTC", "2026-06-06T12:00Z", "2026-06-07T10:00Z"],
    ["fri-mon 10:00-12:00 UTC", "2026-06-02T12:00Z", "2026-06-05T10:00Z"],
    ["mon,wed-thu 10:00-12:00 UTC", "2026-06-01T12:00Z", "2026-06-03T10:00Z"],
    ["MON 9:00-10:00 UTC", "2026-06-01T08:00Z", "2026-06-01T09:00Z"],
    ["10:00-12:00 UTC", "2026-06-06T12:00Z", "2026-06-07T10:00Z"],
    ["12:00-24:00 UTC", "2026-06-06T23:59Z", undefined],
    ["12:00-24:00 UTC", "2026-06-07T00:00Z", "2026-06-07T12:00Z"],
    ["12:00-00:00 UTC", "2026-06-07T00:00Z", "2026-06-07T12:00Z"],
    ["00:00-24:00 UTC", "2026-06-07T00:00Z", undefined],
  ])("%s at %s opens at %s", async (text, from, at) => {
    expect(await opening(text, from)).toBe(at);
  });

  test.each([
    ["22:00-02:00 Europe/Berlin", "2026-06-01T19:59Z", "2026-06-01T20:00Z"],
    ["22:00-02:00 Europe/Berlin", "2026-06-01T23:59Z", undefined],
    ["22:00-02:00 Europe/Berlin", "2026-06-02T00:00Z", "2026-06-02T20:00Z"],
    ["mon 22:00-02:00 UTC", "2026-06-01T01:00Z", "2026-06-01T22:00Z"],
    ["mon 22:00-02:00 UTC", "2026-06-02T01:59Z", undefined],
    ["mon 22:00-02:00 UTC", "2026-06-02T02:00Z", "2026-06-08T22:00Z"],
    ["sun 22:00-02:00 UTC", "2026-06-01T01:00Z", undefined],
  ])("across midnight belongs to the day on which it begins: %s at %s", async (text, from, at) => {
    expect(await opening(text, from)).toBe(at);
  });

  test.each([
    ["09:00-17:00 UTC", "2026-06-01T10:00Z", "2026-06-01T17:00Z"],
    ["22:00-02:00 UTC", "2026-06-01T23:00Z", "2026-06-02T02:00Z"],
    ["09:00-17:00 UTC", "2026-06-01T17:00Z", undefined],
    ["00:00-24:00 UTC", "2026-06-01T17:00Z", undefined],
  ])("%s at %s closes at %s", async (text, from, at) => {
    expect(iso((await windows(text)).closesAt(Date.parse(from)))).toBe(at);
  });

  test("defaults to the time zone of the machine", async () => {
    const local = new Date(2026, 5, 1, 9, 0).getTime();
    const machine = await windows("09:00-10:00");
    expect(machine.opensAt(local - 1)).toBe(local);
    expect(machine.opensAt(local)).toBeUndefined();
    expect(machine.closesAt(local)).toBe(local + 60 * MINUTE);
  });

  test("is open beside others, and they close together", async () => {
    const two = await windows("09:00-12:00 UTC", "11:00-14:00 Europe/London", "12:00-12:30 UTC");
    expect(iso(two.opensAt(Date.parse("2026-01-01T08:00Z")))).toBe("2026-01-01T09:00Z");
    expect(iso(two.closesAt(Date.parse("2026-01-01T09:00Z")))).toBe("2026-01-01T14:00Z");
    expect(iso(two.opensAt(Date.parse("2026-01-01T14:00Z")))).toBe("2026-01-02T09:00Z");
  });
});

test.each(runtimes)("on $name, the machine's zone and any other are known", async (runtime) => {
  const texts = [
    "09:00-10:00",
    "09:00-10:00 Europe/Berlin",
    "02:10-02:20 Australia/Lord_Howe",
    "09:00-10:00 UTC",
  ];
  const now = Date.parse("2026-10-03T15:29Z");
  const env = { WINDOWS: JSON.stringify({ now, texts }), TZ: "America/New_York" };
  const { stdout, stderr } = await runCase(runtime, "test/runtime/windows_case.ts", env);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout).map(iso)).toEqual([
    "2026-10-04T13:00Z",
    "2026-10-04T07:00Z",
    "2026-10-04T15:10Z",
    "2026-10-04T09:00Z",
  ]);
});

test("without a window, nothing is compiled", async () => {
  expect(await compileWindows([])).toBeUndefined();
});

describe("when the clocks change", () => {
  test.each([
    // Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
    ["09:00-17:00 Europe/Berlin", "2026-03-28T16:00Z", "2026-03-29T07:00Z"],
    ["02:30-04:00 Europe/Berlin", "2026-03-29T00:59Z", "2026-03-29T01:00Z"],
    ["02:15-02:45 Europe/Berlin", "2026-03-29T00:59Z", "2026-03-30T00:15Z"],
    ["sun 02:15-02:45 Europe/Berlin", "2026-03-23T00:00Z", "2026-04-05T00:15Z"],
    ["22:00-02:30 Europe/Berlin", "2026-03-29T01:00Z", "2026-03-29T20:00Z"],
    // Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
    ["09:00-17:00 Europe/Berlin", "2026-10-24T15:00Z", "2026-10-25T08:00Z"],
    ["02:30-02:45 Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T00:30Z"],
    ["02:30-02:45 Europe/Berlin", "2026-10-25T00:45Z", "2026-10-25T01:30Z"],
    ["01:30-02:15 Europe/Berlin", "2026-10-25T00:15Z", "2026-10-25T01:00Z"],
    // New York, 2026-03-08 and 2026-11-01, at 02:00.
    ["02:30-05:00 America/New_York", "2026-03-08T06:59Z", "2026-03-08T07:00Z"],
    ["09:00-17:00 America/New_York", "2026-03-07T22:00Z", "2026-03-08T13:00Z"],
    ["01:15-01:30 America/New_York", "2026-11-01T05:30Z", "2026-11-01T06:15Z"],
    ["09:00-17:00 America/New_York", "2026-10-31T21:00Z", "2026-11-01T14:00Z"],
    // Lord Howe, 2026-04-05 and 2026-10-04, by half an hour.
    ["01:45-01:50 Australia/Lord_Howe", "2026-04-04T14:50Z", "2026-04-04T15:15Z"],
    ["02:10-02:20 Australia/Lord_Howe", "2026-10-03T15:29Z", "2026-10-04T15:10Z"],
    ["02:10-03:00 Australia/Lord_Howe", "2026-10-03T15:29Z", "2026-10-03T15:30Z"],
    // Cairo, 2026-04-24: midnight becomes 01:00.
    ["fri 00:30-02:00 Africa/Cairo", "2026-04-23T21:59Z", "2026-04-23T22:00Z"],
  ])("%s at %s opens at %s", async (text, from, at) => {
    expect(await opening(text, from)).toBe(at);
  });

  test("closes by the clock on the wall", async () => {
    const berlin = await windows("01:00-04:00 Europe/Berlin");
    expect(iso(berlin.closesAt(Date.parse("2026-03-29T00:30Z")))).toBe("2026-03-29T02:00Z");
    expect(iso(berlin.closesAt(Date.parse("2026-10-25T00:30Z")))).toBe("2026-10-25T03:00Z");
    const inGap = await windows("01:00-02:30 Europe/Berlin");
    expect(iso(inGap.closesAt(Date.parse("2026-03-29T00:30Z")))).toBe("2026-03-29T01:00Z");
  });
});

/** What the clock on the wall shows, by Intl alone. */
function wallOf(zone: string): (at: number) => { day: string; time: string } {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  return (at) => {
    const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]));
    const day = (parts.get("weekday") ?? "").toLowerCase();
    return { day, time: `${parts.get("hour")}:${parts.get("minute")}` };
  };
}

const WEEK = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

describe("at any time in a zone with daylight saving", () => {
  const zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];
  const time = fc
    .integer({ min: 0, max: 24 * 12 - 1 })
    .map((fives) => new Date(fives * 5 * MINUTE).toISOString().slice(11, 16));
  const nights = fc.integer({ min: 0, max: 5 * 60 }).map((minutes) => {
    return new Date(minutes * MINUTE).toISOString().slice(11, 16);
  });
  /** Around the changes of 2026 more often than not. */
  const changes = [
    "2026-03-29T01:00Z",
    "2026-10-25T01:00Z",
    "2026-03-08T07:00Z",
    "2026-11-01T06:00Z",
    "2026-04-04T15:00Z",
    "2026-10-03T15:30Z",
  ];
  const near = fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: -2_880, max: 2_880 }))
    .map(([change, minutes]) => Date.parse(change) + minutes * MINUTE);
  const any = fc
    .integer({ min: 0, max: 525_600 })
    .map((minutes) => Date.UTC(2026, 0, 1) + minutes * MINUTE);
  const days = fc.subarray(WEEK, { minLength: 1 });
  const inputs = fc.record({
    zone: fc.constantFrom(...zones),
    days,
    start: fc.oneof(time, nights),
    end: fc.oneof(time, nights),
    at: fc.oneof(near, near, any),
  });

  test("is open exactly while the clock on the wall shows a time in the window", async () => {
    await fc.assert(
      fc.asyncProperty(inputs, async ({ zone, days, start, end, at }) => {
        fc.pre(start !== end);
        const compiled = await windows(`${days.join(",")} ${start}-${end} ${zone}`);
        const wall = wallOf(zone);
        const isOpen = (when: number): boolean => {
          const { day, time } = wall(when);
          const before = WEEK[(WEEK.indexOf(day) + 6) % 7] ?? "";
          if (start < end) return days.includes(day) && time >= start && time < end;
          return (days.includes(day) && time >= start) || (days.includes(before) && time < end);
        };
        const opensAt = compiled.opensAt(at);
        expect(opensAt === undefined).toBe(isOpen(at));
        const change = opensAt ?? compiled.closesAt(at) ?? at + 8 * 1440 * MINUTE;
        for (let when = at; when < change; when += 5 * MINUTE) {
          expect(isOpen(when)).toBe(isOpen(at));
        }
        expect(isOpen(change - 1)).toBe(isOpen(at));
        if (change < at + 8 * 1440 * MINUTE) expect(isOpen(change)).toBe(!isOpen(at));
      }),
      { numRuns: 100 },
    );
  });
});

describe("an invalid window names the flag and its part", () => {
  test.each([
    ["mon", "not a range of times"],
    ["mon-fry 09:00-10:00", '"mon-fry" is not a list of days'],
    ["mon-tue-wed 09:00-10:00", '"mon-tue-wed" is not a list of days'],
    ["monday 09:00-10:00", '"monday" is not a list of days'],
    ["mon, 09:00-10:00", '"mon," is not a list of days'],
    ["09:00-09:00", '"09:00-09:00" is not a range of times'],
    ["9-10", '"9-10" is not a range of times'],
    ["09:00-25:00", '"09:00-25:00" is not a range of times'],
    ["09:60-10:00", '"09:60-10:00" is not a range of times'],
    ["24:00-01:00", '"24:00-01:00" is not a range of times'],
    ["09:00 - 10:00", '"09:00" is not a range of times'],
    ["09:00-10:00-11:00", '"09:00-10:00-11:00" is not a range of times'],
    ["09:00-10:00 Mars/City", '"Mars/City" is not a time zone'],
    ["09:00-10:00 +02:00", '"+02:00" is not a time zone'],
    ["09:00-10:00 local", '"local" is not a time zone'],
    ["09:00-10:00 UTC now", '"now" is one word too many'],
    ["UTC 09:00-10:00", '"UTC" is not a list of days'],
  ])("%s", async (text, part) => {
    const error = await compileWindows([text]).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: "config" });
    expect(String(error)).toContain(`Invalid value for --window "${text}"`);
    expect(String(error)).toContain(part);
  });
});

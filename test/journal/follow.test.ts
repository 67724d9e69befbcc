import { describe, expect, it } from "vitest";
import { followJournal } from "../../src/journal/follow.ts";
import { fakeClock } from "../fakes/clock.ts";
import { runCase, runtimes } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { append } from "./entries.ts";

describe("followJournal", () => {
  it.each(runtimes)("follows through rotations on $name", async (runtime) => {
    const { code, stdout, stderr } = await runCase(runtime, "test/journal/follow_main.ts");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toHaveLength(4);
  });

  it("polls where the directory cannot be watched", async () => {
    const root = await tempDirectory();
    const clock = fakeClock();
    const stop = new AbortController();
    const follower = followJournal(root, stop.signal, clock);
    expect((await follower.next()).value).toEqual([]);
    const next = follower.next();
    await clock.sleeping(1000);
    // The directory did not exist when the follower has tried to watch it.
    await append(root, "v1");
    clock.advance(1000);
    expect((await next).value).toMatchObject([{ tag: "v1" }]);
    stop.abort();
    expect((await follower.next()).done).toBe(true);
  });
});

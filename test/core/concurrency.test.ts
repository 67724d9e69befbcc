import { expect, test } from "vitest";
import { cached } from "../../src/core/concurrency.ts";
import { fakeClock } from "../fakes/clock.ts";

function counting() {
  const clock = fakeClock();
  const asked: { resolve(answer: number): void; reject(error: Error): void }[] = [];
  const ask = cached(
    () => new Promise<number>((resolve, reject) => asked.push({ resolve, reject })),
    { ms: 3_000, clock },
  );
  return { clock, asked, ask };
}

test("an answer is shared until its time is over", async () => {
  const { clock, asked, ask } = counting();
  const first = ask();
  asked[0]?.resolve(1);
  expect(await Promise.all([first, ask()])).toEqual([1, 1]);
  clock.advance(2_999);
  expect(await ask()).toBe(1);
  clock.advance(1);
  const second = ask();
  asked[1]?.resolve(2);
  expect(await second).toBe(2);
  expect(asked).toHaveLength(2);
});

test("a failure is shared as well", async () => {
  const { clock, asked, ask } = counting();
  const first = ask();
  asked[0]?.reject(new Error("no engine"));
  await expect(first).rejects.toThrow("no engine");
  await expect(ask()).rejects.toThrow("no engine");
  clock.advance(3_000);
  void ask();
  expect(asked).toHaveLength(2);
});

test("nothing is asked while an answer takes longer", async () => {
  const { clock, asked, ask } = counting();
  const first = ask();
  clock.advance(60_000);
  const second = ask();
  asked[0]?.resolve(1);
  expect(await Promise.all([first, second])).toEqual([1, 1]);
  expect(asked).toHaveLength(1);
});

import { describe, expect, it } from "vitest";
import {
  type GenerationProcesses,
  type Member,
  terminate,
} from "../../../src/server/supervisor/generation.ts";
import { hastyClock } from "../../fakes/clock.ts";

/** A process in memory; the test decides how it handles a signal. */
interface FakeProcess extends Member {
  end(): void;
}

/** A generation in memory: its main process has the pid 10 and leads the group 10. */
function generation(): GenerationProcesses & {
  log: string[];
  add(pid: number, how?: { parent?: number; group?: number; onSignal?: () => void }): FakeProcess;
} {
  const log: string[] = [];
  const processes = new Map<number, FakeProcess>();
  return {
    log,
    pid: 10,
    isRunning: () => processes.has(10),
    members: async () => [...processes.values()],
    signal: (name) => processes.get(10)?.signal(name),
    kill: async () => {
      log.push("kill");
      processes.clear();
    },
    add: (pid, { parent = 1, group = pid, onSignal } = {}) => {
      const one: FakeProcess = {
        pid,
        name: `app ${pid}`,
        parent,
        group,
        isRunning: () => processes.get(pid) === one,
        signal: (name) => {
          log.push(`${name} to ${pid}`);
          (onSignal ?? one.end)();
        },
        end: () => void processes.delete(pid),
      };
      processes.set(pid, one);
      return one;
    },
  };
}

function terminateWith(
  target: GenerationProcesses,
  signalName: string,
  graceMs: number,
  clock = hastyClock(),
): ReturnType<typeof terminate> {
  return terminate(target, { signalName, graceMs, clock });
}

describe("terminate", () => {
  it("signals only the main process while that runs", async () => {
    const target = generation();
    const worker = target.add(11, { parent: 10, group: 10 });
    target.add(10, {
      onSignal: () => {
        worker.end();
        mainEnds();
      },
    });
    const mainEnds = (): void => target.add(10).end();
    const { killed, background } = await terminateWith(target, "SIGTERM", 1_000);
    expect(target.log).toEqual(["SIGTERM to 10"]);
    expect({ killed, background }).toEqual({ killed: false, background: [] });
  });

  it("signals background processes once the main process has exited, each tree at its root", async () => {
    const target = generation();
    target.add(10);
    const worker = target.add(21, { parent: 20, group: 20 });
    const daemon = target.add(20, { onSignal: () => [worker, daemon].map((one) => one.end()) });
    const { killed, background } = await terminateWith(target, "SIGQUIT", 1_000);
    expect(target.log).toEqual(["SIGQUIT to 10", "SIGQUIT to 20"]);
    expect(killed).toBe(false);
    expect(background.map(({ name }) => name)).toEqual(["app 20"]);
  });

  it("signals background processes that appear later, and none twice", async () => {
    const target = generation();
    target.add(10);
    target.add(20, {
      onSignal: () => {
        target.add(20).end();
        target.add(30);
      },
    });
    await terminateWith(target, "SIGTERM", 1_000);
    expect(target.log).toEqual(["SIGTERM to 10", "SIGTERM to 20", "SIGTERM to 30"]);
  });

  it("kills what is left after the grace period", async () => {
    const target = generation();
    target.add(10);
    target.add(20, { onSignal: () => {} });
    const clock = hastyClock();
    const before = clock.monotonic();
    const { killed, background } = await terminateWith(target, "SIGTERM", 5_000, clock);
    expect(target.log).toEqual(["SIGTERM to 10", "SIGTERM to 20", "kill"]);
    expect(clock.monotonic() - before).toBe(5_000);
    expect(killed).toBe(true);
    expect(background.map(({ pid }) => pid)).toEqual([20]);
  });
});

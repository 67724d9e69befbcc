import { describe, expect, it } from "vitest";
import { ask, crowd, never, startService, v1, v2 } from "./service_fixture.ts";

describe("ContainerService.takeBack", () => {
  it("replaces the replicas by those of an earlier release without losing a request", async () => {
    const { service, release, versions, port } = await startService({ replicas: 2 });
    release(v1);
    release(v2);
    await service.ensureRunning(v1);
    await service.ensureRunning(v2);
    const clients = crowd(port);
    await service.takeBack(v1, never);
    expect(await ask(port)).toBe("v1.0.0");
    const answers = await clients.stop();
    expect(Object.keys(answers).filter((answer) => !/^v1\.[01]\.0$/.test(answer))).toEqual([]);
    await expect.poll(versions).toEqual(["v1.0.0", "v1.0.0"]);
  });

  it("ends the bake of the later release, whose lost replicas then matter no more", async () => {
    const { service, release } = await startService();
    release(v1);
    release(v2);
    await service.ensureRunning(v1);
    await service.deploy(v2, never);
    const baking = service.bake(v2, 600_000, never);
    await service.takeBack(v1, never);
    await expect(baking).resolves.toBe("superseded");
    expect(service.release).toEqual(v1);
    expect(service.ready).toBe(1);
  });

  it("rejects if no replica becomes healthy, and the later release keeps serving", async () => {
    const { service, release, port } = await startService();
    release(v1, { exitsWith: 1 });
    release(v2);
    await service.ensureRunning(v2);
    await expect(service.takeBack(v1, never)).rejects.toThrow(/exit/);
    await service.rollback(v2);
    expect(await ask(port)).toBe("v1.1.0");
    expect(service.release).toEqual(v2);
  });

  it("asks for what is on this machine only", async () => {
    const asked: (boolean | undefined)[] = [];
    const fixture = await startService({
      prepare: async (_release, _signal, isLocal) => {
        asked.push(isLocal);
        throw new Error("the image was removed");
      },
    });
    await expect(fixture.service.takeBack(v1, never)).rejects.toThrow("the image was removed");
    expect(asked).toEqual([true]);
  });
});

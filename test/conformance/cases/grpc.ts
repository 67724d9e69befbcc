import { systemClock } from "dewy";
import { type EntryOptions, latest, openRegistry, versions } from "dewy/grpc";
import { equal } from "../../runtime/check.ts";
import type { Cases } from "../case.ts";
import { assertReady, LINUX, listOf, rejects, tagsOf } from "../check.ts";

const OPTIONS: EntryOptions = {
  platform: LINUX,
  env: { DEWY_REGISTRY_TOKEN: "s3cr3t" },
  // Skips the pauses between attempts, but not the timeouts.
  clock: {
    ...systemClock,
    sleep: (ms, signal) => systemClock.sleep(ms > 8_000 ? ms : 0, signal),
  },
};

/** `grpc://` with only `fetch`: Connect and gRPC-Web. */
export const grpc: Cases = {
  async "a server is asked and reported to, over Connect and gRPC-Web"({ connect }) {
    for (const protocol of ["", "connect", "grpc-web"]) {
      const query = `no-tls=true${protocol && `&protocol=${protocol}`}`;
      const registry = openRegistry(`grpc://${connect}?${query}`, OPTIONS);
      const { id, tag } = assertReady(await registry.resolve()).release;
      equal([id, tag], ["id-1", "v1.2.3"], protocol);
      await registry.report?.({ id, tag, command: "edge", host: "edge", at: new Date(0) });
    }
  },

  async "the version of a server is listed, and unchanged if it is there"({ connect }) {
    const url = `grpc://${connect}?no-tls=true`;
    equal(tagsOf(await listOf(versions(url, OPTIONS))), ["v1.2.3"], "tags");
    const answer = await latest(url, { ...OPTIONS, since: "v1.2.3" });
    equal(answer.kind === "none" && answer.reason, "unchanged", "reason");
  },

  async "a server that speaks only gRPC is explained"({ grpc }) {
    const answer = openRegistry(`grpc://${grpc}?no-tls=true`, OPTIONS).resolve();
    await rejects(answer, "remote", /does not speak Connect.*from a host, with protocol=grpc/);
  },
};

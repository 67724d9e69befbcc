import { createClient, type Transport } from "@connectrpc/connect";
import { RegistryService } from "../../gen/dewy_pb.ts";
import type { GrpcChannel } from "./channel.ts";

export function channelOver(transport: Transport, hangUp: () => void): GrpcChannel {
  const client = createClient(RegistryService, transport);
  return {
    current: (question, how) => client.current(question, how),
    report: async (report, how) => {
      await client.report(report, how);
    },
    watch: (question, how) => client.watch(question, how),
    hangUp,
  };
}

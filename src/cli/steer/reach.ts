import type { CommandContext } from "../../agent/context.ts";
import { HostError } from "../../core/error.ts";
import type { Reach } from "./order.ts";

export function hostReach(_context: CommandContext): Reach {
  const fail = (): never => {
    throw new HostError("not ready");
  };
  return { choose: async () => fail(), ask: async () => fail(), act: async () => fail() };
}

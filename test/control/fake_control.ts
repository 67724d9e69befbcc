import { onTestFinished } from "vitest";
import { type Control, openControl } from "../../src/control/server.ts";

type Parts = Parameters<typeof openControl>[0];

/** Serves the control socket of a directory from this process, until the test ends. */
export async function openFakeControl(
  parts: Pick<Parts, "root" | "env"> & Partial<Parts>,
): Promise<Control> {
  const control = await openControl({
    name: "app",
    mode: "server",
    version: "1.2.3",
    emit: ({ type }) => {
      throw new Error(`unexpected event: ${type}`);
    },
    handler: { status: () => new Promise(() => {}), steer: async () => ({ text: "done" }) },
    ...parts,
  });
  onTestFinished(() => control.close());
  return control;
}

import { describe, expect, it } from "vitest";
import * as errors from "../../src/core/error.ts";
import { bundleForEdge } from "../runtime/workerd.ts";

const { DeployError, DewyError, faultOf } = errors;
type ErrorModule = typeof errors;

function namesIn(module: ErrorModule): [string, string][] {
  return Object.entries(module).flatMap(([exported, value]) => {
    if (typeof value !== "function" || !exported.endsWith("Error")) return [];
    const Class = value as new (...args: unknown[]) => Error;
    return [[exported, new Class("verify", { code: "host" }).name] as [string, string]];
  });
}

describe("DewyError", () => {
  it("keeps its name in a minified bundle", async () => {
    const source = `export * from ${JSON.stringify(new URL("../../src/core/error.ts", import.meta.url).pathname)};`;
    const bundle = await bundleForEdge(source, true);
    const minified = (await import(
      `data:text/javascript,${encodeURIComponent(bundle)}`
    )) as ErrorModule;
    const names = namesIn(minified);
    expect(names).toHaveLength(12);
    for (const [exported, name] of names) expect(name).toBe(exported);
  });
});

describe("faultOf", () => {
  it("reads the fault of a wrapped cause", () => {
    const cause = new errors.RemoteError("the registry hung up");
    expect(new DeployError("stage", "failed", { cause }).fault).toBe("remote");
  });

  it("never blames the release for an error that dewy did not expect", () => {
    expect(faultOf(new TypeError("x is undefined"))).toBe("host");
    expect(faultOf("a string")).toBe("host");
    expect(new DeployError("verify", "failed", { cause: new TypeError("x") }).fault).toBe("host");
    expect(new DewyError("failed", { code: "remote" }).fault).toBe("host");
  });
});

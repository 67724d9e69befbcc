import { describe, expect, test } from "vitest";
import { checkContainerArgs } from "../../../src/container/options/args.ts";
import { appNameOf } from "../../../src/container/options/names.ts";
import { ConfigError } from "../../../src/core/error.ts";
import { REFUSED, testVectors, type VectorCase } from "../../support/vectors.ts";

testVectors(
  "container-args",
  (vector) => {
    const args = vector.in.args as string[];
    return orRefused(() => answer(vector, args));
  },
  ["extraArgs", "hasUser", "nameOption", "derivedAppName"],
);

function answer(vector: VectorCase, args: readonly string[]): unknown {
  if (vector.op === "derivedAppName") return appNameOf(String(vector.in.registry));
  const checked = checkContainerArgs(args);
  if (vector.op === "hasUser") return checked.user !== undefined;
  return vector.op === "extraArgs" ? "allowed" : { name: checked.name ?? "", args: checked.args };
}

function orRefused(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    if (error instanceof ConfigError) return REFUSED;
    throw error;
  }
}

function refusal(args: readonly string[], allow: readonly string[] = []): string {
  try {
    checkContainerArgs(args, allow);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "allowed";
}

describe("checkContainerArgs", () => {
  test.each([
    [["-Pd"], "-P"],
    [["-qd"], "-d"],
    [["-qp", "8080:80"], "-p"],
    [["-p8080:80"], "-p"],
    [["-d=false"], "-d"],
    [["--publish=8080:80"], "--publish"],
    [["--rm=true"], "--rm"],
    [["--purge"], "--purge"],
    [["--restart=no"], "--restart"],
    [["--cidfile", "/tmp/id"], "--cidfile"],
    [["-v", "-d", "-t"], "-t"],
    [["--pod", "p"], "--pod"],
    [["-e", "A=b", "-it"], "-i"],
    [["--newer-than-dewy", "--tty"], "--tty"],
  ])("refuses %j and names %s", (args, option) => {
    expect(refusal(args)).toMatch(`Cannot use ${option} after --: `);
  });

  test.each([
    [["--privileged"], "privileged"],
    [["--pid=host"], "pid"],
    [["--cap-add", "NET_ADMIN"], "cap-add"],
    [["--security-opt", "seccomp=unconfined"], "security-opt"],
    [["--device", "/dev/kvm"], "device"],
    [["--userns=host"], "userns"],
    [["--cgroupns", "host"], "cgroupns"],
  ])("refuses %j without --allow-option", (args, option) => {
    expect(refusal(args)).toMatch(`--allow-option ${option}`);
    expect(refusal(args, [option])).toBe("allowed");
    expect(refusal(args, [`--${option}`])).toBe("allowed");
  });

  test("refuses --allow-option for options that dewy controls", () => {
    expect(refusal([], ["rm"])).toMatch("--rm is never passed on");
    expect(refusal([], ["priviledged"])).toMatch("did you mean privileged?");
  });

  test.each([
    "--network=host",
    "--net=none",
    "--network=container:db",
    "--network=name=host,alias=a",
  ])("refuses %s, which would publish no port", (option) => {
    expect(refusal([option])).toMatch("no port of the container would be published");
    expect(refusal(option.split(/=(.*)/s).slice(0, 2))).toMatch("no port");
  });

  test.each([
    ["--network", "backend"],
    ["--network", "hostile"],
    ["-e", "-d"],
    ["-e", "--privileged"],
    ["-ePASSWORD=-it"],
    ["-e=A=--rm"],
    ["--env=A=b", "-v", "/data:/data", "-w/srv", "-m", "1g", "--cpus", "2"],
    ["--health-cmd", "-p", "--init", "--read-only", "-h", "web"],
    ["-qe", "A=b"],
    ["-l", "app=dewy.io"],
    ["--newer-than-dewy", "value", "--init"],
  ])("passes on %j %j", (...args) => {
    expect(checkContainerArgs(args)).toMatchObject({ args, name: undefined, user: undefined });
  });

  test.each([
    [["ubuntu"]],
    [["-e", "A=b", "ubuntu", "sh"]],
    [["--init", "ubuntu"]],
    [["--", "-e"]],
  ])("refuses %j, where the engine would treat a word as the image", (args) => {
    expect(refusal(args)).toMatch("not an option");
  });

  test("refuses an option without its value, which would swallow the image", () => {
    expect(refusal(["--init", "-e"])).toBe("Cannot use -e after --: its value is missing");
    expect(refusal(["-qe"])).toBe("Cannot use -e after --: its value is missing");
    expect(refusal(["--memory"])).toBe("Cannot use --memory after --: its value is missing");
  });

  test("refuses unknown short options", () => {
    expect(refusal(["-qx"])).toMatch("has an option -x");
  });

  test("reads the stop timeout", () => {
    expect(checkContainerArgs(["--stop-timeout", "60"]).stopTimeoutMs).toBe(60_000);
    expect(checkContainerArgs([]).stopTimeoutMs).toBeUndefined();
    expect(() => checkContainerArgs(["--stop-timeout=-1"])).toThrow("a number of seconds");
  });

  test("reads the variables, including those taken from dewy's environment", () => {
    const { env } = checkContainerArgs(["-e", "A=b=c", "--env=D", "-eE=", "--env-file", "x"]);
    expect(env).toEqual({ A: "b=c", D: undefined, E: "" });
  });

  test("removes the name and returns it with the user", () => {
    expect(checkContainerArgs(["--name=a", "-u", "1:2", "--name", "b", "-u5"])).toMatchObject({
      args: ["-u", "1:2", "-u5"],
      name: "b",
      user: "5",
    });
  });
});

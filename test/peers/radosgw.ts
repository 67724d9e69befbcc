/**
 * A real S3 server: Ceph's gateway with one monitor and one OSD in memory, from an empty directory.
 *
 * Debian: `apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd`.
 *
 * @module
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { AwsCredentials } from "../../src/auth/aws_credentials.ts";
import { startGuardian, untilItAnswers } from "./guardian.ts";
import { missingPeer } from "./missing_peer.ts";
import { freePorts } from "./ports.ts";
import { type S3Publisher, s3Publisher } from "./s3_publisher.ts";

const PROGRAMS = ["radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-osd", "monmaptool"];
const run = promisify(execFile);

export interface Radosgw extends S3Publisher {
  /** `http://127.0.0.1:<port>` */
  endpoint: string;
  user: AwsCredentials;
  /** The user's credentials and the endpoint as environment variables. */
  env: Readonly<Record<string, string>>;
  /** Creates a role that the user may assume and that may do everything, and returns its ARN. */
  createRole(name: string): Promise<string>;
  /** Stops the servers and removes their data. */
  stop(): Promise<void>;
}

/** Returns why a gateway cannot be started here; see {@link missingPeer}. */
export function missingRadosgw(): string | undefined {
  return missingPeer(PROGRAMS, "radosgw ceph-mon ceph-osd");
}

/**
 * Starts a gateway with one user, in about a second. With `roles`, it also assumes roles, and answers
 * differently to keys that it does not know.
 */
export async function startRadosgw({ roles = false } = {}): Promise<Radosgw> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-radosgw-"));
  const guardian = startGuardian(directory);
  try {
    return { ...(await boot(directory, guardian.watch, roles)), stop: guardian.stop };
  } catch (error) {
    const log = await readFile(join(directory, "log"), "utf8").catch(() => "");
    await guardian.stop();
    throw new Error(`radosgw did not start: ${String(error)}\n${log.slice(-2000)}`);
  }
}

async function boot(
  directory: string,
  watch: (server: ChildProcess) => void,
  roles: boolean,
): Promise<Omit<Radosgw, "stop">> {
  const servers: ChildProcess[] = [];
  const [monitor = 0, gateway = 0] = await freePorts(2);
  const fsid = randomUUID();
  const osd = randomUUID();
  const conf = join(directory, "ceph.conf");
  const endpoint = `http://127.0.0.1:${gateway}`;
  const user = { accessKeyId: "DEWYTESTKEY", secretAccessKey: randomUUID() };
  await Promise.all(["mon", "osd", "rgw"].map((name) => mkdir(join(directory, name))));
  const settings = configuration(directory, fsid, monitor, gateway);
  await writeFile(conf, roles ? settings + ROLES : settings);
  const call = (program: string, args: string[]): Promise<{ stdout: string }> =>
    run(program, ["-c", conf, ...args], { timeout: 60_000 });
  const administer = (...args: string[]): Promise<{ stdout: string }> =>
    call("radosgw-admin", ["-n", "client.rgw", "--no-mon-config", ...args]);
  const serve = (program: string, args: string[]): void => {
    const server = spawn(program, ["-c", conf, "-f", ...args], { stdio: "ignore" });
    servers.push(server);
    watch(server);
  };

  const monmap = join(directory, "monmap");
  await run("monmaptool", [
    "--create",
    "--fsid",
    fsid,
    "--addv",
    "a",
    `[v2:127.0.0.1:${monitor}/0]`,
    monmap,
  ]);
  await call("ceph-mon", ["--mkfs", "-i", "a", "--monmap", monmap]);
  serve("ceph-mon", ["-i", "a"]);
  await call("ceph", ["--connect-timeout", "45", "osd", "new", osd]);
  await call("ceph-osd", ["-i", "0", "--mkfs", "--osd-uuid", osd]);
  serve("ceph-osd", ["-i", "0"]);
  serve("radosgw", ["-n", "client.rgw", "--no-mon-config"]);
  await untilItAnswers(endpoint, servers);
  await administer(
    "user",
    "create",
    "--uid=dewy",
    "--display-name=dewy",
    `--access-key=${user.accessKeyId}`,
    `--secret-key=${user.secretAccessKey}`,
  );
  const env = {
    AWS_ACCESS_KEY_ID: user.accessKeyId,
    AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
    AWS_ENDPOINT_URL: endpoint,
  };
  return {
    endpoint,
    user,
    env,
    createRole: async (name) => {
      const role = `--role-name=${name}`;
      const trust = allow("sts:AssumeRole", { Principal: { AWS: ["arn:aws:iam:::user/dewy"] } });
      const created = await administer("role", "create", role, `--assume-role-policy-doc=${trust}`);
      const everything = allow("s3:*", { Resource: "arn:aws:s3:::*" });
      await administer(
        "role-policy",
        "put",
        role,
        "--policy-name=all",
        `--policy-doc=${everything}`,
      );
      return JSON.parse(created.stdout).Arn;
    },
    ...s3Publisher({ region: "default", endpoint }, user),
  };
}

/** https://docs.ceph.com/en/quincy/radosgw/STS/#sts-configuration */
const ROLES = `rgw sts key = 0123456789abcdef
rgw s3 auth use sts = true
`;

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html */
function allow(action: string, to: object): string {
  const statement = { Effect: "Allow", Action: [action], ...to };
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
}

function configuration(directory: string, fsid: string, monitor: number, gateway: number): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitor}/0]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
# radosgw wants an encrypted session with the monitor, which there is none of without keys.
ms mon client mode = crc
keyring = ${directory}/keyring
run dir = ${directory}
crash dir = ${directory}
admin socket =
pid file =
log file = ${directory}/log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
paxos propose interval = 0.02
paxos min wait = 0.01
osd objectstore = memstore
memstore device bytes = 1073741824
[mon]
mon data = ${directory}/mon
mon data avail crit = 0
mon data avail warn = 0
[osd]
osd data = ${directory}/osd
[client.rgw]
rgw data = ${directory}/rgw
rgw frontends = beast endpoint=127.0.0.1:${gateway}
rgw enable usage log = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw enable quota threads = false
rgw thread pool size = 32
rgw max listing results = 1000
`;
}

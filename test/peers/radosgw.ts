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
  /** Stops the servers and removes their data. */
  stop(): Promise<void>;
}

/** Returns why a gateway cannot be started here; see {@link missingPeer}. */
export function missingRadosgw(): string | undefined {
  return missingPeer(PROGRAMS, "radosgw ceph-mon ceph-osd");
}

/** Starts a gateway with one user, in about a second. */
export async function startRadosgw(): Promise<Radosgw> {
  const directory = await mkdtemp(join(tmpdir(), "dewy-radosgw-"));
  const guardian = startGuardian(directory);
  try {
    return { ...(await boot(directory, guardian.watch)), stop: guardian.stop };
  } catch (error) {
    const log = await readFile(join(directory, "log"), "utf8").catch(() => "");
    await guardian.stop();
    throw new Error(`radosgw did not start: ${String(error)}\n${log.slice(-2000)}`);
  }
}

async function boot(
  directory: string,
  watch: (server: ChildProcess) => void,
): Promise<Omit<Radosgw, "stop">> {
  const servers: ChildProcess[] = [];
  const [monitor = 0, gateway = 0] = await freePorts(2);
  const fsid = randomUUID();
  const osd = randomUUID();
  const conf = join(directory, "ceph.conf");
  const endpoint = `http://127.0.0.1:${gateway}`;
  const user = { accessKeyId: "DEWYTESTKEY", secretAccessKey: randomUUID() };
  await Promise.all(["mon", "osd", "rgw"].map((name) => mkdir(join(directory, name))));
  await writeFile(conf, configuration(directory, fsid, monitor, gateway));
  const call = (program: string, args: string[]): Promise<unknown> =>
    run(program, ["-c", conf, ...args], { timeout: 60_000 });
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
  await call("radosgw-admin", [
    "-n",
    "client.rgw",
    "--no-mon-config",
    "user",
    "create",
    "--uid=dewy",
    "--display-name=dewy",
    `--access-key=${user.accessKeyId}`,
    `--secret-key=${user.secretAccessKey}`,
  ]);
  const env = {
    AWS_ACCESS_KEY_ID: user.accessKeyId,
    AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
    AWS_ENDPOINT_URL: endpoint,
  };
  return {
    endpoint,
    user,
    env,
    ...s3Publisher({ region: "default", endpoint }, user),
  };
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

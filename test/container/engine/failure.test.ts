import { describe, expect, test } from "vitest";
import type { ContainerSpec, EngineName } from "../../../src/container/engine/engine.ts";
import { engineFailure, saysAbsent, saysInUse } from "../../../src/container/engine/failure.ts";
import { CredentialError } from "../../../src/core/error.ts";
import { readVectors } from "../../support/vectors.ts";

const failed = (
  output: string,
  { program = "docker", spec }: { program?: EngineName; spec?: ContainerSpec } = {},
): ReturnType<typeof engineFailure> =>
  engineFailure({ program, action: "pull app", exitCode: 1, output, spec });

const spec = (options: Partial<ContainerSpec> = {}): ContainerSpec => ({
  name: "app-1-0",
  image: "app",
  labels: {},
  ports: [],
  user: undefined,
  args: ["--env-file", "/etc/app.env", "--ulimit", "nofile=99"],
  command: [],
  ...options,
});

describe("engineFailure", () => {
  test.each(readVectors("container-args").filter(({ op }) => op === "authError"))(
    "recognizes login failures: $name",
    ({ in: { output }, out }) => {
      expect(failed(String(output)) instanceof CredentialError).toBe(out);
    },
  );

  // Docker 20.10 and 28, Podman 4.3.
  test.each([
    [
      "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
      { code: "host", retryable: true, hint: "systemctl start docker" },
    ],
    [
      'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.50/info": dial unix /var/run/docker.sock: connect: permission denied',
      { code: "host", retryable: true, hint: "add it to the group" },
    ],
    [
      'Error response from daemon: Get "https://192.0.2.7:5000/v2/": http: server gave HTTP response to HTTPS client',
      { code: "host", retryable: false, hint: "insecure-registries" },
    ],
    [
      'Error response from daemon: Get "https://r.example/v2/": x509: certificate signed by unknown authority',
      { code: "host", retryable: false, hint: "/etc/docker/certs.d/" },
    ],
    [
      "failed to register layer: Error processing tar file(exit status 1): write /app: no space left on device",
      { code: "host", retryable: true, hint: "make room" },
    ],
    [
      "Error response from daemon: toomanyrequests: You have reached your pull rate limit.",
      { code: "rate-limited", retryable: true, hint: "rate limit" },
    ],
    [
      'Error response from daemon: Head "https://ghcr.io/v2/o/r/manifests/sha256:1": denied: denied',
      { code: "credential", retryable: false, hint: "denied" },
    ],
    [
      "Error response from daemon: manifest for r.example/app@sha256:1 not found: manifest unknown: manifest unknown",
      { code: "not-found", retryable: false, hint: "manifest unknown" },
    ],
    [
      "no matching manifest for linux/amd64 in the manifest list entries",
      { code: "host", retryable: false, hint: "does not support this platform" },
    ],
    [
      "Error response from daemon: driver failed programming external connectivity on endpoint app-1-0: Error starting userland proxy: listen tcp4 127.0.0.1:32768: bind: address already in use",
      { code: "host", retryable: true, hint: "another program has this port" },
    ],
    [
      'Error response from daemon: Get "https://r.example/v2/": dial tcp: lookup r.example on 10.0.0.2:53: no such host',
      { code: "remote", retryable: true, hint: "no such host" },
    ],
    [
      'Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "serve": executable file not found in $PATH: unknown',
      { code: "deploy", retryable: false, hint: "the program is missing from the image" },
    ],
    [
      "unknown flag: --memroy See 'docker create --help'.",
      { code: "config", retryable: false, hint: "docker does not support an option after --" },
    ],
    [
      'Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/app": permission denied: unknown',
      { code: "deploy", retryable: false, hint: "the program is missing from the image" },
    ],
    [
      "Error response from daemon: driver failed programming external connectivity on endpoint app-1-0 (f3):  (iptables failed: iptables --wait -t nat -A DOCKER -p tcp -d 127.0.0.1 --dport 32768 -j DNAT --to-destination 172.17.0.2:80 ! -i docker0: iptables: No chain/target/match by that name.\n (exit status 1))",
      { code: "host", retryable: true, hint: "restart the docker service" },
    ],
    [
      "Error response from daemon: failed to create task for container: failed to start shim: fork/exec /usr/bin/containerd-shim-runc-v2: cannot allocate memory: unknown",
      { code: "host", retryable: true, hint: "this machine lacks" },
    ],
    [
      "Error response from daemon: OCI runtime create failed: open /proc/self/fd: too many open files: unknown",
      { code: "host", retryable: true, hint: "this machine lacks" },
    ],
    ["something that nobody has seen", { code: "host", retryable: true, hint: "nobody has seen" }],
  ])("%s", (output, { hint, ...kind }) => {
    const error = failed(output);
    expect(error).toMatchObject(kind);
    expect(error.message).toMatch(/^Cannot pull app: docker says: /);
    expect(error.message).toMatch(hint);
  });

  // Seen with Docker 20.10 and 28, and with Podman 4.3 with runc and crun.
  test.each([
    'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/nope": stat /nope: no such file or directory: unknown',
    'Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown\nError: failed to start containers: app-1-0',
    'OCI runtime create failed: runc create failed: unable to start container process: exec: "/": is a directory: unknown',
    'Error: unable to start container "742e": runc: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory: OCI runtime attempted to invoke a command that was not found',
    'Error: unable to start container "92d9": runc: runc create failed: unable to start container process: exec: "/etc/passwd": permission denied: OCI permission denied',
    "standard_init_linux.go:228: exec user process caused: exec format error",
    "exec /usr/local/bin/app: exec format error",
    "crun: executable file `serve` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found",
    "Error response from daemon: No command specified",
    "Error: no command or entrypoint provided, and no CMD or ENTRYPOINT from image",
    "Error response from daemon: unable to find user app: no matching entries in passwd file",
    'Error: unable to start container "6499": unable to find user app: no matching entries in passwd file',
    "Error response from daemon: unable to find group app: no matching entries in group file",
  ])("blames the release for: %s", (output) => {
    expect(failed(output)).toMatchObject({ code: "deploy", fault: "release" });
    expect(failed(output, { spec: spec() })).toMatchObject({ code: "deploy", fault: "release" });
  });

  const missing =
    'unable to start container process: exec: "nope": executable file not found in $PATH: unknown';
  const refused = 'unable to start container process: exec: "/app": permission denied: unknown';
  const hidden =
    'unable to start container process: exec: "/srv/app": stat /srv/app: no such file or directory';
  const stranger = "unable to find user app: no matching entries in passwd file";
  test.each<[string, Partial<ContainerSpec>, string, string]>([
    ["the program that --cmd names is missing", { command: ["nope"] }, missing, "operator"],
    ["the --entrypoint is missing", { args: ["--entrypoint", "nope"] }, missing, "operator"],
    ["the --entrypoint is missing", { args: ["--entrypoint=nope"] }, missing, "operator"],
    ["the --user may not run the program", { args: ["--user", "7"] }, refused, "operator"],
    ["dewy's own user may not run it", { user: "1000:1000" }, refused, "operator"],
    ["the image does not know the --user", { args: ["-uapp"] }, stranger, "operator"],
    ["a volume hides the program", { args: ["-v", "/empty:/srv:ro"] }, hidden, "operator"],
    ["a volume hides the program", { args: ["--volume=/empty:/srv/"] }, hidden, "operator"],
    ["a mount hides the program", { args: ["--mount", "type=tmpfs,dst=/srv"] }, hidden, "operator"],
    [
      "a file system in memory hides the program",
      { args: ["--tmpfs", "/srv"] },
      hidden,
      "operator",
    ],
    ["a volume is mounted elsewhere", { args: ["-v", "data:/srv/data"] }, hidden, "release"],
    ["no mount names its directory", { args: ["-e", "ROOT=/srv"] }, hidden, "release"],
    ["the image's program is missing for any --user", { args: ["-u", "7"] }, missing, "release"],
    ["the image's program is missing", { args: ["-e", "A=--entrypoint"] }, missing, "release"],
  ])("when %s", (_, options, output, fault) => {
    expect(failed(output, { spec: spec(options) })).toMatchObject({ code: "deploy", fault });
  });

  // Seen with Docker 20.10 and 28.
  test.each([
    "docker: open /etc/app.env: no such file or directory\n\nRun 'docker create --help' for more information",
    "Error response from daemon: network appnet not found\nError: failed to start containers: app-1-0",
    'Error response from daemon: could not select device driver "" with capabilities: [[gpu]]\nError: failed to start containers: app-1-0',
    'Error response from daemon: invalid mount config for type "bind": bind source path does not exist: /srv/data',
    "Error response from daemon: Unknown runtime specified nosuch",
    "Error response from daemon: unknown or invalid runtime name: nosuch",
    "Error response from daemon: Cannot link to a non running container: /db AS /app-1-0/db\nError: failed to start containers: app-1-0",
    "Error response from daemon: could not get container for db: No such container: db",
    "Error response from daemon: user specified IP address is supported on user defined networks only",
    'Error response from daemon: error gathering device information while adding custom device "/dev/nosuch": no such file or directory',
    'Error response from daemon: create vol1: error looking up volume plugin nosuch: plugin "nosuch" not found',
    'Error response from daemon: error looking up logging plugin nosuch: plugin "nosuch" not found',
    "Error response from daemon: failed to initialize logging driver: dial tcp 127.0.0.1:1: connect: connection refused",
    "Error response from daemon: Requested CPUs are not available - requested 99, available: 0-1",
    "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: open /proc/sys/net/nosuch: no such file or directory: unknown",
    'Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error mounting "/etc" to rootfs at "/app": mount /etc:/app (via /proc/self/fd/6), flags: 0x5001: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type',
    "docker: opening seccomp profile (/nofile.json) failed: open /nofile.json: no such file or directory",
    "Error response from daemon: Cannot mkdir: /etc/passwd is not a directory",
    'OCI runtime create failed: unable to retrieve OCI runtime error (open log.json: no such file or directory): exec: "nvidia-container-runtime": executable file not found in $PATH: unknown',
    "failed to start shim: fork/exec /usr/bin/containerd-shim-runc-v2: no such file or directory: unknown",
    'OCI runtime create failed: error running hook #0: exec: "/usr/bin/hook": executable file not found in $PATH',
  ])("does not blame the release when Docker says: %s", (output) => {
    expect(failed(output).fault).not.toBe("release");
  });

  // Seen with Podman 4.3, with runc and crun, as root and rootless.
  test.each([
    'Error: parsing env file "/etc/app.env": open /etc/app.env: no such file or directory',
    "Error: unable to find network with name or ID appnet: network not found",
    "Error: unknown flag: --gpus\nSee 'podman create --help'",
    "Error: statfs /srv/data: no such file or directory",
    'Error: default OCI runtime "nosuch" not found: invalid argument',
    'Error: looking up container to share net namespace with: no container with name or ID "db" found: no such container',
    'Error: unable to start container "5436": requested static ip 10.1.2.3 not in any subnet on network podman',
    "Error: stat /dev/nosuch: no such file or directory",
    "Error: running container create option: invalid log driver: invalid argument",
    'Error: OCI runtime error: unable to start container "42a8": runc: runc create failed: unable to start container process: error during container init: error setting cgroup config for procHooks process: unable to set memory limit to 1024 (current usage: 2260992, peak usage: 2420736)',
    'Error: unable to start container "edca": runc: runc create failed: unable to start container process: error during container init: open /proc/sys/net/nosuch: no such file or directory: OCI runtime attempted to invoke a command that was not found',
    'Error: no secret with name or id "nosuch": no such secret',
    'Error: unable to start container "8c5e": workdir "/nowhere" does not exist on container 8c5e',
    "Error: container-init binary not found on the host: stat /usr/libexec/podman/catatonit: no such file or directory",
    "Error: slirp4netns failed: open(/dev/net/tun): Permission denied",
    'runc: runc create failed: unable to start container process: error during container init: error mounting "/srv/data" to rootfs: no such file or directory: OCI runtime attempted to invoke a command that was not found',
    "crun: error stat'ing file `/srv/data`: No such file or directory: OCI runtime attempted to invoke a command that was not found",
    "something that nobody has seen",
    "",
  ])("does not blame the release when Podman says: %s", (output) => {
    expect(failed(output, { program: "podman" }).fault).not.toBe("release");
  });

  test("prints one line without the engine's prefixes and warnings", () => {
    const output = [
      'time="2026-11-25T23:46:53Z" level=error msg="Removing timer: no systemd"',
      "Error: unable to start container",
      "",
    ].join("\n");
    expect(failed(output, { program: "podman" }).message).toBe(
      "Cannot pull app: podman says: unable to start container",
    );
    expect(failed("").message).toBe("Cannot pull app: docker exited with exit code 1");
  });

  test("redacts secrets in URLs", () => {
    const output =
      "Error response from daemon: Get https://u:secret-password@r.example/v2/?token=abc";
    expect(failed(output).message).not.toMatch(/secret-password|abc/);
  });

  test.each([
    "Error response from daemon: No such container: app",
    'Error: no container with name or ID "app" found: no such container',
    "Error: inspecting object: no such container app",
    "Error: localhost/app:v1: image not known",
    "Error response from daemon: removal of container 1234 is already in progress",
  ])("recognizes an absent object: %s", (output) => {
    expect(saysAbsent(output)).toBe(true);
    expect(failed(output)).toMatchObject({ code: "not-found" });
  });

  test.each([
    'Error response from daemon: conflict: unable to remove repository reference "t:1" (must force) - container 27 is using its referenced image dd',
    "Error: image used by 4ff3: image is in use by a container: consider listing external containers",
  ])("recognizes an image in use: %s", (output) => {
    expect(saysInUse(output)).toBe(true);
  });
});

import { describe, expect, test } from "vitest";
import { CredentialError } from "../../../src/core/error.ts";
import {
  engineFailure,
  saysAbsent,
  saysInUse,
} from "../../../src/host/container/engine_failure.ts";
import { readVectors } from "../../core/vectors.ts";

const failed = (said: string, program = "docker"): ReturnType<typeof engineFailure> =>
  engineFailure({ program, action: "pull app", exitCode: 1, said });

describe("what an engine says", () => {
  test.each(readVectors("container-args").filter(({ op }) => op === "authError"))(
    "is a matter of the login, or not: $name",
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
      { code: "host", retryable: false, hint: "not made for this machine" },
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
      { code: "deploy", retryable: false, hint: "the image has no such program" },
    ],
    [
      "unknown flag: --memroy See 'docker create --help'.",
      { code: "config", retryable: false, hint: "docker does not know an option after --" },
    ],
    [
      'Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/app": permission denied: unknown',
      { code: "deploy", retryable: false, hint: "the image has no such program" },
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
    ["something that nobody has seen", { code: "host", retryable: false, hint: "nobody has seen" }],
  ])("%s", (said, { hint, ...kind }) => {
    const error = failed(said);
    expect(error).toMatchObject(kind);
    expect(error.message).toMatch(/^Cannot pull app: docker says: /);
    expect(error.message).toMatch(hint);
  });

  // Seen with Docker 20.10 and 28, and with Podman 4.3 with runc and crun.
  test.each([
    'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/nope": stat /nope: no such file or directory: unknown',
    'OCI runtime create failed: runc create failed: unable to start container process: exec: "/": is a directory: unknown',
    "standard_init_linux.go:228: exec user process caused: exec format error",
    "exec /usr/local/bin/app: exec format error",
    "crun: executable file `serve` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found",
    "Error response from daemon: No command specified",
  ])("blames the release for: %s", (said) => {
    expect(failed(said)).toMatchObject({ code: "deploy", fault: "release" });
  });

  test.each([
    "open /etc/app.env: no such file or directory.",
    "Error response from daemon: network appnet not found",
    'Error response from daemon: could not select device driver "" with capabilities: [[gpu]]',
    'Error response from daemon: invalid mount config for type "bind": bind source path does not exist: /srv/data',
    "Error response from daemon: unknown or invalid runtime name: nosuch",
    "Error response from daemon: Cannot link to a non running container: /db AS /app-1-0/db",
    "Error: slirp4netns failed: open(/dev/net/tun): Permission denied",
    'OCI runtime create failed: unable to retrieve OCI runtime error (open log.json: no such file or directory): exec: "nvidia-container-runtime": executable file not found in $PATH: unknown',
    "failed to start shim: fork/exec /usr/bin/containerd-shim-runc-v2: no such file or directory: unknown",
    'runc: runc create failed: unable to start container process: error during container init: error mounting "/srv/data" to rootfs: no such file or directory: OCI runtime attempted to invoke a command that was not found',
    "crun: error stat'ing file `/srv/data`: No such file or directory: OCI runtime attempted to invoke a command that was not found",
    'OCI runtime create failed: error running hook #0: exec: "/usr/bin/hook": executable file not found in $PATH',
    "something that nobody has seen",
    "",
  ])("does not blame the release for: %s", (said) => {
    expect(failed(said).fault).not.toBe("release");
  });

  test("is shown on one line, without the engine's own frame and warnings", () => {
    const said = [
      'time="2026-11-25T23:46:53Z" level=error msg="Removing timer: no systemd"',
      "Error: unable to start container",
      "",
    ].join("\n");
    expect(failed(said, "podman").message).toBe(
      "Cannot pull app: podman says: unable to start container",
    );
    expect(failed("").message).toBe("Cannot pull app: docker ended with exit code 1");
  });

  test("does not show the secrets of an address", () => {
    const said =
      "Error response from daemon: Get https://u:secret-password@r.example/v2/?token=abc";
    expect(failed(said).message).not.toMatch(/secret-password|abc/);
  });

  test.each([
    "Error response from daemon: No such container: app",
    'Error: no container with name or ID "app" found: no such container',
    "Error: inspecting object: no such container app",
    "Error: localhost/app:v1: image not known",
    "Error response from daemon: removal of container 1234 is already in progress",
  ])("it is gone: %s", (said) => {
    expect(saysAbsent(said)).toBe(true);
    expect(failed(said)).toMatchObject({ code: "not-found" });
  });

  test.each([
    'Error response from daemon: conflict: unable to remove repository reference "t:1" (must force) - container 27 is using its referenced image dd',
    "Error: image used by 4ff3: image is in use by a container: consider listing external containers",
  ])("it is in use: %s", (said) => {
    expect(saysInUse(said)).toBe(true);
  });
});

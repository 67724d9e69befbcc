// https://docs.docker.com/reference/cli/docker/container/run/
// https://docs.podman.io/en/stable/markdown/podman-run.1.html

export const SHORT_OPTIONS: ReadonlyMap<string, string> = new Map([
  ["a", "attach"],
  ["c", "cpu-shares"],
  ["d", "detach"],
  ["e", "env"],
  ["h", "hostname"],
  ["i", "interactive"],
  ["l", "label"],
  ["m", "memory"],
  ["P", "publish-all"],
  ["p", "publish"],
  ["q", "quiet"],
  ["t", "tty"],
  ["u", "user"],
  ["v", "volume"],
  ["w", "workdir"],
]);

/** The options without a value. All others take one, as the next argument or after `=`. */
export const SWITCHES: ReadonlySet<string> = new Set([
  "detach",
  "disable-content-trust",
  "env-host",
  "help",
  "http-proxy",
  "init",
  "interactive",
  "no-healthcheck",
  "no-hostname",
  "no-hosts",
  "oom-kill-disable",
  "passwd",
  "privileged",
  "publish-all",
  "purge",
  "quiet",
  "read-only",
  "read-only-tmpfs",
  "replace",
  "rm",
  "rmi",
  "rootfs",
  "sig-proxy",
  "tls-verify",
  "tty",
  "unsetenv-all",
  "use-api-socket",
]);

/** The known options with a value. An option in neither list may be newer than this one. */
export const VALUE_OPTIONS: ReadonlySet<string> = new Set(
  `add-host annotation arch attach authfile blkio-weight blkio-weight-device cap-add cap-drop cgroup-conf cgroup-parent
  cgroupns cgroups chrootdirs cidfile conmon-pidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period
  cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach-keys device device-cgroup-rule device-read-bps
  device-read-iops device-write-bps device-write-iops dns dns-opt dns-option dns-search domainname entrypoint env env-file
  env-merge expose gidmap gpus group-add health-cmd health-interval health-log-destination health-max-log-count
  health-max-log-size health-on-failure health-retries health-start-interval health-start-period health-startup-cmd
  health-startup-interval health-startup-retries health-startup-success health-startup-timeout health-timeout hostname
  hosts-file hostuser image-volume init-ctr init-path io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory label
  label-file link link-local-ip log-driver log-opt mac-address memory memory-reservation memory-swap memory-swappiness mount
  name net net-alias network network-alias oom-score-adj os passwd-entry personality pid pidfile pids-limit platform pod
  pod-id-file preserve-fd preserve-fds publish pull rdt-class requires restart retry retry-delay runtime sdnotify
  seccomp-policy secret security-opt shm-size shm-size-systemd stop-signal stop-timeout storage-opt subgidname subuidname
  sysctl systemd timeout tmpfs tz uidmap ulimit umask unsetenv user userns uts variant volume volume-driver volumes-from
  workdir`.split(/\s+/),
);

/** Options that dewy does not pass on, because it needs control over them, with the reason. */
export const MANAGED_OPTIONS: ReadonlyMap<string, string> = new Map([
  ["attach", "containers run in the background"],
  ["cidfile", "the second replica would find the first one's file; hooks find containers by label"],
  ["detach", "containers run in the background anyway"],
  ["detach-keys", "containers run in the background"],
  ["help", "it starts nothing"],
  ["interactive", "containers run in the background, without a terminal"],
  ["label-file", "dewy finds its containers by labels; use --label"],
  ["pod", "the ports of a pod are published for all of its containers at once"],
  ["pod-id-file", "the ports of a pod are published for all of its containers at once"],
  ["publish", "the proxy publishes the app; use dewy container --port"],
  ["publish-all", "the proxy publishes the app; use dewy container --port"],
  // Podman's synonym for "rm".
  ["purge", "dewy reads a container's last output before it removes it"],
  ["pull", "dewy pulls the chosen version"],
  ["replace", "replicas must not replace each other"],
  ["restart", "dewy starts a new container when one ends"],
  ["rm", "dewy reads a container's last output before it removes it"],
  ["rmi", "dewy keeps images for rollbacks"],
  ["rootfs", "dewy runs images"],
  ["sig-proxy", "containers run in the background"],
  ["tty", "containers run in the background, without a terminal"],
]);

/** Options that weaken container isolation, and need `--allow-option`. */
export const DANGEROUS_OPTIONS: readonly string[] = [
  "privileged",
  "pid",
  "cap-add",
  "security-opt",
  "device",
  "userns",
  "cgroupns",
];

import { configDefaults, defineConfig, type ViteUserConfig } from "vitest/config";

// Suites that run only when their variable is set, because they take minutes and both cores (`dewy
// server` under load: `npm run test:server`), a container engine (`npm run test:container`), Go, to build
// the servers (`npm run test:peers`), a package registry (`npm run test:packaging`), or a build of the
// single binaries (`npm run test:binaries`).
const suites = {
  DEWY_SERVER_SUITE: "test/e2e/server/**",
  DEWY_CONTAINER_SUITE: "test/e2e/container/**",
  DEWY_PEERS_SUITE: "test/peers/go/**",
  DEWY_PACKAGING_SUITE: "test/packaging/**",
  DEWY_BINARIES_SUITE: "test/binaries/**",
};
const chosen = Object.entries(suites).find(([name]) => process.env[name] === "1")?.[1];

const config: ViteUserConfig = defineConfig({
  test: {
    include: [`${chosen ?? "test/**"}/*.test.ts`],
    exclude: [...configDefaults.exclude, ...(chosen === undefined ? Object.values(suites) : [])],
    globalSetup: chosen === suites.DEWY_PEERS_SUITE ? ["test/peers/go/build.ts"] : [],
    // Defaults to 1 on a machine with two cores, but the tests mostly wait for processes.
    maxWorkers: 3,
    // Loading all modules again for each file takes as long as the tests. A test that changes what a
    // module or the process remembers has to restore it.
    isolate: chosen !== undefined,
    testTimeout: 120_000,
    hookTimeout: 90_000,
    // A wait ends as soon as its condition holds, so that only a slow machine needs all of it.
    expect: { poll: { timeout: 30_000 } },
    reporters: ["default"],
  },
});

export default config;

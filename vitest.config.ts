import { configDefaults, defineConfig, type ViteUserConfig } from "vitest/config";

// The first two take minutes and both cores: `dewy server` under load (`npm run test:server`, and `npm run soak` for a
// hundred switches), and what needs a container engine (`npm run test:container`). The third wants Go, to build the
// servers it talks to (`npm run test:peers`).
const suites = {
  DEWY_SERVER_SUITE: "test/e2e/server/**",
  DEWY_CONTAINER_SUITE: "test/e2e/container/**",
  DEWY_PEERS_SUITE: "test/peers/go/**",
};
const chosen = Object.entries(suites).find(([name]) => process.env[name] === "1")?.[1];

const config: ViteUserConfig = defineConfig({
  test: {
    include: [`${chosen ?? "test/**"}/*.test.ts`],
    exclude: [...configDefaults.exclude, ...(chosen === undefined ? Object.values(suites) : [])],
    globalSetup: chosen === suites.DEWY_PEERS_SUITE ? ["test/peers/go/build.ts"] : [],
    // By default it would be one on a machine with two cores; most of the time is spent waiting for processes.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 90_000,
    // Waits end when what they wait for comes; a slow machine is no failure.
    expect: { poll: { timeout: 30_000 } },
    reporters: ["default"],
  },
});

export default config;

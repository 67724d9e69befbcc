import { configDefaults, defineConfig, type ViteUserConfig } from "vitest/config";

// `dewy server` under load takes minutes and both cores: `npm run test:server`, and `npm run soak` for a hundred switches.
const isServerSuite = process.env.DEWY_SERVER_SUITE === "1";

const config: ViteUserConfig = defineConfig({
  test: {
    include: [isServerSuite ? "test/e2e/server/**/*.test.ts" : "test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...(isServerSuite ? [] : ["test/e2e/server/**"])],
    testTimeout: 60_000,
    hookTimeout: 90_000,
    // Waits end when what they wait for comes; a slow machine is no failure.
    expect: { poll: { timeout: 30_000 } },
    reporters: ["default"],
  },
});

export default config;

import { messageOf } from "./message_of.ts";

/** Whether an import failed because the package is not installed. Node and Bun set the code; Deno only describes it. */
export function isMissingPackage(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return (
    code === "ERR_MODULE_NOT_FOUND" || /\bnot (find|found|a dependency)/i.test(messageOf(error))
  );
}

/** Where commands that run a package without installing it keep it. */
const RUN_ONCE = [
  [/\/_npx\//, "npx"],
  [/\/\.?bunx-/, "bunx"],
  [/\/pnpm\/dlx\//, "pnpm dlx"],
] as const;

/** The command that runs the package of this module without installing it; `undefined` if it is installed. */
export function runOnceBy(moduleUrl: string): "npx" | "bunx" | "pnpm dlx" | undefined {
  return RUN_ONCE.find(([place]) => place.test(moduleUrl))?.[1];
}

/**
 * The command that installs packages where a module of dewy finds them. npx has a directory for each
 * set of packages; bunx and `pnpm dlx` cannot add one.
 *
 * @param packages The versions that dewy is tested with, by name.
 * @param moduleUrl `import.meta.url` of the module that imports them.
 */
export function installCommand(
  packages: Readonly<Record<string, string>>,
  moduleUrl: string,
  runtime: object = globalThis,
): string {
  const names = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
  if ("Deno" in runtime) return `deno add ${names.map((name) => `npm:${name}`).join(" ")}`;
  if (runOnceBy(moduleUrl) !== undefined) {
    return `npx ${["dewy", ...names].map((name) => `--package ${name}`).join(" ")} -- dewy …`;
  }
  const isGlobalOfBun = moduleUrl.includes("/install/global/node_modules/");
  const isGlobalOfNpm = /\/(lib|npm)\/node_modules\/dewy\//.test(moduleUrl);
  const isGlobalOfPnpm = /\/global\/\d+\/\.pnpm\//.test(moduleUrl);
  const isBun = isGlobalOfBun || ("Bun" in runtime && !isGlobalOfNpm);
  const isPnpm = moduleUrl.includes("/.pnpm/");
  const install = isPnpm ? "pnpm add" : isBun ? "bun add" : "npm install";
  const globally = isGlobalOfBun || isGlobalOfNpm || isGlobalOfPnpm ? " --global" : "";
  return `${install}${globally} ${names.join(" ")}`;
}

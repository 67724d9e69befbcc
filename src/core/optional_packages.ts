import { messageOf } from "./message_of.ts";

/** Whether an import failed because the package is not installed. Node and Bun set the code; Deno only describes it. */
export function isMissingPackage(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return (
    code === "ERR_MODULE_NOT_FOUND" || /\bnot (find|found|a dependency)/i.test(messageOf(error))
  );
}

/**
 * The command that installs packages where a module of dewy finds them. npx has a directory for each
 * set of packages.
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
  if (moduleUrl.includes("/_npx/")) {
    return `npx ${["dewy", ...names].map((name) => `--package ${name}`).join(" ")} -- dewy …`;
  }
  const isGlobalOfBun = moduleUrl.includes("/install/global/node_modules/");
  const isGlobalOfNpm = /\/(lib|npm)\/node_modules\/dewy\//.test(moduleUrl);
  const isBun = isGlobalOfBun || ("Bun" in runtime && !isGlobalOfNpm);
  const globally = isGlobalOfBun || isGlobalOfNpm ? " --global" : "";
  return `${isBun ? "bun add" : "npm install"}${globally} ${names.join(" ")}`;
}

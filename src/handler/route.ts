/** A request, read from its path: `/[<registry>/]<action>`. */
export interface Route {
  action: Action;
  /** The registry of the path; `undefined` without one. */
  name: string | undefined;
  /** The platform of `/download/<platform>`; empty for other actions. */
  platform: string;
}

export type Action = "latest" | "badge.svg" | "badge.json" | "explain" | "download" | "report";

const ACTIONS: ReadonlySet<string> = new Set([
  "latest",
  "badge.svg",
  "badge.json",
  "explain",
  "report",
]);

/** @returns `undefined` for an unknown path. */
export function readRoute(pathname: string, basePath: string): Route | undefined {
  if (!pathname.startsWith(`${basePath}/`)) return undefined;
  const parts = pathname
    .slice(basePath.length + 1)
    .split("/")
    .map(decode);
  if (
    !parts.every((part) => part !== undefined && part !== "" && !/^\.\.?$|[/\\\p{Cc}]/u.test(part))
  ) {
    return undefined;
  }
  const last = parts.at(-1) ?? "";
  const before = parts.at(-2);
  const isDownload = parts.length >= 2 && before === "download" && !ACTIONS.has(last);
  const action = isDownload ? "download" : (last as Action);
  if (!isDownload && !ACTIONS.has(action)) return undefined;
  const name = parts.slice(0, isDownload ? -2 : -1).join("/");
  return { action, name: name || undefined, platform: isDownload ? last : "" };
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

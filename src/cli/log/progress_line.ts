import { formatBytes } from "../../core/bytes.ts";
import type { DewyEvent } from "../../core/event.ts";
import { printable } from "../../core/text.ts";
import type { TextSink } from "../../host/process/io.ts";

export type ProgressLine = ReturnType<typeof createProgressLine>;

const REDRAW_MS = 100;
const ERASE = "\r\x1b[K";

/** Shows downloads in one line of a terminal: `app.tar.gz 45% 12.3 MiB/s`. Pipes get only what `write` writes. */
export function createProgressLine(terminal: TextSink, now: () => number) {
  let download: { artifact: string; startedAt: number; from: number } | undefined;
  let drawnAt = Number.NEGATIVE_INFINITY;
  let shown: string | undefined;

  const clear = (): void => {
    if (shown !== undefined) terminal.write(ERASE);
    shown = undefined;
  };
  const draw = (text: string): void => {
    terminal.write(`${ERASE}${text}`);
    shown = text;
    drawnAt = now();
  };
  return {
    clear,
    /** Writes above the line. */
    write: (text: string): void => {
      const line = shown;
      clear();
      terminal.write(text);
      if (line !== undefined) draw(line);
    },
    sink: (event: DewyEvent): void => {
      if (!terminal.isTerminal) return;
      if (event.type === "downloaded" || event.type === "failed") {
        clear();
        download = undefined;
      }
      if (event.type !== "download-progress") return;
      if (download?.artifact !== event.artifact) {
        download = { artifact: event.artifact, startedAt: now(), from: event.received };
      }
      if (now() - drawnAt < REDRAW_MS) return;
      const seconds = (now() - download.startedAt) / 1000;
      const rate = seconds > 0 ? (event.received - download.from) / seconds : 0;
      draw(progressText(event.artifact, event.received, event.total, rate));
    },
  };
}

const MAX_NAME = 40;

function progressText(
  artifact: string,
  received: number,
  total: number | undefined,
  bytesPerSecond: number,
): string {
  const name = printable(artifact).slice(0, MAX_NAME);
  const done =
    total === undefined || total === 0
      ? formatBytes(received)
      : `${Math.min(100, Math.floor((received / total) * 100))}%`;
  const rate = Math.round(bytesPerSecond);
  return rate > 0 ? `${name} ${done} ${formatBytes(rate)}/s` : `${name} ${done}`;
}
